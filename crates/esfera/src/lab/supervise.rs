//! Keeps a process of the lab running: it is started again when it dies, as by an init system.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::process::Process;

/// Delay before a process that died is started again.
const RESTART_DELAY: Duration = Duration::from_millis(500);
/// The delay doubles up to this one for a process that dies again and again.
const LONGEST_DELAY: Duration = Duration::from_secs(15);
/// A process that has lived so long is not one that dies again and again.
const SOUND: Duration = Duration::from_secs(5);

/// Tells of each process that ended by itself, in words.
pub type Died = UnboundedSender<String>;

/// The two ends of that news. A caller that does not care drops the second.
pub fn deaths() -> (Died, UnboundedReceiver<String>) {
    unbounded_channel()
}

/// A process that is kept running until it is stopped.
pub struct Supervised {
    /// Dropped, it ends the process as well.
    stop: DropGuard,
    keeper: JoinHandle<()>,
}

impl Supervised {
    /// Starts the process that `command` describes; its pid is always in `RUN/NAME.pid`.
    pub fn start(
        name: &str,
        run: &Path,
        command: impl Fn() -> Result<Command> + Send + 'static,
        died: Died,
    ) -> Result<Self> {
        let pid_file = run.join(format!("{name}.pid"));
        let first = start(name, &pid_file, &command)?;
        let stop = CancellationToken::new();
        let keeper = tokio::spawn(keep(name.to_owned(), pid_file, command, first, stop.clone(), died));
        Ok(Self { stop: stop.drop_guard(), keeper })
    }

    /// Ends the process for good.
    pub async fn stop(self) {
        drop(self.stop);
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
    died: Died,
) {
    let mut process = first;
    let mut delay = RESTART_DELAY;
    loop {
        let started = Instant::now();
        tokio::select! {
            () = stop.cancelled() => return process.stop().await,
            status = process.ended() => match status {
                Ok(status) => {
                    // Nobody listens any longer once the lab is up.
                    let _ = died.send(format!("{name} ended by itself ({status})"));
                    tracing::warn!(process = name, ?delay, "the process ended by itself ({status}) and is started again");
                }
                Err(error) => tracing::warn!(process = name, "cannot wait for the process: {error}"),
            },
        }
        if started.elapsed() > SOUND {
            delay = RESTART_DELAY;
        }
        process = loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(delay) => {}
            }
            delay = (delay * 2).min(LONGEST_DELAY);
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
