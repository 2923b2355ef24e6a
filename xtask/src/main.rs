//! The project's own commands, reached as `cargo xtask <command>`: set up a machine, make the test
//! guest, run, test and lint. Each command first does what the ones before it would have done, so a
//! fresh clone needs exactly one of them.
#![forbid(unsafe_code)]

mod paths;
mod process;
mod setup;

use anyhow::Result;
use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Set up, build, run and test Esfera", disable_version_flag = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Install what is missing on this machine: Debian packages, Python clients, cargo tools
    Setup,
}

fn main() -> Result<()> {
    match Arguments::parse().command {
        Command::Setup => setup::run(),
    }
}
