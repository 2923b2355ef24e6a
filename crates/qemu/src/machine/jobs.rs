//! Follows block jobs to their end, even those that another daemon started. A job stays listed until it is dismissed,
//! so its result cannot be missed.

use super::devices::sweep;
use super::{Machine, RunState};
use crate::qmp::{self, command};
use crate::{Error, Result, limits};
use std::time::Duration;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::timeout;

/// Interval between reports of progress.
const LOOK: Duration = Duration::from_millis(200);

/// Progress of a job, in the job's unit (bytes for block jobs).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JobProgress {
    /// Done so far.
    pub done: u64,
    /// Estimate of the whole; grows while the guest writes.
    pub total: u64,
}

/// Kinds of jobs that leave layers unused.
const MERGES: [&str; 2] = ["commit-", "stream-"];

/// The id of a disk's job, known to whoever adopts the VM.
pub(super) fn id(kind: &str, disk: &str) -> String {
    format!("{kind}-{disk}")
}

/// How far to follow a job.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Until {
    /// Until both sides are equal.
    Ready,
    /// To its end, including the switch.
    End,
    /// To its end, in whatever way, after it was given up.
    GivenUp,
}

impl Machine {
    /// Ids of the jobs that run, or that ended unfollowed: `commit-` or `stream-` and the disk.
    pub async fn jobs(&self) -> Result<Vec<String>> {
        Ok(self.monitor().run(&command::QueryJobs {}).await?.into_iter().map(|job| job.id).collect())
    }

    /// Follows a job to its end. [`Error::JobFailed`] gives the reason if it failed; the disks are then intact, on their
    /// former chain.
    pub async fn wait_job(&self, id: &str, progress: impl FnMut(JobProgress)) -> Result<()> {
        self.follow(id, Until::End, progress).await.map(drop)
    }

    /// Follows a job; returns whether it has ended.
    pub(super) async fn follow(
        &self,
        id: &str,
        until: Until,
        mut progress: impl FnMut(JobProgress),
    ) -> Result<bool> {
        let client = self.monitor();
        let mut events = client.events();
        let mut completing = false;
        loop {
            let job = find(&client, id).await?.ok_or_else(|| Error::JobFailed {
                job: id.to_owned(),
                reason: "QEMU does not know it any more".into(),
            })?;
            progress(JobProgress { done: job.current_progress, total: job.total_progress });
            match (job.status.as_str(), until) {
                ("concluded", _) => {
                    client.run(&command::JobDismiss { id: id.to_owned() }).await?;
                    if let Some(disk) = MERGES.iter().find_map(|kind| id.strip_prefix(kind)) {
                        let _one = self.inner.changing.lock().await;
                        sweep(&client, disk).await?;
                    }
                    return match job.error {
                        Some(reason) => Err(Error::JobFailed { job: id.to_owned(), reason }),
                        None => Ok(true),
                    };
                }
                ("ready", Until::Ready) => return Ok(false),
                // Both sides are equal: time to switch.
                ("ready", Until::End) if !completing => {
                    client.run(&command::JobComplete { id: id.to_owned() }).await?;
                    completing = true;
                }
                _ => {}
            }
            // A change of state is handled at once, progress now and then.
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

    /// Gives a job up. The disks stay on their former chain.
    pub async fn cancel_job(&self, id: &str) -> Result<()> {
        self.monitor().run(&command::JobCancel { id: id.to_owned() }).await.map(drop)
    }

    /// Ends the unfollowed jobs and returns their ids. Those short of their switch are given up; [`Machine::chain`] tells
    /// which had reached it.
    pub async fn end_jobs(&self) -> Result<Vec<String>> {
        let ids = self.jobs().await?;
        for id in &ids {
            // QEMU refuses if the job has already ended.
            match self.cancel_job(id).await {
                Ok(()) | Err(Error::Qmp { .. }) => {}
                Err(e) => return Err(e),
            }
            match timeout(limits::SWITCH, self.follow(id, Until::GivenUp, |_| {})).await {
                Ok(Ok(_) | Err(Error::JobFailed { .. })) => {}
                Ok(Err(e)) => return Err(e),
                Err(_) => return Err(Error::Timeout { command: format!("give up {id}") }),
            }
        }
        Ok(ids)
    }

    /// Lets a ready job switch the newest layer away while the processors stand still, so that nothing is written on either
    /// side until the new names of the layers have been recorded. Returns whether the processors were stopped for it; after
    /// an error that is not [`Error::is_undecided`] they run again, on the old chain.
    pub(super) async fn switch(&self, id: &str) -> Result<bool> {
        let running = self.run_state().await? == RunState::Running;
        if running {
            self.stop().await?;
        }
        let switched = match timeout(limits::SWITCH, self.follow(id, Until::End, |_| {})).await {
            Ok(switched) => switched,
            Err(_) => {
                self.cancel_job(id).await?;
                self.follow(id, Until::GivenUp, |_| {}).await
            }
        };
        match switched {
            Ok(_) => Ok(running),
            Err(e) => {
                if running && !e.is_undecided() {
                    self.resume().await?;
                }
                Err(e)
            }
        }
    }

    /// Forgets a job of that id that ended unfollowed.
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
