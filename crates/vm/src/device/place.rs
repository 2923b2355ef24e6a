//! Places of devices. The key of a device follows from the controller and unit that it is attached to, and a
//! specification that names no place gets the first free one (vSphere's ranges, see `VirtualDevice.key`).

use vim::{Fault, Object, field};

use super::draft::{Change, Draft};
use super::faults::{invalid, invalid_controller, missing_controller};
use super::{Bus, Device, Devices, Slot, attached_to, key};

/// The unit of a SCSI controller that is the controller itself.
pub(super) const SCSI_OWN_UNIT: i32 = 7;

/// Whether a unit of a controller can hold a drive.
pub(super) fn is_usable(controller: &Device, unit: i32) -> bool {
    controller.kind.units().is_some_and(|(bus, count)| {
        (0..count).contains(&unit) && !(bus == Bus::Scsi && unit == SCSI_OWN_UNIT)
    })
}

/// The first free unit of a controller.
fn free_unit(devices: &Devices, controller: &Device) -> Option<i32> {
    let (_, count) = controller.kind.units()?;
    (0..count).find(|unit| {
        is_usable(controller, *unit) && !attached_to(devices, controller.key).any(|d| d.unit == Some(*unit))
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
pub(super) fn controller_key(bus: Bus, number: i32) -> i32 {
    number
        + match bus {
            Bus::Ide => key::IDE,
            Bus::Scsi => key::SCSI,
            Bus::Sata => key::SATA,
            Bus::Nvme => key::NVME,
        }
}

/// Place of a controller on the PCI bus, as vSphere numbers it.
pub(super) fn controller_unit(bus: Bus, number: i32) -> i32 {
    number
        + match bus {
            Bus::Ide => 0,
            Bus::Scsi => 3,
            Bus::Sata => 24,
            Bus::Nvme => 30,
        }
}

/// The place of a drive, as `.vmx` and `.vmsd` write it (`scsi0:1`).
pub fn slot(devices: &Devices, device: &Device) -> Option<Slot> {
    let controller = devices.get(&device.controller?)?;
    let (bus, _) = controller.kind.units()?;
    let number = u8::try_from(controller.bus()?).ok()?;
    Slot::new(bus, number, u8::try_from(device.unit?).ok()?)
}

/// A place for a drive.
pub(super) struct Place {
    pub(super) bus: Bus,
    /// Key of the controller.
    pub(super) controller: i32,
    pub(super) unit: i32,
    /// Key of a drive there.
    pub(super) key: i32,
}

/// The place that a specification names for a new drive, or else the first free one on a controller of which `default`
/// is true.
pub(super) fn choose(
    draft: &Draft<'_>,
    change: &Change<'_>,
    default: fn(&Device) -> bool,
) -> Result<Place, Fault> {
    let index = change.index;
    let asked = change.device.get(field!(VirtualDevice.controllerKey)).map(|key| draft.resolve(key));
    let controller = match asked {
        Some(key) if key != 0 => {
            let found = draft.devices.get(&key).filter(|device| device.kind.units().is_some());
            found.ok_or_else(|| invalid_controller(index, key))?
        }
        _ => {
            let mut fits = draft
                .devices
                .values()
                .filter(|device| default(device) && free_unit(draft.devices, device).is_some());
            fits.next().ok_or_else(|| missing_controller(index))?
        }
    };
    let (bus, _) = controller.kind.units().ok_or_else(|| missing_controller(index))?;
    let unit = unit(draft, index, change.device, controller)?;
    let number = controller.bus().unwrap_or_default();
    Ok(Place { bus, controller: controller.key, unit, key: drive_key(bus, number, unit) })
}

fn unit(draft: &Draft<'_>, index: usize, device: &Object, controller: &Device) -> Result<i32, Fault> {
    let asked = device.get(field!(VirtualDevice.unitNumber)).filter(|unit| *unit >= 0);
    let taken =
        |unit: i32| attached_to(draft.devices, controller.key).any(|device| device.unit == Some(unit));
    match asked {
        Some(unit) if !is_usable(controller, unit) => {
            let message = format!("The controller {} has no unit {unit} for a drive", controller.key);
            Err(invalid(index, "device.unitNumber", &message))
        }
        Some(unit) if taken(unit) => {
            let message = format!("The unit {unit} of the controller {} is taken", controller.key);
            Err(invalid(index, "device.unitNumber", &message))
        }
        Some(unit) => Ok(unit),
        None => free_unit(draft.devices, controller).ok_or_else(|| {
            let message = format!("The controller {} has no free unit", controller.key);
            invalid(index, "device.controllerKey", &message)
        }),
    }
}
