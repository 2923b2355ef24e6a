//! Suspends and resumes: the state of a VM goes to a file and comes back from it. The file gets its name only once it
//! is whole. Disks are not in it and must not change in between.

use super::{ExitReason, Machine, RunState};
use crate::cmdline;
use crate::qmp::{self, command};
use crate::{Error, Result, limits};
use serde_json::{Value, json};
use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Interval between reports of progress.
const LOOK: Duration = Duration::from_millis(50);

/// Progress of saving the state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StateProgress {
    /// Bytes of memory written.
    pub done_bytes: u64,
    /// Bytes of memory in all.
    pub total_bytes: u64,
}

fn channel(path: &Path) -> Result<Vec<Value>> {
    let address = json!({"transport": "file", "filename": cmdline::text(path)?, "offset": 0});
    Ok(vec![json!({"channel-type": "main", "addr": address})])
}

/// Loads saved state into a VM that waits for it. Its processors stay stopped.
pub(super) async fn load(client: &qmp::Client, file: &Path) -> Result<()> {
    client.run(&command::MigrateIncoming { channels: channel(file)? }).await?;
    wait(client, "resume from saved state", |_| {}).await
}

async fn wait(client: &qmp::Client, job: &str, mut progress: impl FnMut(StateProgress)) -> Result<()> {
    let deadline = Instant::now() + limits::STATE_TRANSFER;
    while Instant::now() < deadline {
        let migration = client.run(&command::QueryMigrate {}).await?;
        if let Some(ram) = &migration.ram {
            progress(StateProgress {
                done_bytes: ram.total.saturating_sub(ram.remaining),
                total_bytes: ram.total,
            });
        }
        match migration.status.as_deref() {
            Some("completed") => return Ok(()),
            Some("failed" | "cancelled") => {
                let reason = migration.error_desc.unwrap_or_else(|| "QEMU gave no reason".into());
                return Err(Error::JobFailed { job: job.to_owned(), reason });
            }
            _ => sleep(LOOK).await,
        }
    }
    Err(Error::Timeout { command: job.to_owned() })
}

impl Machine {
    /// Saves the state to `file` and ends the process. If that fails the VM goes on as before and leaves no file. Start it
    /// again with [`super::StartOptions::incoming`]; remove the file once it runs.
    pub async fn suspend(&self, file: &Path, progress: impl FnMut(StateProgress)) -> Result<ExitReason> {
        let _one = self.inner.changing.lock().await;
        let was_running = self.run_state().await? == RunState::Running;
        self.stop().await?;
        let partial = partial_name(file);
        let saved = self.save(&partial, progress).await.and_then(|()| {
            // A whole file means that the VM has not run since.
            publish(&partial, file).inspect_err(|_| drop(fs::remove_file(file)))
        });
        if let Err(e) = saved {
            drop(fs::remove_file(&partial));
            if was_running {
                self.resume().await?;
            }
            return Err(e);
        }
        self.power_off().await
    }

    /// Gives up saving the state when nobody follows it any more, and waits for its end. The processors stay stopped; the
    /// partial file is left to the caller who asked for it.
    pub async fn cancel_suspend(&self) -> Result<()> {
        let _one = self.inner.changing.lock().await;
        let client = self.monitor();
        let status = client.run(&command::QueryMigrate {}).await?.status;
        if matches!(status.as_deref(), None | Some("none" | "completed" | "failed" | "cancelled")) {
            return Ok(());
        }
        client.run(&command::MigrateCancel {}).await?;
        match wait(&client, "give up saving the state", |_| {}).await {
            Ok(()) | Err(Error::JobFailed { .. }) => Ok(()),
            Err(e) => Err(e),
        }
    }

    async fn save(&self, partial: &Path, progress: impl FnMut(StateProgress)) -> Result<()> {
        let what = || format!("create {}", partial.display());
        drop(fs::remove_file(partial));
        OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(partial)
            .map_err(Error::io(what()))?;
        super::start::give(partial, self.spec())?;
        let client = self.monitor();
        client.run(&command::Migrate { channels: channel(partial)? }).await?;
        let saved = wait(&client, "save the state", progress).await;
        if matches!(saved, Err(Error::Timeout { .. })) {
            client.run(&command::MigrateCancel {}).await?;
        }
        saved
    }
}

fn partial_name(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".partial");
    name.into()
}

/// Makes a whole file durable under its name.
fn publish(partial: &Path, file: &Path) -> Result<()> {
    let what = || format!("finish {}", file.display());
    File::open(partial).and_then(|f| f.sync_all()).map_err(Error::io(what()))?;
    fs::rename(partial, file).map_err(Error::io(what()))?;
    match file.parent().filter(|dir| !dir.as_os_str().is_empty()) {
        Some(dir) => File::open(dir).and_then(|d| d.sync_all()).map_err(Error::io(what())),
        None => Ok(()),
    }
}
