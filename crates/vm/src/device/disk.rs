//! Hard disks.

use datastore::FilePath;
use qemu::spec as machine;
use uuid::Uuid;
use vim::{Fault, Object, data_id, fault, field, ty, vim};

use super::backing::{datastore, file, file_name, flag, text};
use super::draft::{Change, Draft, Step, same_kind};
use super::faults::{backing, device_fault, invalid, operation};
use super::keys::{Keys, Prefix};
use super::kind::{DeviceKind, Kind, Reading, Shown, Writing, shown};
use super::parts::{Files, Parts, attachment};
use super::place::{Place, choose};
use super::slots::{self, Content};
use super::unusable::UNCHECKED;
use super::{Bus, Device, Devices, Looks, Slot, drive_id, key, slot};
use crate::faults::invalid_config;
use crate::file::FileRef;
use crate::ids;
use crate::limits::MAX_DISK_BYTES;
use crate::names::{Names, signed};
use crate::storage::Storage;
use crate::text::{ReadError, file_name as name_in, resolve};

/// Keys of a disk behind its place.
const PROVISIONING: &str = "esfera.provisioning";
const UUID: &str = "esfera.uuid";
/// Bytes of a disk's UUID that are its serial number in the guest, in hexadecimal digits.
const SERIAL_DIGITS: usize = 20;
/// QEMU counts in sectors.
const SECTOR_BYTES: u64 = 512;
/// Names that are tried for a new disk.
const MAX_NAMES: u32 = 10_000;

/// A hard disk.
#[derive(Debug, Clone, PartialEq)]
pub struct Disk {
    /// Its image; the newest one of a chain.
    pub file: FileRef,
    /// The images below, nearest first.
    pub parents: Vec<FileRef>,
    /// Size that the guest sees.
    pub capacity_bytes: u64,
    /// Whether snapshots leave it alone (`independent_persistent`).
    pub independent: bool,
    /// Takes room as it is written.
    pub thin: bool,
    /// Zeroed when created.
    pub eager_zero: bool,
    /// Identity that the guest may see.
    pub uuid: Uuid,
}

impl Disk {
    /// The disk as QEMU has it, at power-on and when it is added to a running VM alike. A `boot_index` is of use only at
    /// power-on.
    ///
    /// # Errors
    /// If its images cannot be given to the process, or it has no place.
    pub(crate) fn drive(
        &self,
        device: &Device,
        devices: &Devices,
        files: &dyn Files,
        disk_uuid: bool,
        boot_index: Option<u32>,
    ) -> qemu::Result<machine::Disk> {
        // Images below are read only while the VM runs, but merged into when a snapshot is removed.
        for parent in files.parents(&self.file)? {
            files.own(&parent)?;
        }
        Ok(machine::Disk {
            id: drive_id(device.key),
            path: files.own(&self.file)?,
            format: files.format(&self.file)?,
            attach: attachment(devices, device)?,
            read_only: false,
            boot_index,
            serial: disk_uuid.then(|| self.uuid.simple().to_string().chars().take(SERIAL_DIGITS).collect()),
        })
    }

    /// The images of the disk, each with the one below it.
    fn shown_backing(&self, names: &Names<'_>) -> ty!(VirtualDiskFlatVer2BackingInfo) {
        let mode = if self.independent { "independent_persistent" } else { "persistent" };
        let mut parent: Option<ty!(VirtualDiskFlatVer2BackingInfo)> = None;
        for file in self.parents.iter().rev() {
            parent = Some(vim!(VirtualDiskFlatVer2BackingInfo {
                fileName: names.file(file),
                datastore: ids::datastore(file.datastore),
                diskMode: mode,
                thinProvisioned: self.thin,
                uuid: self.uuid.to_string(),
                parent: parent,
            }));
        }
        vim!(VirtualDiskFlatVer2BackingInfo {
            fileName: names.file(&self.file),
            datastore: ids::datastore(self.file.datastore),
            diskMode: mode,
            split: false,
            writeThrough: false,
            thinProvisioned: self.thin,
            eagerlyScrub: self.eager_zero,
            uuid: self.uuid.to_string(),
            parent: parent,
            digestEnabled: false,
            sharing: "sharingNone",
        })
    }
}

impl DeviceKind for Disk {
    const KEYS: &'static [Keys] = &[Keys {
        prefix: Prefix::Slot,
        names: &["present", "deviceType", "fileName", "mode", PROVISIONING, UUID, UNCHECKED],
    }];

    fn is(asked: &Object) -> bool {
        asked.is_a(data_id!(VirtualDisk))
    }

    fn add(draft: &mut Draft<'_>, change: &Change<'_>) -> Result<(), Fault> {
        let place = choose(draft, change, |controller| !matches!(controller.kind, Kind::Ide(_)))?;
        if draft.around.running && place.bus != Bus::Scsi {
            draft.need_off("Disks on other controllers than SCSI")?;
        }
        let disk = match change.file_operation {
            Some("create") => created(draft, change, &place)?,
            None => existing(draft, change)?,
            Some(other) => return Err(file_operation(change, other, "adding")),
        };
        let key = place.key;
        draft.insert(change, Device::new(key, Some((place.controller, place.unit)), disk))?;
        if draft.around.running {
            draft.steps.push(Step::Plug(key));
        }
        Ok(())
    }

    fn edit(draft: &mut Draft<'_>, change: &Change<'_>, mut device: Device) -> Result<(), Fault> {
        same_kind(change, &device, Self::is)?;
        let index = change.index;
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
            edit_backing(draft, change, found, disk)?;
        }
        grow(draft, change, key, disk)?;
        draft.devices.insert(key, device);
        Ok(())
    }

    fn remove(draft: &mut Draft<'_>, change: &Change<'_>, device: &Device) -> Result<(), Fault> {
        let Kind::Disk(disk) = &device.kind else { return Ok(()) };
        if draft.around.running {
            let on_scsi = device.controller.is_some_and(|key| (key::SCSI..key::DISK_SCSI).contains(&key));
            if !on_scsi {
                draft.need_off("Disks on other controllers than SCSI")?;
            }
            draft.steps.push(Step::Unplug(device.key));
        }
        match change.file_operation {
            None => Ok(()),
            Some("destroy") => {
                let files = std::iter::once(disk.file.clone()).chain(disk.parents.iter().cloned()).collect();
                draft.steps.push(Step::DestroyDisk { files });
                Ok(())
            }
            Some(other) => Err(file_operation(change, other, "removing")),
        }
    }

    fn label(&self, at: &Shown<'_>) -> (String, String) {
        let number = at.nth(|kind| matches!(kind, Kind::Disk(_)));
        (format!("Hard disk {number}"), format!("{} KB", grouped(self.capacity_bytes / 1024)))
    }

    fn show(&self, at: &Shown<'_>) -> Object {
        shown!(
            at,
            VirtualDisk {
                backing: self.shown_backing(at.names),
                capacityInKB: signed(self.capacity_bytes / 1024),
                capacityInBytes: signed(self.capacity_bytes),
                shares: SharesInfo { shares: 1000, level: "normal" },
                storageIOAllocation: StorageIOAllocationInfo {
                    limit: -1i64,
                    shares: SharesInfo { shares: 1000, level: "normal" },
                    reservation: 0,
                },
                diskObjectId: format!("{}-{}", at.names.vm, at.device.key),
                nativeUnmanagedLinkedClone: false,
            }
        )
    }

    fn options() -> Vec<Object> {
        let shares = vim!(IntOption { valueIsReadonly: false, min: 0, max: 1_000_000, defaultValue: 1000 });
        vec![
            vim!(VirtualDiskOption {
                type: "VirtualDisk",
                controllerType: "VirtualSCSIController",
                deprecated: false,
                plugAndPlay: true,
                hotRemoveSupported: true,
                capacityInKB: LongOption {
                    valueIsReadonly: false,
                    min: 1i64,
                    max: signed(MAX_DISK_BYTES / 1024),
                    defaultValue: 16i64 << 20,
                },
                ioAllocationOption: StorageIOAllocationOption {
                    limitOption: LongOption {
                        valueIsReadonly: true,
                        min: -1i64,
                        max: -1i64,
                        defaultValue: -1i64,
                    },
                    sharesOption: SharesOption { sharesOption: shares, defaultLevel: "normal" },
                },
            })
            .into(),
        ]
    }

    fn prefix(&self, device: &Device, devices: &Devices) -> Option<String> {
        slot(devices, device).map(|slot| slot.to_string())
    }

    fn read(from: &mut Reading<'_>) {
        for (slot, content) in slots::all(from) {
            let read = match content {
                Content::Disk => read_one(from, slot),
                Content::Other => {
                    Err(from.source.bad(&format!("{slot}.deviceType"), "a disk or CD-ROM drive").into())
                }
                Content::Cdrom { .. } => continue,
            };
            if let Err(error) = read.and_then(|disk| slots::insert(from, slot, None, disk)) {
                slots::unusable(from, slot, Looks::Disk, &error);
            }
        }
    }

    fn write(&self, device: &Device, to: &mut Writing<'_>) {
        let Some(slot) = slot(to.devices, device) else { return };
        let key = |name: &str| format!("{slot}.{name}");
        to.wanted.flag(key("present"), true);
        let ty = match slot.bus {
            Bus::Scsi => "scsi-hardDisk",
            Bus::Ide => "ata-hardDisk",
            Bus::Sata | Bus::Nvme => "disk",
        };
        to.wanted.put(key("deviceType"), ty);
        to.wanted.put(key("fileName"), name_in(to.home, &self.file));
        to.wanted.put(key("mode"), if self.independent { "independent-persistent" } else { "persistent" });
        let provisioning = match (self.thin, self.eager_zero) {
            (true, _) => "thin",
            (false, true) => "eager",
            (false, false) => "thick",
        };
        to.wanted.put(key(PROVISIONING), provisioning);
        to.wanted.put(key(UUID), self.uuid.to_string());
    }

    fn build(&self, device: &Device, parts: &mut Parts<'_>) -> qemu::Result<()> {
        let boot_index = parts.boot_index(device.key);
        let drive = self.drive(device, parts.devices, parts.files, parts.disk_uuid, boot_index)?;
        parts.spec.disks.push(drive);
        Ok(())
    }
}

fn file_operation(change: &Change<'_>, operation: &str, what: &str) -> Fault {
    let message = format!("The file operation {operation} does not go with {what} a disk");
    device_fault(data_id!(InvalidDeviceOperation), change.index, "fileOperation", &message)
}

/// The size that a specification asks for, bytes; `None` if it does not say.
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

/// The backing of a disk, if it is of a supported type.
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
    match text(found, "diskMode") {
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

/// The settings that a backing has for new and existing disks alike.
struct Asked<'a> {
    backing: Option<&'a Object>,
    independent: bool,
    thin: bool,
    eager: bool,
    file: Option<FileRef>,
}

fn asked<'a>(draft: &Draft<'_>, change: &Change<'a>) -> Result<Asked<'a>, Fault> {
    let backing = disk_backing(change)?;
    let independent = backing.map(|found| independent(change, found)).transpose()?.flatten().unwrap_or(false);
    let file = backing.map(|found| file(draft, found)).transpose()?.flatten();
    let eager = backing.and_then(|found| flag(found, "eagerlyScrub")).unwrap_or(false);
    let thin = backing.and_then(|found| flag(found, "thinProvisioned")).unwrap_or(!eager);
    Ok(Asked { backing, independent, thin, eager, file })
}

/// A disk to create.
fn created(draft: &mut Draft<'_>, change: &Change<'_>, place: &Place) -> Result<Disk, Fault> {
    let asked = asked(draft, change)?;
    let bytes = wanted_bytes(change.device).filter(|bytes| *bytes <= MAX_DISK_BYTES).ok_or_else(|| {
        let message = format!("Give the size of the disk, up to {} TB", MAX_DISK_BYTES >> 40);
        invalid(change.index, "device.capacityInKB", &message)
    })?;
    let bytes = bytes.next_multiple_of(SECTOR_BYTES);
    let file = match asked.file {
        Some(file) => file,
        None => new_name(draft, change, asked.backing)?,
    };
    check_name(change, &file.path)?;
    if (draft.around.exists)(&file)? || has(draft, &file) {
        let name = draft.around.storage.show(&file);
        return Err(fault!(FileAlreadyExists { file: &*name }, "{name} exists already"));
    }
    let (thin, eager) = (asked.thin, asked.eager);
    draft.steps.push(Step::CreateDisk { key: place.key, file: file.clone(), bytes, thin, eager });
    Ok(Disk {
        file,
        parents: Vec::new(),
        capacity_bytes: bytes,
        independent: asked.independent,
        thin,
        eager_zero: eager,
        uuid: Uuid::new_v4(),
    })
}

/// A disk whose file exists.
fn existing(draft: &Draft<'_>, change: &Change<'_>) -> Result<Disk, Fault> {
    let asked = asked(draft, change)?;
    let file = asked.file.ok_or_else(|| {
        backing(change.index, ".fileName", "Name the disk, or give the file operation create for a new one")
    })?;
    if has(draft, &file) {
        return Err(backing(change.index, ".fileName", "The VM has this disk already"));
    }
    let capacity_bytes = (draft.around.capacity_bytes)(&file)?;
    Ok(Disk {
        parents: (draft.around.parents)(&file)?,
        uuid: draft.around.storage.uuid(&file).unwrap_or_else(|| derived_uuid(&file)),
        file,
        capacity_bytes,
        independent: asked.independent,
        thin: asked.thin,
        eager_zero: asked.eager,
    })
}

fn has(draft: &Draft<'_>, file: &FileRef) -> bool {
    draft.devices.values().filter_map(Device::disk).any(|disk| disk.file == *file)
}

/// Changes the mode of a disk; its file cannot change.
fn edit_backing(
    draft: &Draft<'_>,
    change: &Change<'_>,
    found: &Object,
    disk: &mut Disk,
) -> Result<(), Fault> {
    if let Some(file) = file(draft, found)?
        && file != disk.file
    {
        let message = "The file of a disk cannot be changed; remove the disk and add the other one";
        return Err(backing(change.index, ".fileName", message));
    }
    if let Some(independent) = independent(change, found)?
        && independent != disk.independent
    {
        draft.need_off("The mode of a disk")?;
        if draft.around.has_snapshots {
            let message = "The mode of a disk cannot change while the VM has snapshots";
            return Err(backing(change.index, ".diskMode", message));
        }
        disk.independent = independent;
    }
    Ok(())
}

fn grow(draft: &mut Draft<'_>, change: &Change<'_>, key: i32, disk: &mut Disk) -> Result<(), Fault> {
    let refuse = |message: &str| Err(invalid(change.index, "device.capacityInKB", message));
    let Some(bytes) = edited_bytes(change.device, disk.capacity_bytes) else { return Ok(()) };
    if bytes > MAX_DISK_BYTES {
        return refuse(&format!("A disk has at most {} TB", MAX_DISK_BYTES >> 40));
    }
    // Clients that work in KiB send back what they were shown, rounded down.
    if bytes / 1024 == disk.capacity_bytes / 1024 {
        return Ok(());
    }
    if bytes < disk.capacity_bytes {
        return refuse("A disk cannot be made smaller");
    }
    if !disk.parents.is_empty() {
        return refuse("A disk cannot grow while snapshots keep its earlier state; remove them first");
    }
    let bytes = bytes.next_multiple_of(SECTOR_BYTES);
    draft.steps.push(Step::GrowDisk { key, file: disk.file.clone(), bytes });
    disk.capacity_bytes = bytes;
    Ok(())
}

/// A free name for a new disk: `vm.vmdk`, `vm_1.vmdk` and so on, in the VM's directory.
fn new_name(draft: &Draft<'_>, change: &Change<'_>, found: Option<&Object>) -> Result<FileRef, Fault> {
    let (home, storage) = (&draft.around.home, draft.around.storage);
    let datastore = match (found.and_then(file_name), found.and_then(datastore)) {
        (Some(name), _) => storage.parse(name)?.datastore,
        (None, Some(me)) => storage.by_ref(me)?,
        (None, None) => home.datastore,
    };
    let directory = home.path.parent().unwrap_or_default();
    for number in 0..MAX_NAMES {
        let stem = home.path.stem();
        let name = if number == 0 { format!("{stem}.vmdk") } else { format!("{stem}_{number}.vmdk") };
        let path =
            directory.join(&name).map_err(|error| backing(change.index, ".fileName", &error.to_string()))?;
        let file = FileRef { datastore, path };
        if !has(draft, &file) && !(draft.around.exists)(&file)? {
            return Ok(file);
        }
    }
    Err(backing(change.index, ".fileName", "No name is free for the disk; give one"))
}

fn check_name(change: &Change<'_>, path: &FilePath) -> Result<(), Fault> {
    if datastore::is_disk(path) {
        return Ok(());
    }
    let message = format!("\"{}\" cannot be the name of a disk; end it in .vmdk", path.name());
    Err(backing(change.index, ".fileName", &message))
}

/// A disk as its keys and its image say.
///
/// # Errors
/// `CannotAccessFile` if its chain leads out of the datastore or has no end.
fn read_one(from: &mut Reading<'_>, slot: Slot) -> Result<Disk, ReadError> {
    let key = |name: &str| format!("{slot}.{name}");
    from.trust(&slot.to_string())?;
    let name = from.source.text(&key("fileName"));
    let name = name.ok_or_else(|| from.source.bad(&key("fileName"), "the name of a disk"))?;
    let independent = from.source.word(&key("mode"), mode, "a disk mode")?.unwrap_or(Ok(false));
    let independent = independent.map_err(|mode| {
        invalid_config("config", &format!("{slot}: the disk mode {mode} is not supported"))
    })?;
    let file = resolve(from.storage, from.home, name)
        .ok_or_else(|| invalid_config("config", &format!("{slot}: {name} cannot be found on this host")))?;
    let provisioning = from.source.text(&key(PROVISIONING)).unwrap_or("thin");
    // The image says who it is; on a datastore that cannot keep that, the VM does.
    let kept = from.source.text(&key(UUID)).and_then(|text| Uuid::parse_str(text).ok());
    Ok(Disk {
        parents: parents(from.storage, &file, slot)?,
        capacity_bytes: from.storage.capacity_bytes(&file).unwrap_or(0),
        uuid: from.storage.uuid(&file).or(kept).unwrap_or_else(|| derived_uuid(&file)),
        file,
        independent,
        thin: provisioning == "thin",
        eager_zero: provisioning == "eager",
    })
}

/// Whether a disk of this mode is independent; the mode itself if it is one that is not supported.
fn mode(word: &str) -> Option<Result<bool, &'static str>> {
    let unsupported = ["nonpersistent", "independent-nonpersistent", "undoable", "append"];
    match word {
        word if word.eq_ignore_ascii_case("persistent") => Some(Ok(false)),
        word if word.eq_ignore_ascii_case("independent-persistent") => Some(Ok(true)),
        word => unsupported.into_iter().find(|mode| mode.eq_ignore_ascii_case(word)).map(Err),
    }
}

/// The images below a disk. Images that cannot be read are told of when the disk is used.
fn parents(storage: &dyn Storage, file: &FileRef, slot: Slot) -> Result<Vec<FileRef>, Fault> {
    match storage.parents(file) {
        Err(error @ (datastore::Error::Escapes(_) | datastore::Error::TooMany { .. })) => {
            let name = storage.show(file);
            Err(fault!(
                CannotAccessFile { file: &*name },
                "{slot}: {name} cannot be a disk, because it or an image below it leads to a file outside of the \
                 datastore, to one of an unknown format, or round: {error}"
            ))
        }
        parents => Ok(parents.unwrap_or_default()),
    }
}

/// The UUID of an image that nobody has given one: always the same for the same file, by FNV-1a of 128 bits.
fn derived_uuid(file: &FileRef) -> Uuid {
    const BASIS: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
    const PRIME: u128 = 0x0100_0000_0000_0000_0000_013b;
    let bytes = file.datastore.as_bytes().iter().chain(file.path.as_str().as_bytes());
    let hash = bytes.fold(BASIS, |hash, byte| (hash ^ u128::from(*byte)).wrapping_mul(PRIME));
    uuid::Builder::from_custom_bytes(hash.to_be_bytes()).into_uuid()
}

/// Digits in groups of three.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    #[test]
    fn digits_are_grouped_by_three() {
        for (number, text) in [(0, "0"), (999, "999"), (1000, "1,000"), (16_777_216, "16,777,216")] {
            assert_eq!(super::grouped(number), text);
        }
    }
}
