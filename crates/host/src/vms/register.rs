//! The register: the VMs of this host, the names that are being given to new ones, and their durable records.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use parking_lot::{Mutex, RwLock};
use store::Store;
use uuid::Uuid;
use vim::{Fault, MoRef, fault};
use vm::{FileRef, Power, show};

use super::files::{all_disk_files, open_files};
use super::records::{Records, Registered};
use super::vm::Vm;
use crate::ids;
use crate::limits::MAX_VMS;
use crate::network::{PortGroupUsers, RunningAdapter};
use crate::storage::OpenFiles;

/// The VMs of this host.
pub struct Register {
    records: Records,
    vms: RwLock<BTreeMap<String, Arc<Vm>>>,
    /// Names of VMs that are being made.
    making: Mutex<BTreeSet<String>>,
    /// Held by the operation that finds and takes a place for a VM.
    placing: tokio::sync::Mutex<()>,
}

/// A name that is kept for a VM that is being made, until this is dropped.
pub(super) struct ReservedName<'a> {
    register: &'a Register,
    name: String,
}

impl Drop for ReservedName<'_> {
    fn drop(&mut self) {
        self.register.making.lock().remove(&self.name);
    }
}

impl Register {
    pub(crate) fn new(store: Store) -> Self {
        let (vms, making, placing) = (RwLock::default(), Mutex::default(), tokio::sync::Mutex::default());
        Self { records: Records::new(store), vms, making, placing }
    }

    pub(super) fn records(&self) -> &Records {
        &self.records
    }

    /// The VM that an object stands for.
    ///
    /// # Errors
    /// `ManagedObjectNotFound`.
    pub fn find(&self, me: &MoRef) -> Result<Arc<Vm>, Fault> {
        self.vms.read().get(me.id()).cloned().ok_or_else(|| {
            fault!(ManagedObjectNotFound { obj: me }, "{me} does not exist; it may have been removed")
        })
    }

    /// All VMs.
    pub fn all(&self) -> Vec<Arc<Vm>> {
        self.vms.read().values().cloned().collect()
    }

    /// All VMs but one.
    pub(super) fn others(&self, me: &MoRef) -> impl Iterator<Item = Arc<Vm>> {
        self.all().into_iter().filter(move |other| other.me != *me)
    }

    /// The images that the disks of other VMs than this one are in.
    pub(super) fn foreign_disks(&self, me: &MoRef) -> BTreeSet<FileRef> {
        self.others(me).flat_map(|other| all_disk_files(&other.read())).collect()
    }

    /// The MAC addresses of all adapters but those of one VM.
    pub(super) fn taken_macs(&self, but: Option<&MoRef>) -> BTreeSet<String> {
        let others = self.all().into_iter().filter(|vm| Some(&vm.me) != but);
        others.flat_map(|vm| vm.config().nics().map(|(_, nic)| nic.mac.clone()).collect::<Vec<_>>()).collect()
    }

    /// Notes the use that each VM makes of the host, on processors of `mhz` each.
    pub(crate) fn look_at_use(&self, mhz: u32) {
        self.all().iter().for_each(|vm| vm.look_at_use(mhz));
    }

    /// Adds a VM, and shows it from now on.
    pub(super) fn add(&self, vm: &Arc<Vm>) {
        self.vms.write().insert(vm.me.id().to_owned(), vm.clone());
        vm.appear();
    }

    /// Removes a VM, which is no longer shown. Its record is left to the caller.
    pub(super) fn remove(&self, vm: &Vm) {
        self.vms.write().remove(vm.me.id());
        vm.vanish();
    }

    /// Takes a number for a new VM, and writes its record.
    ///
    /// # Errors
    /// `InsufficientResourcesFault` if the host has as many VMs as it may; those of the store.
    pub(super) async fn begin(&self, record: &mut Registered) -> Result<u64, Fault> {
        if self.vms.read().len() >= MAX_VMS {
            return Err(fault!(
                InsufficientResourcesFault {},
                "The host has {MAX_VMS} VMs, as many as it may have; unregister some first"
            ));
        }
        self.records.begin(record).await
    }

    /// Waits until no other operation looks for a place for a VM.
    pub(super) async fn place(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.placing.lock().await
    }

    /// Keeps a name for a VM that is being made.
    ///
    /// # Errors
    /// `DuplicateName`.
    pub(super) fn reserve_name(&self, name: &str) -> Result<ReservedName<'_>, Fault> {
        let mut making = self.making.lock();
        self.check_free_name(name, None)?;
        if !making.insert(name.to_owned()) {
            return Err(fault!(
                DuplicateName { name: name, object: ids::vm_folder() },
                "A virtual machine called {name} is being made already"
            ));
        }
        Ok(ReservedName { register: self, name: name.to_owned() })
    }

    /// Refuses a name that a VM other than `own` has.
    ///
    /// # Errors
    /// `DuplicateName`.
    pub(super) fn check_free_name(&self, name: &str, own: Option<&MoRef>) -> Result<(), Fault> {
        match self.all().into_iter().find(|vm| Some(&vm.me) != own && vm.name() == name) {
            Some(other) => Err(fault!(
                DuplicateName { name: name, object: &other.me },
                "A virtual machine called {name} exists already"
            )),
            None => Ok(()),
        }
    }
}

impl OpenFiles for Register {
    fn open_files(&self, but: Option<&MoRef>) -> BTreeSet<FileRef> {
        let vms = self.all().into_iter().filter(|vm| Some(&vm.me) != but);
        vms.flat_map(|vm| open_files(&vm.read())).collect()
    }

    fn user_of(&self, datastore: Uuid) -> Option<String> {
        let me = ids::datastore(datastore);
        let uses = |vm: &Arc<Vm>| {
            let state = vm.read();
            show::config::uses(&state.config, &state.home).0.contains(&me)
        };
        self.all().into_iter().find(uses).map(|vm| vm.name())
    }

    fn datastore_was_renamed(&self) {
        self.all().iter().for_each(|vm| vm.show_again());
    }
}

impl PortGroupUsers for Register {
    fn user_of(&self, group: &str) -> Option<String> {
        let uses = |vm: &Arc<Vm>| vm.config().nics().any(|(_, nic)| nic.network == group);
        self.all().into_iter().find(uses).map(|vm| vm.name())
    }

    fn adapters_on(&self, group: &str) -> Vec<RunningAdapter> {
        let of = |vm: Arc<Vm>| {
            let state = vm.read();
            let on = state.config.nics().filter(|(_, nic)| state.power == Power::On && nic.network == group);
            on.map(|(key, nic)| RunningAdapter { vm: vm.me.clone(), key, mac: nic.mac.clone() })
                .collect::<Vec<_>>()
        };
        self.all().into_iter().flat_map(of).collect()
    }
}
