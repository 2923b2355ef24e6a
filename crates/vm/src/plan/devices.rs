//! `deviceChange`: which devices come, go and change. Keys that a client made up (negative ones) name new devices
//! within one specification; the real keys follow from the places of the devices.

use std::collections::BTreeMap;

use vim::{Fault, Object, data_id, field};

use crate::config::VmConfig;
use crate::device::{
    Change, Draft, Row, Step, Surroundings, TABLE, attached_to, device_fault, invalid, is_built_in,
    operation, unsupported,
};
use crate::limits::MAX_DEVICE_CHANGES;

/// The steps of the changes, and the key of the device that each entry of `deviceChange` added or changed.
pub(super) struct Applied {
    pub(super) steps: Vec<Step>,
    pub(super) changed: BTreeMap<usize, i32>,
}

/// Applies all changes to a VM; `new` if it is being made.
pub(super) fn apply(
    spec: &Object,
    config: &mut VmConfig,
    new: bool,
    around: &Surroundings<'_>,
) -> Result<Applied, Fault> {
    let changes = changes(spec)?;
    let mut draft = Draft::of(&mut config.devices, config.hardware_version, new, around);
    // Controllers first, so that a drive may stand before its controller.
    let (controllers, others): (Vec<_>, Vec<_>) = changes
        .into_iter()
        .partition(|change| change.operation == "add" && change.device.is_a(data_id!(VirtualController)));
    for change in controllers.iter().chain(&others) {
        match change.operation {
            "add" => add(&mut draft, change)?,
            "edit" => edit(&mut draft, change)?,
            _ => remove(&mut draft, change)?,
        }
    }
    Ok(Applied { steps: draft.steps, changed: draft.changed })
}

fn changes(spec: &Object) -> Result<Vec<Change<'_>>, Fault> {
    let list = spec.get(field!(VirtualMachineConfigSpec.deviceChange));
    let mut changes = Vec::new();
    for (index, change) in list.into_iter().flatten().enumerate() {
        if index >= MAX_DEVICE_CHANGES {
            let message = format!("A specification changes at most {MAX_DEVICE_CHANGES} devices");
            return Err(device_fault(data_id!(TooManyDevices), index, "", &message));
        }
        let name = |value: Option<vim::EnumValue>| value.map(vim::EnumValue::name);
        let wanted = change.get(field!(VirtualDeviceConfigSpec.operation)).map(Into::into);
        let file = change.get(field!(VirtualDeviceConfigSpec.fileOperation)).map(Into::into);
        let device = change
            .get(field!(VirtualDeviceConfigSpec.device))
            .ok_or_else(|| invalid(index, "device", "The device is missing"))?;
        let missing = || operation(index, "Give the operation: add, edit or remove");
        changes.push(Change {
            index,
            device,
            operation: name(wanted).ok_or_else(missing)?,
            file_operation: name(file),
        });
    }
    Ok(changes)
}

fn add(draft: &mut Draft<'_>, change: &Change<'_>) -> Result<(), Fault> {
    match TABLE.iter().find(|row| (row.is)(change.device)) {
        Some(row) => (row.add)(draft, change),
        None => Err(unsupported(change.index, change.device.type_name(), draft.hardware_version)),
    }
}

fn row(device: &crate::device::Device) -> &'static Row {
    TABLE.iter().find(|row| (row.has)(&device.kind)).expect("every kind has a row")
}

fn edit(draft: &mut Draft<'_>, change: &Change<'_>) -> Result<(), Fault> {
    let device = draft.existing(change)?.clone();
    draft.changed.insert(change.index, device.key);
    (row(&device).edit)(draft, change, device)
}

fn remove(draft: &mut Draft<'_>, change: &Change<'_>) -> Result<(), Fault> {
    let device = draft.existing(change)?.clone();
    if is_built_in(&device) {
        return Err(operation(change.index, "Every VM has this device; it cannot be removed"));
    }
    (row(&device).remove)(draft, change, &device)?;
    if attached_to(draft.devices, device.key).next().is_some() {
        let message = "Devices are attached to the controller; remove them first";
        return Err(operation(change.index, message));
    }
    draft.devices.remove(&device.key);
    Ok(())
}
