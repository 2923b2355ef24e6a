//! The project's own commands, reached as `cargo xtask <command>`: set up a computer, make the test guest, run, test and
//! lint. Each command first does the work of those before it, so a fresh clone needs exactly one of them.
#![forbid(unsafe_code)]

mod bench;
mod campaign;
mod dist;
mod environment;
mod fuzz;
mod guest;
mod lint;
mod paths;
mod phases;
mod process;
mod run;
mod setup;
mod test;

use std::process::ExitCode;

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
    /// Install the missing packages: Debian packages, Python clients, cargo tools
    Setup,
    /// Make the test guest image in the cache, and print its path
    Guest {
        /// Boot it in several ways and check the behaviour that tests rely on
        #[arg(long)]
        check: bool,
    },
    /// Set up, build and start `esfera lab`: a data center on this computer
    Run(run::Options),
    /// Set up, build and run every test
    Test(test::Options),
    /// Run tests that take longer than a change should wait for
    #[command(subcommand)]
    Campaign(campaign::Campaign),
    /// Measure the promises in numbers, beside a peer or a limit
    Bench(bench::Options),
    /// Build the binary as it ships, with its symbols in a separate file
    Dist,
    /// Check format, floors and circles of the crates, the tree, the English and clippy
    Lint(lint::Options),
}

fn main() -> ExitCode {
    match run(Arguments::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<()> {
    match command {
        Command::Setup => setup::run(),
        Command::Guest { check } => make_guest(check),
        Command::Run(options) => run::run(&options),
        Command::Test(options) => test::run(&options),
        Command::Campaign(campaign) => campaign::run(&campaign),
        Command::Bench(options) => bench::run(&options),
        Command::Dist => dist::run(),
        Command::Lint(options) => lint::run(&options),
    }
}

fn make_guest(check: bool) -> Result<()> {
    setup::packages()?;
    let image = guest::image()?;
    if check {
        guest::check::run(&image)?;
    }
    println!("{}", image.display());
    Ok(())
}
