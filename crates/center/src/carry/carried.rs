//! Notes which task of a host each task of the center follows, so that a restart ends the center's task truthfully.

use api::Running;
use serde::{Deserialize, Serialize};
use store::{Batch, Collection, Store};
use vim::MoRef;

use crate::estate::reference;

/// A task of a host.
#[derive(Serialize, Deserialize)]
pub(super) struct Carried {
    #[serde(with = "reference")]
    pub(super) host: MoRef,
    #[serde(with = "reference")]
    pub(super) task: MoRef,
}

/// By the id of the center's task.
const CARRIED: Collection<Carried> = Collection::new("carried_tasks");

pub(crate) struct CarriedTasks {
    store: Store,
}

impl CarriedTasks {
    pub(crate) fn new(store: Store) -> Self {
        Self { store }
    }

    /// Returns whether the task is noted. An operation is not refused because its note failed.
    pub(super) async fn note(&self, running: Option<&Running>, host: &MoRef, task: &MoRef) -> bool {
        let Some(running) = running else { return false };
        let carried = Carried { host: host.clone(), task: task.clone() };
        let mut batch = Batch::new();
        let noted = match CARRIED.put(&mut batch, running.task.id(), &carried) {
            Ok(()) => self.store.commit(batch).await.map(drop),
            Err(error) => Err(error),
        };
        if let Err(error) = &noted {
            tracing::warn!(task = running.task.id(), %error, "a task on a host could not be noted");
        }
        noted.is_ok()
    }

    pub(super) async fn forget(&self, running: Option<&Running>) {
        let Some(running) = running else { return };
        let mut batch = Batch::new();
        CARRIED.delete(&mut batch, running.task.id());
        if let Err(error) = self.store.commit(batch).await {
            tracing::warn!(task = running.task.id(), %error, "the note of a task on a host could not be deleted");
        }
    }

    /// All notes, by the id of the center's task.
    pub(super) fn all(&self) -> store::Result<Vec<(String, Carried)>> {
        Ok(CARRIED.all(&self.store)?.into_iter().collect())
    }

    pub(super) async fn forget_all(&self, notes: &[(String, Carried)]) -> store::Result<()> {
        let mut batch = Batch::new();
        for (id, _) in notes {
            CARRIED.delete(&mut batch, id);
        }
        if !batch.is_empty() {
            self.store.commit(batch).await?;
        }
        Ok(())
    }
}
