//! Checks that the caller may use the datastores that a VM's specification names. The host does whatever the center
//! carries to it, so the names are resolved among the datastores of the very host that will do it.

use std::sync::Arc;

use api::Call;
use vim::{Fault, MoRef, Object, data_id, fault, field};

use crate::estate::{Inventory, Record, datastore_name};
use crate::mirror::ManagedHost;

pub(crate) const BROWSE: &str = "Datastore.Browse";
pub(crate) const MANAGE: &str = "Datastore.FileManagement";
const ALLOCATE: &str = "Datastore.AllocateSpace";

/// Parents of a disk that a specification may name.
const MAX_PARENTS: usize = 64;

/// One call that the center will carry to a host.
pub(crate) struct StorageCheck<'a> {
    inventory: &'a Inventory,
    call: &'a Call,
    host: &'a ManagedHost,
    /// The VM that the call changes: a device that stays as it is takes no privilege.
    vm: Option<&'a MoRef>,
    /// The path of the VM's configuration, whose datastore receives new disks without a file name.
    home: Option<String>,
}

impl<'a> StorageCheck<'a> {
    /// For a new VM.
    pub(crate) fn new(inventory: &'a Inventory, call: &'a Call, host: &'a ManagedHost) -> Self {
        Self { inventory, call, host, vm: None, home: None }
    }

    /// For a change of the VM that the call is on.
    pub(crate) fn of_vm(inventory: &'a Inventory, call: &'a Call, host: &'a ManagedHost) -> Self {
        let home = match inventory.record(&call.this) {
            Some(Record::Vm(vm)) => Some(vm.path),
            _ => None,
        };
        Self { vm: Some(&call.this), home, ..Self::new(inventory, call, host) }
    }

    /// # Errors
    /// `NoPermission`, or `InvalidDatastorePath` for a path that does not name a datastore of the host.
    pub(crate) fn may_register(&self, path: &str) -> Result<(), Fault> {
        self.may(&self.named(path)?, BROWSE)
    }

    /// For each privilege that the configuration of a VM may take, the datastores on which the caller has it, by the
    /// host's references. The host checks the contents of a configuration file, which only it reads.
    pub(crate) fn limits(&self) -> Result<Vec<(&'static str, Vec<MoRef>)>, Fault> {
        let (session, tree) = (self.call.session()?, self.call.state());
        let all = self.host.reported().datastores().to_vec();
        let refs = self.host.refs();
        let limit = |privilege| {
            let may = |at: &&MoRef| self.call.service.check(session, at, privilege, &tree).is_ok();
            (privilege, all.iter().filter(may).filter_map(|at| refs.host(at)).collect())
        };
        Ok([BROWSE, ALLOCATE, MANAGE].map(limit).into())
    }

    /// # Errors
    /// As [`StorageCheck::may_register`].
    pub(crate) fn may_use(mut self, spec: &Object) -> Result<(), Fault> {
        if let Some(files) = spec.get(field!(VirtualMachineConfigSpec.files)) {
            let config = files.get(field!(VirtualMachineFileInfo.vmPathName));
            let others = [
                files.get(field!(VirtualMachineFileInfo.snapshotDirectory)),
                files.get(field!(VirtualMachineFileInfo.suspendDirectory)),
                files.get(field!(VirtualMachineFileInfo.logDirectory)),
                files.get(field!(VirtualMachineFileInfo.ftMetadataDirectory)),
            ];
            let own = self.home.as_deref().and_then(datastore_name);
            for path in std::iter::once(config).chain(others).flatten().map(str::trim) {
                if !is_unnamed(path) && (own.is_none() || datastore_name(path) != own) {
                    self.may(&self.named(path)?, ALLOCATE)?;
                }
            }
            if self.home.is_none() {
                self.home = config.map(str::trim).filter(|path| !is_unnamed(path)).map(str::to_owned);
            }
        }
        let changes = spec.get(field!(VirtualMachineConfigSpec.deviceChange));
        changes.into_iter().flatten().try_for_each(|change| self.may_change(change))
    }

    fn may_change(&self, change: &Object) -> Result<(), Fault> {
        let operation =
            change.get(field!(VirtualDeviceConfigSpec.operation)).map(|operation| operation.name());
        // A removed device is identified by its key; the host does not read its backing.
        if operation == Some("remove") {
            return Ok(());
        }
        let Some(device) = change.get(field!(VirtualDeviceConfigSpec.device)) else { return Ok(()) };
        let Some(backing) = device.get(field!(VirtualDevice.backing)) else { return Ok(()) };
        if operation == Some("edit") && self.has(device, backing) {
            return Ok(());
        }
        let creates = change.get(field!(VirtualDeviceConfigSpec.fileOperation)).is_some();
        let privilege = if creates {
            ALLOCATE
        } else if is_output(backing) {
            MANAGE
        } else {
            BROWSE
        };
        self.may_back(backing, privilege, creates)?;
        let mut at = parent_of(backing);
        for _ in 0..MAX_PARENTS {
            let Some(parent) = at else { return Ok(()) };
            self.may_back(parent, BROWSE, false)?;
            at = parent_of(parent);
        }
        Err(fault!(InvalidArgument { invalidProperty: "backing.parent" }, "The disk has too many parents"))
    }

    fn may_back(&self, backing: &Object, privilege: &str, creates: bool) -> Result<(), Fault> {
        let path = file_of(backing);
        let datastore = backing.named("datastore").and_then(|datastore| datastore.as_ref());
        if let Some(datastore) = datastore {
            self.may(&self.inventory.resolve(datastore)?, privilege)?;
        }
        match (is_unnamed(path), datastore, &self.home) {
            (false, _, _) => self.may(&self.named(path)?, privilege),
            (true, None, Some(home)) if creates => self.may(&self.named(home)?, privilege),
            // The backing has no file, or the VM no home, which the host refuses.
            _ => Ok(()),
        }
    }

    /// Whether the VM already has this device with this file.
    fn has(&self, device: &Object, backing: &Object) -> bool {
        let key = device.get(field!(VirtualDevice.key));
        let known = self.vm.zip(key);
        known.is_some_and(|(vm, key)| self.host.reported().has_file(vm, key, backing.ty(), file_of(backing)))
    }

    fn may(&self, datastore: &MoRef, privilege: &str) -> Result<(), Fault> {
        self.call.service.check(self.call.session()?, datastore, privilege, &self.call.state())
    }

    /// The host's datastore that a path names.
    fn named(&self, path: &str) -> Result<MoRef, Fault> {
        let unknown = || {
            fault!(
                InvalidDatastorePath { datastorePath: path },
                "{path:?} does not name a datastore of host {}",
                self.host.name
            )
        };
        let name = datastore_name(path).ok_or_else(unknown)?;
        let reported = self.host.reported();
        self.inventory.datastore_among(reported.datastores(), name).ok_or_else(unknown)
    }
}

fn file_of(backing: &Object) -> &str {
    backing.named("fileName").and_then(|name| name.as_str()).unwrap_or_default().trim()
}

fn parent_of(backing: &Object) -> Option<&Arc<Object>> {
    backing.named("parent").and_then(|parent| parent.as_object())
}

/// Whether the path leaves the choice of the datastore to the host.
fn is_unnamed(path: &str) -> bool {
    path.is_empty() || path == "[]"
}

/// Whether the VM itself writes to the file of this backing.
fn is_output(backing: &Object) -> bool {
    backing.is_a(data_id!(VirtualSerialPortFileBackingInfo))
        || backing.is_a(data_id!(VirtualParallelPortFileBackingInfo))
}
