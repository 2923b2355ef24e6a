//! From the text to the configuration. Of the keys that nobody takes, those that stand for a field are only kept, and the others
//! become extra configuration.

use datastore::{Dictionary, escape_name};
use vim::DateTime;

use super::own::{self, AllocationKeys};
use crate::config::{
    Allocation, BOOT_RETRY_DELAY_MS, Boot, BootDevice, Firmware, ManagedBy, Shares, Tools, VmConfig,
};
use crate::device::{Devices, Reading, Slot, TABLE, drive_key, key};
use crate::file::FileRef;
use crate::guest_os;
use crate::storage::Storage;
use crate::text::{ReadError, Source, numbered};

/// Memory of a VM whose file does not say, MiB.
const DEFAULT_MEMORY_MIB: u32 = 32;
/// Most memory that a file may give a VM, MiB (24 TiB).
const MAX_MEMORY_MIB: u32 = 24 << 20;
/// Most processors that a file may give a VM.
const MAX_CPUS: u32 = 768;
/// Hardware version of a VM whose file does not say, and the newest that a file may have.
const HARDWARE_VERSIONS: (u32, u32) = (4, 1000);
/// Reads the `.vmx` `home`. A disk that cannot be read has no capacity; its use tells why. A device that this host cannot give to
/// the VM is a [`crate::device::Unusable`].
///
/// # Errors
/// [`ReadError::Text`] for a setting with a value that its key does not allow.
pub fn read(
    storage: &dyn Storage,
    home: &FileRef,
    file: &Dictionary,
    now: DateTime,
) -> Result<VmConfig, ReadError> {
    let mut source = Source::new(file, own::is_field);
    for written_always in [own::ENCODING, own::CONFIG_VERSION, own::SUSPEND_FILE] {
        source.take(written_always);
    }
    let name = source.take(own::NAME).unwrap_or_default();
    let name = if name.is_empty() { home.path.stem() } else { name };
    let mut config = VmConfig::new(&escape_name(name), now);
    hardware(&mut source, &mut config)?;
    config.bios_uuid = source.uuid(own::BIOS_UUID)?.unwrap_or(config.bios_uuid);
    config.instance_uuid = source.uuid(own::INSTANCE_UUID)?.unwrap_or(config.instance_uuid);
    settings(&mut source, &mut config, now);
    let devices = std::mem::take(&mut config.devices);
    let mut reading = Reading { source, storage, home, devices };
    for row in TABLE {
        (row.read)(&mut reading);
    }
    let Reading { mut source, devices, .. } = reading;
    config.devices = devices;
    config.boot = boot(&mut source, &config.devices);
    for key in [own::BOOT_ORDER, own::DISK_ORDER] {
        config.kept.extend(source.take(key).map(|text| (key.to_owned(), text.to_owned())));
    }
    let (kept, extra): (Vec<_>, Vec<_>) = source
        .rest()
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .partition(|(key, _)| own::is_field(key));
    config.kept.extend(kept);
    config.extra = extra.into_iter().collect();
    Ok(config)
}

/// Processors, memory and firmware.
fn hardware(source: &mut Source<'_>, config: &mut VmConfig) -> Result<(), ReadError> {
    let memory = source.number(own::MEMORY_MIB, 1, MAX_MEMORY_MIB)?;
    config.memory_mib = memory.unwrap_or(DEFAULT_MEMORY_MIB).into();
    config.cpus = source.number(own::CPUS, 1, MAX_CPUS)?.unwrap_or(1);
    let cores = source.number(own::CORES_PER_SOCKET, 1, MAX_CPUS)?;
    config.cores_per_socket = cores.filter(|n| config.cpus.is_multiple_of(*n)).unwrap_or(1);
    config.cpu_hot_add = source.flag(own::CPU_HOT_ADD)?.unwrap_or(false);
    config.memory_hot_add = source.flag(own::MEMORY_HOT_ADD)?.unwrap_or(false);
    let (oldest, newest) = HARDWARE_VERSIONS;
    config.hardware_version = source.number(own::HARDWARE_VERSION, 1, newest)?.unwrap_or(oldest);
    let efi = |word: &str| {
        let efi = word.eq_ignore_ascii_case("efi");
        (efi || word.eq_ignore_ascii_case("bios")).then_some(efi)
    };
    let efi = source.word(own::FIRMWARE, efi, "bios or efi")?.unwrap_or(false);
    let secure_boot = source.flag(own::SECURE_BOOT)?.unwrap_or(false);
    config.firmware = if efi { Firmware::Efi { secure_boot } } else { Firmware::Bios };
    Ok(())
}

fn settings(source: &mut Source<'_>, config: &mut VmConfig, now: DateTime) {
    let guest = source.take(own::GUEST_OS).unwrap_or("other");
    config.guest_id = guest_os::from_vmx(guest);
    if !guest_os::to_vmx(&config.guest_id).eq_ignore_ascii_case(guest) {
        config.kept.push((own::GUEST_OS.to_owned(), guest.to_owned()));
    }
    config.alternate_guest_name = source.text(own::ALTERNATE_NAME).unwrap_or_default().to_owned();
    config.annotation = source.take(own::ANNOTATION).unwrap_or_default().to_owned();
    config.nvram = source.text(own::NVRAM).map(str::to_owned);
    config.template = source.is_true(own::TEMPLATE).unwrap_or(false);
    config.disk_uuid = source.is_true(own::DISK_UUID).unwrap_or(false);
    if let Some(version) = source.text(own::CHANGE_VERSION) {
        version.clone_into(&mut config.change_version);
    }
    config.modified = source.text(own::MODIFIED).and_then(DateTime::parse).unwrap_or(now);
    config.created = source.text(own::CREATED).and_then(DateTime::parse);
    config.cpu = allocation(source, own::CPU);
    config.memory = allocation(source, own::MEMORY);
    config.tools = Tools {
        after_power_on: source.is_true(own::AFTER_POWER_ON).unwrap_or(true),
        after_resume: source.is_true(own::AFTER_RESUME).unwrap_or(true),
        before_standby: source.is_true(own::BEFORE_STANDBY).unwrap_or(true),
        before_shutdown: source.is_true(own::BEFORE_SHUTDOWN).unwrap_or(true),
        sync_time: source.is_true(own::SYNC_TIME).unwrap_or(false),
    };
    let ty = source.text(own::MANAGER_TYPE).unwrap_or_default().to_owned();
    config.managed_by =
        source.text(own::MANAGER).map(|extension| ManagedBy { extension: extension.to_owned(), ty });
}

fn allocation(source: &mut Source<'_>, [shares, reservation, limit]: AllocationKeys) -> Allocation {
    let shares = match source.text(shares) {
        Some("low") => Shares::Low,
        Some("high") => Shares::High,
        Some(number) => number.parse().map_or(Shares::Normal, Shares::Custom),
        None => Shares::Normal,
    };
    let reservation = source.parsed(reservation).unwrap_or(0);
    let limit = source.parsed(limit).unwrap_or(-1);
    Allocation { shares, reservation, limit }
}

/// The devices to boot from, as the values of [`own::BOOT_ORDER`] and [`own::DISK_ORDER`] name them. Words for anything that the VM
/// does not have mean nothing.
pub(super) fn boot_order(order: &str, disks: &str, devices: &Devices) -> Vec<BootDevice> {
    let disk = |text: &str| {
        let slot: Slot = text.trim().parse().ok()?;
        let key = drive_key(slot.bus, slot.controller.into(), slot.unit.into());
        devices.get(&key)?.disk().map(|_| BootDevice::Disk(key))
    };
    let nic = |text: &str| {
        let key = key::NIC + i32::from(numbered(text, "ethernet", u8::MAX)?);
        devices.get(&key)?.nic().map(|_| BootDevice::Nic(key))
    };
    let mut found = Vec::new();
    for word in order.split(',').map(str::trim) {
        match word {
            "hdd" => found.extend(disks.split(',').filter_map(disk)),
            "cdrom" => found.push(BootDevice::Cdrom),
            other => found.extend(nic(other)),
        }
    }
    found
}

fn boot(source: &mut Source<'_>, devices: &Devices) -> Boot {
    let order = source.take(own::BOOT_ORDER).unwrap_or_default();
    let disks = source.take(own::DISK_ORDER).unwrap_or_default();
    Boot {
        delay_ms: source.parsed(own::BOOT_DELAY).unwrap_or(0),
        retry: source.is_true(own::BOOT_RETRY).unwrap_or(false),
        retry_delay_ms: source.parsed(own::BOOT_RETRY_DELAY).unwrap_or(BOOT_RETRY_DELAY_MS),
        setup: source.is_true(own::BOOT_SETUP).unwrap_or(false),
        order: boot_order(order, disks, devices),
    }
}
