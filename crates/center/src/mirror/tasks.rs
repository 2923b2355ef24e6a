//! The host's tasks as its stream tells of them, for those who wait for one.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

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
    tasks: HashMap<MoRef, watch::Sender<Info>>,
    ended: VecDeque<MoRef>,
}

impl TaskBook {
    /// Notes what the host says of a task (`TaskInfo`).
    pub(crate) fn publish(&self, task: &MoRef, info: &Arc<Object>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let sender = state.tasks.entry(task.clone()).or_insert_with(|| watch::Sender::new(None));
        let was_over = sender.borrow().as_ref().is_some_and(|info| outcome(info).is_some());
        sender.send_replace(Some(info.clone()));
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
        self.state.lock().unwrap_or_else(PoisonError::into_inner).open = true;
    }

    /// Follows a task; the receiver's sender goes when the host is lost or the host forgets the task.
    pub(crate) fn follow(&self, task: &MoRef) -> watch::Receiver<Info> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if !state.open {
            return watch::channel(None).1;
        }
        state.tasks.entry(task.clone()).or_insert_with(|| watch::Sender::new(None)).subscribe()
    }

    pub(crate) fn forget(&self, task: &MoRef) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        // One that has ended stays for whoever asks for it a moment later.
        let over = |info: &Info| info.as_ref().is_some_and(|info| outcome(info).is_some());
        if state.tasks.get(task).is_some_and(|sender| !over(&sender.borrow())) {
            state.tasks.remove(task);
        }
    }

    /// The host is lost: whoever waits learns that the fate of his task is unknown.
    pub(crate) fn clear(&self) {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = State::default();
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
