//! From a machine's configuration to what QEMU is told.

use std::path::{Path, PathBuf};

use ::qemu::Error;
use ::qemu::MachineSpec;
use ::qemu::spec::{
    Accel, Attachment, Cdrom, Confinement, Controller, ControllerKind, Cpu, Disk, Firmware, ImageFormat, Nic,
    NicBackend, NicModel, ScsiModel, SerialPort, User, Video,
};
use hostnet::Tap;
use vm::config::{self, BootDevice, VmConfig};
use vm::device::{self, Device, Kind, SerialBacking, key};
use vm::limits::MAX_CPUS;

use super::Shared;
use crate::engine::launch::{DriveSpec, NicSpec, inserted};
use crate::engine::{Launch, Result, drive_id, nic_id, serial_file};
use crate::limits::SPARE_PORTS;

/// Where distributions put OVMF: code, code for secure boot, empty variables, variables with vendors' keys.
const OVMF: [[&str; 4]; 2] = [
    [
        "/usr/share/OVMF/OVMF_CODE_4M.fd",
        "/usr/share/OVMF/OVMF_CODE_4M.secboot.fd",
        "/usr/share/OVMF/OVMF_VARS_4M.fd",
        "/usr/share/OVMF/OVMF_VARS_4M.ms.fd",
    ],
    [
        "/usr/share/OVMF/OVMF_CODE.fd",
        "/usr/share/OVMF/OVMF_CODE.secboot.fd",
        "/usr/share/OVMF/OVMF_VARS.fd",
        "/usr/share/OVMF/OVMF_VARS.ms.fd",
    ],
];
/// A machine can grow to this many times what it was started with.
const HOT_ADD_FACTOR: u8 = 4;
/// Processors that every machine can grow to.
const HOT_ADD_PROCESSORS: u32 = 8;

/// The machine as QEMU is to start it. Blocking: looks at files and gives them to the machine's user.
pub(super) fn machine_spec(
    shared: &Shared,
    launch: &Launch,
    accel: Accel,
    cgroup: Option<PathBuf>,
) -> Result<MachineSpec> {
    let config = &launch.config;
    let user = shared.user(launch.user);
    // Its state is saved there, even if no drive of it is there.
    shared.let_in(&launch.home, user)?;
    let mut spec = MachineSpec::new(config.name.clone(), config.bios_uuid.to_string(), config.memory_mib);
    spec.max_memory_mib =
        config.memory_hot_add.then(|| config.memory_mib.saturating_mul(HOT_ADD_FACTOR.into()));
    spec.cpu = Cpu {
        count: config.cpus,
        cores_per_socket: config.cores_per_socket,
        max_count: config.cpu_hot_add.then(|| most_processors(config)),
        model: None,
    };
    spec.accel = accel;
    spec.firmware = firmware(shared, launch, user)?;
    let order = boot_order(config);
    let boot = |key: i32| order.iter().position(|at| *at == key).and_then(|at| u32::try_from(at).ok());
    for device in config.devices.values() {
        match &device.kind {
            Kind::Scsi { .. } | Kind::Sata { .. } | Kind::Nvme { .. } => {
                spec.controllers.push(controller(device)?);
            }
            Kind::Disk(disk) => {
                spec.disks.push(self::disk(shared, config, device, disk, user, boot(device.key))?);
            }
            Kind::Cdrom(cdrom) => {
                let iso = inserted(device, cdrom).map(|file| shared.share(file, user)).transpose()?;
                spec.cdroms.push(Cdrom {
                    id: drive_id(device.key),
                    attach: attachment(config, device)?,
                    iso,
                    boot_index: boot(device.key),
                });
            }
            Kind::Nic(nic) => {
                let tap = launch.taps.iter().find(|(key, _)| *key == device.key).map(|(_, tap)| tap);
                spec.nics.push(self::nic(device, nic, tap, boot(device.key)));
            }
            Kind::Serial(serial) => {
                let log = match &serial.backing {
                    SerialBacking::File(file) => {
                        serial_file::check(&shared.mounted(file)?, &file.path).map_err(Error::Spec)?;
                        Some(shared.give(file, user)?)
                    }
                    SerialBacking::Pipe { .. } => None,
                };
                spec.serial = Some(SerialPort { log });
            }
            _ => {}
        }
    }
    spec.guest_agent = true;
    spec.vnc = true;
    spec.tablet = true;
    spec.balloon = true;
    spec.rng = true;
    spec.video = video(config);
    spec.spare_ports = SPARE_PORTS;
    spec.confinement = Confinement { user, cgroup, oom_score_adj: None };
    Ok(spec)
}

/// Processors that a machine can grow to, in whole sockets.
fn most_processors(config: &VmConfig) -> u32 {
    let wanted = config.cpus.saturating_mul(HOT_ADD_FACTOR.into()).clamp(HOT_ADD_PROCESSORS, MAX_CPUS);
    (wanted - wanted % config.cores_per_socket.max(1)).max(config.cpus)
}

fn video(config: &VmConfig) -> Video {
    let memory_kib = config.devices.values().find_map(|device| match &device.kind {
        Kind::Video(video) => Some(video.memory_kib),
        _ => None,
    });
    let mib = u32::try_from(memory_kib.unwrap_or_default() / 1024).unwrap_or(16).clamp(16, 256);
    Video::Vga { memory_mib: mib.next_power_of_two() }
}

fn firmware(shared: &Shared, launch: &Launch, user: Option<User>) -> Result<Firmware> {
    let config::Firmware::Efi { secure_boot } = launch.config.firmware else { return Ok(Firmware::Bios) };
    let found = OVMF.iter().find(|files| files.iter().all(|file| Path::new(file).exists()));
    let missing = || Error::Unavailable {
        file: "the EFI firmware".into(),
        reason: "OVMF is not installed; install the package ovmf".into(),
    };
    let files = found.ok_or_else(missing)?;
    let (code, template) = if secure_boot { (files[1], files[3]) } else { (files[0], files[2]) };
    let vars = shared.path(&launch.nvram)?;
    if !vars.exists() {
        copy(template, &vars)?;
    }
    shared.give(&launch.nvram, user)?;
    Ok(Firmware::Efi { code: code.into(), vars, secure_boot })
}

/// Copies whole or not at all.
fn copy(from: &str, to: &PathBuf) -> Result<()> {
    let fresh = to.with_extension("nvram.new");
    let copied = std::fs::copy(from, &fresh).and_then(|_| std::fs::rename(&fresh, to));
    copied.map_err(|source| {
        drop(std::fs::remove_file(&fresh));
        if source.kind() == std::io::ErrorKind::StorageFull {
            return Error::NoSpace { path: to.clone() };
        }
        Error::Io { what: format!("make {}", to.display()), source }
    })
}

/// Keys of the devices to boot from, first first.
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

fn controller(device: &Device) -> Result<Controller> {
    let (bus, kind) = match device.kind {
        Kind::Sata { bus } => (bus, ControllerKind::Sata),
        Kind::Nvme { bus } => (bus, ControllerKind::Nvme),
        Kind::Scsi { bus, model } => (bus, ControllerKind::Scsi(scsi_model(model)?)),
        _ => return Err(Error::Spec(format!("device {} is no controller", device.key))),
    };
    Ok(Controller { index: small(bus)?, kind })
}

fn scsi_model(model: device::ScsiModel) -> Result<ScsiModel> {
    match model {
        device::ScsiModel::LsiLogic => Ok(ScsiModel::LsiLogic),
        device::ScsiModel::LsiLogicSas => Ok(ScsiModel::LsiLogicSas),
        device::ScsiModel::ParaVirtual => Ok(ScsiModel::Pvscsi),
        device::ScsiModel::BusLogic => {
            Err(Error::Spec("BusLogic controllers are not supported; use LSI Logic instead".into()))
        }
    }
}

fn small<T: TryFrom<i32>>(number: i32) -> Result<T> {
    T::try_from(number).map_err(|_| Error::Spec(format!("{number} is no place of a device")))
}

fn attachment(config: &VmConfig, device: &Device) -> Result<Attachment> {
    let unit = device.unit.unwrap_or_default();
    let controller = device.controller.and_then(|key| config.devices.get(&key));
    match controller.map(|controller| &controller.kind) {
        Some(Kind::Ide { bus }) => Ok(Attachment::Ide { port: small(bus * 2 + unit)? }),
        Some(Kind::Sata { bus }) => Ok(Attachment::Sata { controller: small(*bus)?, port: small(unit)? }),
        Some(Kind::Scsi { bus, .. }) => {
            Ok(Attachment::Scsi { controller: small(*bus)?, target: small(unit)? })
        }
        Some(Kind::Nvme { bus }) => {
            Ok(Attachment::Nvme { controller: small(*bus)?, namespace: small::<u16>(unit)? + 1 })
        }
        _ => Err(Error::Spec(format!("device {} has no controller", device.key))),
    }
}

fn disk(
    shared: &Shared,
    config: &VmConfig,
    device: &Device,
    disk: &device::Disk,
    user: Option<User>,
    boot_index: Option<u32>,
) -> Result<Disk> {
    // Layers below are read only while the machine runs, but merged into when a snapshot is removed.
    for parent in shared.parents(&disk.file)? {
        shared.give(&parent, user)?;
    }
    Ok(Disk {
        id: drive_id(device.key),
        path: shared.give(&disk.file, user)?,
        format: shared.format(&disk.file)?,
        attach: attachment(config, device)?,
        read_only: false,
        boot_index,
        serial: config.disk_uuid.then(|| disk.uuid.simple().to_string().chars().take(20).collect()),
    })
}

fn nic(device: &Device, nic: &device::Nic, tap: Option<&Tap>, boot_index: Option<u32>) -> Nic {
    Nic {
        id: nic_id(device.key),
        model: match nic.model {
            device::NicModel::E1000 => NicModel::E1000,
            device::NicModel::E1000e => NicModel::E1000e,
            device::NicModel::Vmxnet3 => NicModel::Vmxnet3,
        },
        mac: nic.mac.clone(),
        backend: match tap {
            Some(tap) => NicBackend::Tap { ifname: tap.name.clone() },
            None => NicBackend::Unplugged,
        },
        link_up: device.connect.is_none_or(|connect| connect.now),
        boot_index,
        port: u8::try_from(device.key - key::NIC).ok(),
    }
}

/// A disk to add to a running machine.
pub(super) fn hot_disk(shared: &Shared, spec: &MachineSpec, drive: &DriveSpec) -> Result<Disk> {
    let controller = drive.device.controller.unwrap_or_default();
    let unit = drive.device.unit.unwrap_or_default();
    let attach = match controller {
        key::SCSI..1100 => {
            Attachment::Scsi { controller: small(controller - key::SCSI)?, target: small(unit)? }
        }
        key::SATA..15100 => {
            Attachment::Sata { controller: small(controller - key::SATA)?, port: small(unit)? }
        }
        key::NVME..31100 => Attachment::Nvme {
            controller: small(controller - key::NVME)?,
            namespace: small::<u16>(unit)? + 1,
        },
        _ => return Err(Error::Spec("a disk on IDE cannot be added while the machine runs".into())),
    };
    let user = spec.confinement.user;
    for parent in shared.parents(&drive.disk.file)? {
        shared.give(&parent, user)?;
    }
    let format: ImageFormat = shared.format(&drive.disk.file)?;
    Ok(Disk {
        id: drive_id(drive.device.key),
        path: shared.give(&drive.disk.file, user)?,
        format,
        attach,
        read_only: false,
        boot_index: None,
        serial: None,
    })
}

/// An adapter to add to a running machine.
pub(super) fn hot_nic(adapter: &NicSpec) -> Nic {
    let mut nic = nic(&adapter.device, &adapter.nic, adapter.tap.as_ref(), None);
    // Any free port: the one of its number may not exist in a machine that was started with fewer.
    nic.port = None;
    nic
}
