//! Lists of references between objects (a folder's children, a pool's VMs), changed once per list and batch.

use std::collections::{HashMap, HashSet};

use api::Writer;
use vim::kind::{ListOf, Marker};
use vim::{Field, MoRef, managed_id, prop};

use super::records::Record;

/// The references to add to and to remove from each list.
#[derive(Default)]
pub(crate) struct Edges {
    lists: HashMap<(MoRef, u16), Delta>,
    order: Vec<(MoRef, u16)>,
    /// Containers of which something follows from their contents: the sums of a compute resource over its hosts, those of a
    /// datastore cluster, the entities of a vApp.
    sums: HashSet<MoRef>,
}

#[derive(Default)]
struct Delta {
    add: Vec<MoRef>,
    remove: HashSet<MoRef>,
}

impl Edges {
    pub(crate) fn add<K: Marker>(&mut self, owner: &MoRef, list: Field<ListOf<K>>, item: &MoRef) {
        self.add_at(owner, list.number(), item);
    }

    pub(crate) fn remove<K: Marker>(&mut self, owner: &MoRef, list: Field<ListOf<K>>, item: &MoRef) {
        self.remove_at(owner, list.number(), item);
    }

    /// Marks what follows from a container's contents for computing again.
    pub(crate) fn refresh(&mut self, container: &MoRef) {
        self.sums.insert(container.clone());
    }

    fn add_at(&mut self, owner: &MoRef, number: u16, item: &MoRef) {
        let delta = self.delta(owner, number);
        if !delta.remove.remove(item) {
            delta.add.push(item.clone());
        }
    }

    fn remove_at(&mut self, owner: &MoRef, number: u16, item: &MoRef) {
        let delta = self.delta(owner, number);
        match delta.add.iter().position(|added| added == item) {
            Some(at) => drop(delta.add.swap_remove(at)),
            None => drop(delta.remove.insert(item.clone())),
        }
    }

    fn delta(&mut self, owner: &MoRef, number: u16) -> &mut Delta {
        let key = (owner.clone(), number);
        if !self.lists.contains_key(&key) {
            self.order.push(key.clone());
        }
        self.lists.entry(key).or_default()
    }

    /// Moves an object from the lists of its old record to those of its new one.
    pub(super) fn update(&mut self, me: &MoRef, old: Option<&Record>, new: Option<&Record>) {
        if let (Some(Record::Host(host)), _) | (_, Some(Record::Host(host))) = (old, new) {
            self.refresh(&host.parent);
        }
        if let Some(Record::Host(host)) = new {
            self.refresh(&host.parent);
        }
        for record in [old, new].into_iter().flatten() {
            self.refresh_above(me, record);
        }
        let (old, new) = (old.map(places).unwrap_or_default(), new.map(places).unwrap_or_default());
        for (owner, number) in old.iter().filter(|place| !new.contains(place)) {
            self.remove_at(owner, *number, me);
        }
        for (owner, number) in new.iter().filter(|place| !old.contains(place)) {
            self.add_at(owner, *number, me);
        }
    }

    /// Marks the container whose sums or configuration follow from its contents.
    fn refresh_above(&mut self, me: &MoRef, record: &Record) {
        match record {
            Record::Vm(vm) if vm.is_in_vapp() => self.refresh(&vm.pool),
            Record::Pool(pool) if pool.vapp.is_some() => {
                self.refresh(me);
                if pool.parent.is_a(managed_id!(VirtualApp)) {
                    self.refresh(&pool.parent);
                }
            }
            Record::Datastore(datastore) if datastore.folder.is_a(managed_id!(StoragePod)) => {
                self.refresh(&datastore.folder);
            }
            _ => {}
        }
    }

    /// Writes every list that has changed; returns the containers of which something has to be computed again.
    pub(super) fn write(mut self, w: &mut Writer) -> HashSet<MoRef> {
        for key in std::mem::take(&mut self.order) {
            let Some(delta) = self.lists.remove(&key) else { continue };
            let (owner, number) = key;
            for item in &delta.remove {
                w.remove_ref_at(&owner, number, item);
            }
            for item in &delta.add {
                w.add_ref_at(&owner, number, item);
            }
        }
        self.sums
    }
}

/// The lists that the object is in, by owner and property.
fn places(record: &Record) -> Vec<(MoRef, u16)> {
    let children = prop!(Folder.childEntity).number();
    match record {
        Record::Folder(folder) => match &folder.parent {
            Some(parent) if !folder.fixed => vec![(parent.clone(), children)],
            _ => Vec::new(),
        },
        Record::Pod(pod) => vec![(pod.parent.clone(), children)],
        Record::Datacenter(datacenter) => vec![(datacenter.parent.clone(), children)],
        Record::Compute(compute) => vec![(compute.parent.clone(), children)],
        Record::Pool(pool) if pool.parent == pool.owner => Vec::new(),
        Record::Pool(pool) => {
            let folder = record.second_parent().map(|folder| (folder.clone(), children));
            let parent = (pool.parent.clone(), prop!(ResourcePool.resourcePool).number());
            std::iter::once(parent).chain(folder).collect()
        }
        Record::Host(host) => vec![(host.parent.clone(), prop!(ComputeResource.host).number())],
        Record::Vm(vm) => {
            let mut places = vec![(vm.host.clone(), prop!(HostSystem.vm).number())];
            if !vm.is_in_vapp() {
                places.push((vm.folder.clone(), children));
            }
            if !vm.template {
                places.push((vm.pool.clone(), prop!(ResourcePool.vm).number()));
            }
            places
        }
        Record::Datastore(datastore) => vec![
            (datastore.folder.clone(), children),
            (datastore.datacenter.clone(), prop!(Datacenter.datastore).number()),
        ],
        Record::Network(network) => vec![
            (network.folder.clone(), children),
            (network.datacenter.clone(), prop!(Datacenter.network).number()),
        ],
        Record::Snapshot(_) => Vec::new(),
    }
}
