//! The writer: one thread that takes the waiting batches, applies as many as came together in one durable transaction,
//! and only then answers each of them.

use std::time::SystemTime;

use parking_lot::Mutex;
use rusqlite::Connection;
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot, watch};

use crate::limits::{MAX_GROUP_BATCHES, MAX_GROUP_BYTES};
use crate::sqlite::apply_group;
use crate::{Batch, Committed, Error, Result};

/// A batch that waits for the writer.
pub(crate) struct Job {
    pub(crate) batch: Batch,
    pub(crate) bytes: usize,
    pub(crate) answer: oneshot::Sender<Result<Committed>>,
    /// The batch's share of the bytes that may wait; released when the job is dropped.
    pub(crate) share: OwnedSemaphorePermit,
}

impl Job {
    /// The batch, and its caller.
    pub(crate) fn split(self) -> (Batch, Waiting) {
        (self.batch, Waiting { answer: self.answer, _share: self.share })
    }
}

/// The caller of a batch.
pub(crate) struct Waiting {
    answer: oneshot::Sender<Result<Committed>>,
    _share: OwnedSemaphorePermit,
}

impl Waiting {
    /// Tells the caller the result. The caller may have gone; its batch is durable all the same.
    pub(crate) fn answer(self, result: Result<Committed>) {
        let _ = self.answer.send(result);
    }
}

/// A time without the database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outage {
    /// When it began.
    pub since: SystemTime,
    /// Why the last attempt to reach the database failed.
    pub reason: String,
}

/// Runs until every sender is dropped and the queue is empty, or until a failed write leaves the file's state unknown, which `stopped` then
/// tells.
pub(crate) fn run(
    mut connection: Connection,
    queue: &mut mpsc::Receiver<Job>,
    stopped: &watch::Sender<Option<String>>,
) {
    while let Some(first) = queue.blocking_recv() {
        let mut bytes = first.bytes;
        let mut group = vec![first];
        while group.len() < MAX_GROUP_BATCHES && bytes < MAX_GROUP_BYTES {
            let Ok(job) = queue.try_recv() else { break };
            bytes += job.bytes;
            group.push(job);
        }
        if let Err(error) = commit(&mut connection, group) {
            // After a failed write or sync the kernel may have dropped dirty pages, so this connection cannot be trusted. Reopening
            // replays the log and finds the truth.
            tracing::error!(%error, "the store takes no more writes after a failed one");
            stopped.send_replace(Some(error.to_string()));
            return;
        }
    }
}

/// Applies a batch at once, for a store that has no writer.
pub(crate) fn apply(connection: &Mutex<Connection>, batch: &Batch) -> Result<Committed> {
    let mut connection = connection.lock();
    apply_group(&mut connection, &[batch])?.pop().unwrap_or(Err(Error::Closed))
}

/// Commits a group and answers its callers. An error means that the writer must stop.
fn commit(connection: &mut Connection, group: Vec<Job>) -> Result<()> {
    let batches: Vec<&Batch> = group.iter().map(|job| &job.batch).collect();
    match apply_group(connection, &batches) {
        Ok(results) => {
            for (job, result) in group.into_iter().zip(results) {
                // The caller may have gone; its batch is durable all the same.
                let _ = job.answer.send(result);
            }
            Ok(())
        }
        Err(Error::Full) if group.len() > 1 => {
            // A small batch may still fit where the whole group does not.
            group.into_iter().try_for_each(|job| commit(connection, vec![job]))
        }
        Err(error) => {
            let stop = !matches!(error, Error::Full);
            for job in group {
                let _ = job.answer.send(Err(error.clone()));
            }
            if stop { Err(error) } else { Ok(()) }
        }
    }
}
