//! The host's tasks as its stream tells of them, for those who wait for one.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;
use vim::{Fault, MoRef, Object, Value, field, vim_enum};

/// Ended tasks that are kept for somebody who asks a moment later.
const MAX_ENDED: usize = 512;

/// What is known of a task; none before the first word of it.
pub(crate) type Info = Option<Arc<Object>>;

#[derive(Default)]
pub(crate) struct TaskBook {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Whether the host is followed: only then will there be word of its tasks.
    open: bool,
    tasks: HashMap<MoRef, Entry>,
    /// Rises each time that the host is asked what is new.
    turn: u64,
    ended: VecDeque<MoRef>,
}

struct Entry {
    info: watch::Sender<Info>,
    /// When there was last word of it, or somebody began to wait for it.
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
    /// Notes what the host says of a task (`TaskInfo`).
    pub(crate) fn publish(&self, task: &MoRef, info: &Arc<Object>) {
        let mut state = self.state();
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
        self.state().open = true;
    }

    /// The host is asked what is new: gives the number of this turn, for [`TaskBook::forget_unlisted`].
    pub(crate) fn next_turn(&self) -> u64 {
        let mut state = self.state();
        state.turn += 1;
        state.turn
    }

    /// Follows a task; the receiver's sender goes when the host is lost or the host forgets the task.
    pub(crate) fn follow(&self, task: &MoRef) -> watch::Receiver<Info> {
        let mut state = self.state();
        if !state.open {
            return watch::channel(None).1;
        }
        let turn = state.turn;
        state.tasks.entry(task.clone()).or_insert_with(|| Entry::new(turn)).info.subscribe()
    }

    pub(crate) fn forget(&self, task: &MoRef) {
        let mut state = self.state();
        // One that has ended stays for whoever asks for it a moment later.
        if state.tasks.get(task).is_some_and(|entry| !entry.is_over()) {
            state.tasks.remove(task);
        }
    }

    /// The host has said anew what is there: what was known before it was asked, in this turn, and was not named since
    /// is there no more.
    pub(crate) fn forget_unlisted(&self, turn: u64) {
        self.state().tasks.retain(|_, entry| entry.turn >= turn || entry.is_over());
    }

    /// The host is lost: whoever waits learns that the fate of his task is unknown.
    pub(crate) fn clear(&self) {
        let mut state = self.state();
        *state = State { turn: state.turn, ..State::default() };
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How a task ended; none while it has not.
pub(crate) fn outcome(info: &Object) -> Option<Result<Option<Value>, Fault>> {
    let state = info.get(field!(TaskInfo.state))?;
    if state == vim_enum!(TaskInfoState.success) {
        return Some(Ok(info.get(field!(TaskInfo.result)).cloned()));
    }
    if state != vim_enum!(TaskInfoState.error) {
        return None;
    }
    let fault = info.get(field!(TaskInfo.error)).and_then(|fault| Fault::from_localized(fault));
    Some(
        Err(fault.unwrap_or_else(|| vim::fault!(RuntimeFault {}, "The host's task failed without a reason"))),
    )
}

#[cfg(test)]
mod tests {
    use vim::{DateTime, managed_id, vim};

    use super::*;

    #[test]
    fn who_waits_for_a_task_that_the_host_does_not_know_any_more_is_told() {
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
        // Begun after the host was asked, so that its answer need not name it.
        let new = book.follow(&task(3));
        book.publish(&task(2), &running(2));
        book.forget_unlisted(turn);
        assert!(gone.has_changed().is_err(), "nobody will speak of it again");
        assert!(still.has_changed().is_ok() && new.has_changed().is_ok());
    }
}
