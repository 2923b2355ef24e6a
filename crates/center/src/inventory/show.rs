//! Records as objects of the tree.

use api::Writer;
use std::sync::PoisonError;
use vim::{MoRef, Props, managed_id, props};

use super::{Changes, Edges, Inventory};
use crate::objects;
use crate::records::Record;

impl Inventory {
    /// Makes changes visible, at once and as a whole. They are durable already.
    pub(super) fn show(&self, changes: Changes, also: impl FnOnce(&mut Writer, &mut Edges)) {
        self.tree.write(|w| {
            let mut edges = Edges::default();
            let records = self.records();
            for (me, record) in &changes {
                edges.update(me, records.get(me), record.as_ref());
                match record {
                    Some(record) => show(w, me, record),
                    None => {
                        if me.is_a(managed_id!(ComputeResource)) {
                            objects::compute::forget(w, me);
                        }
                        w.remove(me);
                    }
                }
            }
            drop(records);
            let mut records = self.records.write().unwrap_or_else(PoisonError::into_inner);
            for (me, record) in changes {
                match record {
                    Some(record) => drop(records.insert(me, record)),
                    None => drop(records.remove(&me)),
                }
            }
            drop(records);
            also(w, &mut edges);
            edges.write(w);
        });
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
        Record::Datacenter(datacenter) => w.set(me, objects::datacenter::props(datacenter)),
        Record::Compute(compute) => objects::compute::show(w, me, compute, new),
        Record::Pool(pool) => w.set(me, objects::pool::props(me, pool)),
        Record::Host(host) => objects::host::show(w, me, host, new),
        Record::Vm(vm) => objects::vm::show(w, me, vm, new),
        Record::Snapshot(_) => {}
        Record::Datastore(datastore) => objects::datastore::show(w, me, datastore, new),
        Record::Network(network) => objects::network::show(w, me, network, new),
    }
}

/// What every managed entity has from the start.
fn entity_defaults(me: &MoRef) -> Props {
    if me.is_a(managed_id!(ManagedEntity)) {
        props!(ManagedEntity { overallStatus: "green", configStatus: "green", alarmActionsEnabled: true })
    } else {
        Props { ty: me.ty(), values: Vec::new() }
    }
}
