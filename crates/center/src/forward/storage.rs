//! The datastores that a VM's specification names: whether who asks may use each of them so. The host would do whatever
//! the center carries to it, hence the names are resolved among the datastores of the very host that does it.

use std::sync::Arc;

use api::Call;
use vim::{Fault, MoRef, Object, data_id, fault, field, managed_id, prop};

use super::paths;
use crate::hosts::ManagedHost;
use crate::records::Record;
use crate::state::State;

const BROWSE: &str = "Datastore.Browse";
const MANAGE: &str = "Datastore.FileManagement";
const ALLOCATE: &str = "Datastore.AllocateSpace";

/// How many parents of a disk a specification may name.
const MAX_PARENTS: usize = 64;

/// One call that a host is to do, with what the VM has so far.
pub(super) struct StorageCheck<'a> {
    state: &'a State,
    call: &'a Call,
    host: &'a ManagedHost,
    /// Path of the VM's configuration, where new disks without a name go.
    home: Option<String>,
    /// Devices that the VM has: what stays as it is needs no privilege.
    devices: Vec<Arc<Object>>,
}

impl<'a> StorageCheck<'a> {
    /// For a VM that is to be made.
    pub(super) fn new(state: &'a State, call: &'a Call, host: &'a ManagedHost) -> Self {
        Self { state, call, host, home: None, devices: Vec::new() }
    }

    /// For a change of the VM that is called.
    pub(super) fn of_vm(state: &'a State, call: &'a Call, host: &'a ManagedHost) -> Self {
        let home = match state.inventory.record(&call.this) {
            Some(Record::Vm(vm)) => Some(vm.path),
            _ => None,
        };
        let tree = call.state();
        let config = tree.find(&call.this).and_then(|node| node.get(prop!(VirtualMachine.config)));
        let hardware = config.and_then(|config| config.get(field!(VirtualMachineConfigInfo.hardware)));
        let devices = hardware.and_then(|hardware| hardware.get(field!(VirtualHardware.device)));
        let devices = devices.into_iter().flatten().cloned().collect();
        Self { state, call, host, home, devices }
    }

    /// # Errors
    /// `NoPermission`, or `InvalidDatastorePath` for what names no datastore of the host.
    pub(super) fn may_register(&self, path: &str) -> Result<(), Fault> {
        self.may(&self.named(path)?, BROWSE)
    }

    /// The host's datastores, in its terms, on which the caller has each privilege that the configuration of a VM may
    /// take: what a file names only the host reads.
    pub(super) fn limits(&self) -> Result<Vec<(&'static str, Vec<MoRef>)>, Fault> {
        let (session, tree) = (self.call.session()?, self.call.state());
        let all = tree.find(&self.host.me).and_then(|node| node.get(prop!(HostSystem.datastore)));
        let all: Vec<&MoRef> = all.into_iter().flatten().collect();
        let refs = self.host.refs();
        let limit = |privilege| {
            let may = |at: &&&MoRef| self.call.service.check(session, at, privilege, &tree).is_ok();
            (privilege, all.iter().filter(may).filter_map(|at| refs.host(at)).collect())
        };
        Ok([BROWSE, ALLOCATE, MANAGE].map(limit).into())
    }

    /// # Errors
    /// As [`StorageCheck::may_register`].
    pub(super) fn may_use(mut self, spec: &Object) -> Result<(), Fault> {
        if let Some(files) = spec.get(field!(VirtualMachineConfigSpec.files)) {
            let config = files.get(field!(VirtualMachineFileInfo.vmPathName));
            let others = [
                files.get(field!(VirtualMachineFileInfo.snapshotDirectory)),
                files.get(field!(VirtualMachineFileInfo.suspendDirectory)),
                files.get(field!(VirtualMachineFileInfo.logDirectory)),
                files.get(field!(VirtualMachineFileInfo.ftMetadataDirectory)),
            ];
            let own = self.home.as_deref().and_then(paths::datastore_name);
            for path in std::iter::once(config).chain(others).flatten().map(str::trim) {
                if !is_unnamed(path) && (own.is_none() || paths::datastore_name(path) != own) {
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
        // What is removed is known by its key; its backing is not read.
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
            self.may(&self.state.resolve(datastore)?, privilege)?;
        }
        match (is_unnamed(path), datastore, &self.home) {
            (false, _, _) => self.may(&self.named(path)?, privilege),
            (true, None, Some(home)) if creates => self.may(&self.named(home)?, privilege),
            // A backing without a file, or a VM without a place, which the host refuses.
            _ => Ok(()),
        }
    }

    /// Whether the VM has this device with this file already.
    fn has(&self, device: &Object, backing: &Object) -> bool {
        let key = device.get(field!(VirtualDevice.key));
        let known = self.devices.iter().find(|known| known.get(field!(VirtualDevice.key)) == key);
        let known = known.and_then(|known| known.get(field!(VirtualDevice.backing)));
        known.is_some_and(|known| known.ty() == backing.ty() && file_of(known) == file_of(backing))
    }

    fn may(&self, datastore: &MoRef, privilege: &str) -> Result<(), Fault> {
        self.call.service.check(self.call.session()?, datastore, privilege, &self.call.state())
    }

    /// The host's datastore that a path names.
    fn named(&self, path: &str) -> Result<MoRef, Fault> {
        let none = || {
            fault!(
                InvalidDatastorePath { datastorePath: path },
                "{path:?} names no datastore of host {}",
                self.host.name
            )
        };
        let name = paths::datastore_name(path).ok_or_else(none)?;
        let tree = self.state.inventory.tree.snapshot();
        let datastores = tree.find(&self.host.me).and_then(|node| node.get(prop!(HostSystem.datastore)));
        let mut datastores = datastores.into_iter().flatten();
        let is_named =
            |at: &&MoRef| tree.find(at).and_then(|node| node.get(prop!(Datastore.name))) == Some(name);
        datastores.find(is_named).filter(|at| at.is_a(managed_id!(Datastore))).cloned().ok_or_else(none)
    }
}

fn file_of(backing: &Object) -> &str {
    backing.named("fileName").and_then(|name| name.as_str()).unwrap_or_default().trim()
}

fn parent_of(backing: &Object) -> Option<&Arc<Object>> {
    backing.named("parent").and_then(|parent| parent.as_object())
}

/// Whether the text leaves it to the host which datastore is meant.
fn is_unnamed(path: &str) -> bool {
    path.is_empty() || path == "[]"
}

/// Whether the VM writes to a file of this name of its own accord.
fn is_output(backing: &Object) -> bool {
    backing.is_a(data_id!(VirtualSerialPortFileBackingInfo))
        || backing.is_a(data_id!(VirtualParallelPortFileBackingInfo))
}
