//! From the configuration to the text.

use datastore::vmx::format_uuid;
use datastore::{Dictionary, DictionaryError};

use super::own;
use crate::config::{Allocation, BOOT_RETRY_DELAY_MS, BootDevice, Firmware, Shares, VmConfig};
use crate::device::{TABLE, Writing, key, slot};
use crate::file::FileRef;
use crate::guest_os;
use crate::text::Wanted;

/// Version of the format itself, unchanged for twenty years.
const FORMAT: &str = "8";

/// Writes a configuration over `before`, whose order, comments and case of keys stay. `suspend_file` names the state of
/// a suspended VM.
///
/// # Errors
/// [`DictionaryError`] for a text that the format cannot hold, and for extra configuration that sets the key of a device.
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
    for (key, value) in &config.kept {
        wanted.put(key, value);
    }
    settings(config, &mut wanted);
    for (key, value) in &config.extra {
        wanted.extra(&config.name, key, value)?;
    }
    wanted.over(before)
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
    w.put(own::GUEST_OS, guest_os::to_vmx(&config.guest_id));
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
}

fn settings(config: &VmConfig, w: &mut Wanted) {
    w.set(own::CHANGE_VERSION, config.change_version.as_str());
    w.set(own::MODIFIED, config.modified.to_string());
    if let Some(created) = config.created {
        w.set(own::CREATED, created.to_string());
    }
    allocation(config.cpu, own::CPU, w);
    allocation(config.memory, own::MEMORY, w);
    w.set_flag(own::TEMPLATE, config.template, false);
    w.set_flag(own::DISK_UUID, config.disk_uuid, false);
    w.set_flag(own::AFTER_POWER_ON, config.tools.after_power_on, true);
    w.set_flag(own::AFTER_RESUME, config.tools.after_resume, true);
    w.set_flag(own::BEFORE_STANDBY, config.tools.before_standby, true);
    w.set_flag(own::BEFORE_SHUTDOWN, config.tools.before_shutdown, true);
    w.set_flag(own::SYNC_TIME, config.tools.sync_time, false);
    w.set_flag(own::BOOT_RETRY, config.boot.retry, false);
    w.set_flag(own::BOOT_SETUP, config.boot.setup, false);
    if !config.alternate_guest_name.is_empty() {
        w.set(own::ALTERNATE_NAME, config.alternate_guest_name.as_str());
    }
    if config.boot.delay_ms != 0 {
        w.set(own::BOOT_DELAY, config.boot.delay_ms.to_string());
    }
    if config.boot.retry_delay_ms != BOOT_RETRY_DELAY_MS {
        w.set(own::BOOT_RETRY_DELAY, config.boot.retry_delay_ms.to_string());
    }
    if let Some(manager) = &config.managed_by {
        w.set(own::MANAGER, manager.extension.as_str());
        w.set(own::MANAGER_TYPE, manager.ty.as_str());
    }
    let disks = config.boot.order.iter().filter_map(|device| match device {
        BootDevice::Disk(key) => Some(slot(&config.devices, config.devices.get(key)?)?.to_string()),
        _ => None,
    });
    let disks: Vec<String> = disks.collect();
    if !disks.is_empty() {
        w.set(own::DISK_ORDER, disks.join(","));
    }
}

fn allocation(allocation: Allocation, prefix: &str, w: &mut Wanted) {
    let shares = match allocation.shares {
        Shares::Low => "low".into(),
        Shares::Normal => "normal".into(),
        Shares::High => "high".into(),
        Shares::Custom(number) => number.to_string(),
    };
    w.set(format!("{prefix}.shares"), shares);
    if allocation.reservation != 0 {
        w.set(format!("{prefix}.min"), allocation.reservation.to_string());
    }
    if allocation.limit >= 0 {
        w.set(format!("{prefix}.max"), allocation.limit.to_string());
    }
}
