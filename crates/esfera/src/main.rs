//! The one binary. What it is told to be stands in `cli::args`.

mod cli;
mod daemon;
mod lab;
mod sim;

use std::process::ExitCode;

use clap::Parser;
use cli::args::{CenterArgs, Cli, Command, HostArgs, LabArgs, SimArgs};
use cli::failure::Failure;

fn main() -> ExitCode {
    daemon::allocator::settle();
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

enum Daemon {
    Host(HostArgs),
    Center(CenterArgs),
    Lab(LabArgs),
    Sim(SimArgs),
}

async fn run(command: Command) -> Result<(), Failure> {
    let daemon = match command {
        Command::Host(command) if command.verb.is_none() => Daemon::Host(command.run),
        Command::Center(args) => Daemon::Center(args),
        Command::Lab(args) => Daemon::Lab(args),
        Command::Sim(args) => Daemon::Sim(args),
        client => return cli::run(client).await,
    };
    // A simulator is a tool of tests: it speaks only when something is wrong.
    daemon::start_log(if matches!(daemon, Daemon::Sim(_)) { "warn" } else { "info" });
    let ended = match daemon {
        Daemon::Host(args) => daemon::host::run(args).await,
        Daemon::Center(args) => daemon::center::run(args).await,
        Daemon::Lab(args) => lab::run(args).await,
        Daemon::Sim(args) => sim::run(args).await,
    };
    Ok(ended?)
}
