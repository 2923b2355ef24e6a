//! The QEMU process of a VM: the specification that crate `qemu` starts, and devices that are added to it later. A device
//! is built by the same function in both cases.

use qemu::spec::{Accel, Confinement, Cpu, Disk, Firmware, Nic};
use qemu::{Error, MachineSpec, Result};

use crate::config::{BootDevice, VmConfig};
pub use crate::device::{Files, drive_id, nic_id, nic_key};
use crate::device::{Kind, Parts};
use crate::limits::{HOT_ADD_FACTOR, HOT_ADD_PROCESSORS, MAX_CPUS, SPARE_PORTS};

/// The host's additions to the configuration.
pub struct Given<'a> {
    pub accel: Accel,
    pub firmware: Firmware,
    pub confinement: Confinement,
    pub files: &'a dyn Files,
    /// Tap of the network adapter with this key; `None` leaves the adapter unplugged.
    pub tap: &'a dyn Fn(i32) -> Option<String>,
}

/// The QEMU process to start for a VM.
///
/// # Errors
/// [`Error::Spec`] for a device that QEMU does not have, and any error of [`Files`].
pub fn spec(config: &VmConfig, given: Given<'_>) -> Result<MachineSpec> {
    let mut spec = MachineSpec::new(config.name.clone(), config.bios_uuid.to_string(), config.memory_mib);
    spec.max_memory_mib =
        config.memory_hot_add.then(|| config.memory_mib.saturating_mul(HOT_ADD_FACTOR.into()));
    spec.cpu = Cpu {
        count: config.cpus,
        cores_per_socket: config.cores_per_socket,
        max_count: config.cpu_hot_add.then(|| most_processors(config)),
        model: None,
    };
    spec.accel = given.accel;
    spec.firmware = given.firmware;
    spec.confinement = given.confinement;
    spec.guest_agent = true;
    spec.vnc = true;
    spec.tablet = true;
    spec.balloon = true;
    spec.rng = true;
    spec.spare_ports = SPARE_PORTS;
    let mut parts = Parts {
        devices: &config.devices,
        files: given.files,
        disk_uuid: config.disk_uuid,
        boot_order: &boot_order(config),
        tap: given.tap,
        spec,
    };
    for device in config.devices.values() {
        device.kind.build(device, &mut parts)?;
    }
    Ok(parts.spec)
}

/// The disk with this key, to add to the running process.
///
/// # Errors
/// [`Error::Spec`] for a disk on IDE, which cannot be added; otherwise as [`spec`].
pub fn hot_disk(config: &VmConfig, key: i32, files: &dyn Files) -> Result<Disk> {
    let device = config.devices.get(&key).ok_or_else(|| Error::NoSuchDevice(drive_id(key)))?;
    let Kind::Disk(disk) = &device.kind else { return Err(Error::NoSuchDevice(drive_id(key))) };
    let on = device.controller.and_then(|key| config.devices.get(&key));
    if on.is_some_and(|controller| matches!(controller.kind, Kind::Ide(_))) {
        return Err(Error::Spec("a disk on IDE cannot be added while the VM runs".into()));
    }
    disk.drive(device, &config.devices, files, config.disk_uuid, None)
}

/// The network adapter with this key, to add to the running process.
///
/// # Errors
/// [`Error::NoSuchDevice`].
pub fn hot_nic(config: &VmConfig, key: i32, tap: Option<String>) -> Result<Nic> {
    let device = config.devices.get(&key).ok_or_else(|| Error::NoSuchDevice(nic_id(key)))?;
    let nic = device.nic().ok_or_else(|| Error::NoSuchDevice(nic_id(key)))?;
    let mut nic = nic.adapter(device, tap, None);
    // Any free port: the one of its number may not exist in a process that was started with fewer adapters.
    nic.port = None;
    Ok(nic)
}

/// Processors that a VM can grow to, in whole sockets.
fn most_processors(config: &VmConfig) -> u32 {
    let wanted = config.cpus.saturating_mul(HOT_ADD_FACTOR.into()).clamp(HOT_ADD_PROCESSORS, MAX_CPUS);
    (wanted - wanted % config.cores_per_socket.max(1)).max(config.cpus)
}

/// Keys of the devices to boot from, first first: those of the boot order, then the others.
fn boot_order(config: &VmConfig) -> Vec<i32> {
    let cdroms =
        || config.devices.values().filter(|device| device.cdrom().is_some()).map(|device| device.key);
    let mut order = Vec::new();
    for device in &config.boot.order {
        match device {
            BootDevice::Disk(key) | BootDevice::Nic(key) => order.push(*key),
            BootDevice::Cdrom => order.extend(cdroms()),
        }
    }
    let rest = config.disks().map(|(key, _)| key).chain(cdroms()).chain(config.nics().map(|(key, _)| key));
    for key in rest {
        if !order.contains(&key) {
            order.push(key);
        }
    }
    order
}
