//! Disks, CD-ROM drives and serial ports of a specification.

use datastore::FilePath;
use datastore::vmx::Bus;
use uuid::Uuid;
use vim::{Fault, MoRef, Object, data_id, fault, field};

use super::Step;
use super::device_faults::{
    backing, device_fault, invalid, invalid_controller, missing_controller, operation,
};
use super::devices::{Change, Draft, connect};
use crate::device::{Cdrom, Connect, Device, Disk, FileRef, Kind, Medium, Serial, SerialBacking, key};
use crate::limits::MAX_DISK_BYTES;
use crate::place;

/// Finds the controller and the unit of a new drive.
fn place_drive(draft: &Draft<'_>, change: &Change<'_>) -> Result<(Bus, i32, i32, i32), Fault> {
    let index = change.index;
    let asked = change.device.get(field!(VirtualDevice.controllerKey)).map(|key| draft.resolve(key));
    let controller = match asked {
        Some(key) if key != 0 => {
            let found = draft.config.devices.get(&key).filter(|device| place::units(device).is_some());
            found.ok_or_else(|| invalid_controller(index, key))?
        }
        _ => {
            let is_cdrom = change.device.is_a(data_id!(VirtualCdrom));
            let mut fits = draft.config.devices.values().filter(|device| {
                is_cdrom == matches!(device.kind, Kind::Ide { .. })
                    && place::free_unit(draft.config, device).is_some()
            });
            fits.next().ok_or_else(|| missing_controller(index))?
        }
    };
    let (bus, _) = place::units(controller).ok_or_else(|| missing_controller(index))?;
    let asked = change.device.get(field!(VirtualDevice.unitNumber)).filter(|unit| *unit >= 0);
    let taken = |unit: i32| draft.config.attached_to(controller.key).any(|device| device.unit == Some(unit));
    let unit = match asked {
        Some(unit) if !place::is_usable(controller, unit) => {
            let message = format!("The controller {} has no unit {unit} for a drive", controller.key);
            return Err(invalid(index, "device.unitNumber", &message));
        }
        Some(unit) if taken(unit) => {
            let message = format!("The unit {unit} of the controller {} is taken", controller.key);
            return Err(invalid(index, "device.unitNumber", &message));
        }
        Some(unit) => unit,
        None => place::free_unit(draft.config, controller).ok_or_else(|| {
            let message = format!("The controller {} has no free unit", controller.key);
            invalid(index, "device.controllerKey", &message)
        })?,
    };
    Ok((bus, controller.key, controller.bus().unwrap_or_default(), unit))
}

/// The size that a specification asks for, bytes; none if it does not say.
fn wanted_bytes(device: &Object) -> Option<u64> {
    let bytes = device.get(field!(VirtualDisk.capacityInBytes)).filter(|bytes| *bytes > 0);
    let kib = device.get(field!(VirtualDisk.capacityInKB)).filter(|kib| *kib > 0);
    let bytes = bytes.and_then(|bytes| u64::try_from(bytes).ok());
    bytes.or_else(|| kib.and_then(|kib| u64::try_from(kib).ok()?.checked_mul(1024)))
}

/// The size that an edit of a disk of `current` bytes asks for. Many clients change one of the two fields and send the
/// other back as they were shown it: then the changed one counts.
fn edited_bytes(device: &Object, current: u64) -> Option<u64> {
    let kib = device.get(field!(VirtualDisk.capacityInKB)).filter(|kib| *kib > 0);
    let changed = kib.and_then(|kib| u64::try_from(kib).ok()).filter(|kib| *kib != current / 1024);
    match wanted_bytes(device) {
        Some(bytes) if bytes == current => changed.and_then(|kib| kib.checked_mul(1024)).or(Some(bytes)),
        other => other,
    }
}

/// The backing of a disk, if it is of a kind that there is here.
fn disk_backing<'a>(change: &Change<'a>) -> Result<Option<&'a Object>, Fault> {
    let Some(found) = change.device.get(field!(VirtualDevice.backing)) else { return Ok(None) };
    if found.is_a(data_id!(VirtualDiskFlatVer2BackingInfo))
        || found.is_a(data_id!(VirtualDiskSparseVer2BackingInfo))
    {
        return Ok(Some(found));
    }
    let message = format!("A disk cannot have the backing {}", found.type_name());
    Err(backing(change.index, "", &message))
}

/// Whether a disk is independent, as its backing says.
fn independent(change: &Change<'_>, found: &Object) -> Result<Option<bool>, Fault> {
    // Both kinds of backing have the mode as their first own field.
    let mode = found.named("diskMode").and_then(|mode| mode.as_str()).unwrap_or_default();
    match mode {
        "" => Ok(None),
        "persistent" => Ok(Some(false)),
        "independent_persistent" => Ok(Some(true)),
        other => {
            let message =
                format!("The disk mode {other} is not supported; use persistent or independent_persistent");
            Err(backing(change.index, ".diskMode", &message))
        }
    }
}

fn flag(object: &Object, name: &str) -> Option<bool> {
    match object.named(name) {
        Some(vim::Value::Boolean(value)) => Some(*value),
        _ => None,
    }
}

fn file_name(found: &Object) -> &str {
    found.named("fileName").and_then(|name| name.as_str()).unwrap_or_default().trim()
}

fn datastore_of(found: &Object) -> Option<&MoRef> {
    found.named("datastore").and_then(|value| value.as_ref())
}

/// The file that a backing names; none if it names only a datastore, or nothing.
fn named_file(draft: &Draft<'_>, change: &Change<'_>, found: &Object) -> Result<Option<FileRef>, Fault> {
    let name = file_name(found);
    if name.is_empty() || name == "[]" {
        return Ok(None);
    }
    let file = draft
        .around
        .storage
        .parse(name)
        .map_err(|fault| backing(change.index, ".fileName", fault.message()))?;
    Ok((!file.path.is_root()).then_some(file))
}

/// A name for a new disk that nothing has: `vm.vmdk`, `vm_1.vmdk` and so on, in the machine's directory.
fn new_name(draft: &Draft<'_>, change: &Change<'_>, found: Option<&Object>) -> Result<FileRef, Fault> {
    let home = &draft.around.home;
    let storage = draft.around.storage;
    let named = found.map(file_name).filter(|name| !name.is_empty() && *name != "[]");
    let datastore = match (named, found.and_then(datastore_of)) {
        (Some(name), _) => storage.parse(name)?.datastore,
        (None, Some(me)) => storage.by_ref(me)?,
        (None, None) => home.datastore,
    };
    let directory = home.path.parent().unwrap_or_default();
    let planned = |file: &FileRef| draft.config.disks().any(|(_, disk)| disk.file == *file);
    for number in 0..10_000 {
        let stem = home.path.stem();
        let name = if number == 0 { format!("{stem}.vmdk") } else { format!("{stem}_{number}.vmdk") };
        let path =
            directory.join(&name).map_err(|error| backing(change.index, ".fileName", &error.to_string()))?;
        let file = FileRef { datastore, path };
        if !planned(&file) && !(draft.around.exists)(&file)? {
            return Ok(file);
        }
    }
    Err(backing(change.index, ".fileName", "No name is free for the disk"))
}

pub(super) fn add_disk(draft: &mut Draft<'_>, change: &Change<'_>) -> Result<(), Fault> {
    let index = change.index;
    let (bus, controller, number, unit) = place_drive(draft, change)?;
    if draft.around.running && bus != Bus::Scsi {
        draft.need_off("Disks on other controllers than SCSI")?;
    }
    let found = disk_backing(change)?;
    let independent = found.map(|found| independent(change, found)).transpose()?.flatten().unwrap_or(false);
    let key = place::drive_key(bus, number, unit);
    let named = found.map(|found| named_file(draft, change, found)).transpose()?.flatten();
    let eager = found.and_then(|found| flag(found, "eagerlyScrub")).unwrap_or(false);
    let thin = found.and_then(|found| flag(found, "thinProvisioned")).unwrap_or(!eager);
    let disk = match change.file_operation {
        Some("create") => {
            let bytes =
                wanted_bytes(change.device).filter(|bytes| *bytes <= MAX_DISK_BYTES).ok_or_else(|| {
                    let message =
                        format!("Say how large the disk is to be, up to {} TB", MAX_DISK_BYTES >> 40);
                    invalid(index, "device.capacityInKB", &message)
                })?;
            // QEMU counts in sectors of 512 bytes.
            let bytes = bytes.next_multiple_of(512);
            let file = match named {
                Some(file) => file,
                None => new_name(draft, change, found)?,
            };
            check_disk_name(change, &file.path)?;
            if (draft.around.exists)(&file)? || draft.config.disks().any(|(_, disk)| disk.file == file) {
                let name = draft.around.storage.show(&file);
                return Err(fault!(FileAlreadyExists { file: &*name }, "{name} exists already"));
            }
            draft.steps.push(Step::CreateDisk { key, file: file.clone(), bytes, thin, eager });
            Disk {
                file,
                parents: Vec::new(),
                capacity_bytes: bytes,
                independent,
                thin,
                eager_zero: eager,
                uuid: Uuid::new_v4(),
            }
        }
        None => {
            let file = named.ok_or_else(|| {
                backing(index, ".fileName", "Name the disk, or say fileOperation create for a new one")
            })?;
            if draft.config.disks().any(|(_, disk)| disk.file == file) {
                return Err(backing(index, ".fileName", "The machine has this disk already"));
            }
            let capacity_bytes = (draft.around.capacity_bytes)(&file)?;
            Disk {
                parents: (draft.around.parents)(&file)?,
                file,
                capacity_bytes,
                independent,
                thin,
                eager_zero: eager,
                uuid: Uuid::new_v4(),
            }
        }
        Some(other) => {
            let message = format!("The file operation {other} does not go with adding a disk");
            return Err(device_fault(data_id!(InvalidDeviceOperation), index, "fileOperation", &message));
        }
    };
    let device =
        Device { key, controller: Some(controller), unit: Some(unit), connect: None, kind: Kind::Disk(disk) };
    draft.insert(change, device)?;
    if draft.around.running {
        draft.steps.push(Step::Plug(key));
    }
    Ok(())
}

fn check_disk_name(change: &Change<'_>, path: &FilePath) -> Result<(), Fault> {
    if datastore::is_disk(path) {
        return Ok(());
    }
    Err(backing(
        change.index,
        ".fileName",
        &format!("\"{}\" is no name of a disk; end it in .vmdk", path.name()),
    ))
}

pub(super) fn edit_disk(draft: &mut Draft<'_>, change: &Change<'_>, existing: Device) -> Result<(), Fault> {
    let index = change.index;
    let mut device = existing;
    let moved = |wanted: Option<i32>, is: Option<i32>| wanted.is_some_and(|wanted| Some(wanted) != is);
    let controller = change.device.get(field!(VirtualDevice.controllerKey)).map(|key| draft.resolve(key));
    let unit = change.device.get(field!(VirtualDevice.unitNumber));
    if moved(controller, device.controller) || moved(unit, device.unit) {
        let message = "A disk cannot be moved to another place; remove it and add it there";
        return Err(invalid(index, "device.unitNumber", message));
    }
    if change.file_operation.is_some() {
        return Err(operation(index, "A disk that is edited keeps its file"));
    }
    let found = disk_backing(change)?;
    let key = device.key;
    let Kind::Disk(disk) = &mut device.kind else { return Ok(()) };
    if let Some(found) = found {
        if let Some(file) = named_file(draft, change, found)?
            && file != disk.file
        {
            let message = "The file of a disk cannot be changed; remove the disk and add the other one";
            return Err(backing(index, ".fileName", message));
        }
        if let Some(independent) = independent(change, found)?
            && independent != disk.independent
        {
            draft.need_off("The mode of a disk")?;
            if draft.around.has_snapshots {
                let message = "The mode of a disk cannot change while the machine has snapshots";
                return Err(backing(index, ".diskMode", message));
            }
            disk.independent = independent;
        }
    }
    if let Some(bytes) = edited_bytes(change.device, disk.capacity_bytes) {
        // Clients that work in KiB send back what they were shown, rounded down.
        let same = bytes / 1024 == disk.capacity_bytes / 1024;
        if bytes < disk.capacity_bytes && !same {
            return Err(invalid(index, "device.capacityInKB", "A disk cannot be made smaller"));
        }
        if bytes > MAX_DISK_BYTES {
            let message = format!("A disk has at most {} TB", MAX_DISK_BYTES >> 40);
            return Err(invalid(index, "device.capacityInKB", &message));
        }
        if bytes > disk.capacity_bytes && !same {
            if !disk.parents.is_empty() {
                let message = "A disk cannot grow while snapshots keep its earlier state; remove them first";
                return Err(invalid(index, "device.capacityInKB", message));
            }
            let bytes = bytes.next_multiple_of(512);
            draft.steps.push(Step::GrowDisk { key, file: disk.file.clone(), bytes });
            disk.capacity_bytes = bytes;
        }
    }
    draft.config.devices.insert(key, device);
    Ok(())
}

pub(super) fn remove_disk(
    draft: &mut Draft<'_>,
    change: &Change<'_>,
    existing: &Device,
) -> Result<(), Fault> {
    let Some(disk) = existing.disk() else { return Ok(()) };
    if draft.around.running {
        let on_scsi = existing.controller.is_some_and(|key| (key::SCSI..key::DISK_SCSI).contains(&key));
        if !on_scsi {
            draft.need_off("Disks on other controllers than SCSI")?;
        }
        draft.steps.push(Step::Unplug(existing.key));
    }
    match change.file_operation {
        None => Ok(()),
        Some("destroy") => {
            let files = std::iter::once(disk.file.clone()).chain(disk.parents.iter().cloned()).collect();
            draft.steps.push(Step::DestroyDisk { files });
            Ok(())
        }
        Some(other) => {
            let message = format!("The file operation {other} does not go with removing a disk");
            Err(device_fault(data_id!(InvalidDeviceOperation), change.index, "fileOperation", &message))
        }
    }
}

/// What is to be in a CD-ROM drive.
fn medium(draft: &Draft<'_>, change: &Change<'_>) -> Result<Option<Medium>, Fault> {
    let Some(found) = change.device.get(field!(VirtualDevice.backing)) else { return Ok(None) };
    let device = || found.named("deviceName").and_then(|name| name.as_str()).unwrap_or_default().to_owned();
    Ok(Some(match found.type_name() {
        "VirtualCdromIsoBackingInfo" => {
            let file = named_file(draft, change, found)?
                .ok_or_else(|| backing(change.index, ".fileName", "Name the image"))?;
            if !(draft.around.exists)(&file)? {
                let name = draft.around.storage.show(&file);
                return Err(fault!(FileNotFound { file: &*name }, "{name} does not exist"));
            }
            Medium::Iso(file)
        }
        "VirtualCdromRemotePassthroughBackingInfo" => Medium::Client { device: device(), atapi: false },
        "VirtualCdromRemoteAtapiBackingInfo" => Medium::Client { device: device(), atapi: true },
        "VirtualCdromAtapiBackingInfo" | "VirtualCdromPassthroughBackingInfo" => {
            Medium::HostDrive { device: device() }
        }
        other => {
            let message = format!("A CD-ROM drive cannot have the backing {other}");
            return Err(backing(change.index, "", &message));
        }
    }))
}

pub(super) fn add_cdrom(draft: &mut Draft<'_>, change: &Change<'_>) -> Result<(), Fault> {
    draft.need_off("CD-ROM drives")?;
    let (bus, controller, number, unit) = place_drive(draft, change)?;
    if bus == Bus::Nvme {
        return Err(invalid_controller(change.index, controller));
    }
    let medium = medium(draft, change)?.unwrap_or(Medium::Client { device: String::new(), atapi: false });
    let before = Connect { at_start: matches!(medium, Medium::Iso(_)), ..Connect::default() };
    let device = Device {
        key: place::drive_key(bus, number, unit),
        controller: Some(controller),
        unit: Some(unit),
        connect: Some(connect(change.device, before, false)),
        kind: Kind::Cdrom(Cdrom { medium }),
    };
    draft.insert(change, device)
}

pub(super) fn edit_cdrom(draft: &mut Draft<'_>, change: &Change<'_>, existing: Device) -> Result<(), Fault> {
    let mut device = existing.clone();
    if let Some(medium) = medium(draft, change)? {
        device.kind = Kind::Cdrom(Cdrom { medium });
    }
    let mut wanted = connect(change.device, existing.connect.unwrap_or_default(), draft.around.running);
    // Only images can be connected here.
    wanted.now &= matches!(device.kind, Kind::Cdrom(Cdrom { medium: Medium::Iso(_) }));
    device.connect = Some(wanted);
    let inserted = |device: &Device| {
        let file = match &device.kind {
            Kind::Cdrom(Cdrom { medium: Medium::Iso(file) }) => Some(file.clone()),
            _ => None,
        };
        file.filter(|_| device.connect.is_some_and(|connect| connect.now))
    };
    if draft.around.running && inserted(&device) != inserted(&existing) {
        draft.steps.push(Step::ChangeMedium(device.key));
    }
    draft.config.devices.insert(device.key, device);
    Ok(())
}

/// Where a serial port is to lead; `now` is where it leads, if there is one.
fn serial(
    draft: &Draft<'_>,
    change: &Change<'_>,
    now: Option<&SerialBacking>,
) -> Result<Option<SerialBacking>, Fault> {
    let Some(found) = change.device.get(field!(VirtualDevice.backing)) else { return Ok(None) };
    let text = |name: &str| found.named(name).and_then(|name| name.as_str()).unwrap_or_default().to_owned();
    match found.type_name() {
        "VirtualSerialPortPipeBackingInfo" => Ok(Some(SerialBacking::Pipe {
            name: text("pipeName"),
            endpoint: text("endpoint"),
            no_rx_loss: flag(found, "noRxLoss").unwrap_or(false),
        })),
        "VirtualSerialPortFileBackingInfo" => {
            let file = named_file(draft, change, found)?
                .ok_or_else(|| backing(change.index, ".fileName", "Name the file for the output"))?;
            let wanted = SerialBacking::File(file.clone());
            if now != Some(&wanted) {
                if let Some(why) = (draft.around.unfit_for_output)(&file)? {
                    return Err(backing(change.index, ".fileName", &why));
                }
            }
            Ok(Some(wanted))
        }
        other => {
            let message = format!("A serial port cannot have the backing {other}; use a pipe or a file");
            Err(backing(change.index, "", &message))
        }
    }
}

pub(super) fn add_serial(draft: &mut Draft<'_>, change: &Change<'_>) -> Result<(), Fault> {
    draft.need_off("Serial ports")?;
    let default = || SerialBacking::Pipe { name: String::new(), endpoint: "server".into(), no_rx_loss: true };
    let backing = serial(draft, change, None)?.unwrap_or_else(default);
    let device = Device {
        key: key::SERIAL,
        controller: Some(key::SIO),
        unit: Some(0),
        connect: Some(connect(change.device, Connect::default(), false)),
        kind: Kind::Serial(Serial {
            backing,
            yield_on_poll: change.device.get(field!(VirtualSerialPort.yieldOnPoll)).unwrap_or(false),
        }),
    };
    if draft.config.devices.contains_key(&key::SERIAL) {
        return Err(invalid(change.index, "device", "A machine has at most one serial port"));
    }
    draft.insert(change, device)
}

pub(super) fn edit_serial(draft: &mut Draft<'_>, change: &Change<'_>, existing: Device) -> Result<(), Fault> {
    let mut device = existing;
    let Kind::Serial(port) = &mut device.kind else { return Ok(()) };
    let before = port.clone();
    let wanted = serial(draft, change, Some(&before.backing))?;
    port.backing = wanted.unwrap_or_else(|| before.backing.clone());
    port.yield_on_poll =
        change.device.get(field!(VirtualSerialPort.yieldOnPoll)).unwrap_or(before.yield_on_poll);
    if *port != before {
        draft.need_off("The serial port")?;
    }
    draft.config.devices.insert(device.key, device);
    Ok(())
}
