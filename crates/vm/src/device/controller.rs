//! The common parts of the controllers for drives.

use vim::{Fault, data_id, field};

use super::draft::{Change, Draft};
use super::faults::invalid;
use super::kind::{Kind, Reading};
use super::place::{controller_key, controller_unit};
use super::{Bus, Device, key};
use crate::limits::MAX_CONTROLLERS;
use crate::text::numbered;

/// Controller `number` of its kind.
pub(super) fn device(bus: Bus, number: i32, kind: impl Into<Kind>) -> Device {
    Device::new(controller_key(bus, number), Some((key::PCI, controller_unit(bus, number))), kind)
}

/// Adds a controller at the bus number that a specification asks for.
pub(super) fn add<K: Into<Kind>>(
    draft: &mut Draft<'_>,
    change: &Change<'_>,
    bus: Bus,
    kind: impl FnOnce(i32) -> K,
) -> Result<(), Fault> {
    draft.need_off("Controllers")?;
    let number = change.device.get(field!(VirtualController.busNumber)).unwrap_or_default();
    if !(0..MAX_CONTROLLERS).contains(&number) || draft.devices.contains_key(&controller_key(bus, number)) {
        let message = format!(
            "The bus number {number} is taken or out of range; a VM has up to {MAX_CONTROLLERS} controllers of a kind"
        );
        return Err(invalid(change.index, "device.busNumber", &message));
    }
    draft.insert(change, device(bus, number, kind(number)))
}

/// A controller has nothing that could change but its bus number, which cannot.
pub(super) fn edit(change: &Change<'_>, device: &Device) -> Result<(), Fault> {
    match change.device.get(field!(VirtualController.busNumber)) {
        Some(bus) if Some(bus) != device.bus() => {
            let message = "The bus number of a controller cannot be changed";
            Err(invalid(change.index, "device.busNumber", message))
        }
        _ => Ok(()),
    }
}

/// Whether a specification asks for a SCSI bus that several VMs share.
pub(super) fn shares_bus(change: &Change<'_>) -> bool {
    change.device.is_a(data_id!(VirtualSCSIController))
        && change
            .device
            .get(field!(VirtualSCSIController.sharedBus))
            .map(vim::EnumValue::from)
            .is_some_and(|sharing| sharing.name() != "noSharing")
}

/// Numbers of the controllers of this kind that a `.vmx` has.
pub(super) fn present(from: &mut Reading<'_>, bus: Bus) -> Vec<u8> {
    from.source.devices(|prefix| numbered(prefix, bus.prefix(), bus.controllers()))
}

/// A bus number as QEMU's specification has it.
pub(super) fn small<T: TryFrom<i32>>(number: i32) -> qemu::Result<T> {
    T::try_from(number)
        .map_err(|_| qemu::Error::Spec(format!("no controller or drive has the number {number}")))
}
