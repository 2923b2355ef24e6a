//! A change of the inventory before it is made: its own reads see its changes, nobody else's do.

use std::collections::HashMap;

use vim::{Fault, MoRef, managed_id};

use super::datacenter::datacenter_of;
use super::faults::{duplicate_name, not_found, not_supported};
use super::ids::Ids;
use super::index::Records;
use super::records::{Changes, Compute, Datacenter, Folder, Holds, Pool, Record, Vm};
use super::vapps::folder_of;

pub(crate) struct Plan<'a> {
    base: &'a Records,
    pub(crate) ids: &'a Ids,
    changed: HashMap<MoRef, Option<Record>>,
    order: Vec<MoRef>,
}

impl<'a> Plan<'a> {
    pub(super) fn new(base: &'a Records, ids: &'a Ids) -> Self {
        Self { base, ids, changed: HashMap::new(), order: Vec::new() }
    }

    pub(super) fn into_changes(mut self) -> Changes {
        let mut take = |reference: MoRef| {
            let record = self.changed.remove(&reference)?;
            // An object that was made and removed in the same plan never existed.
            (record.is_some() || self.base.contains_key(&reference)).then_some((reference, record))
        };
        self.order.into_iter().filter_map(&mut take).collect()
    }

    pub(crate) fn find(&self, reference: &MoRef) -> Option<&Record> {
        match self.changed.get(reference) {
            Some(record) => record.as_ref(),
            None => self.base.get(reference),
        }
    }

    pub(crate) fn put(&mut self, reference: &MoRef, record: impl Into<Record>) {
        self.write(reference, Some(record.into()));
    }

    pub(crate) fn remove(&mut self, reference: &MoRef) {
        self.write(reference, None);
    }

    fn write(&mut self, reference: &MoRef, record: Option<Record>) {
        if self.changed.insert(reference.clone(), record).is_none() {
            self.order.push(reference.clone());
        }
    }

    /// The object's record.
    ///
    /// # Errors
    /// `ManagedObjectNotFound`.
    pub(crate) fn get(&self, reference: &MoRef) -> Result<&Record, Fault> {
        self.find(reference).ok_or_else(|| not_found(reference))
    }

    pub(crate) fn folder(&self, reference: &MoRef) -> Result<&Folder, Fault> {
        match self.get(reference)? {
            Record::Folder(folder) => Ok(folder),
            Record::Pod(pod) => {
                Err(not_supported(&format!("The datastore cluster '{}' contains datastores only", pod.name)))
            }
            _ => Err(not_found(reference)),
        }
    }

    pub(crate) fn datacenter(&self, reference: &MoRef) -> Result<&Datacenter, Fault> {
        match self.get(reference)? {
            Record::Datacenter(datacenter) => Ok(datacenter),
            _ => Err(not_found(reference)),
        }
    }

    pub(crate) fn compute(&self, reference: &MoRef) -> Result<&Compute, Fault> {
        match self.get(reference)? {
            Record::Compute(compute) => Ok(compute),
            _ => Err(not_found(reference)),
        }
    }

    pub(crate) fn pool(&self, reference: &MoRef) -> Result<&Pool, Fault> {
        match self.get(reference)? {
            Record::Pool(pool) => Ok(pool),
            _ => Err(not_found(reference)),
        }
    }

    /// All objects as they stand in the plan.
    pub(crate) fn all(&self) -> impl Iterator<Item = (&MoRef, &Record)> {
        let old = self.base.iter().filter(|(reference, _)| !self.changed.contains_key(*reference));
        let new = self.changed.iter().filter_map(|(at, record)| Some((at, record.as_ref()?)));
        old.chain(new)
    }

    /// The objects of the plan that are `wanted`; `known` are those among the records.
    fn among<'s>(
        &'s self,
        known: impl Iterator<Item = &'s MoRef>,
        wanted: impl Fn(&Record) -> bool,
    ) -> impl Iterator<Item = (&'s MoRef, &'s Record)> {
        let old = known.filter(|me| !self.changed.contains_key(*me));
        let old = old.filter_map(|me| self.base.get_key_value(me));
        let new = self.changed.iter().filter_map(|(at, record)| Some((at, record.as_ref()?)));
        old.chain(new.filter(move |(_, record)| wanted(record)))
    }

    /// The VMs and snapshots on a host.
    pub(crate) fn on_host(&self, host: &MoRef) -> impl Iterator<Item = (&MoRef, &Record)> {
        self.among(self.base.on_host(host), move |record| record.host() == Some(host))
    }

    /// The datastores and networks of a datacenter.
    pub(crate) fn shared(&self, datacenter: &MoRef) -> impl Iterator<Item = (&MoRef, &Record)> {
        self.among(self.base.shared(datacenter), move |record| match record {
            Record::Datastore(datastore) => datastore.datacenter == *datacenter,
            Record::Network(network) => network.datacenter == *datacenter,
            _ => false,
        })
    }

    pub(crate) fn hosts(&self) -> impl Iterator<Item = (&MoRef, &Record)> {
        let known = self.base.hosts().map(|(me, _)| me);
        self.among(known, |record| matches!(record, Record::Host(_)))
    }

    /// The objects whose parent this is; for a folder also its vApps.
    pub(crate) fn children(&self, parent: &MoRef) -> impl Iterator<Item = (&MoRef, &Record)> {
        self.among(self.base.children(parent), move |record| record.parents().any(|is| is == parent))
    }

    /// Refuses a name that another child of the parent has.
    ///
    /// # Errors
    /// `DuplicateName` with that child.
    pub(crate) fn free_name(&self, parent: &MoRef, name: &str, me: Option<&MoRef>) -> Result<(), Fault> {
        let wanted = |record: &Record| record.parents().any(|is| is == parent) && record.name() == name;
        match self.among(self.base.named(parent, name), wanted).find(|(at, _)| Some(*at) != me) {
            None => Ok(()),
            Some((other, _)) => Err(duplicate_name(name, other)),
        }
    }

    /// The datacenter that the object is in, if it is in one.
    pub(crate) fn datacenter_of(&self, reference: &MoRef) -> Option<MoRef> {
        datacenter_of(|at| self.find(at), reference)
    }

    /// Whether `inner` is `outer` or somewhere below it.
    pub(crate) fn is_within(&self, inner: &MoRef, outer: &MoRef) -> bool {
        let mut at = Some(inner.clone());
        while let Some(here) = at {
            if here == *outer {
                return true;
            }
            at = self.find(&here).and_then(Record::parent).cloned();
        }
        false
    }

    /// Puts a VM into a pool. In a vApp its folder is the vApp's, where it goes when it leaves the vApp.
    pub(crate) fn put_into_pool(&mut self, me: &MoRef, vm: Vm, pool: &MoRef) {
        let folder = folder_of(self, pool).unwrap_or_else(|| vm.folder.clone());
        self.put(me, Record::Vm(Vm { pool: pool.clone(), folder, ..vm }));
    }

    /// A new datacenter with its four folders.
    pub(crate) fn add_datacenter(&mut self, parent: &MoRef, name: &str) -> MoRef {
        let me = self.ids.reference(managed_id!(Datacenter));
        let mut folder = |holds: Holds, name: &str| {
            let folder = self.ids.folder(holds);
            let record = Folder { name: name.into(), parent: Some(me.clone()), holds, fixed: true };
            self.put(&folder, Record::Folder(record));
            folder
        };
        let datacenter = Datacenter {
            name: name.into(),
            parent: parent.clone(),
            vm_folder: folder(Holds::Vms, "vm"),
            host_folder: folder(Holds::Hosts, "host"),
            datastore_folder: folder(Holds::Datastores, "datastore"),
            network_folder: folder(Holds::Networks, "network"),
            hardware_version: None,
        };
        self.put(&me, Record::Datacenter(datacenter));
        me
    }

    /// A new cluster, or the compute resource of a standalone host, with its root pool.
    pub(crate) fn add_compute(
        &mut self,
        ty: vim::ManagedId,
        parent: &MoRef,
        name: &str,
        config: serde_json::Value,
    ) -> MoRef {
        let me = self.ids.reference(ty);
        let pool = self.ids.reference(managed_id!(ResourcePool));
        let root = Pool {
            name: "Resources".into(),
            parent: me.clone(),
            owner: me.clone(),
            cpu: Default::default(),
            memory: Default::default(),
            version: 0,
            vapp: None,
        };
        self.put(&pool, Record::Pool(root));
        let compute = Compute { name: name.into(), parent: parent.clone(), root_pool: pool, config };
        self.put(&me, Record::Compute(Box::new(compute)));
        me
    }
}
