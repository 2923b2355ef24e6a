//! The one binary. [`cli`] is its command line, which also starts the daemons.

// All that a command prints goes through `client::terminal`, which escapes it.
#![deny(clippy::print_stdout, clippy::print_stderr)]

mod cli;
mod client;
mod daemon;
mod lab;
mod sim;

use std::process::ExitCode;

use clap::Parser;

use client::failure::Reason;
use client::terminal;

fn main() -> ExitCode {
    daemon::allocator::settle();
    let cli = match cli::Cli::try_parse() {
        Ok(cli) => cli,
        Err(told) => return told_by_clap(&told),
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            terminal::complain(format!("error: cannot start: {error}"));
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(cli::run(cli.command)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            if failure.reason != Reason::Closed {
                terminal::complain(format!("error: {failure}"));
            }
            failure.exit_code()
        }
    }
}

/// Help, the version, or an error of the command line.
fn told_by_clap(told: &clap::Error) -> ExitCode {
    match (told.print(), told.exit_code()) {
        (Ok(()), code) => ExitCode::from(u8::try_from(code).unwrap_or(1)),
        (Err(error), _) => terminal::unwritten("the output", &error).exit_code(),
    }
}
