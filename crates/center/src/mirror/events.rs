//! Takes a host's events over into the center's log.
//!
//! The stream reports the host's latest event. If others lie between it and the last one that was taken over, the center
//! queries them. It stores the key of the last one together with the events, so that a restart neither loses nor repeats one.

use std::sync::Arc;

use api::{Acting, Core};
use store::Collection;
use vim::{DateTime, MoRef, Object, Value, call, field, managed_id, prop, vim};

use super::facts::{self, Sorted};
use super::host::ManagedHost;
use super::refs::Fixed;
use super::service::Mirror;
use crate::estate::show::compute::is_cluster;
use crate::estate::{Inventory, Record};
use crate::link::LinkError;

/// By host: the key of its last event that was taken over, and its time (microseconds since 1970).
const TAKEN: Collection<(i32, i64)> = Collection::new("host_events");
/// Events in one query.
const PAGE: i32 = 1_000;
/// Events that a query asks for beyond those that the host has reported: it goes on posting.
const SPARE: i32 = 4;

/// The host's event manager and latest event, if the batch contains one.
pub(super) fn latest(sorted: &Sorted) -> Option<(MoRef, Arc<Object>)> {
    let (manager, set) = sorted.set.iter().find(|(object, _)| object.ty() == managed_id!(EventManager))?;
    Some((manager.clone(), facts::object(set, prop!(EventManager.latestEvent))?.clone()))
}

impl Mirror {
    /// Notes the position in the events of a host that is new to the center: earlier events are not taken over.
    pub(super) async fn begin_events(&self, host: &ManagedHost, latest: Option<&Arc<Object>>) {
        if TAKEN.get(&self.inventory.store, host.me.id()).ok().flatten().is_some() {
            return;
        }
        let key = latest.and_then(|event| event.get(field!(Event.key))).unwrap_or(0);
        let made =
            latest.and_then(|event| event.get(field!(Event.createdTime))).unwrap_or_else(DateTime::now);
        store_position(&self.inventory, host, key, made).await;
    }

    /// Takes over the events up to this one, in order, after those that are already being taken over.
    pub(super) fn forward_events(&self, host: &Arc<ManagedHost>, (manager, latest): (MoRef, Arc<Object>)) {
        let (core, inventory, host) = (self.core.clone(), self.inventory.clone(), host.clone());
        tokio::spawn(async move {
            let _in_order = host.events.lock().await;
            take_over(&core, &inventory, &host, &manager, latest).await;
        });
    }
}

async fn take_over(
    core: &Core,
    inventory: &Inventory,
    host: &ManagedHost,
    manager: &MoRef,
    latest: Arc<Object>,
) {
    let Some(last) = latest.get(field!(Event.key)) else { return };
    // The position is stored when a host is first followed, unless the store failed then.
    let taken = TAKEN.get(&inventory.store, host.me.id()).ok().flatten().map_or(last - 1, |(taken, _)| taken);
    if last <= taken {
        return;
    }
    let mut new = vec![latest];
    if last > taken + 1 {
        match missed(host, manager, taken, last).await {
            Ok(events) if events.is_empty() => {}
            Ok(events) => new = events,
            // The host answers without its history: a later attempt would get no more.
            Err(LinkError::Fault(fault)) => {
                tracing::warn!(host = host.name, %fault, "the host's earlier events could not be queried");
            }
            // The host's next report catches up.
            Err(error) => {
                tracing::info!(host = host.name, %error, "the host's earlier events are queried later");
                return;
            }
        }
    }
    let Some((key, made)) = new.last().map(|event| (key_of(event).max(last), made_at(event))) else { return };
    let mut batch = store::Batch::new();
    let events = new.iter().map(|event| translate(core, inventory, host, event)).collect();
    let posted = match TAKEN.put(&mut batch, host.me.id(), &(key, made.as_micros())) {
        Ok(()) => core.events.post_all(events, batch).await.map(drop),
        Err(error) => Err(error),
    };
    if let Err(error) = posted {
        tracing::error!(host = host.name, %error, "a host's events could not be stored");
    }
}

fn key_of(event: &Object) -> i32 {
    event.get(field!(Event.key)).unwrap_or(0)
}

fn made_at(event: &Object) -> DateTime {
    event.get(field!(Event.createdTime)).unwrap_or_else(DateTime::now)
}

/// Stores the position in the events of a host that is new to the center.
async fn store_position(inventory: &Inventory, host: &ManagedHost, key: i32, made: DateTime) {
    let mut batch = store::Batch::new();
    let stored = match TAKEN.put(&mut batch, host.me.id(), &(key, made.as_micros())) {
        Ok(()) => inventory.store.commit(batch).await.map(drop),
        Err(error) => Err(error),
    };
    if let Err(error) = stored {
        tracing::error!(host = host.name, %error, "the position in a host's events could not be stored");
    }
}

/// Deletes the position in the events of a removed host.
pub(super) fn forget(batch: &mut store::Batch, host: &MoRef) {
    TAKEN.delete(batch, host.id());
}

/// The events after `taken`, oldest first; the host's report names the event `last`.
///
/// It asks for the newest events by their number, so that the host reads no more of its history than the center lacks. While it asks,
/// the host may post more, and then the answer does not reach back to `taken`.
async fn missed(
    host: &ManagedHost,
    manager: &MoRef,
    taken: i32,
    mut last: i32,
) -> Result<Vec<Arc<Object>>, LinkError> {
    loop {
        let gap = last.saturating_sub(taken);
        let most = gap.saturating_add(gap / 2).saturating_add(SPARE).min(PAGE);
        let filter = vim!(EventFilterSpec { maxCount: most });
        let link = host
            .link()
            .map_err(|fault| LinkError::Unreachable { host: host.name.clone(), reason: fault.to_string() })?;
        let answer = link.invoke(manager, call!(QueryEvents { filter: filter }), None).await?;
        let mut events: Vec<_> =
            answer.iter().flat_map(Value::items).filter_map(Value::as_object).cloned().collect();
        events.sort_by_key(|event| key_of(event));
        let is_cut_off = i32::try_from(events.len()) == Ok(most);
        let oldest = events.first().map_or(0, |event| key_of(event));
        if is_cut_off && most < PAGE && oldest > taken + 1 {
            last = events.last().map_or(last, |event| key_of(event)).max(last.saturating_add(SPARE));
            continue;
        }
        if oldest > taken + 1 {
            let lost = oldest - taken - 1;
            tracing::warn!(host = host.name, lost, "events of the host are too old to be taken over");
        }
        events.retain(|event| key_of(event) > taken);
        return Ok(events);
    }
}

/// The event with the center's references, names and place.
fn translate(core: &Core, inventory: &Inventory, host: &ManagedHost, event: &Arc<Object>) -> Object {
    let refs = host.refs();
    let event_there = event;
    let mapped = Value::Object(event.clone()).map_refs(&|reference| refs.center_or_former(reference));
    drop(refs);
    let mut event = mapped.as_object().map_or_else(|| Object::clone(event), |event| Object::clone(event));
    if let Some(user) = event.get(field!(Event.userName)).and_then(Acting::user_in).map(str::to_owned) {
        event.set(field!(Event.userName), user);
    }
    // A sentence of the catalog is made again, with the center's names.
    if event_there.get(field!(Event.fullFormattedMessage)) == Some(&*api::event::message(event_there)) {
        event.put(field!(Event.fullFormattedMessage).number(), None);
    }
    // The number of a chain is that of a task on the host, or of the event itself.
    let chain = event.get(field!(Event.chainId)).filter(|chain| event.get(field!(Event.key)) != Some(*chain));
    let chain = chain.and_then(|chain| chain_here(core, host, chain));
    event.set(field!(Event.chainId), chain);
    let names_host = event.get(field!(Event.host)).is_some();
    set_place(inventory, host, &mut event);
    if !names_host {
        event.put(field!(Event.host).number(), None);
    }
    event
}

/// The chain of the center's task on whose behalf the host does its task of this chain.
fn chain_here(core: &Core, host: &ManagedHost, chain: i32) -> Option<i32> {
    let task = |key: &str| MoRef::new(managed_id!(Task), key);
    let parent = host.tasks.parent(&task(&format!("task-{chain}")))?;
    core.tasks.find(&task(&parent))?.get(field!(TaskInfo.eventChainId))
}

/// Names the host in an event, with its compute resource and its datacenter. A host that has been removed has the name that it was
/// managed by; places that have been removed are left out.
pub(crate) fn set_place(inventory: &Inventory, host: &ManagedHost, event: &mut Object) {
    let Fixed { host: me, compute, datacenter, .. } = host.refs().fixed().clone();
    let records = inventory.records();
    let name = |object: &MoRef| records.get(object).map(Record::name).filter(|name| !name.is_empty());
    // A standalone host's compute resource has its name.
    let compute_name = name(&compute).or_else(|| (!is_cluster(&compute)).then_some(host.name.as_str()));
    let argument = |name: &str| vim!(HostEventArgument { name: name, host: &me });
    event.set(field!(Event.host), argument(name(&me).unwrap_or(&host.name)));
    let argument = |name: &str| vim!(ComputeResourceEventArgument { name: name, computeResource: &compute });
    event.set(field!(Event.computeResource), compute_name.map(argument));
    let argument = |name: &str| vim!(DatacenterEventArgument { name: name, datacenter: &datacenter });
    event.set(field!(Event.datacenter), name(&datacenter).map(argument));
}

#[cfg(test)]
mod tests {
    use store::Store;

    use super::*;
    use crate::estate::root;
    use crate::mirror::Refs;

    #[tokio::test]
    async fn an_event_about_a_removed_host_still_names_it() {
        let tree = Arc::new(api::Tree::new());
        let store = Store::in_memory().expect("a store");
        let inventory = Inventory::open(tree, store, false).await.expect("the inventory opens");
        let me = MoRef::new(managed_id!(HostSystem), "host-7");
        let fixed = Fixed {
            host: me.clone(),
            compute: MoRef::new(managed_id!(ComputeResource), "domain-s8"),
            pool: root(),
            datacenter: MoRef::new(managed_id!(Datacenter), "datacenter-9"),
            vm_folder: root(),
            host_folder: root(),
            datastore_folder: root(),
            network_folder: root(),
        };
        let host = ManagedHost::new(me.clone(), "esx1", Refs::new(fixed));
        let mut event = Object::new(vim::data_id!(HostConnectionLostEvent));
        set_place(&inventory, &host, &mut event);
        let named = event.get(field!(Event.host)).expect("the host");
        assert_eq!(named.get(field!(EntityEventArgument.name)), Some("esx1"));
        assert_eq!(named.get(field!(HostEventArgument.host)), Some(&me));
        let compute = event.get(field!(Event.computeResource)).expect("the compute resource");
        assert_eq!(compute.get(field!(EntityEventArgument.name)), Some("esx1"));
        assert!(event.get(field!(Event.datacenter)).is_none(), "its name is not known");
    }
}
