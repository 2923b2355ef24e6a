//! The one binary. [`cli`] is its command line, which also starts the daemons.

mod cli;
mod client;
mod daemon;
mod lab;
mod sim;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    daemon::allocator::settle();
    let cli = cli::Cli::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: cannot start: {error}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(cli::run(cli.command)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("error: {failure}");
            failure.exit_code()
        }
    }
}
