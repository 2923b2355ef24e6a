//! The one binary. What it is told to be stands in `cli::args`.

mod cli;
mod daemon;
mod lab;

use std::process::ExitCode;

use clap::Parser;
use cli::args::{Cli, Command};
use cli::failure::Failure;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: cannot start: {error}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(run(cli.command)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("error: {failure}");
            failure.exit_code()
        }
    }
}

async fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Lab(args) => Ok(lab::run(args).await?),
        other => cli::run(other).await,
    }
}
