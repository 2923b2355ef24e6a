//! Events about the center's own objects, made of the difference between their records: whatever changes the inventory leaves one.

use std::collections::HashMap;

use vim::{MoRef, Object, field, managed_id, vim};

use super::datacenter::datacenter_of;
use super::index::Records;
use super::records::{Changes, Record};

/// The records that are about to change, as they are before.
pub(super) type Before = HashMap<MoRef, Record>;

pub(super) fn before(records: &Records, changes: &Changes) -> Before {
    let known = |(me, _): &(MoRef, Option<Record>)| Some((me.clone(), records.get(me)?.clone()));
    changes.iter().filter_map(known).collect()
}

/// The events of a change. `now` has the records as they are after it.
pub(super) fn events(before: &Before, now: &Records, changed: &[MoRef]) -> Vec<Object> {
    let world = World { before, now };
    changed.iter().flat_map(|me| world.about(me)).collect()
}

struct World<'a> {
    before: &'a Before,
    now: &'a Records,
}

impl World<'_> {
    fn about(&self, me: &MoRef) -> Vec<Object> {
        match (self.before.get(me), self.now.get(me)) {
            (None, Some(new)) => self.created(me, new).into_iter().collect(),
            (Some(old), None) => self.removed(me, old).into_iter().collect(),
            (Some(old), Some(new)) => self.changed(me, old, new),
            (None, None) => Vec::new(),
        }
    }

    fn created(&self, me: &MoRef, new: &Record) -> Option<Object> {
        Some(match new {
            Record::Folder(folder) if !folder.fixed => self.extended("created", "Created", me, new),
            Record::Pod(_) => self.extended("created", "Created", me, new),
            Record::Datacenter(datacenter) => {
                let parent = self.folder(&datacenter.parent);
                self.placed(me, vim!(DatacenterCreatedEvent { parent: parent }))
            }
            Record::Compute(compute) if is_cluster(me) => {
                let parent = self.folder(&compute.parent);
                self.placed(me, vim!(ClusterCreatedEvent { parent: parent }))
            }
            Record::Pool(pool) if is_pool(&pool.parent) => self.placed(
                me,
                vim!(ResourcePoolCreatedEvent {
                    resourcePool: self.pool(me),
                    parent: self.pool(&pool.parent)
                }),
            ),
            _ => return None,
        })
    }

    fn removed(&self, me: &MoRef, old: &Record) -> Option<Object> {
        Some(match old {
            Record::Folder(folder) if !folder.fixed => self.extended("removed", "Removed", me, old),
            Record::Pod(_) => self.extended("removed", "Removed", me, old),
            Record::Datacenter(_) => self.extended("removed", "Removed", me, old),
            Record::Compute(_) if is_cluster(me) => self.placed(me, vim!(ClusterDestroyedEvent {})),
            // The pools of a cluster go with it.
            Record::Pool(pool) if is_pool(&pool.parent) && self.now.contains_key(&pool.owner) => {
                self.placed(me, vim!(ResourcePoolDestroyedEvent { resourcePool: self.pool(me) }))
            }
            _ => return None,
        })
    }

    fn changed(&self, me: &MoRef, old: &Record, new: &Record) -> Vec<Object> {
        let mut events = Vec::new();
        if old.name() != new.name() {
            events.extend(self.renamed(me, old, new));
        }
        if old.parent() != new.parent() {
            events.extend(self.moved(me, old, new));
        }
        match (old, new) {
            (Record::Datacenter(old), Record::Datacenter(now))
                if old.hardware_version != now.hardware_version =>
            {
                events.push(self.extended("reconfigured", "Reconfigured", me, new));
            }
            (Record::Pod(old), Record::Pod(now)) if old.config != now.config => {
                events.push(self.extended("reconfigured", "Reconfigured", me, new));
            }
            (Record::Compute(old), Record::Compute(now)) if old.config != now.config && is_cluster(me) => {
                events.push(self.placed(me, vim!(ClusterReconfiguredEvent {})));
            }
            (Record::Pool(old), Record::Pool(now)) if old.cpu != now.cpu || old.memory != now.memory => {
                let event = vim!(ResourcePoolReconfiguredEvent { resourcePool: self.pool(me) });
                events.push(self.placed(me, event));
            }
            (Record::Vm(old), Record::Vm(now)) if old.pool != now.pool && old.host == now.host => {
                events.push(self.placed(
                    me,
                    vim!(VmResourcePoolMovedEvent {
                        template: now.template,
                        oldParent: self.pool(&old.pool),
                        newParent: self.pool(&now.pool),
                    }),
                ));
            }
            _ => {}
        }
        events
    }

    fn renamed(&self, me: &MoRef, old: &Record, new: &Record) -> Option<Object> {
        match new {
            Record::Datacenter(_) => {
                let event = vim!(DatacenterRenamedEvent { oldName: old.name(), newName: new.name() });
                Some(self.placed(me, event))
            }
            Record::Folder(_) | Record::Pod(_) | Record::Pool(_) => Some(self.extended_text(
                "renamed",
                me,
                new,
                &format!("Renamed {} to {}", old.name(), new.name()),
            )),
            Record::Compute(_) if is_cluster(me) => Some(self.extended_text(
                "renamed",
                me,
                new,
                &format!("Renamed {} to {}", old.name(), new.name()),
            )),
            // VMs, datastores and networks are renamed on their hosts, which say so.
            _ => None,
        }
    }

    fn moved(&self, me: &MoRef, old: &Record, new: &Record) -> Option<Object> {
        let (from, to) = (old.parent()?, new.parent()?);
        match new {
            Record::Pool(_) if is_pool(from) && is_pool(to) => Some(self.placed(
                me,
                vim!(ResourcePoolMovedEvent {
                    resourcePool: self.pool(me),
                    oldParent: self.pool(from),
                    newParent: self.pool(to),
                }),
            )),
            Record::Pool(_) | Record::Snapshot(_) => None,
            _ => {
                let (name, from, to) = (new.name(), self.name(from), self.name(to));
                Some(self.extended_text("moved", me, new, &format!("Moved {name} from {from} to {to}")))
            }
        }
    }

    /// An event for which vSphere has no type.
    fn extended(&self, what: &str, verb: &str, me: &MoRef, record: &Record) -> Object {
        let place = record.parent().map(|parent| self.name(parent)).unwrap_or_default();
        self.extended_text(what, me, record, &format!("{verb} {} in {place}", record.name()))
    }

    fn extended_text(&self, what: &str, me: &MoRef, record: &Record, text: &str) -> Object {
        let kind = me.type_name().to_lowercase();
        self.placed(
            me,
            vim!(EventEx {
                eventTypeId: format!("esfera.{kind}.{what}"),
                severity: "info",
                message: text,
                objectId: me.id(),
                objectType: me.type_name(),
                objectName: record.name(),
            }),
        )
    }

    /// The event with the places that the object is in.
    fn placed(&self, me: &MoRef, event: impl Into<Object>) -> Object {
        let mut event: Object = event.into();
        let datacenter = datacenter_of(|at| self.find(at), me);
        event.set(
            field!(Event.datacenter),
            datacenter.map(|at| vim!(DatacenterEventArgument { name: self.name(&at), datacenter: &at })),
        );
        let compute = match self.find(me) {
            Some(Record::Compute(_)) => Some(me),
            Some(Record::Pool(pool)) => Some(&pool.owner),
            _ => None,
        };
        event.set(
            field!(Event.computeResource),
            compute.map(|at| vim!(ComputeResourceEventArgument { name: self.name(at), computeResource: at })),
        );
        if let Some(Record::Vm(vm)) = self.find(me) {
            event.set(field!(Event.vm), vim!(VmEventArgument { name: &vm.name, vm: me }));
            let host = &vm.host;
            event.set(field!(Event.host), vim!(HostEventArgument { name: self.name(host), host: host }));
        }
        event
    }

    /// The record as it is, or as it was.
    fn find(&self, at: &MoRef) -> Option<&Record> {
        self.now.get(at).or_else(|| self.before.get(at))
    }

    fn name<'a>(&'a self, at: &'a MoRef) -> &'a str {
        self.find(at).map_or(at.id(), Record::name)
    }

    fn folder(&self, at: &MoRef) -> vim::ty!(FolderEventArgument) {
        vim!(FolderEventArgument { name: self.name(at), folder: at })
    }

    fn pool(&self, at: &MoRef) -> vim::ty!(ResourcePoolEventArgument) {
        vim!(ResourcePoolEventArgument { name: self.name(at), resourcePool: at })
    }
}

fn is_cluster(compute: &MoRef) -> bool {
    compute.is_a(managed_id!(ClusterComputeResource))
}

fn is_pool(parent: &MoRef) -> bool {
    parent.is_a(managed_id!(ResourcePool))
}
