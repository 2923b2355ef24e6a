//! Writes one batch of a host's changes to the center's tree, with references translated, and notes the facts that the
//! center decides by.

mod datastore;
mod host;
mod vm;

use std::collections::HashSet;
use std::sync::Arc;

use api::{Snapshot, Writer};
use vim::{MoRef, Props, Value, managed_id, prop};

use self::datastore::datastore;
use super::facts::{self, Properties, Sorted};
use super::host::ManagedHost;
use super::identify::is_network;
use crate::estate::{Edges, Inventory};

/// Translates a reference of the host.
type Map<'a> = &'a dyn Fn(&MoRef) -> Option<MoRef>;

pub(super) struct Batch {
    pub(super) host: Arc<ManagedHost>,
    pub(super) inventory: Arc<Inventory>,
    pub(super) maintenance: bool,
    /// The center's own address, for `managementServerIp`.
    pub(super) address: Option<String>,
    /// Whether this is the host's whole state.
    pub(super) whole: bool,
}

impl Batch {
    /// `ended` are the center's objects that the batch removes.
    pub(super) fn write(&self, w: &mut Writer, edges: &mut Edges, ended: &[MoRef], sorted: Sorted) {
        let refs = self.host.refs();
        let mut reported = self.host.reported_mut();
        if self.whole {
            reported.reset();
        }
        for object in ended {
            reported.remove_vm(object);
        }
        for (remote, properties) in sorted.set {
            let Some(me) = refs.center(&remote) else { continue };
            let map = |reference: &MoRef| refs.center(reference);
            match remote.ty() {
                managed_id!(HostSystem) => {
                    let properties = translated(properties, &map);
                    reported.host(&properties);
                    self.host(w, edges, &me, properties, refs.subsystem_centers());
                    for gone in refs.dropped_systems() {
                        if w.find(gone).is_some() {
                            w.remove(gone);
                        }
                        self.inventory.parts.remove(gone);
                    }
                }
                managed_id!(VirtualMachine) => {
                    let properties = translated(properties, &map);
                    reported.vm(&me, &properties);
                    vm::vm(w, edges, &me, properties);
                }
                managed_id!(Datastore) => {
                    if let Some(accessible) = datastore(w, &me, &self.host.me, properties, &map) {
                        reported.mount(&me, accessible);
                    }
                    let folder = w.find(&me).and_then(|node| node.get(prop!(Datastore.parent)).cloned());
                    if let Some(pod) = folder.filter(|folder| folder.is_a(managed_id!(StoragePod))) {
                        edges.refresh(&pod);
                    }
                }
                managed_id!(VirtualMachineSnapshot) => {
                    let properties = translated(properties, &map);
                    if let Some(Some(vm)) = facts::changed(&properties, prop!(VirtualMachineSnapshot.vm))
                        && let Some(vm) = vm.as_ref()
                    {
                        self.inventory.parts.add(&me, vm);
                    }
                    w.create(&me, Props { ty: me.ty(), values: properties });
                }
                ty if is_network(ty) => network(w, &me, properties, &map),
                ty if ty == managed_id!(HostDatastoreBrowser) || refs.is_subsystem(&remote) => {
                    w.create(&me, Props { ty: me.ty(), values: translated(properties, &map) });
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
}

fn translated(properties: Properties, map: Map) -> Properties {
    properties.into_iter().map(|(at, value)| (at, value.map(|value| value.map_refs(map)))).collect()
}

/// Removes a VM that has ended from the lists that do not follow from records; `before` is the tree with the VM.
pub(super) fn unlink(before: &Snapshot, edges: &mut Edges, object: &MoRef) {
    if object.ty() != managed_id!(VirtualMachine) {
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

fn network(w: &mut Writer, me: &MoRef, properties: Properties, map: Map) {
    let own = [prop!(Network.vm).number(), prop!(Network.host).number()];
    for (number, value) in properties {
        if !is_centers(number) && !own.contains(&number) {
            w.put(me, number, value.map(|value| value.map_refs(map)));
        }
    }
}

/// The values of custom fields, which are the center's, for a summary from a host.
fn custom_values(node: &api::Node) -> Option<Value> {
    node.at(prop!(ManagedEntity.customValue).number()).cloned()
}

/// The references in a list property.
fn refs_of(node: Option<&api::Node>, number: u16) -> HashSet<MoRef> {
    refs_in(node.and_then(|node| node.at(number)))
}

fn refs_in(list: Option<&Value>) -> HashSet<MoRef> {
    list.map(Value::items).unwrap_or_default().iter().filter_map(Value::as_ref).cloned().collect()
}

/// Whether the center, not the host, decides this property of every managed entity.
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
