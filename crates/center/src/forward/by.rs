//! For whom something is carried to a host, and which task here it belongs to.

use api::{Acting, Call, Running};
use vim::MoRef;

pub(crate) struct By {
    acting: Acting,
    running: Option<Running>,
}

impl By {
    /// For whoever calls.
    pub(crate) fn caller(call: &Call) -> Self {
        Self::user(call.user())
    }

    pub(crate) fn user(name: &str) -> Self {
        Self { acting: Acting::new(name), running: None }
    }

    /// For whoever began a task, which shows how far it is.
    pub(crate) fn task(running: &Running) -> Self {
        Self { running: Some(running.clone()), ..Self::user(&running.user) }
    }

    /// The user has the privilege only on these objects of the host, which asks for it where the center cannot.
    pub(super) fn limited(self, privilege: &str, objects: impl IntoIterator<Item = MoRef>) -> Self {
        Self { acting: self.acting.limited(privilege, objects), ..self }
    }

    pub(crate) fn acting(&self) -> Option<Acting> {
        Some(self.acting.clone())
    }

    pub(super) fn running(&self) -> Option<&Running> {
        self.running.as_ref()
    }
}
