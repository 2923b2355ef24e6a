//! Ends the tasks that a restart of the center interrupted, by the outcome on their hosts.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use vim::{Fault, MoRef, Value, prop};

use super::carried::Carried;
use super::carrier::Carrier;
use crate::estate::Record;
use crate::link::HostLink;
use crate::link::connector::{Address, Connector};
use crate::mirror::{ManagedHost, outcome};

/// The longest time, after a restart, to reach a host, and then to learn the outcome of its task.
const ASK_WITHIN: Duration = Duration::from_secs(5);
/// The pause between two reads of a task that still runs.
const READ_AGAIN: Duration = Duration::from_millis(200);

/// Ends the interrupted tasks: those whose hosts answer in time by the outcome there, others as interrupted. Returns how
/// many there were.
pub(crate) async fn recover(carrier: &Carrier, connector: &Arc<dyn Connector>) -> store::Result<usize> {
    let carried = carrier.carried.all()?;
    let asked = carried.iter().map(|(id, carried)| async move {
        let outcome = ask(carrier, connector, carried).await?;
        Some((id.clone(), outcome))
    });
    let known: HashMap<String, Result<Option<Value>, Fault>> =
        futures_util::future::join_all(asked).await.into_iter().flatten().collect();
    let ended = carrier
        .core
        .tasks
        .recover(|task| known.get(task.task.id()).cloned().unwrap_or_else(|| task.interrupted()))
        .await?;
    carrier.carried.forget_all(&carried).await?;
    Ok(ended)
}

/// The outcome of the host's task, if the host answers and the task has ended.
async fn ask(
    carrier: &Carrier,
    connector: &Arc<dyn Connector>,
    carried: &Carried,
) -> Option<Result<Option<Value>, Fault>> {
    let host = carrier.hosts.find(&carried.host)?;
    let Some(Record::Host(record)) = carrier.inventory.record(&carried.host) else { return None };
    if record.fingerprint.is_empty() {
        return None;
    }
    let address = Address { host: record.name, port: record.port };
    let connecting = connector.connect(&address, &record.fingerprint);
    let link = tokio::time::timeout(ASK_WITHIN, connecting).await.ok()?.ok()?;
    let outcome = tokio::time::timeout(ASK_WITHIN, ended(&link, &carried.task)).await.ok().flatten();
    ManagedHost::close(link);
    let refs = host.refs();
    // The center does not know a VM that the task created yet; the task still succeeded.
    let known = |value: &Value| value.as_ref().is_none_or(|at| carrier.inventory.record(at).is_some());
    Some(outcome?.map(|value| value.map(|value| value.map_refs(&|at| refs.center(at))).filter(known)))
}

/// Waits for the end of a host's task.
async fn ended(link: &Arc<dyn HostLink>, task: &MoRef) -> Option<Result<Option<Value>, Fault>> {
    loop {
        let info = link.read(task, prop!(Task.info).number()).await.ok()??;
        if let Some(result) = outcome(info.as_object()?) {
            return Some(result);
        }
        tokio::time::sleep(READ_AGAIN).await;
    }
}
