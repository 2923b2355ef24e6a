//! One batch of a host's changes: planned, made durable, and written to the center's tree.

use std::collections::HashSet;
use std::sync::Arc;

use api::{Snapshot, Writer};
use vim::{Field, ManagedId, MoRef, Props, Value, fault, field, managed_id, prop, vim_enum};

use super::facts::{self, Properties, Sorted};
use super::identify::{Identifier, is_network};
use super::{FollowError, events};
use crate::hosts::ManagedHost;
use crate::inventory::Edges;
use crate::link::{Changes, names};
use crate::objects;
use crate::records::Record;
use crate::state::State;

const VM: ManagedId = managed_id!(VirtualMachine);
const SNAPSHOT: ManagedId = managed_id!(VirtualMachineSnapshot);
const DATASTORE: ManagedId = managed_id!(Datastore);
const HOST: ManagedId = managed_id!(HostSystem);
const TASK: ManagedId = managed_id!(Task);

/// Numbers that a batch may need beside one for each of its objects.
const SPARE_IDS: u64 = 4;

/// `asked_at` is the turn of the tasks' book when a whole state was asked for.
pub(super) async fn apply(
    state: &Arc<State>,
    host: &Arc<ManagedHost>,
    changes: Changes,
    asked_at: u64,
) -> Result<(), FollowError> {
    let whole = changes.reset;
    let sorted = facts::sort(changes.changes);
    if whole {
        check_identity(state, host, &sorted)?;
    }
    let inventory = &state.inventory;
    let turn = inventory.turn().await;
    let objects = u64::try_from(sorted.set.len()).unwrap_or(u64::MAX);
    turn.reserve(objects + SPARE_IDS).await.map_err(FollowError::Center)?;
    let seen = inventory.tree.snapshot();
    let ((), planned) = turn
        .plan(|plan| {
            let mut refs = host.refs_mut();
            let mut identifier = Identifier::new(plan, &mut refs, &state.hosts, &state.expected);
            identifier.all(&sorted, whole);
            drop(refs);
            release(plan, host, &seen, &sorted, whole);
            Ok(())
        })
        .map_err(FollowError::Center)?;
    let ended: Vec<MoRef> =
        planned.iter().filter(|(_, record)| record.is_none()).map(|(at, _)| at.clone()).collect();
    let maintenance = matches!(
        inventory.record(&host.me),
        Some(Record::Host(record)) if record.maintenance
    );
    let me = host.clone();
    let address = state.address.clone();
    let before = seen.clone();
    let tasks = tasks(&sorted);
    let latest = events::latest(&sorted);
    if whole {
        host.tasks.open();
        host.connection.send_replace(vim_enum!(HostSystemConnectionState.connected));
    }
    turn.finish(planned, move |w, edges| {
        for object in &ended {
            unlink(&before, edges, object);
        }
        let batch = Batch { host: &me, maintenance, address };
        batch.write(w, edges, sorted);
    })
    .await
    .map_err(FollowError::Center)?;
    for (task, info) in tasks.0 {
        host.tasks.publish(&task, &info);
    }
    for task in tasks.1 {
        host.tasks.forget(&task);
    }
    if whole {
        host.tasks.forget_unlisted(asked_at);
    }
    if whole {
        events::begin(state, host, latest.as_ref().map(|(_, event)| event)).await;
    }
    if let Some(latest) = latest {
        events::forward(state, host, latest);
    }
    Ok(())
}

/// The machine that answers must be the one that was added.
fn check_identity(state: &State, host: &ManagedHost, sorted: &Sorted) -> Result<(), FollowError> {
    let Some(Record::Host(known)) = state.inventory.record(&host.me) else { return Ok(()) };
    let properties = sorted.set.iter().find(|(object, _)| object.ty() == HOST).map(|(_, set)| set);
    let uuid = properties.and_then(facts::host_uuid).unwrap_or_default();
    if known.uuid.is_empty() || uuid.is_empty() || known.uuid == uuid {
        return Ok(());
    }
    Err(FollowError::WrongHost(fault!(
        InvalidState {},
        "Another machine ({uuid}) answers at the address of host {} ({}); remove the host and add the new one",
        known.name,
        known.uuid
    )))
}

/// Ends datastores and networks that no host has any more.
fn release(
    plan: &mut crate::inventory::Plan,
    host: &ManagedHost,
    seen: &Snapshot,
    sorted: &Sorted,
    whole: bool,
) {
    let refs = host.refs();
    let left = |center: &MoRef| refs.host(center).is_some();
    let candidates: Vec<MoRef> = if whole || sorted.removed.iter().any(super::identify::is_mirrored) {
        let Some(node) = seen.find(&host.me) else { return };
        let datastores = node.get(prop!(HostSystem.datastore)).into_iter().flatten().cloned();
        let networks = node.get(prop!(HostSystem.network)).into_iter().flatten().cloned();
        datastores.chain(networks).filter(|center| !left(center)).collect()
    } else {
        Vec::new()
    };
    for center in candidates {
        if !others_have(seen, &center, &host.me) {
            plan.remove(&center);
        }
    }
}

/// Whether a host other than this one has the datastore or network.
pub(crate) fn others_have(seen: &Snapshot, center: &MoRef, host: &MoRef) -> bool {
    let Some(node) = seen.find(center) else { return false };
    if center.ty() == DATASTORE {
        let mounts = node.get(prop!(Datastore.host));
        mounts.into_iter().flatten().any(|mount| mount.get(field!(DatastoreHostMount.key)) != Some(host))
    } else {
        node.get(prop!(Network.host)).into_iter().flatten().any(|other| other != host)
    }
}

/// What the batch says of tasks: how they stand, and which are gone.
fn tasks(sorted: &Sorted) -> (Vec<(MoRef, Arc<vim::Object>)>, Vec<MoRef>) {
    let told = sorted
        .set
        .iter()
        .filter(|(object, _)| object.ty() == TASK)
        .filter_map(|(task, set)| Some((task.clone(), facts::object(set, prop!(Task.info))?.clone())));
    let gone = sorted.removed.iter().filter(|object| object.ty() == TASK).cloned();
    (told.collect(), gone.collect())
}

/// Takes an object that has ended out of the lists that no record speaks of.
pub(crate) fn unlink(before: &Snapshot, edges: &mut Edges, object: &MoRef) {
    if object.ty() != VM {
        return;
    }
    let Some(node) = before.find(object) else { return };
    for datastore in node.get(prop!(VirtualMachine.datastore)).into_iter().flatten() {
        edges.remove(datastore, prop!(Datastore.vm), object);
    }
    for network in node.get(prop!(VirtualMachine.network)).into_iter().flatten() {
        edges.remove(network, prop!(Network.vm), object);
    }
}

struct Batch<'h> {
    host: &'h ManagedHost,
    maintenance: bool,
    /// The center's own address, for `managementServerIp`.
    address: Option<String>,
}

impl Batch<'_> {
    fn write(&self, w: &mut Writer, edges: &mut Edges, sorted: Sorted) {
        let refs = self.host.refs();
        for (remote, properties) in sorted.set {
            let Some(me) = refs.center(&remote) else { continue };
            let map = |reference: &MoRef| refs.center(reference);
            match remote.ty() {
                HOST => self.host(w, edges, &me, properties, &map),
                VM => vm(w, edges, &me, properties, &map),
                DATASTORE => self.datastore(w, &me, properties, &map),
                SNAPSHOT => plain(w, &me, properties, &map),
                ty if is_network(ty) => network(w, &me, properties, &map),
                ty if ty == managed_id!(HostDatastoreBrowser) || refs.is_subsystem(&remote) => {
                    plain(w, &me, properties, &map);
                }
                _ => {}
            }
        }
        for remote in &sorted.removed {
            if refs.is_subsystem(remote)
                && let Some(me) = refs.center(remote)
            {
                w.remove(&me);
            }
        }
    }

    fn host(
        &self,
        w: &mut Writer,
        edges: &mut Edges,
        me: &MoRef,
        properties: Properties,
        map: &dyn Fn(&MoRef) -> Option<MoRef>,
    ) {
        let before = w.find(me).cloned();
        let maintenance = self.maintenance;
        let connected = vim_enum!(HostSystemConnectionState.connected);
        for part in [names::method_executer(), names::dynamic_type_manager()] {
            // They have no properties, so nothing is told of them.
            if let Some(part) = map(&part)
                && w.find(&part).is_none()
            {
                w.create(&part, Props { ty: part.ty(), values: Vec::new() });
            }
        }
        for (number, value) in properties {
            if is_centers(number) || number == prop!(HostSystem.vm).number() {
                continue;
            }
            let mut value = value.map(|value| value.map_refs(map));
            if number == prop!(HostSystem.runtime).number() {
                value = value
                    .as_ref()
                    .and_then(Value::as_object)
                    .map(|runtime| objects::host::correct_runtime(runtime, connected, maintenance).into());
            }
            if number == prop!(HostSystem.summary).number() {
                value = value.as_ref().and_then(Value::as_object).map(|summary| {
                    let mut summary = vim::Object::clone(summary);
                    if let Some(runtime) = summary.get(field!(HostListSummary.runtime)).cloned() {
                        let runtime = objects::host::correct_runtime(&runtime, connected, maintenance);
                        summary.set(field!(HostListSummary.runtime), runtime);
                    }
                    let custom = before.as_ref().and_then(|node| custom_values(node));
                    summary.put(field!(HostListSummary.customValue).number(), custom);
                    if let Some(address) = &self.address {
                        summary.set(field!(HostListSummary.managementServerIp), address);
                    }
                    summary.into()
                });
            }
            w.put(me, number, value);
        }
        let Some(after) = w.find(me).cloned() else { return };
        let parent = after.get(prop!(HostSystem.parent)).cloned();
        let sums = [prop!(HostSystem.summary).number(), prop!(HostSystem.datastore).number()];
        let sums = sums.into_iter().chain([prop!(HostSystem.network).number()]);
        let same = |at: u16| before.as_ref().and_then(|node| node.at(at)) == after.at(at);
        if let (Some(parent), false) = (parent, sums.into_iter().all(same)) {
            edges.refresh(&parent);
        }
        let at = prop!(HostSystem.network).number();
        let (old, new) = (refs_of(before.as_deref(), at), refs_of(Some(&after), at));
        for network in old.difference(&new) {
            edges.remove(network, prop!(Network.host), me);
        }
        for network in new.difference(&old) {
            edges.add(network, prop!(Network.host), me);
        }
        let at = prop!(HostSystem.datastore).number();
        let (old, new) = (refs_of(before.as_deref(), at), refs_of(Some(&after), at));
        for datastore in old.difference(&new) {
            objects::datastore::set_mount(w, datastore, me, None);
        }
    }

    fn datastore(
        &self,
        w: &mut Writer,
        me: &MoRef,
        properties: Properties,
        map: &dyn Fn(&MoRef) -> Option<MoRef>,
    ) {
        let mut mount = None;
        for (number, value) in properties {
            let own = [prop!(Datastore.vm).number(), prop!(Datastore.browser).number()];
            if is_centers(number) || own.contains(&number) {
                continue;
            }
            if number == prop!(Datastore.host).number() {
                let first = value.as_ref().and_then(|list| list.items().first()).and_then(Value::as_object);
                mount = first.and_then(|mount| mount.get(field!(DatastoreHostMount.mountInfo))).cloned();
                continue;
            }
            w.put(me, number, value.map(|value| value.map_refs(map)));
        }
        match &mount {
            Some(mount) => objects::datastore::set_mount(w, me, &self.host.me, Some(mount)),
            None => objects::datastore::refresh_access(w, me),
        }
    }
}

/// The references in a list property.
fn refs_of(node: Option<&api::Node>, number: u16) -> HashSet<MoRef> {
    let items = node.and_then(|node| node.at(number)).map(Value::items).unwrap_or_default();
    items.iter().filter_map(Value::as_ref).cloned().collect()
}

fn vm(
    w: &mut Writer,
    edges: &mut Edges,
    me: &MoRef,
    properties: Properties,
    map: &dyn Fn(&MoRef) -> Option<MoRef>,
) {
    let pool = prop!(VirtualMachine.resourcePool).number();
    for (number, value) in properties {
        if is_centers(number) || number == pool {
            continue;
        }
        let mut value = value.map(|value| value.map_refs(map));
        if number == prop!(VirtualMachine.summary).number() {
            let custom = w.find(me).and_then(|node| custom_values(node));
            value = value.as_ref().and_then(Value::as_object).map(|summary| {
                let mut summary = vim::Object::clone(summary);
                summary.put(field!(VirtualMachineSummary.customValue).number(), custom);
                summary.into()
            });
        }
        if number == prop!(VirtualMachine.datastore).number() {
            relist(w, edges, me, number, value.as_ref(), prop!(Datastore.vm));
        }
        if number == prop!(VirtualMachine.network).number() {
            relist(w, edges, me, number, value.as_ref(), prop!(Network.vm));
        }
        w.put(me, number, value);
    }
}

/// The values of custom fields, which are the center's, for a summary that a host gave.
fn custom_values(node: &api::Node) -> Option<Value> {
    node.at(prop!(ManagedEntity.customValue).number()).cloned()
}

/// Keeps the lists of the other side with a list of references that gets a new value.
fn relist<K: vim::kind::Marker>(
    w: &Writer,
    edges: &mut Edges,
    me: &MoRef,
    number: u16,
    value: Option<&Value>,
    back: Field<vim::kind::ListOf<K>>,
) {
    let old = refs_of(w.find(me).map(|node| &**node), number);
    let new: HashSet<MoRef> =
        value.map(Value::items).unwrap_or_default().iter().filter_map(Value::as_ref).cloned().collect();
    for gone in old.difference(&new) {
        edges.remove(gone, back, me);
    }
    for come in new.difference(&old) {
        edges.add(come, back, me);
    }
}

fn network(w: &mut Writer, me: &MoRef, properties: Properties, map: &dyn Fn(&MoRef) -> Option<MoRef>) {
    let own = [prop!(Network.vm).number(), prop!(Network.host).number()];
    for (number, value) in properties {
        if !is_centers(number) && !own.contains(&number) {
            w.put(me, number, value.map(|value| value.map_refs(map)));
        }
    }
}

/// An object that is as the host says.
fn plain(w: &mut Writer, me: &MoRef, properties: Properties, map: &dyn Fn(&MoRef) -> Option<MoRef>) {
    let values: Vec<_> =
        properties.into_iter().map(|(at, value)| (at, value.map(|value| value.map_refs(map)))).collect();
    w.create(me, Props { ty: me.ty(), values });
}

/// Whether a property of every managed entity is the center's to say.
fn is_centers(number: u16) -> bool {
    [
        prop!(ManagedEntity.parent).number(),
        prop!(ManagedEntity.name).number(),
        prop!(ManagedEntity.customValue).number(),
        prop!(ManagedEntity.value).number(),
        prop!(ManagedEntity.availableField).number(),
        prop!(ManagedEntity.effectiveRole).number(),
        prop!(ManagedEntity.permission).number(),
        prop!(ManagedEntity.recentTask).number(),
        prop!(ManagedEntity.declaredAlarmState).number(),
        prop!(ManagedEntity.triggeredAlarmState).number(),
        prop!(ManagedEntity.alarmActionsEnabled).number(),
        prop!(ManagedEntity.tag).number(),
    ]
    .contains(&number)
}

/// Shows that a host is away: its VMs are not to be reached, its mounts lead nowhere. Nothing is removed.
pub(crate) fn show_lost(
    w: &mut Writer,
    edges: &mut Edges,
    host: &MoRef,
    connection: objects::host::Connection,
    maintenance: bool,
) {
    objects::host::set_connection(w, host, connection, maintenance);
    let Some(node) = w.find(host).cloned() else { return };
    let away = vim_enum!(VirtualMachineConnectionState.disconnected);
    for vm in node.get(prop!(HostSystem.vm)).into_iter().flatten() {
        objects::vm::set_connection(w, vm, away);
    }
    for datastore in node.get(prop!(HostSystem.datastore)).into_iter().flatten() {
        objects::datastore::set_mount_accessible(w, datastore, host, false);
    }
    if let Some(parent) = node.get(prop!(HostSystem.parent)) {
        edges.refresh(parent);
    }
}

/// Takes a host that is removed off the datastores and networks that stay.
pub(crate) fn unmount(w: &mut Writer, edges: &mut Edges, before: &Snapshot, host: &MoRef) {
    let Some(node) = before.find(host) else { return };
    for datastore in node.get(prop!(HostSystem.datastore)).into_iter().flatten() {
        objects::datastore::set_mount(w, datastore, host, None);
    }
    for network in node.get(prop!(HostSystem.network)).into_iter().flatten() {
        edges.remove(network, prop!(Network.host), host);
    }
}
