//! All records, with the ways in which the center looks for them: none of these takes longer the more others there are.

use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::Deref;

use vim::MoRef;

use super::records::Record;

/// The records by reference. They are read as a map; [`Records::insert`] and [`Records::remove`] keep the ways up.
#[derive(Default)]
pub(crate) struct Records {
    all: HashMap<MoRef, Record>,
    children: HashMap<MoRef, Children>,
    /// VMs and snapshots, by their hosts.
    on_host: HashMap<MoRef, HashSet<MoRef>>,
    /// Datastores and networks, by their datacenters.
    shared: HashMap<MoRef, HashSet<MoRef>>,
    hosts: HashSet<MoRef>,
}

/// The objects with one parent.
#[derive(Default)]
struct Children {
    /// By the hashes of their names.
    by_name: HashMap<u64, MoRef>,
    /// Those whose place there another one has.
    more: Vec<MoRef>,
}

fn hash(name: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    name.hash(&mut hasher);
    hasher.finish()
}

impl Deref for Records {
    type Target = HashMap<MoRef, Record>;

    fn deref(&self) -> &Self::Target {
        &self.all
    }
}

impl Records {
    pub(super) fn insert(&mut self, me: MoRef, record: Record) {
        self.remove(&me);
        for parent in record.parents() {
            let children = self.children.entry(parent.clone()).or_default();
            match children.by_name.entry(hash(record.name())) {
                std::collections::hash_map::Entry::Vacant(place) => drop(place.insert(me.clone())),
                std::collections::hash_map::Entry::Occupied(_) => children.more.push(me.clone()),
            }
        }
        if let Some((table, key)) = self.listed(&record) {
            table.entry(key).or_default().insert(me.clone());
        }
        if matches!(record, Record::Host(_)) {
            self.hosts.insert(me.clone());
        }
        self.all.insert(me, record);
    }

    pub(super) fn remove(&mut self, me: &MoRef) {
        let Some(record) = self.all.remove(me) else { return };
        for parent in record.parents() {
            let Some(children) = self.children.get_mut(parent) else { continue };
            let name = hash(record.name());
            if children.by_name.get(&name) == Some(me) {
                children.by_name.remove(&name);
            } else {
                children.more.retain(|other| other != me);
            }
            if children.by_name.is_empty() && children.more.is_empty() {
                self.children.remove(parent);
            }
        }
        if let Some((table, key)) = self.listed(&record)
            && let Some(listed) = table.get_mut(&key)
        {
            listed.remove(me);
            if listed.is_empty() {
                table.remove(&key);
            }
        }
        self.hosts.remove(me);
    }

    /// The table that lists objects of this kind, and the record's place there.
    fn listed(&mut self, record: &Record) -> Option<(&mut HashMap<MoRef, HashSet<MoRef>>, MoRef)> {
        match record {
            Record::Datastore(datastore) => Some((&mut self.shared, datastore.datacenter.clone())),
            Record::Network(network) => Some((&mut self.shared, network.datacenter.clone())),
            _ => record.host().map(|host| (&mut self.on_host, host.clone())),
        }
    }

    /// The objects whose parent this is.
    pub(crate) fn children(&self, parent: &MoRef) -> impl Iterator<Item = &MoRef> {
        let children = self.children.get(parent).into_iter();
        children.flat_map(|children| children.by_name.values().chain(&children.more))
    }

    /// The children with this name.
    pub(crate) fn named<'a>(&'a self, parent: &MoRef, name: &'a str) -> impl Iterator<Item = &'a MoRef> {
        let children = self.children.get(parent).into_iter();
        let found = children
            .flat_map(move |children| children.by_name.get(&hash(name)).into_iter().chain(&children.more));
        found.filter(move |me| self.all.get(*me).is_some_and(|record| record.name() == name))
    }

    /// The VMs and snapshots on this host.
    pub(crate) fn on_host(&self, host: &MoRef) -> impl Iterator<Item = &MoRef> {
        self.on_host.get(host).into_iter().flatten()
    }

    /// The datastores and networks of this datacenter.
    pub(crate) fn shared(&self, datacenter: &MoRef) -> impl Iterator<Item = &MoRef> {
        self.shared.get(datacenter).into_iter().flatten()
    }

    pub(crate) fn hosts(&self) -> impl Iterator<Item = (&MoRef, &Record)> {
        self.hosts.iter().filter_map(|me| self.all.get_key_value(me))
    }
}

#[cfg(test)]
mod tests {
    use vim::{ManagedId, managed_id};

    use super::*;
    use crate::estate::{Network, Vm};

    fn at(ty: ManagedId, id: &str) -> MoRef {
        MoRef::new(ty, id)
    }

    fn vm(name: &str, folder: &str, host: &str) -> Record {
        Record::Vm(Vm {
            name: name.into(),
            host: at(managed_id!(HostSystem), host),
            remote: at(managed_id!(VirtualMachine), "1"),
            folder: at(managed_id!(Folder), folder),
            pool: at(managed_id!(ResourcePool), "p"),
            instance_uuid: String::new(),
            uuid: String::new(),
            path: String::new(),
            template: false,
        })
    }

    #[test]
    fn objects_are_found_by_parent_name_host_and_datacenter_as_they_change() {
        let mut records = Records::default();
        let vms: Vec<MoRef> = (0..3).map(|n| at(managed_id!(VirtualMachine), &format!("vm-{n}"))).collect();
        let folder = at(managed_id!(Folder), "f");
        let (h1, h2) = (at(managed_id!(HostSystem), "h1"), at(managed_id!(HostSystem), "h2"));
        let ids = |found: &mut dyn Iterator<Item = &MoRef>| {
            let mut ids: Vec<String> = found.map(|me| me.id().to_owned()).collect();
            ids.sort();
            ids
        };
        for (me, name) in vms.iter().zip(["a", "a", "b"]) {
            records.insert(me.clone(), vm(name, "f", "h1"));
        }
        assert_eq!(ids(&mut records.children(&folder)), ["vm-0", "vm-1", "vm-2"]);
        assert_eq!(ids(&mut records.named(&folder, "a")), ["vm-0", "vm-1"], "hosts may have twins");
        records.insert(vms[0].clone(), vm("c", "f", "h2"));
        assert_eq!(ids(&mut records.named(&folder, "a")), ["vm-1"]);
        assert_eq!(ids(&mut records.on_host(&h1)), ["vm-1", "vm-2"]);
        assert_eq!(ids(&mut records.on_host(&h2)), ["vm-0"]);
        records.insert(vms[1].clone(), vm("a", "g", "h1"));
        assert_eq!(ids(&mut records.children(&folder)), ["vm-0", "vm-2"]);
        vms.iter().for_each(|me| records.remove(me));
        assert!(records.is_empty() && records.children.is_empty() && records.on_host.is_empty());
        let datacenter = at(managed_id!(Datacenter), "dc");
        let network = Network { name: "n".into(), folder: folder.clone(), datacenter: datacenter.clone() };
        records.insert(at(managed_id!(Network), "n1"), Record::Network(network));
        assert_eq!(ids(&mut records.shared(&datacenter)), ["n1"]);
    }
}
