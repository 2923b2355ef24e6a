//! Virtual devices. A file for each kind says what a specification may ask for, how the API shows the device, its lines
//! of the `.vmx`, and its part of the QEMU process.
//!
//! Start at [`kind`], which has the table of all kinds and the trait that each of them implements. A new kind is a new
//! file and a row of that table.

mod backing;
mod bus;
mod cdrom;
mod controller;
mod devices;
mod disk;
mod draft;
mod faults;
mod ide;
mod input;
mod keys;
mod kind;
mod nic;
mod nvme;
mod parts;
mod pci;
mod place;
mod sata;
mod scsi;
mod serial;
mod slots;
mod sound;
mod unusable;
mod video;
mod vmci;
mod xhci;

use vim::Object;

pub use bus::{Bus, Slot};
pub use cdrom::{Cdrom, Medium};
pub use devices::Devices;
pub use disk::Disk;
pub use draft::{Step, Surroundings};
pub use ide::Ide;
pub use input::{Keyboard, Pointer, Ps2};
pub use kind::Kind;
pub use nic::{AddressType, MacAddress, NIC_TYPES, Nic, NicModel};
pub use nvme::Nvme;
pub use parts::Files;
pub use pci::Pci;
pub use place::{drive_key, slot};
pub use sata::Sata;
pub use scsi::{SCSI_TYPES, Scsi, ScsiModel};
pub use serial::{Serial, SerialBacking, Sio};
pub use sound::Sound;
pub use unusable::{Looks, Unusable, distrust};
pub use video::Video;
pub use vmci::Vmci;
pub use xhci::Xhci;

pub(crate) use draft::{Change, Draft};
pub(crate) use faults::{device_fault, invalid, operation, unsupported};
pub(crate) use keys::is_key;
pub(crate) use kind::{Reading, Row, Shown, TABLE, Writing};
pub(crate) use parts::Parts;

/// Keys of the devices that every VM has, and where the keys of others begin. A key names a device for its whole life.
pub mod key {
    pub const PCI: i32 = 100;
    pub const IDE: i32 = 200;
    pub const PS2: i32 = 300;
    pub const SIO: i32 = 400;
    pub const VIDEO: i32 = 500;
    pub const KEYBOARD: i32 = 600;
    pub const POINTER: i32 = 700;
    pub const SCSI: i32 = 1000;
    pub const DISK_SCSI: i32 = 2000;
    pub const DISK_IDE: i32 = 3000;
    pub const NIC: i32 = 4000;
    pub const SOUND: i32 = 5000;
    pub const SERIAL: i32 = 9000;
    pub const VMCI: i32 = 12000;
    pub const XHCI: i32 = 14000;
    pub const SATA: i32 = 15000;
    pub const DISK_SATA: i32 = 16000;
    pub const NVME: i32 = 31000;
    pub const DISK_NVME: i32 = 32000;
    /// Drives at places that this host does not have.
    pub const UNPLACED: i32 = 50000;
}

/// A virtual device.
#[derive(Debug, Clone, PartialEq)]
pub struct Device {
    /// Its key, unique in the VM.
    pub key: i32,
    /// Key of the controller that it is attached to.
    pub controller: Option<i32>,
    /// Place on that controller.
    pub unit: Option<i32>,
    /// For a device that can be disconnected while it stays configured.
    pub connect: Option<Connect>,
    /// Its kind, with the settings of that kind.
    pub kind: Kind,
}

/// Whether a device is connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Connect {
    /// At power-on.
    pub at_start: bool,
    /// Now.
    pub now: bool,
    /// Whether the guest may change it.
    pub guest_control: bool,
}

impl Default for Connect {
    fn default() -> Self {
        Self { at_start: true, now: false, guest_control: true }
    }
}

impl Device {
    /// A device at a place that is not connected and disconnected.
    pub(crate) fn new(key: i32, place: Option<(i32, i32)>, kind: impl Into<Kind>) -> Self {
        let (controller, unit) = place.unzip();
        Self { key, controller, unit, connect: None, kind: kind.into() }
    }

    /// Bus number of a controller.
    pub fn bus(&self) -> Option<i32> {
        self.kind.bus()
    }

    pub fn disk(&self) -> Option<&Disk> {
        match &self.kind {
            Kind::Disk(disk) => Some(disk),
            _ => None,
        }
    }

    pub fn disk_mut(&mut self) -> Option<&mut Disk> {
        match &mut self.kind {
            Kind::Disk(disk) => Some(disk),
            _ => None,
        }
    }

    /// Whether it is a disk that this host cannot give to a VM.
    pub fn is_unusable_disk(&self) -> bool {
        matches!(&self.kind, Kind::Unusable(unusable) if unusable.looks == Looks::Disk)
    }

    pub fn nic(&self) -> Option<&Nic> {
        match &self.kind {
            Kind::Nic(nic) => Some(nic),
            _ => None,
        }
    }

    pub fn cdrom(&self) -> Option<&Cdrom> {
        match &self.kind {
            Kind::Cdrom(cdrom) => Some(cdrom),
            _ => None,
        }
    }
}

/// The devices that every VM has and that cannot be removed.
pub(crate) fn built_in() -> Devices {
    TABLE.iter().flat_map(|row| (row.built_in)()).map(|device| (device.key, device)).collect()
}

/// Whether a device is one of those that every VM has.
pub fn is_built_in(device: &Device) -> bool {
    TABLE.iter().any(|row| row.is_built_in && (row.has)(&device.kind))
}

/// `VirtualDeviceOption` of everything that can be added to a VM.
pub fn options() -> Vec<Object> {
    TABLE.iter().flat_map(|row| (row.options)()).collect()
}

/// The devices on a controller.
pub fn attached_to(devices: &Devices, controller: i32) -> impl Iterator<Item = &Device> {
    devices.values().filter(move |device| device.controller == Some(controller))
}

/// QEMU's id of a disk or CD-ROM drive.
pub fn drive_id(key: i32) -> String {
    format!("d{key}")
}

/// QEMU's id of a network adapter.
pub fn nic_id(key: i32) -> String {
    format!("n{key}")
}

/// The key of the network adapter that has this id.
pub fn nic_key(id: &str) -> Option<i32> {
    id.strip_prefix('n')?.parse().ok()
}
