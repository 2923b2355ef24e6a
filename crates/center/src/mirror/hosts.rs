//! All hosts that the center manages.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::RwLock;
use vim::{Fault, MoRef, ty};

use super::host::ManagedHost;
use crate::estate::{Vm, not_found};

/// The managed hosts, by the center's reference.
#[derive(Default)]
pub(crate) struct Hosts {
    by_ref: RwLock<HashMap<MoRef, Arc<ManagedHost>>>,
}

impl Hosts {
    pub(crate) fn find(&self, host: &MoRef) -> Option<Arc<ManagedHost>> {
        self.by_ref.read().get(host).cloned()
    }

    /// The host.
    ///
    /// # Errors
    /// `ManagedObjectNotFound`.
    pub(crate) fn get(&self, host: &MoRef) -> Result<Arc<ManagedHost>, Fault> {
        self.find(host).ok_or_else(|| not_found(host))
    }

    pub(crate) fn all(&self) -> Vec<Arc<ManagedHost>> {
        self.by_ref.read().values().cloned().collect()
    }

    pub(crate) fn add(&self, host: &Arc<ManagedHost>) {
        self.by_ref.write().insert(host.me.clone(), host.clone());
    }

    pub(crate) fn remove(&self, host: &MoRef) -> Option<Arc<ManagedHost>> {
        self.by_ref.write().remove(host)
    }

    /// The connected hosts that reach a datastore, those with the fewest VMs first.
    pub(crate) fn reaching(&self, datastore: &MoRef) -> Vec<Arc<ManagedHost>> {
        self.by_load(|host| host.is_connected() && host.reported().reaches(datastore))
    }

    /// The connected hosts of a compute resource, those with the fewest VMs first.
    pub(crate) fn connected_of(&self, compute: &MoRef) -> Vec<Arc<ManagedHost>> {
        self.by_load(|host| host.is_connected() && host.refs().fixed().compute == *compute)
    }

    /// A host that is asked takes locks of its own, so the list's is released before.
    fn by_load(&self, wanted: impl Fn(&ManagedHost) -> bool) -> Vec<Arc<ManagedHost>> {
        let mut hosts = self.all();
        hosts.retain(|host| wanted(host));
        hosts.sort_by_cached_key(|host| (host.reported().vm_count(), host.me.clone()));
        hosts
    }

    /// Whether a host other than this one has the datastore or network.
    pub(super) fn others_have(&self, object: &MoRef, host: &MoRef) -> bool {
        self.all().iter().any(|other| other.me != *host && other.reported().has(object))
    }

    /// The power state of a VM, as far as its host has reported.
    pub(crate) fn power(&self, me: &MoRef, vm: &Vm) -> Option<ty!(VirtualMachinePowerState)> {
        self.find(&vm.host)?.reported().power(me)
    }

    /// Whether a VM is powered off, as far as its host has reported.
    pub(crate) fn is_powered_off(&self, me: &MoRef, vm: &Vm) -> bool {
        self.find(&vm.host).is_none_or(|host| host.reported().is_powered_off(me))
    }
}
