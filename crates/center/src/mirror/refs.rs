//! Which object of the center stands for which object of one host, both ways.

use std::collections::{HashMap, HashSet, VecDeque};

use vim::{ManagedId, MoRef, managed_id};

use crate::link::names;

/// The center's objects that stand for those which every host has.
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

pub(crate) struct Refs {
    fixed: Fixed,
    to_center: HashMap<MoRef, MoRef>,
    to_host: HashMap<MoRef, MoRef>,
    /// The host's own parts (`configManager`), as the host names them.
    subsystems: HashSet<MoRef>,
    /// What was removed last, by the host's reference: an event may still speak of it.
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
            (names::ROOT_FOLDER, &crate::inventory::root()),
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

    /// Forgets a reference of the host; what stood for it, if that still was so.
    pub(crate) fn remove(&mut self, remote: &MoRef) -> Option<MoRef> {
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

    /// What stands, or stood until a moment ago, for the host's object.
    pub(crate) fn center_or_former(&self, remote: &MoRef) -> Option<MoRef> {
        self.center(remote).or_else(|| {
            self.former.iter().rev().find(|(at, _)| at == remote).map(|(_, center)| center.clone())
        })
    }

    pub(crate) fn center(&self, remote: &MoRef) -> Option<MoRef> {
        if remote.ty() == BROWSER {
            return Some(crate::objects::compute::browser(&self.fixed.compute));
        }
        self.to_center.get(remote).cloned()
    }

    /// The host's reference for an object of the center. Every folder and pool of the center is the host's one.
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

    pub(crate) fn add_subsystem(&mut self, remote: &MoRef) {
        if self.subsystems.insert(remote.clone()) {
            let number = self.fixed.host.id().trim_start_matches("host-");
            let center = MoRef::new(remote.ty(), format!("{}-{number}", remote.id()));
            self.add(remote, &center);
        }
    }

    pub(crate) fn is_subsystem(&self, remote: &MoRef) -> bool {
        self.subsystems.contains(remote)
    }

    /// What stands for the host's own parts.
    pub(crate) fn subsystem_centers(&self) -> impl Iterator<Item = MoRef> {
        self.subsystems.iter().filter_map(|remote| self.center(remote))
    }

    /// The host's references that stand for something, apart from those that every host has.
    pub(crate) fn remotes(&self) -> impl Iterator<Item = (&MoRef, &MoRef)> {
        self.to_center.iter()
    }
}
