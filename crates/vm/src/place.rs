//! Places of devices: which key a device has is decided by the controller and unit that it is attached to, and where
//! a new one goes if nobody says so (vSphere's ranges, see `reference` of `VirtualDevice.key`).

use datastore::vmx::{Bus, Slot};

use super::config::VmConfig;
use super::device::{Device, Kind, key};

/// The unit of a SCSI controller that is the controller itself.
pub const SCSI_OWN_UNIT: i32 = 7;

/// Units that a controller has, and of which kind its bus is; none for what takes no drives.
pub fn units(controller: &Device) -> Option<(Bus, i32)> {
    use super::device::ScsiModel as M;
    match controller.kind {
        Kind::Ide { .. } => Some((Bus::Ide, 2)),
        // QEMU's parallel LSI and SAS controllers have eight targets.
        Kind::Scsi { model: M::LsiLogic | M::LsiLogicSas | M::BusLogic, .. } => Some((Bus::Scsi, 8)),
        Kind::Scsi { model: M::ParaVirtual, .. } => Some((Bus::Scsi, 16)),
        // The AHCI controller has six ports.
        Kind::Sata { .. } => Some((Bus::Sata, 6)),
        Kind::Nvme { .. } => Some((Bus::Nvme, 15)),
        _ => None,
    }
}

/// Whether a unit of a controller can hold a drive.
pub fn is_usable(controller: &Device, unit: i32) -> bool {
    units(controller).is_some_and(|(bus, count)| {
        (0..count).contains(&unit) && !(bus == Bus::Scsi && unit == SCSI_OWN_UNIT)
    })
}

/// The first unit of a controller that nothing takes.
pub fn free_unit(config: &VmConfig, controller: &Device) -> Option<i32> {
    let (_, count) = units(controller)?;
    (0..count).find(|unit| {
        is_usable(controller, *unit) && !config.attached_to(controller.key).any(|d| d.unit == Some(*unit))
    })
}

/// The key of a drive at this place.
pub fn drive_key(bus: Bus, controller: i32, unit: i32) -> i32 {
    match bus {
        Bus::Ide => key::DISK_IDE + controller * 2 + unit,
        Bus::Scsi => key::DISK_SCSI + controller * 16 + unit,
        Bus::Sata => key::DISK_SATA + controller * 30 + unit,
        Bus::Nvme => key::DISK_NVME + controller * 15 + unit,
    }
}

/// The key of a controller.
pub fn controller_key(bus: Bus, number: i32) -> i32 {
    number
        + match bus {
            Bus::Ide => key::IDE,
            Bus::Scsi => key::SCSI,
            Bus::Sata => key::SATA,
            Bus::Nvme => key::NVME,
        }
}

/// Where a drive is, as `.vmx` and `.vmsd` write it (`scsi0:1`).
pub fn slot(config: &VmConfig, device: &Device) -> Option<Slot> {
    let controller = config.devices.get(&device.controller?)?;
    let (bus, _) = units(controller)?;
    let number = u8::try_from(controller.bus()?).ok()?;
    Slot::new(bus, number, u8::try_from(device.unit?).ok()?)
}

/// Place of a controller on the PCI bus, as vSphere numbers it.
pub fn controller_unit(bus: Bus, number: i32) -> i32 {
    number
        + match bus {
            Bus::Ide => 0,
            Bus::Scsi => 3,
            Bus::Sata => 24,
            Bus::Nvme => 30,
        }
}

/// Place of a network adapter on the PCI bus.
pub fn nic_unit(number: i32) -> i32 {
    7 + number
}

/// Place of a USB 3 controller on the PCI bus.
pub const XHCI_UNIT: i32 = 23;

/// The lowest number that no controller of a kind has.
pub fn free_bus(config: &VmConfig, bus: Bus, most: i32) -> Option<i32> {
    (0..most).find(|number| !config.devices.contains_key(&controller_key(bus, *number)))
}
