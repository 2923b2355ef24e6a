//! Scheduled tasks as the store has them: what was asked for, by whom, and how the last run ended.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use store::Collection;
use vim::{DataId, DateTime, Fault, MoRef, Object, Value, data_id, managed_id};

use crate::estate::{reference, stored};

/// By id: `schedule-7`.
pub(super) const TASKS: Collection<Stored> = Collection::new("scheduled_tasks");
/// The counter of their ids.
pub(super) const IDS: &str = "scheduled_task";

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Stored {
    /// `ScheduledTaskSpec` in VI-JSON.
    pub spec: serde_json::Value,
    /// The entity whose permissions hold for the task.
    #[serde(with = "reference")]
    pub entity: MoRef,
    /// The object that the action is done on.
    #[serde(with = "reference")]
    pub object: MoRef,
    /// The user who made or changed it last: it runs with his rights.
    pub user: String,
    /// When he did (microseconds since 1970).
    pub modified_us: i64,
    #[serde(default)]
    pub last: Option<Run>,
}

/// A run of a scheduled task.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Run {
    pub began_us: i64,
    pub state: State,
    /// The id of the task that the method became.
    #[serde(default)]
    pub task: Option<String>,
    /// `LocalizedMethodFault` in VI-JSON.
    #[serde(default)]
    pub error: Option<serde_json::Value>,
    /// The object that the run made, if it made one.
    #[serde(with = "reference::optional", default)]
    pub made: Option<MoRef>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum State {
    Running,
    Success,
    Error,
}

const SPEC: DataId = data_id!(ScheduledTaskSpec);

impl Stored {
    pub(super) fn spec(&self) -> Arc<Object> {
        stored::decode(SPEC, &self.spec)
    }
}

impl Run {
    pub(super) fn begin(at: DateTime) -> Self {
        Self { began_us: at.as_micros(), state: State::Running, task: None, error: None, made: None }
    }

    pub(super) fn end(&mut self, outcome: &Result<Option<Value>, Fault>) {
        match outcome {
            Ok(result) => {
                self.state = State::Success;
                self.made = result.as_ref().and_then(Value::as_ref).cloned();
            }
            Err(fault) => {
                self.state = State::Error;
                self.error = Some(stored::encode(&Arc::new(fault.localized())));
            }
        }
    }

    pub(super) fn error(&self) -> Option<Arc<Object>> {
        self.error.as_ref().map(|error| stored::decode(data_id!(LocalizedMethodFault), error))
    }

    pub(super) fn task(&self) -> Option<MoRef> {
        self.task.as_ref().map(|id| MoRef::new(managed_id!(Task), id.as_str()))
    }
}
