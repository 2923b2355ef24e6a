//! After a restart: ends the tasks that were under way truthfully, and shows those that have ended lately.

use std::sync::Arc;

use vim::{DateTime, Fault, MethodId, MoRef, Object, Value, fault, field, schema};

use super::journal::has_ended;
use super::{KEPT_FINISHED, MAX_FINISHED, Tasks, end, task_ref};

/// A task that was under way when the daemon ended.
pub struct UnfinishedTask {
    pub task: MoRef,
    pub info: Arc<Object>,
}

impl UnfinishedTask {
    /// The method that began it; none for a task of a client.
    pub fn method(&self) -> Option<MethodId> {
        self.info.get(field!(TaskInfo.name)).and_then(|name| schema().find_method(name))
    }

    /// The object that it worked on.
    pub fn entity(&self) -> Option<&MoRef> {
        self.info.get(field!(TaskInfo.entity))
    }
}

/// How a task ends.
pub type Outcome = Result<Option<Value>, Fault>;

impl UnfinishedTask {
    /// The outcome of a task of which nothing else is known.
    pub fn interrupted(&self) -> Outcome {
        Err(fault!(
            SystemError { reason: "the server was restarted" },
            "The server was restarted while the task was running; whether the operation was done is not known"
        ))
    }
}

impl Tasks {
    /// Ends the tasks that were under way as `outcome` says (`UnfinishedTask::interrupted` if it knows nothing better), and shows those that
    /// ended within the last minutes. To be called once, before anything is served. Returns how many were under way.
    ///
    /// # Errors
    /// The store's.
    pub async fn recover(&self, outcome: impl Fn(&UnfinishedTask) -> Outcome) -> Result<usize, store::Error> {
        let kept_us = i64::try_from(KEPT_FINISHED.as_micros()).unwrap_or(i64::MAX);
        let now = DateTime::now().as_micros();
        let mut recent: Vec<(i64, MoRef, Arc<Object>)> = Vec::new();
        let mut unfinished = 0;
        for (number, info) in self.0.journal.all()? {
            let task = task_ref(number);
            let info = if has_ended(&info) {
                info
            } else {
                unfinished += 1;
                let interrupted = UnfinishedTask { task: task.clone(), info };
                let result = outcome(&interrupted);
                let mut info = Object::clone(&interrupted.info);
                end(&mut info, &result);
                let info = Arc::new(info);
                self.0.journal.write(number, &info).await?;
                tracing::warn!(
                    task = task.id(),
                    succeeded = result.is_ok(),
                    "ended a task that a restart interrupted"
                );
                info
            };
            let ended = info.get(field!(TaskInfo.completeTime)).map_or(0, DateTime::as_micros);
            if now.saturating_sub(ended) < kept_us {
                recent.push((ended, task, info));
            }
        }
        recent.sort_by_key(|(ended, ..)| *ended);
        let skipped = recent.len().saturating_sub(MAX_FINISHED);
        for (_, task, info) in recent.drain(..).skip(skipped) {
            self.show(&task, &info);
            self.keep_finished(task);
        }
        Ok(unfinished)
    }
}
