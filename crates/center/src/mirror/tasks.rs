//! The tasks of a host as its stream reports them, for callers that wait for one.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::watch;
use vim::{Fault, MoRef, Object, Value, field, vim_enum};

/// Ended tasks that are kept for a caller that asks a moment later.
const MAX_ENDED: usize = 512;

/// The `TaskInfo` of a task; none before the host's first report of it.
pub(crate) type Info = Option<Arc<Object>>;

#[derive(Default)]
pub(crate) struct TaskBook {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Whether the host is followed: only then will it report its tasks.
    open: bool,
    tasks: HashMap<MoRef, Entry>,
    /// Rises with each request to the host for changes.
    turn: u64,
    ended: VecDeque<MoRef>,
}

struct Entry {
    info: watch::Sender<Info>,
    /// The turn of the last report of it, or of the first wait for it.
    turn: u64,
}

impl Entry {
    fn new(turn: u64) -> Self {
        Self { info: watch::Sender::new(None), turn }
    }

    fn is_over(&self) -> bool {
        self.info.borrow().as_ref().is_some_and(|info| outcome(info).is_some())
    }
}

impl TaskBook {
    /// Notes the host's report of a task (`TaskInfo`).
    pub(crate) fn publish(&self, task: &MoRef, info: &Arc<Object>) {
        let mut state = self.state.lock();
        let turn = state.turn;
        let entry = state.tasks.entry(task.clone()).or_insert_with(|| Entry::new(turn));
        let was_over = entry.is_over();
        entry.turn = turn;
        entry.info.send_replace(Some(info.clone()));
        if outcome(info).is_some() && !was_over {
            state.ended.push_back(task.clone());
            if state.ended.len() > MAX_ENDED
                && let Some(oldest) = state.ended.pop_front()
            {
                state.tasks.remove(&oldest);
            }
        }
    }

    /// The host is followed from now on.
    pub(crate) fn open(&self) {
        self.state.lock().open = true;
    }

    /// The center asks the host for changes; returns the number of this turn, for [`TaskBook::forget_unlisted`].
    pub(crate) fn next_turn(&self) -> u64 {
        let mut state = self.state.lock();
        state.turn += 1;
        state.turn
    }

    /// Follows a task; the receiver's sender is dropped when the host is lost or forgets the task.
    pub(crate) fn follow(&self, task: &MoRef) -> watch::Receiver<Info> {
        let mut state = self.state.lock();
        if !state.open {
            return watch::channel(None).1;
        }
        let turn = state.turn;
        state.tasks.entry(task.clone()).or_insert_with(|| Entry::new(turn)).info.subscribe()
    }

    /// The key of the center's task of which this task of the host is a part.
    pub(crate) fn parent(&self, task: &MoRef) -> Option<String> {
        let state = self.state.lock();
        let info = state.tasks.get(task)?.info.borrow();
        info.as_ref()?.get(field!(TaskInfo.parentTaskKey)).map(str::to_owned)
    }

    pub(crate) fn forget(&self, task: &MoRef) {
        let mut state = self.state.lock();
        // An ended task stays for a caller that asks for it a moment later.
        if state.tasks.get(task).is_some_and(|entry| !entry.is_over()) {
            state.tasks.remove(task);
        }
    }

    /// The host has listed all its tasks. A task that was known before the request of this turn, and that the host has not
    /// named since, no longer exists.
    pub(crate) fn forget_unlisted(&self, turn: u64) {
        self.state.lock().tasks.retain(|_, entry| entry.turn >= turn || entry.is_over());
    }

    /// The host is lost: every waiting caller learns that the outcome of its task is unknown.
    pub(crate) fn clear(&self) {
        let mut state = self.state.lock();
        *state = State { turn: state.turn, ..State::default() };
    }
}

/// The outcome of a task; none until it ends.
pub(crate) fn outcome(info: &Object) -> Option<Result<Option<Value>, Fault>> {
    let state = info.get(field!(TaskInfo.state))?;
    if state == vim_enum!(TaskInfoState.success) {
        return Some(Ok(info.get(field!(TaskInfo.result)).cloned()));
    }
    if state != vim_enum!(TaskInfoState.error) {
        return None;
    }
    let fault = info.get(field!(TaskInfo.error)).and_then(|fault| Fault::from_localized(fault));
    Some(Err(
        fault.unwrap_or_else(|| vim::fault!(RuntimeFault {}, "The host's task failed and gave no reason"))
    ))
}

#[cfg(test)]
mod tests {
    use vim::{DateTime, managed_id, vim};

    use super::*;

    #[test]
    fn a_caller_that_waits_for_a_task_that_the_host_has_forgotten_is_told() {
        let task = |n: u32| MoRef::new(managed_id!(Task), format!("task-{n}"));
        let running = |n: u32| {
            let info = vim!(TaskInfo {
                key: task(n).id(),
                task: task(n),
                descriptionId: "x",
                state: "running",
                cancelled: false,
                cancelable: false,
                reason: TaskReasonUser { userName: "u" },
                queueTime: DateTime::now(),
                eventChainId: 1,
            });
            Arc::new(Object::from(info))
        };
        let book = TaskBook::default();
        book.open();
        book.next_turn();
        book.publish(&task(1), &running(1));
        book.publish(&task(2), &running(2));
        let (gone, still) = (book.follow(&task(1)), book.follow(&task(2)));
        let turn = book.next_turn();
        // It began after the request to the host, whose answer need not name it.
        let new = book.follow(&task(3));
        book.publish(&task(2), &running(2));
        book.forget_unlisted(turn);
        assert!(gone.has_changed().is_err(), "the host will not report it again");
        assert!(still.has_changed().is_ok() && new.has_changed().is_ok());
    }
}
