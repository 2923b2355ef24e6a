//! A machine's configuration as its `.vmx` says it, which is the truth, and back. What has no key of VMware's gets one
//! that begins with `esfera.`; keys that nothing here understands stay as they are.

use std::collections::BTreeMap;

use datastore::vmx::{self, AddressType as Address, Backing, Bus, DiskMode, FileName, VmxConfig};
use uuid::Uuid;
use vim::{DateTime, Fault, fault};

use super::config::{
    Allocation, BOOT_RETRY_DELAY_MS, Boot, BootDevice, Firmware, ManagedBy, Shares, Tools, VmConfig,
};
use super::device::{
    AddressType, Cdrom, Connect, Device, Disk, FileRef, Kind, Medium, Nic, NicModel, ScsiModel, Serial,
    SerialBacking, Video, key,
};
use super::{guest_os, place};
use crate::faults::invalid_config;
use crate::storage::Storage;

/// Keys of the extra part that fields of [`VmConfig`] stand for.
mod own {
    pub const CHANGE_VERSION: &str = "esfera.changeVersion";
    pub const MODIFIED: &str = "esfera.modified";
    pub const CREATED: &str = "createdDate";
    pub const TEMPLATE: &str = "esfera.template";
    pub const ALTERNATE_NAME: &str = "guestOSAltName";
    pub const DISK_UUID: &str = "disk.EnableUUID";
    pub const BOOT_DELAY: &str = "bios.bootDelay";
    pub const BOOT_RETRY: &str = "bios.bootRetry.enabled";
    pub const BOOT_RETRY_DELAY: &str = "bios.bootRetry.delay";
    pub const BOOT_SETUP: &str = "bios.forceSetupOnce";
    pub const DISK_ORDER: &str = "bios.hddOrder";
    pub const CPU: &str = "sched.cpu";
    pub const MEMORY: &str = "sched.mem";
    pub const SYNC_TIME: &str = "tools.syncTime";
    pub const AFTER_POWER_ON: &str = "toolScripts.afterPowerOn";
    pub const AFTER_RESUME: &str = "toolScripts.afterResume";
    pub const BEFORE_STANDBY: &str = "toolScripts.beforeSuspend";
    pub const BEFORE_SHUTDOWN: &str = "toolScripts.beforePowerOff";
    pub const MANAGER: &str = "esfera.managedBy.extensionKey";
    pub const MANAGER_TYPE: &str = "esfera.managedBy.type";
    pub const VIDEO_MEMORY: &str = "svga.vramSize";
    pub const VIDEO_AUTO: &str = "svga.autodetect";
    pub const DISPLAYS: &str = "svga.numDisplays";
    pub const XHCI: &str = "usb_xhci.present";
    /// Of a disk.
    pub const PROVISIONING: &str = "esfera.provisioning";
    /// Of a disk.
    pub const UUID: &str = "esfera.uuid";
    /// Of an adapter.
    pub const WAKE: &str = "wakeOnPcktRcv";
    /// Of a serial port.
    pub const PIPE_END: &str = "pipe.endPoint";
    /// Of a serial port.
    pub const NO_RX_LOSS: &str = "tryNoRxLoss";
}

/// Keys that extra configuration may not set, because they are the host's.
pub fn is_reserved(key: &str) -> bool {
    key.to_ascii_lowercase().starts_with("esfera.")
}

struct Extra(BTreeMap<String, (String, String)>);

impl Extra {
    fn new(pairs: &[(String, String)]) -> Self {
        Self(
            pairs
                .iter()
                .map(|(key, value)| (key.to_ascii_lowercase(), (key.clone(), value.clone())))
                .collect(),
        )
    }

    fn take(&mut self, key: &str) -> Option<String> {
        self.0.remove(&key.to_ascii_lowercase()).map(|(_, value)| value).filter(|value| !value.is_empty())
    }

    fn flag(&mut self, key: &str) -> Option<bool> {
        self.take(key).map(|value| is_true(&value))
    }

    fn number<T: std::str::FromStr>(&mut self, key: &str) -> Option<T> {
        self.take(key).and_then(|value| value.trim().parse().ok())
    }

    fn allocation(&mut self, prefix: &str) -> Allocation {
        let shares = match self.take(&format!("{prefix}.shares")).as_deref() {
            Some("low") => Shares::Low,
            Some("high") => Shares::High,
            Some(number) => number.parse().map_or(Shares::Normal, Shares::Custom),
            None => Shares::Normal,
        };
        let reservation = self.number(&format!("{prefix}.min")).unwrap_or(0);
        let limit = self.number(&format!("{prefix}.max")).unwrap_or(-1);
        Allocation { shares, reservation, limit }
    }
}

fn is_true(value: &str) -> bool {
    ["true", "1", "yes", "on"].iter().any(|word| value.eq_ignore_ascii_case(word))
}

fn other<'a>(keys: &'a [(String, String)], wanted: &str) -> Option<&'a str> {
    keys.iter().find(|(key, _)| key.eq_ignore_ascii_case(wanted)).map(|(_, value)| value.as_str())
}

fn set_other(keys: &mut Vec<(String, String)>, wanted: &str, value: Option<&str>) {
    keys.retain(|(key, _)| !key.eq_ignore_ascii_case(wanted));
    if let Some(value) = value {
        keys.push((wanted.to_owned(), value.to_owned()));
    }
}

/// The file that a name in `.vmx` means.
pub fn resolve(storage: &dyn Storage, home: &FileRef, name: &str) -> Option<FileRef> {
    let directory = home.path.parent().unwrap_or_default();
    match FileName::parse(name, &directory).ok()? {
        FileName::Here(path) => Some(FileRef { datastore: home.datastore, path }),
        FileName::Volume { volume, path } => {
            let known = Uuid::parse_str(&volume).ok().filter(|uuid| storage.name(*uuid).is_some());
            let datastore = known.or_else(|| storage.by_name(&volume))?;
            Some(FileRef { datastore, path })
        }
        FileName::Datastore(path) => {
            let datastore = storage.by_name(path.datastore())?;
            Some(FileRef { datastore, path: path.into_path() })
        }
    }
}

/// How `.vmx` names a file: without its directory if that is the machine's own.
pub fn file_name(home: &FileRef, file: &FileRef) -> String {
    let directory = home.path.parent().unwrap_or_default();
    FileName::write(&file.path, &file.datastore.to_string(), file.datastore == home.datastore, &directory)
}

/// Reads a configuration. Disks that cannot be read have no capacity, which is told when they are used.
///
/// # Errors
/// `InvalidVmConfig` for what this host cannot run, `CannotAccessFile` for a disk that leads out of its datastore.
pub fn read(
    storage: &dyn Storage,
    home: &FileRef,
    file: &VmxConfig,
    now: DateTime,
) -> Result<VmConfig, Fault> {
    let mut extra = Extra::new(&file.extra);
    let mut config = VmConfig::new(&file.name, now);
    if config.name.is_empty() {
        home.path.stem().clone_into(&mut config.name);
    }
    config.bios_uuid = file.bios_uuid.unwrap_or(config.bios_uuid);
    config.instance_uuid = file.instance_uuid.unwrap_or(config.instance_uuid);
    config.guest_id = guest_os::from_vmx(&file.guest_os);
    config.alternate_guest_name = extra.take(own::ALTERNATE_NAME).unwrap_or_default();
    config.hardware_version = file.hardware_version;
    config.memory_mib = u64::from(file.memory_mib);
    config.cpus = file.cpus;
    config.cores_per_socket = file.cores_per_socket.filter(|n| file.cpus.is_multiple_of(*n)).unwrap_or(1);
    config.cpu_hot_add = file.cpu_hot_add;
    config.memory_hot_add = file.memory_hot_add;
    config.firmware = match file.firmware {
        vmx::Firmware::Bios => Firmware::Bios,
        vmx::Firmware::Efi => Firmware::Efi { secure_boot: file.secure_boot },
    };
    config.annotation.clone_from(&file.annotation);
    config.template = extra.flag(own::TEMPLATE).unwrap_or(false);
    config.disk_uuid = extra.flag(own::DISK_UUID).unwrap_or(false);
    config.change_version = extra.take(own::CHANGE_VERSION).unwrap_or(config.change_version);
    config.modified = extra.take(own::MODIFIED).and_then(|at| DateTime::parse(&at)).unwrap_or(now);
    config.created = extra.take(own::CREATED).and_then(|at| DateTime::parse(&at));
    config.cpu = extra.allocation(own::CPU);
    config.memory = extra.allocation(own::MEMORY);
    config.tools = Tools {
        after_power_on: extra.flag(own::AFTER_POWER_ON).unwrap_or(true),
        after_resume: extra.flag(own::AFTER_RESUME).unwrap_or(true),
        before_standby: extra.flag(own::BEFORE_STANDBY).unwrap_or(true),
        before_shutdown: extra.flag(own::BEFORE_SHUTDOWN).unwrap_or(true),
        sync_time: extra.flag(own::SYNC_TIME).unwrap_or(false),
    };
    let manager = (extra.take(own::MANAGER), extra.take(own::MANAGER_TYPE));
    if let (Some(extension), ty) = manager {
        config.managed_by = Some(ManagedBy { extension, ty: ty.unwrap_or_default() });
    }
    video(&mut config, &mut extra);
    controllers(&mut config, file, &mut extra)?;
    drives(&mut config, storage, home, file)?;
    nics(&mut config, file)?;
    serial(&mut config, storage, home, file);
    config.boot = boot(&config, file, &mut extra);
    config.extra = extra.0.into_values().collect();
    device_extra(&mut config, file);
    Ok(config)
}

/// Keys of devices that nothing here understands are extra configuration, as `ethernet0.filter1.name`.
fn device_extra(config: &mut VmConfig, file: &VmxConfig) {
    let own = [own::PROVISIONING, own::UUID, own::WAKE, own::PIPE_END, own::NO_RX_LOSS];
    let mut add = |prefix: String, keys: &[(String, String)]| {
        for (key, value) in
            keys.iter().filter(|(key, _)| !own.iter().any(|own| own.eq_ignore_ascii_case(key)))
        {
            config.extra.insert(format!("{prefix}.{key}"), value.clone());
        }
    };
    for entry in &file.controllers {
        add(format!("{}{}", entry.bus.prefix(), entry.number), &entry.other);
    }
    for entry in &file.disks {
        add(entry.slot.to_string(), &entry.other);
    }
    for entry in &file.cdroms {
        add(entry.slot.to_string(), &entry.other);
    }
    for entry in &file.nics {
        add(format!("ethernet{}", entry.number), &entry.other);
    }
    for entry in &file.serials {
        add(format!("serial{}", entry.number), &entry.other);
    }
}

fn video(config: &mut VmConfig, extra: &mut Extra) {
    let default = Video::default();
    let video = Video {
        memory_kib: extra.number::<i64>(own::VIDEO_MEMORY).map_or(default.memory_kib, |bytes| bytes / 1024),
        displays: extra.number(own::DISPLAYS).unwrap_or(default.displays),
        auto: extra.flag(own::VIDEO_AUTO).unwrap_or(default.auto),
    };
    if let Some(device) = config.devices.get_mut(&key::VIDEO) {
        device.kind = Kind::Video(video);
    }
}

fn controllers(config: &mut VmConfig, file: &VmxConfig, extra: &mut Extra) -> Result<(), Fault> {
    for controller in &file.controllers {
        let bus = i32::from(controller.number);
        let kind = match controller.bus {
            Bus::Ide => continue,
            Bus::Sata => Kind::Sata { bus },
            Bus::Nvme => Kind::Nvme { bus },
            Bus::Scsi => Kind::Scsi {
                bus,
                model: match controller.model {
                    Some(vmx::ScsiModel::BusLogic) => ScsiModel::BusLogic,
                    Some(vmx::ScsiModel::LsiLogic) | None => ScsiModel::LsiLogic,
                    Some(vmx::ScsiModel::LsiSas1068) => ScsiModel::LsiLogicSas,
                    Some(vmx::ScsiModel::ParaVirtual) => ScsiModel::ParaVirtual,
                },
            },
        };
        let key = place::controller_key(controller.bus, bus);
        let unit = place::controller_unit(controller.bus, bus);
        let device = Device { key, controller: Some(key::PCI), unit: Some(unit), connect: None, kind };
        config.devices.insert(key, device);
    }
    if extra.flag(own::XHCI).unwrap_or(false) {
        let device = Device {
            key: key::XHCI,
            controller: Some(key::PCI),
            unit: Some(place::XHCI_UNIT),
            connect: None,
            kind: Kind::Xhci { bus: 0 },
        };
        config.devices.insert(key::XHCI, device);
    }
    Ok(())
}

/// A disk as its file and its image tell.
///
/// # Errors
/// `CannotAccessFile` if its chain leads out of the datastore or has no end.
fn disk(storage: &dyn Storage, file: FileRef, entry: &vmx::Disk, fallback: Uuid) -> Result<Disk, Fault> {
    let parents = match storage.parents(&file) {
        Err(error @ (datastore::Error::Escapes(_) | datastore::Error::TooMany { .. })) => {
            let name = storage.show(&file);
            return Err(fault!(
                CannotAccessFile { file: &*name },
                "{}: {name} cannot be a disk, because it or what lies under it leads to a file outside of the \
                 datastore, to one of an unknown format, or round: {error}",
                entry.slot
            ));
        }
        parents => parents.unwrap_or_default(),
    };
    let provisioning = other(&entry.other, own::PROVISIONING).unwrap_or("thin");
    Ok(Disk {
        capacity_bytes: storage.capacity_bytes(&file).unwrap_or(0),
        parents,
        file,
        independent: entry.mode == DiskMode::IndependentPersistent,
        thin: provisioning == "thin",
        eager_zero: provisioning == "eager",
        uuid: other(&entry.other, own::UUID).and_then(|text| Uuid::parse_str(text).ok()).unwrap_or(fallback),
    })
}

fn drives(
    config: &mut VmConfig,
    storage: &dyn Storage,
    home: &FileRef,
    file: &VmxConfig,
) -> Result<(), Fault> {
    let mut add = |slot: vmx::Slot, connect: Option<Connect>, kind: Kind| {
        let (controller, unit) = (i32::from(slot.controller), i32::from(slot.unit));
        let key = place::drive_key(slot.bus, controller, unit);
        let controller = place::controller_key(slot.bus, controller);
        if !config.devices.get(&controller).is_some_and(|device| place::is_usable(device, unit)) {
            return Err(invalid_config("config", &format!("{slot} is no place for a drive on this host")));
        }
        let device = Device { key, controller: Some(controller), unit: Some(unit), connect, kind };
        config.devices.insert(key, device);
        Ok(())
    };
    let base = file.bios_uuid.unwrap_or_default().as_u128();
    for entry in &file.disks {
        if !matches!(entry.mode, DiskMode::Persistent | DiskMode::IndependentPersistent) {
            let mode = entry.mode.as_str();
            return Err(invalid_config(
                "config",
                &format!("{}: the disk mode {mode} is not supported", entry.slot),
            ));
        }
        let image = resolve(storage, home, &entry.file_name).ok_or_else(|| {
            invalid_config("config", &format!("{}: no such place as {}", entry.slot, entry.file_name))
        })?;
        let number = u128::from(entry.slot.controller) << 8 | u128::from(entry.slot.unit) | 0x1_0000;
        let disk = disk(storage, image, entry, Uuid::from_u128(base ^ number))?;
        add(entry.slot, None, Kind::Disk(disk))?;
    }
    for entry in &file.cdroms {
        let medium = match &entry.backing {
            Backing::Image(name) => match resolve(storage, home, name) {
                Some(image) => Medium::Iso(image),
                None => Medium::Client { device: name.clone(), atapi: false },
            },
            Backing::Host(device) => Medium::HostDrive { device: device.clone() },
            Backing::Client => Medium::Client { device: String::new(), atapi: false },
        };
        let connect = Connect { at_start: entry.start_connected, ..Connect::default() };
        add(entry.slot, Some(connect), Kind::Cdrom(Cdrom { medium }))?;
    }
    Ok(())
}

fn nics(config: &mut VmConfig, file: &VmxConfig) -> Result<(), Fault> {
    for entry in &file.nics {
        let number = i32::from(entry.number);
        let model = match entry.model {
            Some(vmx::NicModel::E1000) | None => NicModel::E1000,
            Some(vmx::NicModel::E1000e) => NicModel::E1000e,
            Some(vmx::NicModel::Vmxnet3) => NicModel::Vmxnet3,
            Some(other) => {
                let message = format!("ethernet{number}: the adapter {} is not supported", other.as_str());
                return Err(invalid_config("config", &message));
            }
        };
        let nic = Nic {
            model,
            mac: entry.mac.map_or_else(String::new, |mac| mac.to_string()),
            address: match entry.address_type {
                Address::Generated => AddressType::Generated,
                Address::Static => AddressType::Manual,
                Address::Vpx => AddressType::Assigned,
            },
            network: entry.network.clone().unwrap_or_default(),
            wake_on_lan: other(&entry.other, own::WAKE).is_none_or(is_true),
        };
        let key = key::NIC + number;
        let connect = Connect { at_start: entry.start_connected, ..Connect::default() };
        let device = Device {
            key,
            controller: Some(key::PCI),
            unit: Some(place::nic_unit(number)),
            connect: Some(connect),
            kind: Kind::Nic(nic),
        };
        config.devices.insert(key, device);
    }
    Ok(())
}

fn serial(config: &mut VmConfig, storage: &dyn Storage, home: &FileRef, file: &VmxConfig) {
    let Some(entry) = file.serials.first() else { return };
    let backing = match &entry.backing {
        vmx::SerialBacking::File(name) => resolve(storage, home, name).map(SerialBacking::File),
        _ => None,
    };
    let name = match &entry.backing {
        vmx::SerialBacking::Pipe(name) | vmx::SerialBacking::Device(name) => name.clone(),
        vmx::SerialBacking::Network { uri, .. } => uri.clone(),
        _ => String::new(),
    };
    let backing = backing.unwrap_or_else(|| SerialBacking::Pipe {
        name,
        endpoint: other(&entry.other, own::PIPE_END).unwrap_or("server").to_owned(),
        no_rx_loss: other(&entry.other, own::NO_RX_LOSS).is_some_and(is_true),
    });
    let connect = Connect { at_start: entry.start_connected, ..Connect::default() };
    let device = Device {
        key: key::SERIAL,
        controller: Some(key::SIO),
        unit: Some(0),
        connect: Some(connect),
        kind: Kind::Serial(Serial { backing, yield_on_poll: entry.yield_on_poll }),
    };
    config.devices.insert(key::SERIAL, device);
}

fn boot(config: &VmConfig, file: &VmxConfig, extra: &mut Extra) -> Boot {
    let disks = extra.take(own::DISK_ORDER).unwrap_or_default();
    let disk = |text: &str| {
        let slot: vmx::Slot = text.trim().parse().ok()?;
        let key = place::drive_key(slot.bus, slot.controller.into(), slot.unit.into());
        config.devices.contains_key(&key).then_some(BootDevice::Disk(key))
    };
    let mut order = Vec::new();
    for word in &file.boot_order {
        match word.as_str() {
            "hdd" => order.extend(disks.split(',').filter_map(disk)),
            "cdrom" => order.push(BootDevice::Cdrom),
            nic => {
                let number = nic.strip_prefix("ethernet").and_then(|number| number.parse::<i32>().ok());
                order.extend(number.map(|number| BootDevice::Nic(key::NIC + number)));
            }
        }
    }
    Boot {
        delay_ms: extra.number(own::BOOT_DELAY).unwrap_or(0),
        retry: extra.flag(own::BOOT_RETRY).unwrap_or(false),
        retry_delay_ms: extra.number(own::BOOT_RETRY_DELAY).unwrap_or(BOOT_RETRY_DELAY_MS),
        setup: extra.flag(own::BOOT_SETUP).unwrap_or(false),
        order,
    }
}

/// Writes a configuration over what the file said before: keys that nothing here understands stay.
pub fn write(config: &VmConfig, home: &FileRef, before: &VmxConfig) -> VmxConfig {
    let mut file = VmxConfig::new(config.name.clone());
    file.memory_mib = u32::try_from(config.memory_mib).unwrap_or(u32::MAX);
    file.cpus = config.cpus;
    file.cores_per_socket = Some(config.cores_per_socket);
    file.cpu_hot_add = config.cpu_hot_add;
    file.memory_hot_add = config.memory_hot_add;
    file.guest_os = guest_os::to_vmx(&config.guest_id);
    file.bios_uuid = Some(config.bios_uuid);
    file.instance_uuid = Some(config.instance_uuid);
    (file.firmware, file.secure_boot) = match config.firmware {
        Firmware::Bios => (vmx::Firmware::Bios, false),
        Firmware::Efi { secure_boot } => (vmx::Firmware::Efi, secure_boot),
    };
    file.annotation.clone_from(&config.annotation);
    file.hardware_version = config.hardware_version;
    file.nvram = Some(before.nvram.clone().unwrap_or_else(|| format!("{}.nvram", home.path.stem())));
    file.suspend_file.clone_from(&before.suspend_file);
    file.floppies.clone_from(&before.floppies);
    for device in config.devices.values() {
        write_device(config, home, before, device, &mut file);
    }
    write_extra(config, &mut file);
    file
}

fn write_device(
    config: &VmConfig,
    home: &FileRef,
    before: &VmxConfig,
    device: &Device,
    file: &mut VmxConfig,
) {
    match &device.kind {
        Kind::Scsi { bus, .. } | Kind::Sata { bus } | Kind::Nvme { bus } => {
            let (kind, model) = match &device.kind {
                Kind::Sata { .. } => (Bus::Sata, None),
                Kind::Nvme { .. } => (Bus::Nvme, None),
                Kind::Scsi { model, .. } => (
                    Bus::Scsi,
                    Some(match model {
                        ScsiModel::BusLogic => vmx::ScsiModel::BusLogic,
                        ScsiModel::LsiLogic => vmx::ScsiModel::LsiLogic,
                        ScsiModel::LsiLogicSas => vmx::ScsiModel::LsiSas1068,
                        ScsiModel::ParaVirtual => vmx::ScsiModel::ParaVirtual,
                    }),
                ),
                _ => return,
            };
            let number = u8::try_from(*bus).unwrap_or_default();
            file.controllers.push(vmx::Controller { bus: kind, number, model, other: Vec::new() });
        }
        Kind::Disk(disk) => {
            let Some(slot) = place::slot(config, device) else { return };
            let mut other = Vec::new();
            let provisioning = match (disk.thin, disk.eager_zero) {
                (true, _) => "thin",
                (false, true) => "eager",
                (false, false) => "thick",
            };
            set_other(&mut other, own::PROVISIONING, Some(provisioning));
            set_other(&mut other, own::UUID, Some(&disk.uuid.to_string()));
            file.disks.push(vmx::Disk {
                slot,
                file_name: file_name(home, &disk.file),
                mode: if disk.independent { DiskMode::IndependentPersistent } else { DiskMode::Persistent },
                other,
            });
        }
        Kind::Cdrom(cdrom) => {
            let Some(slot) = place::slot(config, device) else { return };
            file.cdroms.push(vmx::Cdrom {
                slot,
                backing: match &cdrom.medium {
                    Medium::Iso(image) => Backing::Image(file_name(home, image)),
                    Medium::Client { .. } => Backing::Client,
                    Medium::HostDrive { device } => Backing::Host(device.clone()),
                },
                start_connected: device.connect.is_some_and(|connect| connect.at_start),
                other: Vec::new(),
            });
        }
        Kind::Nic(nic) => write_nic(before, device, nic, file),
        Kind::Serial(serial) => {
            let mut other = Vec::new();
            let backing = match &serial.backing {
                SerialBacking::File(image) => vmx::SerialBacking::File(file_name(home, image)),
                SerialBacking::Pipe { name, endpoint, no_rx_loss } => {
                    set_other(&mut other, own::PIPE_END, Some(endpoint));
                    set_other(&mut other, own::NO_RX_LOSS, no_rx_loss.then_some("TRUE"));
                    vmx::SerialBacking::Pipe(name.clone())
                }
            };
            file.serials.push(vmx::Serial {
                number: 0,
                backing,
                start_connected: device.connect.is_none_or(|connect| connect.at_start),
                yield_on_poll: serial.yield_on_poll,
                other,
            });
        }
        _ => {}
    }
}

fn write_nic(before: &VmxConfig, device: &Device, nic: &Nic, file: &mut VmxConfig) {
    let number = u8::try_from(device.key - key::NIC).unwrap_or_default();
    let known = before.nics.iter().find(|entry| entry.number == number);
    let mut other = Vec::new();
    set_other(&mut other, own::WAKE, Some(if nic.wake_on_lan { "TRUE" } else { "FALSE" }));
    file.nics.push(vmx::Nic {
        number,
        model: Some(match nic.model {
            NicModel::E1000 => vmx::NicModel::E1000,
            NicModel::E1000e => vmx::NicModel::E1000e,
            NicModel::Vmxnet3 => vmx::NicModel::Vmxnet3,
        }),
        network: Some(nic.network.clone()),
        dvs: None,
        address_type: match nic.address {
            AddressType::Generated => Address::Generated,
            AddressType::Manual => Address::Static,
            AddressType::Assigned => Address::Vpx,
        },
        mac: nic.mac.parse().ok(),
        connection_type: known.and_then(|entry| entry.connection_type.clone()),
        start_connected: device.connect.is_none_or(|connect| connect.at_start),
        other,
    });
}

fn write_extra(config: &VmConfig, file: &mut VmxConfig) {
    let mut put = |key: &str, value: String| file.extra.push((key.to_owned(), value));
    put(own::CHANGE_VERSION, config.change_version.clone());
    put(own::MODIFIED, config.modified.to_string());
    if let Some(created) = config.created {
        put(own::CREATED, created.to_string());
    }
    for (prefix, allocation) in [(own::CPU, config.cpu), (own::MEMORY, config.memory)] {
        let shares = match allocation.shares {
            Shares::Low => "low".into(),
            Shares::Normal => "normal".into(),
            Shares::High => "high".into(),
            Shares::Custom(number) => number.to_string(),
        };
        put(&format!("{prefix}.shares"), shares);
        if allocation.reservation != 0 {
            put(&format!("{prefix}.min"), allocation.reservation.to_string());
        }
        if allocation.limit >= 0 {
            put(&format!("{prefix}.max"), allocation.limit.to_string());
        }
    }
    let mut flag = |key: &str, value: bool, default: bool| {
        if value != default {
            put(key, if value { "TRUE" } else { "FALSE" }.into());
        }
    };
    flag(own::TEMPLATE, config.template, false);
    flag(own::DISK_UUID, config.disk_uuid, false);
    flag(own::AFTER_POWER_ON, config.tools.after_power_on, true);
    flag(own::AFTER_RESUME, config.tools.after_resume, true);
    flag(own::BEFORE_STANDBY, config.tools.before_standby, true);
    flag(own::BEFORE_SHUTDOWN, config.tools.before_shutdown, true);
    flag(own::SYNC_TIME, config.tools.sync_time, false);
    flag(own::BOOT_RETRY, config.boot.retry, false);
    flag(own::BOOT_SETUP, config.boot.setup, false);
    flag(own::XHCI, config.devices.contains_key(&key::XHCI), false);
    if !config.alternate_guest_name.is_empty() {
        put(own::ALTERNATE_NAME, config.alternate_guest_name.clone());
    }
    if config.boot.delay_ms != 0 {
        put(own::BOOT_DELAY, config.boot.delay_ms.to_string());
    }
    if config.boot.retry_delay_ms != BOOT_RETRY_DELAY_MS {
        put(own::BOOT_RETRY_DELAY, config.boot.retry_delay_ms.to_string());
    }
    if let Some(manager) = &config.managed_by {
        put(own::MANAGER, manager.extension.clone());
        put(own::MANAGER_TYPE, manager.ty.clone());
    }
    if let Some(Kind::Video(video)) = config.devices.get(&key::VIDEO).map(|device| &device.kind) {
        put(own::VIDEO_MEMORY, (video.memory_kib * 1024).to_string());
        if video.auto {
            put(own::VIDEO_AUTO, "TRUE".into());
        }
        if video.displays != 1 {
            put(own::DISPLAYS, video.displays.to_string());
        }
    }
    let disks: Vec<String> = config
        .boot
        .order
        .iter()
        .filter_map(|device| match device {
            BootDevice::Disk(key) => Some(place::slot(config, config.devices.get(key)?)?.to_string()),
            _ => None,
        })
        .collect();
    if !disks.is_empty() {
        put(own::DISK_ORDER, disks.join(","));
    }
    for device in &config.boot.order {
        let word = match device {
            BootDevice::Disk(_) => "hdd".to_owned(),
            BootDevice::Cdrom => "cdrom".to_owned(),
            BootDevice::Nic(key) => format!("ethernet{}", key - key::NIC),
        };
        if !file.boot_order.contains(&word) {
            file.boot_order.push(word);
        }
    }
    for (key, value) in &config.extra {
        // A key with a field of its own was refused when it was set.
        if file.extra_value(key).is_none()
            && let Err(error) = file.set_extra(key, value)
        {
            tracing::warn!(vm = config.name, key, %error, "an extra key is left out");
        }
    }
}
