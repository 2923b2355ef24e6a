//! The mapping between the references of one host and those of the center, both ways.

use std::collections::{HashMap, HashSet, VecDeque};

use vim::{Fault, ManagedId, MoRef, managed_id};

use crate::estate::show::compute;
use crate::estate::{Record, Records, datacenter_of, not_found, root};
use crate::link::names;

/// The center's objects for the objects that every host has.
#[derive(Clone)]
pub(crate) struct Fixed {
    pub host: MoRef,
    pub compute: MoRef,
    pub pool: MoRef,
    pub datacenter: MoRef,
    pub vm_folder: MoRef,
    pub host_folder: MoRef,
    pub datastore_folder: MoRef,
    pub network_folder: MoRef,
}

impl Fixed {
    /// The objects for the host in its present place.
    ///
    /// # Errors
    /// `ManagedObjectNotFound` if the host is not in the inventory.
    pub(crate) fn of(records: &Records, host: &MoRef) -> Result<Self, Fault> {
        let gone = || not_found(host);
        let Some(Record::Host(record)) = records.get(host) else { return Err(gone()) };
        let Some(Record::Compute(compute)) = records.get(&record.parent) else { return Err(gone()) };
        let datacenter = datacenter_of(|at| records.get(at), host).ok_or_else(gone)?;
        let Some(Record::Datacenter(place)) = records.get(&datacenter) else { return Err(gone()) };
        Ok(Self {
            host: host.clone(),
            compute: record.parent.clone(),
            pool: compute.root_pool.clone(),
            datacenter,
            vm_folder: place.vm_folder.clone(),
            host_folder: place.host_folder.clone(),
            datastore_folder: place.datastore_folder.clone(),
            network_folder: place.network_folder.clone(),
        })
    }
}

pub(crate) struct Refs {
    fixed: Fixed,
    to_center: HashMap<MoRef, MoRef>,
    to_host: HashMap<MoRef, MoRef>,
    /// The host's systems (`configManager`), by the host's references.
    subsystems: HashSet<MoRef>,
    /// The center's references for systems that the host names no more.
    dropped: HashSet<MoRef>,
    /// The last removed objects, by the host's reference: an event may still name them.
    former: VecDeque<(MoRef, MoRef)>,
}

/// Removed objects that are remembered for events.
const MAX_FORMER: usize = 256;

const BROWSER: ManagedId = managed_id!(EnvironmentBrowser);

impl Refs {
    pub(crate) fn new(fixed: Fixed) -> Self {
        let mut refs = Self {
            to_center: HashMap::new(),
            to_host: HashMap::new(),
            subsystems: HashSet::new(),
            dropped: HashSet::new(),
            former: VecDeque::new(),
            fixed,
        };
        refs.rehome(refs.fixed.clone());
        refs
    }

    /// The host has a new place in the inventory.
    pub(crate) fn rehome(&mut self, fixed: Fixed) {
        for (id, center) in [
            (names::HOST, &fixed.host),
            (names::COMPUTE_RESOURCE, &fixed.compute),
            (names::ROOT_POOL, &fixed.pool),
            (names::DATACENTER, &fixed.datacenter),
            (names::VM_FOLDER, &fixed.vm_folder),
            (names::HOST_FOLDER, &fixed.host_folder),
            (names::DATASTORE_FOLDER, &fixed.datastore_folder),
            (names::NETWORK_FOLDER, &fixed.network_folder),
            (names::ROOT_FOLDER, &root()),
        ] {
            // On a host the compute resource is never a cluster.
            let ty = if id == names::COMPUTE_RESOURCE { managed_id!(ComputeResource) } else { center.ty() };
            self.add(&MoRef::new(ty, id), center);
        }
        self.fixed = fixed;
    }

    pub(crate) fn fixed(&self) -> &Fixed {
        &self.fixed
    }

    pub(crate) fn add(&mut self, remote: &MoRef, center: &MoRef) {
        self.to_center.insert(remote.clone(), center.clone());
        self.to_host.insert(center.clone(), remote.clone());
    }

    /// Forgets a reference of the host; returns the center's object for it, if it was known.
    pub(super) fn remove(&mut self, remote: &MoRef) -> Option<MoRef> {
        let center = self.to_center.remove(remote)?;
        if self.to_host.get(&center) == Some(remote) {
            self.to_host.remove(&center);
        }
        if self.former.len() >= MAX_FORMER {
            self.former.pop_front();
        }
        self.former.push_back((remote.clone(), center.clone()));
        Some(center)
    }

    /// The center's object for the host's object, even if that was removed a moment ago.
    pub(super) fn center_or_former(&self, remote: &MoRef) -> Option<MoRef> {
        self.center(remote).or_else(|| {
            self.former.iter().rev().find(|(at, _)| at == remote).map(|(_, center)| center.clone())
        })
    }

    /// The center's object for the host's object.
    pub(crate) fn center(&self, remote: &MoRef) -> Option<MoRef> {
        if remote.ty() == BROWSER {
            return Some(compute::browser(&self.fixed.compute));
        }
        self.to_center.get(remote).cloned()
    }

    /// The host's reference for an object of the center. All pools and datacenters of the center are one on the host.
    pub(crate) fn host(&self, center: &MoRef) -> Option<MoRef> {
        if let Some(remote) = self.to_host.get(center) {
            return Some(remote.clone());
        }
        match center.ty() {
            managed_id!(ResourcePool) => Some(names::root_pool()),
            managed_id!(Datacenter) => Some(names::datacenter()),
            _ => None,
        }
    }

    /// Adds one of the host's systems; returns the center's reference for it, if it is new. Its id is the host's own
    /// with the number of the center's reference for the host.
    pub(super) fn add_subsystem(&mut self, remote: &MoRef) -> Option<MoRef> {
        if !self.subsystems.insert(remote.clone()) {
            return None;
        }
        let number = self.fixed.host.id().trim_start_matches("host-");
        let center = MoRef::new(remote.ty(), format!("{}-{number}", remote.id()));
        self.dropped.remove(&center);
        self.add(remote, &center);
        Some(center)
    }

    /// Forgets the systems that the host names no more, which [`Self::dropped_systems`] has from now on.
    pub(super) fn retain_subsystems(&mut self, named: &HashSet<MoRef>) {
        let gone: Vec<MoRef> =
            self.subsystems.iter().filter(|known| !named.contains(*known)).cloned().collect();
        for remote in gone {
            self.subsystems.remove(&remote);
            let center = self.remove(&remote);
            self.dropped.extend(center);
        }
    }

    /// The center's references for systems that the host has named, and names no more.
    pub(super) fn dropped_systems(&self) -> impl Iterator<Item = &MoRef> {
        self.dropped.iter()
    }

    pub(super) fn is_subsystem(&self, remote: &MoRef) -> bool {
        self.subsystems.contains(remote)
    }

    /// The center's references for the host's systems.
    pub(super) fn subsystem_centers(&self) -> impl Iterator<Item = MoRef> {
        self.subsystems.iter().filter_map(|remote| self.center(remote))
    }

    /// All references of the host, each with the center's.
    pub(super) fn remotes(&self) -> impl Iterator<Item = (&MoRef, &MoRef)> {
        self.to_center.iter()
    }
}
