//! Records as objects of the tree: a file per managed object type.
//!
//! [`changes`] writes a batch of changed records. [`compute`] and [`pool`] also show sums over hosts and VMs.

pub(crate) mod compute;
mod datacenter;
pub(crate) mod datastore;
pub(crate) mod disabled;
pub(crate) mod host;
mod network;
pub(crate) mod pod;
pub(crate) mod pool;
pub(crate) mod vapp;
pub(crate) mod vm;

use api::Writer;
use vim::{MoRef, Props, managed_id, props};

use super::edges::Edges;
use super::index::Records;
use super::parts::Parts;
use super::records::{Changes, Record};

/// Writes the objects of changed records; `records` are those before the change.
pub(super) fn changes(
    w: &mut Writer,
    records: &Records,
    changes: &Changes,
    edges: &mut Edges,
    parts: &Parts,
) {
    for (me, record) in changes {
        edges.update(me, records.get(me), record.as_ref());
        match record {
            Some(record) => {
                if let Some(part) = own_part(me) {
                    parts.add(&part, me);
                    // Its owner names it from the start, also while no host has reported it.
                    if w.find(&part).is_none() {
                        w.create(&part, Props { ty: part.ty(), values: Vec::new() });
                    }
                }
                show(w, me, record);
            }
            None => {
                if let Some(part) = own_part(me) {
                    parts.remove(&part);
                    w.remove(&part);
                }
                parts.remove(me);
                w.remove(me);
            }
        }
    }
}

/// Shows again what follows from a container's contents.
pub(super) fn refresh(w: &mut Writer, records: &Records, container: &MoRef) {
    if container.is_a(managed_id!(StoragePod)) {
        pod::refresh(w, container);
    } else if container.is_a(managed_id!(VirtualApp)) {
        vapp::refresh(w, records, container);
    } else {
        compute::refresh(w, container);
    }
}

/// The browser that the center gives a compute resource, datastore or host.
fn own_part(me: &MoRef) -> Option<MoRef> {
    if me.is_a(managed_id!(ComputeResource)) {
        Some(compute::browser(me))
    } else if me.is_a(managed_id!(Datastore)) {
        Some(datastore::browser(me))
    } else if me.is_a(managed_id!(HostSystem)) {
        Some(host::browser(me))
    } else {
        None
    }
}

fn show(w: &mut Writer, me: &MoRef, record: &Record) {
    let new = w.find(me).is_none();
    if new {
        w.create(me, entity_defaults(me));
    }
    match record {
        Record::Folder(folder) => {
            w.set(me, props!(Folder { name: &folder.name, parent: folder.parent.clone() }));
            if new {
                let types: Vec<&str> = folder.holds.child_types().to_vec();
                w.set(me, props!(Folder { childType: types }));
            }
        }
        Record::Pod(pod) => pod::show(w, me, pod, new),
        Record::Datacenter(datacenter) => w.set(me, datacenter::props(datacenter)),
        Record::Compute(compute) => compute::show(w, me, compute, new),
        Record::Pool(pool) => {
            w.set(me, pool::props(me, pool));
            vapp::show(w, me, pool);
        }
        Record::Host(host) => host::show(w, me, host, new),
        Record::Vm(vm) => vm::show(w, me, vm, new),
        Record::Snapshot(_) => {}
        Record::Datastore(datastore) => datastore::show(w, me, datastore, new),
        Record::Network(network) => network::show(w, me, network, new),
    }
}

/// The properties that every managed entity has from the start.
fn entity_defaults(me: &MoRef) -> Props {
    if me.is_a(managed_id!(ManagedEntity)) {
        props!(ManagedEntity { overallStatus: "green", configStatus: "green", alarmActionsEnabled: true })
    } else {
        Props { ty: me.ty(), values: Vec::new() }
    }
}
