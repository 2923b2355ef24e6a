//! Keeps a process of the lab running: it is started again when it dies, as by an init system.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::process::Process;

/// Delay before a process that died is started again.
const RESTART_DELAY: Duration = Duration::from_millis(500);

/// A process that is kept running until it is stopped.
pub struct Supervised {
    stop: CancellationToken,
    keeper: JoinHandle<()>,
}

impl Supervised {
    /// Starts the process that `command` describes; its pid is always in `RUN/NAME.pid`.
    pub fn start(
        name: &str,
        run: &Path,
        command: impl Fn() -> Result<Command> + Send + 'static,
    ) -> Result<Self> {
        let pid_file = run.join(format!("{name}.pid"));
        let first = start(name, &pid_file, &command)?;
        let stop = CancellationToken::new();
        let keeper = tokio::spawn(keep(name.to_owned(), pid_file, command, first, stop.clone()));
        Ok(Self { stop, keeper })
    }

    /// Ends the process for good.
    pub async fn stop(self) {
        self.stop.cancel();
        if self.keeper.await.is_err() {
            tracing::error!("the keeper of a process failed");
        }
    }
}

async fn keep(
    name: String,
    pid_file: PathBuf,
    command: impl Fn() -> Result<Command>,
    first: Process,
    stop: CancellationToken,
) {
    let mut process = first;
    loop {
        tokio::select! {
            () = stop.cancelled() => return process.stop().await,
            status = process.ended() => match status {
                Ok(status) => tracing::warn!(process = name, "the process ended by itself ({status}) and is started again"),
                Err(error) => tracing::warn!(process = name, "cannot wait for the process: {error}"),
            },
        }
        process = loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(RESTART_DELAY) => {}
            }
            match start(&name, &pid_file, &command) {
                Ok(process) => break process,
                Err(error) => tracing::error!(process = name, "{}", crate::client::failure::chain(&error)),
            }
        };
    }
}

fn start(name: &str, pid_file: &Path, command: &impl Fn() -> Result<Command>) -> Result<Process> {
    let process = Process::start(name, command()?)?;
    let pid = process.id().context("the process ended at once")?;
    // Written beside and renamed, so that a reader never sees half of it.
    let new = pid_file.with_extension("new");
    std::fs::write(&new, pid.to_string()).and_then(|()| std::fs::rename(&new, pid_file))?;
    Ok(process)
}
