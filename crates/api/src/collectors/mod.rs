//! The EventManager and the TaskManager, and the collectors with which a session reads the history of events and tasks.

mod event;
mod event_filter;
mod task;
mod task_collector;

pub(crate) use event::ROW as EVENT_MANAGER;
pub(crate) use task::ROW as TASK_MANAGER;

use vim::{Fault, MoRef, Value, fault};

use crate::history::{MAX_COLLECTORS, Sight};
use crate::tree::ancestors;
use crate::{Call, Snapshot};

/// How far below an entity a filter reaches.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reach {
    Itself,
    Children,
    All,
}

impl Reach {
    /// Whether it reaches from `top` to `entity` in this state of the tree.
    fn covers(self, top: &MoRef, entity: &MoRef, state: &Snapshot) -> bool {
        let is = |other: &MoRef| other.id() == top.id();
        match self {
            Self::Itself => is(entity),
            Self::Children => ancestors(state, entity).next().is_some_and(|parent| is(&parent)),
            Self::All => is(entity) || ancestors(state, entity).any(|parent| is(&parent)),
        }
    }
}

impl Call {
    /// The part of the history that the caller may see.
    ///
    /// # Errors
    /// `NotAuthenticated` without a session.
    fn sight<'a>(&'a self, state: &'a Snapshot) -> Result<Sight<'a>, Fault> {
        Ok(Sight { authority: &*self.service.authority, account: &self.session()?.account, state })
    }
}

/// Reads the history on a thread of its own, since reading many items takes too long for those that serve connections.
async fn blocking(
    call: Call,
    work: fn(&Call) -> Result<Option<Value>, Fault>,
) -> Result<Option<Value>, Fault> {
    match tokio::task::spawn_blocking(move || work(&call)).await {
        Ok(reply) => reply,
        Err(_) => Err(fault!(
            SystemError { reason: "internal error" },
            "The history could not be read because of an internal error"
        )),
    }
}

fn too_many_collectors() -> Fault {
    fault!(
        InvalidState {},
        "A session may hold {MAX_COLLECTORS} history collectors; destroy those that are no longer used"
    )
}

/// The refusal of a filter by an alarm.
fn not_by_alarm() -> Fault {
    fault!(NotSupported {}, "No event or task here refers to an alarm, so a filter cannot either")
}

fn texts<'a>(list: Option<impl Iterator<Item = &'a str>>) -> Vec<String> {
    list.into_iter().flatten().map(str::to_owned).collect()
}
