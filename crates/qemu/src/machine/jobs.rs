//! Block jobs: followed to their end, also by a daemon that did not start them. A job stays listed until it is
//! dismissed, so its result cannot be missed.

use super::Machine;
use super::devices::sweep;
use crate::qmp::{self, command};
use crate::{Error, Result};
use std::time::Duration;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::timeout;

/// How often progress is told.
const LOOK: Duration = Duration::from_millis(200);

/// How far a job is, in a unit of its own (bytes for block jobs).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JobProgress {
    /// Done so far.
    pub done: u64,
    /// Estimate of the whole; grows while the guest writes.
    pub total: u64,
}

/// Kinds of jobs that leave layers unused.
const MERGES: [&str; 2] = ["commit-", "stream-"];

/// The id of a disk's job, so that whoever adopts the machine knows it.
pub(super) fn id(kind: &str, disk: &str) -> String {
    format!("{kind}-{disk}")
}

impl Machine {
    /// Ids of the jobs that run or have ended without being followed: `commit-` or `stream-` and the disk.
    pub async fn jobs(&self) -> Result<Vec<String>> {
        Ok(self.monitor().run(&command::QueryJobs {}).await?.into_iter().map(|job| job.id).collect())
    }

    /// Follows a job to its end. [`Error::JobFailed`] with the reason if it failed; the disks are whole then, on the
    /// chain that they had before.
    pub async fn wait_job(&self, id: &str, mut progress: impl FnMut(JobProgress)) -> Result<()> {
        let client = self.monitor();
        let mut events = client.events();
        let mut completing = false;
        loop {
            let job = find(&client, id).await?.ok_or_else(|| Error::JobFailed {
                job: id.to_owned(),
                reason: "QEMU does not know it any more".into(),
            })?;
            progress(JobProgress { done: job.current_progress, total: job.total_progress });
            match job.status.as_str() {
                "concluded" => {
                    client.run(&command::JobDismiss { id: id.to_owned() }).await?;
                    if let Some(disk) = MERGES.iter().find_map(|kind| id.strip_prefix(kind)) {
                        let _one = self.inner.changing.lock().await;
                        sweep(&client, disk).await?;
                    }
                    return match job.error {
                        Some(reason) => Err(Error::JobFailed { job: id.to_owned(), reason }),
                        None => Ok(()),
                    };
                }
                // Both sides are equal: time to switch over.
                "ready" if !completing => {
                    client.run(&command::JobComplete { id: id.to_owned() }).await?;
                    completing = true;
                }
                _ => {}
            }
            // A change of state is looked at once, progress now and then.
            let changed = async {
                loop {
                    match events.recv().await {
                        Ok(event) if event.name == "JOB_STATUS_CHANGE" => return Ok(()),
                        Ok(_) => {}
                        Err(RecvError::Lagged(_)) => return Ok(()),
                        Err(RecvError::Closed) => return Err(Error::Closed),
                    }
                }
            };
            if let Ok(ended) = timeout(LOOK, changed).await {
                ended?;
            }
        }
    }

    /// Gives a job up. The disks stay on the chain that they had before.
    pub async fn cancel_job(&self, id: &str) -> Result<()> {
        self.monitor().run(&command::JobCancel { id: id.to_owned() }).await.map(drop)
    }

    /// Forgets a job of that id that ended while nobody followed it.
    pub(super) async fn dismiss_leftover(&self, client: &qmp::Client, id: &str) -> Result<()> {
        match find(client, id).await? {
            Some(job) if job.status == "concluded" => {
                client.run(&command::JobDismiss { id: id.to_owned() }).await.map(drop)
            }
            _ => Ok(()),
        }
    }
}

async fn find(client: &qmp::Client, id: &str) -> Result<Option<command::Job>> {
    Ok(client.run(&command::QueryJobs {}).await?.into_iter().find(|job| job.id == id))
}
