//! The command line: what users say, and what they get to read.

pub mod args;
mod console;
mod datastore;
mod devices;
mod esxcli;
mod esxcli_show;
pub mod failure;
mod host;
pub mod inventory;
mod net;
pub mod net_args;
mod net_ports;
mod net_vmk;
pub mod net_vmk_args;
mod output;
mod progress;
mod session;
mod snapshot;
mod task;
mod vm;
mod vm_create;

use args::Command;
use clap::CommandFactory;
use failure::Failure;

/// Runs a command that is a client of a server.
pub async fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Login(args) => session::login(args).await,
        Command::Logout(target) => session::logout(&target).await,
        Command::Vm(command) => vm::run(command).await,
        Command::Host(command) => match command.verb {
            Some(verb) => host::run(verb).await,
            None => unreachable!("daemons are started by main"),
        },
        Command::Datastore(command) => datastore::run(command).await,
        Command::Net(command) => net::run(command).await,
        Command::Esxcli(args) => esxcli::run(args).await,
        Command::Task(command) => task::run(command).await,
        Command::Events(args) => task::events(args).await,
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut args::Cli::command(), "esfera", &mut std::io::stdout());
            Ok(())
        }
        Command::Center(_) | Command::Lab(_) | Command::Sim(_) => {
            unreachable!("daemons are started by main")
        }
    }
}
