//! The devices of a VM while a specification changes them: what the change needs to know of the host, the steps that it
//! takes, and the keys that a client made up.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use vim::{DateTime, Fault, MoRef, Object, data_id, field};

use super::faults::{device_fault, invalid};
use super::{Connect, Device, Devices};
use crate::faults::powered_on;
use crate::file::FileRef;
use crate::storage::Storage;

/// The facts of the host and the VM that planning needs.
pub struct Surroundings<'a> {
    pub storage: &'a dyn Storage,
    /// The VM's `.vmx`.
    pub home: FileRef,
    /// The VM runs.
    pub running: bool,
    /// It has snapshots.
    pub has_snapshots: bool,
    /// Name of the network with this reference or name.
    pub network: &'a dyn Fn(Option<&MoRef>, &str) -> Option<String>,
    /// Size that a guest sees of a disk image, bytes.
    pub capacity_bytes: &'a dyn Fn(&FileRef) -> Result<u64, Fault>,
    /// The images below a disk image, nearest first.
    pub parents: &'a dyn Fn(&FileRef) -> Result<Vec<FileRef>, Fault>,
    /// Whether the file exists.
    pub exists: &'a dyn Fn(&FileRef) -> Result<bool, Fault>,
    /// Why a file cannot take the output of a serial port, as a sentence about the file; `None` if it can.
    pub unfit_for_output: &'a dyn Fn(&FileRef) -> Result<Option<String>, Fault>,
    /// A MAC address that no adapter on this host has.
    pub new_mac: &'a dyn Fn() -> String,
    pub now: DateTime,
}

/// A step from one configuration to the next.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// Create an empty disk for the device with this key.
    CreateDisk { key: i32, file: FileRef, bytes: u64, thin: bool, eager: bool },
    /// Grow the disk with this key.
    GrowDisk { key: i32, file: FileRef, bytes: u64 },
    /// Delete the files of a disk that no longer belongs to the VM.
    DestroyDisk { files: Vec<FileRef> },
    /// Add the device with this key to the running VM.
    Plug(i32),
    /// Remove the device with this key from the running VM.
    Unplug(i32),
    /// Put the medium that the drive with this key now has into it.
    ChangeMedium(i32),
    /// Plug the cable of the adapter with this key in or out.
    SetLink { key: i32, up: bool },
    /// Move the running adapter with this key to its new network.
    Reconnect(i32),
    /// Add memory to the running VM.
    AddMemory { mib: u64 },
    /// Add processors to the running VM.
    AddProcessors { count: u32 },
}

/// One entry of `deviceChange`.
pub(crate) struct Change<'a> {
    pub(crate) index: usize,
    pub(crate) device: &'a Arc<Object>,
    pub(crate) operation: &'static str,
    pub(crate) file_operation: Option<&'static str>,
}

impl Change<'_> {
    fn key(&self) -> i32 {
        self.device.get(field!(VirtualDevice.key)).unwrap_or_default()
    }
}

/// The devices as the changes so far have left them.
pub(crate) struct Draft<'a> {
    pub(crate) devices: &'a mut Devices,
    pub(crate) hardware_version: u32,
    pub(crate) around: &'a Surroundings<'a>,
    pub(crate) steps: Vec<Step>,
    /// The key of the device that each entry of `deviceChange` added or changed.
    pub(crate) changed: BTreeMap<usize, i32>,
    /// The VM is new, so that a specification may name the devices that every VM has.
    new: bool,
    /// The VM's keys by the client's. Negative ones name new devices within one specification.
    keys: HashMap<i32, i32>,
}

impl<'a> Draft<'a> {
    /// The devices of a VM; `new` if it is being made.
    pub(crate) fn of(
        devices: &'a mut Devices,
        hardware_version: u32,
        new: bool,
        around: &'a Surroundings<'a>,
    ) -> Self {
        Self {
            devices,
            hardware_version,
            around,
            steps: Vec::new(),
            changed: BTreeMap::new(),
            new,
            keys: HashMap::new(),
        }
    }

    /// The VM's key for a key of the client's.
    pub(super) fn resolve(&self, key: i32) -> i32 {
        self.keys.get(&key).copied().unwrap_or(key)
    }

    /// Adds a device under its key, for which the client may have made up another one.
    pub(super) fn insert(&mut self, change: &Change<'_>, device: Device) -> Result<(), Fault> {
        self.place(change, device.key)?;
        if self.devices.contains_key(&device.key) {
            let message = "The place is taken by another device";
            return Err(invalid(change.index, "device.unitNumber", message));
        }
        self.devices.insert(device.key, device);
        Ok(())
    }

    /// Takes a device to add to a new VM for the one with this key, which every VM has.
    pub(super) fn stands_for(&mut self, change: &Change<'_>, key: i32) -> Result<Device, Fault> {
        let taken = self.changed.values().any(|other| *other == key);
        let device = self.devices.get(&key).filter(|_| self.new && !taken).cloned().ok_or_else(|| {
            let message = "Every VM has this device already, and none has another one";
            device_fault(data_id!(TooManyDevices), change.index, "device", message)
        })?;
        self.place(change, key)?;
        Ok(device)
    }

    /// Notes the key of the device that a change adds.
    fn place(&mut self, change: &Change<'_>, key: i32) -> Result<(), Fault> {
        let asked = change.key();
        if asked != 0 && self.keys.insert(asked, key).is_some() {
            return Err(invalid(change.index, "device.key", &format!("Two devices have the key {asked}")));
        }
        self.changed.insert(change.index, key);
        Ok(())
    }

    /// The device that a change is about.
    pub(crate) fn existing(&self, change: &Change<'_>) -> Result<&Device, Fault> {
        let asked = change.key();
        self.devices.get(&self.resolve(asked)).ok_or_else(|| {
            invalid(change.index, "device.key", &format!("The VM has no device with the key {asked}"))
        })
    }

    /// Refuses a change that a running VM cannot follow.
    pub(crate) fn need_off(&self, what: &str) -> Result<(), Fault> {
        if self.around.running { Err(powered_on(what)) } else { Ok(()) }
    }
}

/// Refuses an edit that sends a device of another kind.
pub(super) fn same_kind(change: &Change<'_>, device: &Device, is: fn(&Object) -> bool) -> Result<(), Fault> {
    if is(change.device) {
        return Ok(());
    }
    let message = format!("The device {} is not a {}", device.key, change.device.type_name());
    Err(invalid(change.index, "device", &message))
}

/// Whether a device is connected, as the client wants it.
pub(super) fn connect(device: &Object, before: Connect, running: bool) -> Connect {
    let Some(wanted) = device.get(field!(VirtualDevice.connectable)) else { return before };
    let get = |value: Option<bool>, before: bool| value.unwrap_or(before);
    Connect {
        at_start: get(wanted.get(field!(VirtualDeviceConnectInfo.startConnected)), before.at_start),
        now: running && get(wanted.get(field!(VirtualDeviceConnectInfo.connected)), before.now),
        guest_control: get(
            wanted.get(field!(VirtualDeviceConnectInfo.allowGuestControl)),
            before.guest_control,
        ),
    }
}
