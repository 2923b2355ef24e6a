//! `esfera vm`: virtual machines.

mod console;
mod create;
mod destroy;
mod devices;
mod info;
mod ls;
mod power;
mod reconfigure;
mod snapshot;

use clap::Subcommand;

use crate::client::failure::Failure;
use crate::client::target::Target;

#[derive(Subcommand)]
pub enum VmCommand {
    /// List virtual machines
    Ls(Target),
    /// Show one virtual machine
    Info(info::Info),
    /// Create a virtual machine
    Create(create::Create),
    /// Turn on, off, …
    Power(power::PowerArgs),
    /// Change a virtual machine
    Reconfigure(reconfigure::Reconfigure),
    /// Snapshots
    #[command(subcommand)]
    Snapshot(snapshot::SnapshotCommand),
    /// Attach to the screen of a running VM through a local VNC port
    Console(console::Console),
    /// Delete a virtual machine with its disks
    Destroy(destroy::Destroy),
}

pub async fn run(command: VmCommand) -> Result<(), Failure> {
    match command {
        VmCommand::Ls(target) => ls::run(&target).await,
        VmCommand::Info(args) => info::run(args).await,
        VmCommand::Create(args) => create::run(args).await,
        VmCommand::Power(args) => power::run(args).await,
        VmCommand::Reconfigure(args) => reconfigure::run(args).await,
        VmCommand::Snapshot(command) => snapshot::run(command).await,
        VmCommand::Console(args) => console::run(args).await,
        VmCommand::Destroy(args) => destroy::run(args).await,
    }
}
