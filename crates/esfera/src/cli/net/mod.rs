//! `esfera net`: switches, port groups, VMkernel adapters and network cards of a host.

mod capture;
mod network;
mod nic;
mod policy;
mod port;
mod portgroup;
mod switch;
mod vmk;

use clap::Subcommand;

use crate::client::failure::Failure;

#[derive(Subcommand)]
pub enum NetCommand {
    /// Standard switches
    #[command(subcommand)]
    Switch(switch::SwitchCommand),
    /// Port groups of standard switches
    #[command(subcommand)]
    Portgroup(portgroup::PortgroupCommand),
    /// Physical network cards
    #[command(subcommand)]
    Nic(nic::NicCommand),
    /// VMkernel adapters: the host's own interfaces on its switches
    #[command(subcommand)]
    Vmk(vmk::VmkCommand),
    /// Ports of virtual machines and VMkernel adapters
    #[command(subcommand)]
    Port(port::PortCommand),
    /// Write the frames that pass ports of a host to a file for Wireshark, until Ctrl-C
    Capture(capture::Capture),
}

pub async fn run(command: NetCommand) -> Result<(), Failure> {
    match command {
        NetCommand::Switch(command) => switch::run(command).await,
        NetCommand::Portgroup(command) => portgroup::run(command).await,
        NetCommand::Nic(command) => nic::run(command).await,
        NetCommand::Vmk(command) => vmk::run(command).await,
        NetCommand::Port(command) => port::run(command).await,
        NetCommand::Capture(args) => capture::run(args).await,
    }
}
