//! A host's events in the center's log.
//!
//! The stream shows the host's latest event; if others lie between it and the last one that was taken over, they are
//! asked for. The key of the last one is kept, so that a restart neither loses nor repeats many.

use std::sync::Arc;

use api::Acting;
use store::Collection;
use vim::{DateTime, MoRef, Object, Value, call, field, managed_id, prop, vim};

use super::facts::{self, Sorted};
use crate::hosts::ManagedHost;
use crate::state::State;

/// By host: the key of its last event that was taken over, and when it was made (microseconds since 1970).
const TAKEN: Collection<(i32, i64)> = Collection::new("host_events");
/// Events that are asked for at a time.
const PAGE: i32 = 1_000;

/// The host's latest event, if the batch tells of one.
pub(super) fn latest(sorted: &Sorted) -> Option<(MoRef, Arc<Object>)> {
    let (manager, set) = sorted.set.iter().find(|(object, _)| object.ty() == managed_id!(EventManager))?;
    Some((manager.clone(), facts::object(set, prop!(EventManager.latestEvent))?.clone()))
}

/// A host is followed from now on: of one that is new to the center, what happened before is its own.
pub(super) async fn begin(state: &State, host: &ManagedHost, latest: Option<&Arc<Object>>) {
    if TAKEN.get(&state.inventory.store, host.me.id()).ok().flatten().is_some() {
        return;
    }
    let key = latest.and_then(|event| event.get(field!(Event.key))).unwrap_or(0);
    let made = latest.and_then(|event| event.get(field!(Event.createdTime))).unwrap_or_else(DateTime::now);
    keep_place(state, host, key, made).await;
}

/// Has the events up to this one taken over, in order, behind what is under way already.
pub(super) fn forward(state: &Arc<State>, host: &Arc<ManagedHost>, (manager, latest): (MoRef, Arc<Object>)) {
    let (state, host) = (state.clone(), host.clone());
    tokio::spawn(async move {
        let _in_order = host.events.lock().await;
        take_over(&state, &host, &manager, latest).await;
    });
}

async fn take_over(state: &State, host: &ManagedHost, manager: &MoRef, latest: Arc<Object>) {
    let Some(key) = latest.get(field!(Event.key)) else { return };
    let id = host.me.id();
    let taken = TAKEN.get(&state.inventory.store, id).ok().flatten();
    let events = match taken {
        Some((taken, _)) if key <= taken => return,
        Some((taken, since)) if key > taken + 1 => {
            missed(host, manager, taken, since).await.unwrap_or_default()
        }
        Some(_) => Vec::new(),
        // The place is kept when a host is first followed, unless the store failed then.
        None => Vec::new(),
    };
    let new = if events.is_empty() { vec![latest] } else { events };
    for event in new {
        let number = event.get(field!(Event.key)).unwrap_or(key);
        state.core.events.post(translate(state, host, &event)).await;
        let made = event.get(field!(Event.createdTime)).unwrap_or_else(DateTime::now);
        keep_place(state, host, number, made).await;
    }
}

/// Notes that the host's events up to this one are taken over.
async fn keep_place(state: &State, host: &ManagedHost, key: i32, made: DateTime) {
    let made = made.as_micros();
    let mut batch = store::Batch::new();
    let kept = match TAKEN.put(&mut batch, host.me.id(), &(key, made)) {
        Ok(()) => state.inventory.store.commit(batch).await.map(drop),
        Err(error) => Err(error),
    };
    if let Err(error) = kept {
        tracing::error!(host = host.name, %error, "the place in a host's events could not be kept");
    }
}

/// Forgets how far the events of a removed host were taken over.
pub(crate) fn forget(batch: &mut store::Batch, host: &MoRef) {
    TAKEN.delete(batch, host.id());
}

/// The events after `taken`, oldest first.
async fn missed(host: &ManagedHost, manager: &MoRef, taken: i32, since: i64) -> Option<Vec<Arc<Object>>> {
    let filter = vim!(EventFilterSpec {
        time: EventFilterSpecByTime { beginTime: DateTime::from_micros(since) },
        maxCount: PAGE,
    });
    let answer = host.link().ok()?.invoke(manager, call!(QueryEvents { filter: filter }), None).await;
    let events =
        answer.map_err(|error| tracing::warn!(host = host.name, %error, "events were missed")).ok()??;
    let key = |event: &Arc<Object>| event.get(field!(Event.key)).unwrap_or(0);
    let mut events: Vec<_> = events.items().iter().filter_map(Value::as_object).cloned().collect();
    events.retain(|event| key(event) > taken);
    events.sort_by_key(key);
    Some(events)
}

/// The event in the center's terms: its references, names and place.
fn translate(state: &State, host: &ManagedHost, event: &Arc<Object>) -> Object {
    let refs = host.refs();
    let mapped = Value::Object(event.clone()).map_refs(&|reference| refs.center_or_former(reference));
    let fixed = refs.fixed().clone();
    drop(refs);
    let mut event = mapped.as_object().map_or_else(|| Object::clone(event), |event| Object::clone(event));
    if let Some(user) = event.get(field!(Event.userName)).and_then(Acting::user_in).map(str::to_owned) {
        event.set(field!(Event.userName), user);
    }
    // The center numbers its own; a chain is one of the host's tasks.
    event.put(field!(Event.chainId).number(), None);
    let tree = state.inventory.tree.snapshot();
    let name = |object: &MoRef| {
        let node = tree.find(object);
        node.and_then(|node| node.get(prop!(ManagedEntity.name))).unwrap_or_default().to_owned()
    };
    let (datacenter, compute, me) = (&fixed.datacenter, &fixed.compute, &fixed.host);
    event.set(
        field!(Event.datacenter),
        vim!(DatacenterEventArgument { name: name(datacenter), datacenter: datacenter }),
    );
    event.set(
        field!(Event.computeResource),
        vim!(ComputeResourceEventArgument { name: name(compute), computeResource: compute }),
    );
    if event.get(field!(Event.host)).is_some() {
        event.set(field!(Event.host), vim!(HostEventArgument { name: name(me), host: me }));
    }
    event
}
