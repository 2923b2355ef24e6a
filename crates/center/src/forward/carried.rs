//! Which task of which host a task of the center follows, kept so that a restart in between ends it truthfully.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use api::Running;
use serde::{Deserialize, Serialize};
use store::{Batch, Collection};
use vim::{Fault, MoRef, Value, prop};

use crate::hosts::ManagedHost;
use crate::link::HostLink;
use crate::mirror::outcome;
use crate::records::Record;
use crate::reference;
use crate::state::State;

#[derive(Serialize, Deserialize)]
struct Carried {
    #[serde(with = "reference")]
    host: MoRef,
    #[serde(with = "reference")]
    task: MoRef,
}

/// By id of the center's task.
const CARRIED: Collection<Carried> = Collection::new("carried_tasks");
/// How long a host may take to be reached, after a restart, and then to say what became of a task.
const ASK_WITHIN: Duration = Duration::from_secs(5);
/// Pause between two looks at a task that still runs.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

impl State {
    /// Whether it is noted; an operation is not refused because it could not be.
    pub(super) async fn note_carried(
        &self,
        running: Option<&Running>,
        host: &ManagedHost,
        task: &MoRef,
    ) -> bool {
        let Some(running) = running else { return false };
        let carried = Carried { host: host.me.clone(), task: task.clone() };
        let mut batch = Batch::new();
        let noted = match CARRIED.put(&mut batch, running.task.id(), &carried) {
            Ok(()) => self.inventory.store.commit(batch).await.map(drop),
            Err(error) => Err(error),
        };
        if let Err(error) = &noted {
            tracing::warn!(task = running.task.id(), %error, "a task on a host could not be noted");
        }
        noted.is_ok()
    }

    pub(super) async fn forget_carried(&self, running: Option<&Running>) {
        let Some(running) = running else { return };
        let mut batch = Batch::new();
        CARRIED.delete(&mut batch, running.task.id());
        if let Err(error) = self.inventory.store.commit(batch).await {
            tracing::warn!(task = running.task.id(), %error, "the note of a task on a host stays behind");
        }
    }
}

/// Ends the tasks that a restart interrupted, by what their hosts say of them as far as they answer in time.
pub(crate) async fn recover(state: &Arc<State>) -> store::Result<usize> {
    let carried = CARRIED.all(&state.inventory.store)?;
    let asked =
        carried.iter().map(|(id, carried)| async move { Some((id.clone(), ask(state, carried).await?)) });
    let known: HashMap<String, Result<Option<Value>, Fault>> =
        futures_util::future::join_all(asked).await.into_iter().flatten().collect();
    let ended = state
        .core
        .tasks
        .recover(|task| known.get(task.task.id()).cloned().unwrap_or_else(|| task.interrupted()))
        .await?;
    let mut batch = Batch::new();
    for (id, _) in &carried {
        CARRIED.delete(&mut batch, id);
    }
    if !batch.is_empty() {
        state.inventory.store.commit(batch).await?;
    }
    Ok(ended)
}

/// How the host's task ended, if it can be asked and has ended.
async fn ask(state: &State, carried: &Carried) -> Option<Result<Option<Value>, Fault>> {
    let host = state.hosts.find(&carried.host)?;
    let Some(Record::Host(record)) = state.inventory.record(&carried.host) else { return None };
    if record.fingerprint.is_empty() {
        return None;
    }
    let address = crate::hosts::connector::Address { host: record.name, port: record.port };
    let connecting = state.connector.connect(&address, &record.fingerprint);
    let link = tokio::time::timeout(ASK_WITHIN, connecting).await.ok()?.ok()?;
    let outcome = tokio::time::timeout(ASK_WITHIN, ended(&link, &carried.task)).await.ok().flatten();
    ManagedHost::let_go(link);
    let refs = host.refs();
    // The VM of a result that is new since is not known yet; its task still succeeded.
    Some(outcome?.map(|value| {
        value.map(|value| value.map_refs(&|at| refs.center(at))).filter(|value| known(state, value))
    }))
}

/// Waits for the end of a host's task.
async fn ended(link: &Arc<dyn HostLink>, task: &MoRef) -> Option<Result<Option<Value>, Fault>> {
    loop {
        let info = link.read(task, prop!(Task.info).number()).await.ok()??;
        if let Some(result) = outcome(info.as_object()?) {
            return Some(result);
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

fn known(state: &State, value: &Value) -> bool {
    value.as_ref().is_none_or(|at| state.inventory.tree.snapshot().find(at).is_some())
}
