//! The user on whose behalf a call is carried to a host, and the center's task that it belongs to.

use api::{Acting, Call, Running};
use vim::MoRef;

pub(super) struct By {
    acting: Acting,
    running: Option<Running>,
}

impl By {
    /// The caller.
    pub(super) fn caller(call: &Call) -> Self {
        Self::user(call.user())
    }

    pub(super) fn user(name: &str) -> Self {
        Self { acting: Acting::new(name), running: None }
    }

    /// The user who started a task; the task shows the progress.
    pub(super) fn task(running: &Running) -> Self {
        let acting = Acting::new(&running.user).in_task(running.task.id());
        Self { running: Some(running.clone()), acting }
    }

    /// The user has the privilege only on these objects of the host. The host checks it where the center cannot.
    pub(super) fn limited(self, privilege: &str, objects: impl IntoIterator<Item = MoRef>) -> Self {
        Self { acting: self.acting.limited(privilege, objects), ..self }
    }

    pub(super) fn acting(&self) -> Option<Acting> {
        Some(self.acting.clone())
    }

    pub(super) fn running(&self) -> Option<&Running> {
        self.running.as_ref()
    }
}
