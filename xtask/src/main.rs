//! The project's own commands, reached as `cargo xtask <command>`: set up a machine, make the test
//! guest, run, test and lint. Each command first does what the ones before it would have done, so a
//! fresh clone needs exactly one of them.
#![forbid(unsafe_code)]

mod bench;
mod environment;
mod fuzz;
mod guest;
mod lint;
mod paths;
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
    /// Install what is missing on this machine: Debian packages, Python clients, cargo tools
    Setup,
    /// Make the test guest image in the cache, and print its path
    Guest {
        /// Boot it in several ways and see that it does what tests rely on
        #[arg(long)]
        check: bool,
    },
    /// Set up, build and start `esfera lab`: a data center on this machine
    Run(run::Options),
    /// Set up, build and run every test
    Test(test::Options),
    /// Run the fuzz targets for a while
    Fuzz(fuzz::Options),
    /// Measure what is promised in numbers, beside a peer or a limit
    Bench(bench::Options),
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
        Command::Fuzz(options) => {
            setup::packages()?;
            fuzz::run(&options)
        }
        Command::Bench(options) => bench::run(&options),
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
