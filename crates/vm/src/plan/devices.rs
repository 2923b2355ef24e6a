//! `deviceChange`: which devices come, go and change. Keys that a client made up (negative ones) name new devices
//! within one specification; the real keys follow from where the devices end up.

use std::collections::HashMap;
use std::sync::Arc;

use datastore::vmx::Bus;
use vim::{Fault, Object, data_id, field};

use super::device_faults::{device_fault, invalid, operation, unsupported};
use super::settings::powered_on;
use super::{Step, Surroundings, drives, nics};
use crate::config::VmConfig;
use crate::device::{Connect, Device, Kind, ScsiModel, Video, key};
use crate::limits::{MAX_CONTROLLERS, MAX_DEVICE_CHANGES};
use crate::{is_default, place};

/// One entry of `deviceChange`.
pub(super) struct Change<'a> {
    pub(super) index: usize,
    pub(super) device: &'a Arc<Object>,
    pub(super) operation: &'static str,
    pub(super) file_operation: Option<&'static str>,
}

/// What is being built.
pub(super) struct Draft<'a> {
    pub(super) config: &'a mut VmConfig,
    pub(super) around: &'a Surroundings<'a>,
    pub(super) steps: Vec<Step>,
    /// Keys as the client wrote them to keys as they are.
    pub(super) keys: HashMap<i32, i32>,
}

/// Applies all changes.
pub(super) fn apply(
    spec: &Object,
    config: &mut VmConfig,
    around: &Surroundings<'_>,
) -> Result<Vec<Step>, Fault> {
    let list = spec.get(field!(VirtualMachineConfigSpec.deviceChange));
    let mut changes = Vec::new();
    for (index, change) in list.into_iter().flatten().enumerate() {
        if index >= MAX_DEVICE_CHANGES {
            let message = format!("At most {MAX_DEVICE_CHANGES} devices can change at a time");
            return Err(device_fault(data_id!(TooManyDevices), index, "", &message));
        }
        let name = |value: Option<vim::EnumValue>| value.map(vim::EnumValue::name);
        let wanted = change.get(field!(VirtualDeviceConfigSpec.operation)).map(Into::into);
        let file = change.get(field!(VirtualDeviceConfigSpec.fileOperation)).map(Into::into);
        let device = change
            .get(field!(VirtualDeviceConfigSpec.device))
            .ok_or_else(|| invalid(index, "device", "The device is missing"))?;
        let missing = || operation(index, "Say whether to add, edit or remove the device");
        changes.push(Change {
            index,
            device,
            operation: name(wanted).ok_or_else(missing)?,
            file_operation: name(file),
        });
    }
    let mut draft = Draft { config, around, steps: Vec::new(), keys: HashMap::new() };
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
    Ok(draft.steps)
}

impl Draft<'_> {
    /// The machine's key for a key of the client's.
    pub(super) fn resolve(&self, key: i32) -> i32 {
        self.keys.get(&key).copied().unwrap_or(key)
    }

    /// Adds a device under its key, which the client may have called something else.
    pub(super) fn insert(&mut self, change: &Change<'_>, device: Device) -> Result<(), Fault> {
        let asked = change.device.get(field!(VirtualDevice.key)).unwrap_or_default();
        if asked < 0 && self.keys.insert(asked, device.key).is_some() {
            return Err(invalid(change.index, "device.key", &format!("Two devices have the key {asked}")));
        }
        if asked > 0 {
            self.keys.insert(asked, device.key);
        }
        if self.config.devices.contains_key(&device.key) {
            let message = "The place is taken by another device";
            return Err(invalid(change.index, "device.unitNumber", message));
        }
        self.config.devices.insert(device.key, device);
        Ok(())
    }

    /// The device that a change is about.
    pub(super) fn existing(&self, change: &Change<'_>) -> Result<&Device, Fault> {
        let asked = change.device.get(field!(VirtualDevice.key)).unwrap_or_default();
        self.config.devices.get(&self.resolve(asked)).ok_or_else(|| {
            invalid(change.index, "device.key", &format!("The machine has no device with the key {asked}"))
        })
    }

    /// Refuses a change of what can only change while the machine is off.
    pub(super) fn need_off(&self, what: &str) -> Result<(), Fault> {
        if self.around.running { Err(powered_on(what)) } else { Ok(()) }
    }
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

/// A device that every machine has, by its type and bus number.
fn implied(device: &Object) -> Option<i32> {
    let bus = || device.get(field!(VirtualController.busNumber)).unwrap_or_default();
    Some(match device.type_name() {
        "VirtualIDEController" => key::IDE + bus().clamp(0, 1),
        "VirtualPS2Controller" => key::PS2,
        "VirtualPCIController" => key::PCI,
        "VirtualSIOController" => key::SIO,
        "VirtualKeyboard" => key::KEYBOARD,
        "VirtualPointingDevice" => key::POINTER,
        "VirtualMachineVideoCard" => key::VIDEO,
        "VirtualMachineVMCIDevice" => key::VMCI,
        _ => return None,
    })
}

fn add(draft: &mut Draft<'_>, change: &Change<'_>) -> Result<(), Fault> {
    if let Some(known) = implied(change.device) {
        let asked = change.device.get(field!(VirtualDevice.key)).unwrap_or_default();
        draft.keys.insert(asked, known);
        return edit_implied(draft, change, known);
    }
    let device = change.device;
    if device.is_a(data_id!(VirtualController)) {
        add_controller(draft, change)
    } else if device.is_a(data_id!(VirtualDisk)) {
        drives::add_disk(draft, change)
    } else if device.is_a(data_id!(VirtualCdrom)) {
        drives::add_cdrom(draft, change)
    } else if device.is_a(data_id!(VirtualEthernetCard)) {
        nics::add(draft, change)
    } else if device.is_a(data_id!(VirtualSerialPort)) {
        drives::add_serial(draft, change)
    } else {
        Err(unsupported(change.index, device.type_name(), draft.config.hardware_version))
    }
}

fn edit(draft: &mut Draft<'_>, change: &Change<'_>) -> Result<(), Fault> {
    let existing = draft.existing(change)?.clone();
    match &existing.kind {
        _ if is_default(&existing) => edit_implied(draft, change, existing.key),
        Kind::Disk(_) if change.device.is_a(data_id!(VirtualDisk)) => {
            drives::edit_disk(draft, change, existing)
        }
        Kind::Cdrom(_) if change.device.is_a(data_id!(VirtualCdrom)) => {
            drives::edit_cdrom(draft, change, existing)
        }
        Kind::Nic(_) if change.device.is_a(data_id!(VirtualEthernetCard)) => {
            nics::edit(draft, change, existing)
        }
        Kind::Serial(_) if change.device.is_a(data_id!(VirtualSerialPort)) => {
            drives::edit_serial(draft, change, existing)
        }
        // A controller has nothing that could change but its bus number.
        Kind::Scsi { .. } | Kind::Sata { .. } | Kind::Nvme { .. } | Kind::Xhci { .. } => {
            match change.device.get(field!(VirtualController.busNumber)) {
                Some(bus) if Some(bus) != existing.bus() => {
                    let message = "The bus number of a controller cannot be changed";
                    Err(invalid(change.index, "device.busNumber", message))
                }
                _ => Ok(()),
            }
        }
        _ => {
            let message = format!("The device {} is no {}", existing.key, change.device.type_name());
            Err(invalid(change.index, "device", &message))
        }
    }
}

/// Changes of devices that every machine has: only the display adapter has something to set.
fn edit_implied(draft: &mut Draft<'_>, change: &Change<'_>, key: i32) -> Result<(), Fault> {
    let Some(device) = draft.config.devices.get_mut(&key) else { return Ok(()) };
    let Kind::Video(before) = device.kind else { return Ok(()) };
    let wanted = change.device;
    let video = Video {
        memory_kib: wanted
            .get(field!(VirtualMachineVideoCard.videoRamSizeInKB))
            .filter(|kib| *kib > 0)
            .unwrap_or(before.memory_kib),
        displays: wanted
            .get(field!(VirtualMachineVideoCard.numDisplays))
            .filter(|count| *count > 0)
            .unwrap_or(before.displays),
        auto: wanted.get(field!(VirtualMachineVideoCard.useAutoDetect)).unwrap_or(before.auto),
    };
    if video.memory_kib > 256 * 1024 {
        let message = "A display adapter has at most 256 MB of memory";
        return Err(invalid(change.index, "device.videoRamSizeInKB", message));
    }
    if video.displays != 1 {
        return Err(invalid(change.index, "device.numDisplays", "A machine has one display"));
    }
    device.kind = Kind::Video(video);
    if video != before { draft.need_off("The display adapter") } else { Ok(()) }
}

fn remove(draft: &mut Draft<'_>, change: &Change<'_>) -> Result<(), Fault> {
    let existing = draft.existing(change)?.clone();
    if is_default(&existing) {
        return Err(operation(change.index, "Every machine has this device; it cannot be removed"));
    }
    match &existing.kind {
        Kind::Disk(_) => drives::remove_disk(draft, change, &existing)?,
        Kind::Nic(_) if draft.around.running => draft.steps.push(Step::Unplug(existing.key)),
        Kind::Nic(_) => {}
        _ => draft.need_off("The devices on a bus that is not hot-pluggable")?,
    }
    if draft.config.attached_to(existing.key).next().is_some() {
        let message = "Devices are attached to the controller; remove them first";
        return Err(operation(change.index, message));
    }
    draft.config.devices.remove(&existing.key);
    Ok(())
}

fn add_controller(draft: &mut Draft<'_>, change: &Change<'_>) -> Result<(), Fault> {
    draft.need_off("Controllers")?;
    let ty = change.device.type_name();
    let model = match ty {
        "VirtualLsiLogicController" => Some(ScsiModel::LsiLogic),
        "VirtualLsiLogicSASController" => Some(ScsiModel::LsiLogicSas),
        "ParaVirtualSCSIController" => Some(ScsiModel::ParaVirtual),
        _ => None,
    };
    let bus = match ty {
        _ if model.is_some() => Bus::Scsi,
        "VirtualAHCIController" | "VirtualSATAController" => Bus::Sata,
        "VirtualNVMEController" => Bus::Nvme,
        "VirtualUSBXHCIController" => return add_xhci(draft, change),
        _ => return Err(unsupported(change.index, ty, draft.config.hardware_version)),
    };
    if bus == Bus::Scsi
        && change
            .device
            .get(field!(VirtualSCSIController.sharedBus))
            .map(vim::EnumValue::from)
            .is_some_and(|s| s.name() != "noSharing")
    {
        return Err(invalid(change.index, "device.sharedBus", "Shared SCSI buses are not supported"));
    }
    let number = change.device.get(field!(VirtualController.busNumber)).unwrap_or_default();
    if !(0..MAX_CONTROLLERS).contains(&number)
        || draft.config.devices.contains_key(&place::controller_key(bus, number))
    {
        let message = format!(
            "The bus number {number} is taken or not possible; a machine has up to {MAX_CONTROLLERS} of these controllers"
        );
        return Err(invalid(change.index, "device.busNumber", &message));
    }
    let kind = match (bus, model) {
        (Bus::Scsi, Some(model)) => Kind::Scsi { bus: number, model },
        (Bus::Nvme, _) => Kind::Nvme { bus: number },
        _ => Kind::Sata { bus: number },
    };
    let device = Device {
        key: place::controller_key(bus, number),
        controller: Some(key::PCI),
        unit: Some(place::controller_unit(bus, number)),
        connect: None,
        kind,
    };
    draft.insert(change, device)
}

fn add_xhci(draft: &mut Draft<'_>, change: &Change<'_>) -> Result<(), Fault> {
    let device = Device {
        key: key::XHCI,
        controller: Some(key::PCI),
        unit: Some(place::XHCI_UNIT),
        connect: None,
        kind: Kind::Xhci { bus: 0 },
    };
    draft.insert(change, device)
}
