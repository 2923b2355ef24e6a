//! From the configuration to the text.

use datastore::vmx::format_uuid;
use datastore::{Dictionary, DictionaryError};

use super::own::{self, AllocationKeys};
use super::read;
use crate::config::{Allocation, BOOT_RETRY_DELAY_MS, BootDevice, Firmware, Shares, VmConfig};
use crate::device::{Kind, TABLE, Writing, key, slot};
use crate::file::FileRef;
use crate::guest_os;
use crate::text::Wanted;

/// Version of the format itself, unchanged for twenty years.
const FORMAT: &str = "8";

/// Writes a configuration over `before`, whose order, comments and case of keys stay. `suspend_file` names the state of
/// a suspended VM.
///
/// # Errors
/// [`DictionaryError`] for a text that the format cannot hold.
pub fn write(
    config: &VmConfig,
    home: &FileRef,
    suspend_file: Option<&str>,
    before: &Dictionary,
) -> Result<Dictionary, DictionaryError> {
    let mut wanted = Wanted::default();
    hardware(config, home, &mut wanted);
    boot_order(config, &mut wanted);
    if let Some(file) = suspend_file {
        wanted.put(own::SUSPEND_FILE, file);
    }
    let mut writing = Writing { devices: &config.devices, home, wanted };
    for row in TABLE {
        for device in config.devices.values().filter(|device| (row.has)(&device.kind)) {
            device.kind.write(device, &mut writing);
        }
    }
    let mut wanted = writing.wanted;
    settings(config, &mut wanted);
    let verbatim = |key: &str| {
        let prefix = key.split_once('.').map_or(key, |(prefix, _)| prefix);
        config.devices.values().any(|device| match &device.kind {
            Kind::Unusable(unusable) => unusable.prefix.eq_ignore_ascii_case(prefix),
            _ => false,
        })
    };
    debug_assert!(
        wanted.keys().all(|key| own::is_field(key) || verbatim(key)),
        "each key that is written is listed as one of a field"
    );
    let kept = config.kept.iter().filter(|(key, _)| !superseded(key));
    let extra = config.extra.iter().filter(|(key, _)| !own::is_field(key));
    for (key, value) in kept.map(|(key, value)| (key, value)).chain(extra) {
        if !wanted.has(key) {
            wanted.put(key, value);
        }
    }
    wanted.over(before)
}

/// Whether a key is only kept for the sake of its spelling: while its setting is the same, it is written as it was, and otherwise
/// not at all.
fn superseded(key: &str) -> bool {
    [own::GUEST_OS, own::BOOT_ORDER, own::DISK_ORDER].iter().any(|known| known.eq_ignore_ascii_case(key))
}

/// The text that a `.vmx` had for a key of [`superseded`].
fn spelt<'a>(config: &'a VmConfig, key: &str) -> Option<&'a str> {
    config.kept.iter().find(|(known, _)| known.eq_ignore_ascii_case(key)).map(|(_, value)| value.as_str())
}

fn hardware(config: &VmConfig, home: &FileRef, w: &mut Wanted) {
    let put_true = |w: &mut Wanted, key: &str, value: bool| {
        if value {
            w.flag(key, true);
        }
    };
    w.put(own::CONFIG_VERSION, FORMAT);
    w.put(own::HARDWARE_VERSION, config.hardware_version.to_string());
    w.put(own::NAME, config.name.as_str());
    let guest = spelt(config, own::GUEST_OS).filter(|word| guest_os::from_vmx(word) == config.guest_id);
    w.put(own::GUEST_OS, guest.map_or_else(|| guest_os::to_vmx(&config.guest_id), str::to_owned));
    if !config.annotation.is_empty() {
        w.put(own::ANNOTATION, config.annotation.as_str());
    }
    if let Firmware::Efi { secure_boot } = config.firmware {
        w.put(own::FIRMWARE, "efi");
        put_true(w, own::SECURE_BOOT, secure_boot);
    }
    w.put(own::NVRAM, nvram(config, home));
    w.put(own::MEMORY_MIB, u32::try_from(config.memory_mib).unwrap_or(u32::MAX).to_string());
    put_true(w, own::MEMORY_HOT_ADD, config.memory_hot_add);
    w.put(own::CPUS, config.cpus.to_string());
    w.put(own::CORES_PER_SOCKET, config.cores_per_socket.to_string());
    put_true(w, own::CPU_HOT_ADD, config.cpu_hot_add);
    w.put(own::BIOS_UUID, format_uuid(config.bios_uuid));
    w.put(own::INSTANCE_UUID, format_uuid(config.instance_uuid));
}

/// Name of the file of the firmware's variables.
pub fn nvram(config: &VmConfig, home: &FileRef) -> String {
    config.nvram.clone().unwrap_or_else(|| format!("{}.nvram", home.path.stem()))
}

fn boot_order(config: &VmConfig, w: &mut Wanted) {
    let (before, disks) = (spelt(config, own::BOOT_ORDER), spelt(config, own::DISK_ORDER));
    let means = read::boot_order(before.unwrap_or_default(), disks.unwrap_or_default(), &config.devices);
    if means == config.boot.order && before.or(disks).is_some() {
        for (key, text) in [(own::BOOT_ORDER, before), (own::DISK_ORDER, disks)] {
            text.into_iter().for_each(|text| w.put(key, text));
        }
        return;
    }
    let mut order: Vec<String> = Vec::new();
    for device in &config.boot.order {
        let word = match device {
            BootDevice::Disk(_) => "hdd".to_owned(),
            BootDevice::Cdrom => "cdrom".to_owned(),
            BootDevice::Nic(key) => format!("ethernet{}", key - key::NIC),
        };
        if !order.contains(&word) {
            order.push(word);
        }
    }
    if !order.is_empty() {
        w.put(own::BOOT_ORDER, order.join(","));
    }
    let disks = config.boot.order.iter().filter_map(|device| match device {
        BootDevice::Disk(key) => Some(slot(&config.devices, config.devices.get(key)?)?.to_string()),
        _ => None,
    });
    let disks: Vec<String> = disks.collect();
    if !disks.is_empty() {
        w.put(own::DISK_ORDER, disks.join(","));
    }
}

fn settings(config: &VmConfig, w: &mut Wanted) {
    w.put(own::CHANGE_VERSION, config.change_version.as_str());
    w.put(own::MODIFIED, config.modified.to_string());
    if let Some(created) = config.created {
        w.put(own::CREATED, created.to_string());
    }
    allocation(config.cpu, own::CPU, w);
    allocation(config.memory, own::MEMORY, w);
    w.flag_unless(own::TEMPLATE, config.template, false);
    w.flag_unless(own::DISK_UUID, config.disk_uuid, false);
    w.flag_unless(own::AFTER_POWER_ON, config.tools.after_power_on, true);
    w.flag_unless(own::AFTER_RESUME, config.tools.after_resume, true);
    w.flag_unless(own::BEFORE_STANDBY, config.tools.before_standby, true);
    w.flag_unless(own::BEFORE_SHUTDOWN, config.tools.before_shutdown, true);
    w.flag_unless(own::SYNC_TIME, config.tools.sync_time, false);
    w.flag_unless(own::BOOT_RETRY, config.boot.retry, false);
    w.flag_unless(own::BOOT_SETUP, config.boot.setup, false);
    if !config.alternate_guest_name.is_empty() {
        w.put(own::ALTERNATE_NAME, config.alternate_guest_name.as_str());
    }
    if config.boot.delay_ms != 0 {
        w.put(own::BOOT_DELAY, config.boot.delay_ms.to_string());
    }
    if config.boot.retry_delay_ms != BOOT_RETRY_DELAY_MS {
        w.put(own::BOOT_RETRY_DELAY, config.boot.retry_delay_ms.to_string());
    }
    if let Some(manager) = &config.managed_by {
        w.put(own::MANAGER, manager.extension.as_str());
        w.put(own::MANAGER_TYPE, manager.ty.as_str());
    }
}

fn allocation(allocation: Allocation, [shares, reservation, limit]: AllocationKeys, w: &mut Wanted) {
    let level = match allocation.shares {
        Shares::Low => "low".into(),
        Shares::Normal => "normal".into(),
        Shares::High => "high".into(),
        Shares::Custom(number) => number.to_string(),
    };
    w.put(shares, level);
    if allocation.reservation != 0 {
        w.put(reservation, allocation.reservation.to_string());
    }
    if allocation.limit >= 0 {
        w.put(limit, allocation.limit.to_string());
    }
}
