//! The register: the VMs of this host, the names that are being given to new ones, and their durable records.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use parking_lot::{Mutex, RwLock};
use store::Store;
use uuid::Uuid;
use vim::{Fault, MoRef, fault};
use vm::{FileRef, Power, show};

use super::index::{Index, Used};
use super::own_files::{all_disk_files, all_named_files, open_files};
use super::records::Records;
use super::vm::Vm;
use crate::ids;
use crate::limits::MAX_VMS;
use crate::network::{PortGroupUsers, RunningAdapter};
use crate::storage::OpenFiles;

/// The VMs of this host.
pub struct Register {
    records: Records,
    vms: RwLock<BTreeMap<String, Arc<Vm>>>,
    index: Arc<Index>,
    /// Names that are kept for VMs that are being made, registered or renamed, and whether the VM is a new one.
    kept: Mutex<BTreeMap<String, bool>>,
    /// Instance UUIDs that VMs are being given.
    uuids: Mutex<BTreeSet<Uuid>>,
    /// Held by the operation that finds and takes a place for a VM.
    placing: tokio::sync::Mutex<()>,
}

/// A name that is kept for a VM until this is dropped: by then the VM has it, or does not get it.
pub(super) struct KeptName<'a> {
    register: &'a Register,
    name: String,
}

impl Drop for KeptName<'_> {
    fn drop(&mut self) {
        self.register.kept.lock().remove(&self.name);
    }
}

/// An instance UUID that is kept for a VM until this is dropped.
pub(super) struct KeptUuid<'a> {
    register: &'a Register,
    pub(super) uuid: Uuid,
}

impl Drop for KeptUuid<'_> {
    fn drop(&mut self) {
        self.register.uuids.lock().remove(&self.uuid);
    }
}

impl Register {
    pub(crate) fn new(store: Store) -> Self {
        Self {
            records: Records::new(store),
            vms: RwLock::default(),
            index: Arc::default(),
            kept: Mutex::default(),
            uuids: Mutex::default(),
            placing: tokio::sync::Mutex::default(),
        }
    }

    pub(super) fn index(&self) -> &Arc<Index> {
        &self.index
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

    /// The VMs that may use this, but one.
    fn users(&self, used: &Used<'_>, but: Option<&MoRef>) -> Vec<Arc<Vm>> {
        let found = self.index.find(used);
        let vms = self.vms.read();
        let found = found.iter().filter(|me| Some(*me) != but);
        found.filter_map(|me| vms.get(me.id()).cloned()).collect()
    }

    /// The VMs that may have files in this directory or below it, but one.
    pub(super) fn within(&self, directory: &FileRef, but: Option<&MoRef>) -> Vec<Arc<Vm>> {
        if directory.path.is_root() {
            return self.all().into_iter().filter(|vm| Some(&vm.me) != but).collect();
        }
        self.users(&Used::Within(directory.datastore, directory.path.as_str()), but)
    }

    /// The VM whose `.vmx` this is.
    pub(super) fn at_home(&self, home: &FileRef) -> Option<Arc<Vm>> {
        self.users(&Used::File(home), None).into_iter().find(|vm| vm.read().home == *home)
    }

    /// Whether a disk of another VM than this one is in this image.
    pub(super) fn is_foreign_disk(&self, me: &MoRef, image: &FileRef) -> bool {
        let users = self.users(&Used::File(image), Some(me));
        users.iter().any(|other| {
            let state = other.read();
            state.bases.contains(image) || all_disk_files(&state).contains(image)
        })
    }

    /// Whether the configuration of another VM than this one names the file.
    pub(super) fn is_named_elsewhere(&self, me: &MoRef, file: &FileRef) -> bool {
        let users = self.users(&Used::File(file), Some(me));
        users.iter().any(|other| {
            let state = other.read();
            state.bases.contains(file) || all_named_files(&state).contains(file)
        })
    }

    /// Whether an adapter has this MAC address; those of one VM do not count.
    pub(super) fn is_mac_taken(&self, mac: &str, but: Option<&MoRef>) -> bool {
        let users = self.users(&Used::Mac(mac), but);
        users.iter().any(|vm| vm.config().nics().any(|(_, nic)| nic.mac == mac))
    }

    /// Notes the use that each VM makes of the host, on processors of `mhz` each.
    pub(crate) fn look_at_use(&self, mhz: u32) {
        self.all().iter().for_each(|vm| vm.look_at_use(mhz));
    }

    /// Adds a VM, and shows it from now on.
    pub(super) fn add(&self, vm: &Arc<Vm>) {
        self.add_unshown(vm);
        vm.appear();
    }

    /// Adds a VM whose files others must respect already. The caller makes it appear.
    pub(super) fn add_unshown(&self, vm: &Arc<Vm>) {
        self.vms.write().insert(vm.me.id().to_owned(), vm.clone());
        vm.enlist();
    }

    /// Removes a VM, which is no longer shown. Its record is left to the caller.
    pub(super) fn remove(&self, vm: &Vm) {
        self.vms.write().remove(vm.me.id());
        vm.delist();
        vm.vanish();
    }

    /// Waits until no other operation looks for a place for a VM.
    pub(super) async fn place(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.placing.lock().await
    }

    /// Admits a new VM: nothing of it may be written before. Its name is kept until the result is dropped, which follows
    /// [`Self::add`] or gives the name back.
    ///
    /// # Errors
    /// `DuplicateName`; `InsufficientResourcesFault` if the host has, or is being given, as many VMs as it may have.
    pub(super) fn admit(&self, name: &str) -> Result<KeptName<'_>, Fault> {
        let mut kept = self.kept.lock();
        let new = kept.values().filter(|new| **new).count();
        if self.vms.read().len() + new >= MAX_VMS {
            return Err(fault!(
                InsufficientResourcesFault {},
                "The host has {MAX_VMS} VMs, as many as it may have; unregister some first"
            ));
        }
        self.keep(&mut kept, name, None)
    }

    /// Keeps a name for the VM `own`, which is being renamed.
    ///
    /// # Errors
    /// `DuplicateName`.
    pub(super) fn keep_name(&self, name: &str, own: &MoRef) -> Result<KeptName<'_>, Fault> {
        self.keep(&mut self.kept.lock(), name, Some(own))
    }

    fn keep(
        &self,
        kept: &mut BTreeMap<String, bool>,
        name: &str,
        own: Option<&MoRef>,
    ) -> Result<KeptName<'_>, Fault> {
        if let Some(other) = self.users(&Used::Name(name), own).into_iter().find(|vm| vm.name() == name) {
            return Err(fault!(
                DuplicateName { name: name, object: &other.me },
                "A virtual machine called {name} exists already"
            ));
        }
        if kept.contains_key(name) {
            return Err(fault!(
                DuplicateName { name: name, object: ids::vm_folder() },
                "A virtual machine is being given the name {name} already"
            ));
        }
        kept.insert(name.to_owned(), own.is_none());
        Ok(KeptName { register: self, name: name.to_owned() })
    }

    /// Keeps an instance UUID for the VM that is to have it: a new one, or `own`. It is `wanted`, unless another VM has
    /// that one; then the newcomer gets another.
    pub(super) fn keep_uuid(&self, wanted: Uuid, own: Option<&MoRef>) -> KeptUuid<'_> {
        let mut kept = self.uuids.lock();
        let others = self.users(&Used::InstanceUuid(wanted), own);
        let taken = others.iter().any(|vm| vm.config().instance_uuid == wanted);
        let mut uuid = if taken { Uuid::new_v4() } else { wanted };
        while !kept.insert(uuid) {
            uuid = Uuid::new_v4();
        }
        KeptUuid { register: self, uuid }
    }

    /// The MAC addresses of a VM that another VM has as well, with that VM.
    pub(super) fn shared_macs(&self, vm: &Vm) -> Vec<(String, Arc<Vm>)> {
        let mut shared: Vec<(String, Arc<Vm>)> = Vec::new();
        for (_, nic) in vm.config().nics() {
            for other in self.users(&Used::Mac(&nic.mac), Some(&vm.me)) {
                let has = other.config().nics().any(|(_, its)| its.mac == nic.mac);
                if has && !shared.iter().any(|(_, known)| known.me == other.me) {
                    shared.push((nic.mac.clone(), other));
                }
            }
        }
        shared
    }
}

impl OpenFiles for Register {
    fn open_within(&self, place: &FileRef, but: Option<&MoRef>) -> Option<FileRef> {
        let inside = |open: &FileRef| open.datastore == place.datastore && place.path.contains(&open.path);
        let mut users = self.within(place, but);
        users.extend(self.users(&Used::File(place), but));
        let open = users.iter().flat_map(|vm| open_files(&vm.read()));
        open.filter(inside).min()
    }

    fn user_of(&self, datastore: Uuid) -> Option<String> {
        let me = ids::datastore(datastore);
        let uses = |vm: &Arc<Vm>| {
            let state = vm.read();
            show::config::uses(&state.config, &state.home).0.contains(&me)
        };
        self.all().into_iter().find(uses).map(|vm| vm.name())
    }

    fn disk_was_identified(&self, image: &FileRef, uuid: Uuid) {
        let has = |vm: &Arc<Vm>| vm.config().disks().any(|(_, disk)| disk.file == *image);
        for vm in self.all().into_iter().filter(has) {
            vm.change(|state| {
                let disks = Arc::make_mut(&mut state.config).devices.values_mut();
                let mut disks = disks.filter_map(|device| device.disk_mut());
                if let Some(disk) = disks.find(|disk| disk.file == *image) {
                    disk.uuid = uuid;
                }
            });
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_kept_for_one_vm_until_it_is_given_back() {
        let register = Register::new(Store::in_memory().unwrap());
        let refused = |name: Result<KeptName<'_>, Fault>| name.err().map(|fault| fault.type_name());
        let kept = register.admit("web").unwrap();
        assert_eq!(refused(register.admit("web")), Some("DuplicateName"));
        assert_eq!(refused(register.keep_name("web", &ids::vm(1))), Some("DuplicateName"));
        assert_eq!(refused(register.admit("db")), None);
        drop(kept);
        assert_eq!(refused(register.keep_name("web", &ids::vm(1))), None);
        assert_eq!(refused(register.admit("web")), None);
    }

    #[test]
    fn vms_that_are_being_made_count_and_renamed_ones_do_not() {
        let register = Register::new(Store::in_memory().unwrap());
        let _renamed = register.keep_name("renamed", &ids::vm(1)).unwrap();
        let mut all: Vec<_> =
            (0..MAX_VMS).map(|number| register.admit(&number.to_string()).unwrap()).collect();
        let fault = register.admit("one more").err().unwrap();
        assert_eq!(fault.type_name(), "InsufficientResourcesFault");
        all.pop();
        register.admit("one more").unwrap();
    }
}
