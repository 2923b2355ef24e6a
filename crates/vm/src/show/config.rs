//! `VirtualMachineConfigInfo`, and the other values that follow from the configuration alone.

use datastore::DatastorePath;
use vim::{Object, ty, vim};

use super::{Names, device};
use crate::config::{Allocation, BootDevice, Firmware, Shares, VmConfig, hardware_key};
use crate::device::Medium;
use crate::file::FileRef;
use crate::guest_os;
use crate::ids;
use crate::kept::{self, Flag, PowerOp};
use crate::vmx;

/// Shares of one MiB at the level `normal`.
const NORMAL_MEMORY_SHARES: i32 = 10;

/// A configuration in full. `home` is the `.vmx`.
pub fn info(config: &VmConfig, home: &FileRef, names: &Names<'_>) -> Object {
    let int = |n: u32| i32::try_from(n).unwrap_or(i32::MAX);
    let devices: Vec<Object> = config.devices.values().map(|each| device(config, each, names)).collect();
    // Clients set it both ways, and look for it in both places.
    let disk_uuid = config.disk_uuid.then_some((vmx::DISK_UUID, "TRUE"));
    let extra: Vec<ty!(OptionValue)> = config
        .extra
        .iter()
        .map(|(key, value)| (key.as_str(), value.as_str()))
        .chain(disk_uuid)
        .map(|(key, value)| vim!(OptionValue { key: key, value: value }))
        .collect();
    let mut used: Vec<_> = config.disks().map(|(_, disk)| disk.file.datastore).collect();
    used.push(home.datastore);
    used.sort_unstable();
    used.dedup();
    let urls: Vec<ty!(VirtualMachineConfigInfoDatastoreUrlPair)> = used
        .into_iter()
        .filter_map(|uuid| Some((names.storage.name(uuid)?, names.storage.url(uuid)?)))
        .map(|(name, url)| vim!(VirtualMachineConfigInfoDatastoreUrlPair { name: name, url: url }))
        .collect();
    let manager = config.managed_by.as_ref();
    vim!(VirtualMachineConfigInfo {
        changeVersion: &config.change_version,
        modified: config.modified,
        name: &config.name,
        guestFullName: full_name(config),
        version: hardware_key(config.hardware_version),
        uuid: config.bios_uuid.to_string(),
        createDate: config.created,
        instanceUuid: config.instance_uuid.to_string(),
        npivTemporaryDisabled: true,
        template: config.template,
        guestId: &config.guest_id,
        alternateGuestName: &config.alternate_guest_name,
        annotation: &config.annotation,
        files: files(home, names),
        tools: ToolsConfigInfo {
            toolsVersion: 0,
            afterPowerOn: config.tools.after_power_on,
            afterResume: config.tools.after_resume,
            beforeGuestStandby: config.tools.before_standby,
            beforeGuestShutdown: config.tools.before_shutdown,
            toolsUpgradePolicy: "manual",
            lastInstallInfo: ToolsConfigInfoToolsLastInstallInfo { counter: 0 },
            syncTimeWithHostAllowed: Flag::TimeSync.of(config),
            syncTimeWithHost: config.tools.sync_time,
        },
        flags: VirtualMachineFlagInfo {
            disableAcceleration: false,
            enableLogging: Flag::Logging.of(config),
            useToe: false,
            runWithDebugInfo: false,
            monitorType: "release",
            htSharing: "any",
            snapshotDisabled: false,
            snapshotLocked: false,
            diskUuidEnabled: config.disk_uuid,
            virtualMmuUsage: "automatic",
            virtualExecUsage: "hvAuto",
            snapshotPowerOffBehavior: "powerOff",
            recordReplayEnabled: false,
            faultToleranceType: "unset",
            cbrcCacheEnabled: false,
            vvtdEnabled: false,
            vbsEnabled: false,
        },
        defaultPowerOps: VirtualMachineDefaultPowerOpInfo {
            powerOffType: PowerOp::Off.of(config),
            suspendType: PowerOp::Suspend.of(config),
            resetType: PowerOp::Reset.of(config),
            defaultPowerOffType: PowerOp::Off.default(),
            defaultSuspendType: PowerOp::Suspend.default(),
            defaultResetType: PowerOp::Reset.default(),
            standbyAction: "checkpoint",
        },
        hardware: VirtualHardware {
            numCPU: int(config.cpus),
            numCoresPerSocket: int(config.cores_per_socket),
            autoCoresPerSocket: false,
            memoryMB: i32::try_from(config.memory_mib).unwrap_or(i32::MAX),
            virtualICH7MPresent: false,
            virtualSMCPresent: false,
            device: devices,
        },
        cpuAllocation: allocation(config.cpu, config.normal_cpu_shares()),
        memoryAllocation: allocation(config.memory, memory_shares(config)),
        latencySensitivity: latency_sensitivity(config),
        memoryHotAddEnabled: config.memory_hot_add,
        cpuHotAddEnabled: config.cpu_hot_add,
        cpuHotRemoveEnabled: false,
        extraConfig: extra,
        datastoreUrl: urls,
        swapPlacement: "inherit",
        bootOptions: boot(config),
        changeTrackingEnabled: false,
        firmware: config.firmware.name(),
        maxMksConnections: kept::consoles(config),
        guestAutoLockEnabled: false,
        managedBy: manager.map(|by| vim!(ManagedByInfo { extensionKey: &by.extension, type: &by.ty })),
        memoryReservationLockedToMax: Flag::MemoryLocked.of(config),
        nestedHVEnabled: false,
        vPMCEnabled: false,
        messageBusTunnelEnabled: false,
    })
    .into()
}

/// The guest system's name for people.
pub fn full_name(config: &VmConfig) -> String {
    if config.alternate_guest_name.is_empty() {
        guest_os::full_name(&config.guest_id)
    } else {
        config.alternate_guest_name.clone()
    }
}

fn files(home: &FileRef, names: &Names<'_>) -> ty!(VirtualMachineFileInfo) {
    let directory = match names.storage.name(home.datastore) {
        Some(name) => DatastorePath::new(&name, home.path.parent().unwrap_or_default())
            .map_or_else(|_| names.file(&home.directory()), |path| path.to_folder_string()),
        None => names.file(&home.directory()),
    };
    vim!(VirtualMachineFileInfo {
        vmPathName: names.file(home),
        snapshotDirectory: &*directory,
        suspendDirectory: &*directory,
        logDirectory: &*directory,
    })
}

fn boot(config: &VmConfig) -> ty!(VirtualMachineBootOptions) {
    let order: Vec<Object> = config
        .boot
        .order
        .iter()
        .map(|device| match device {
            BootDevice::Disk(key) => {
                vim!(VirtualMachineBootOptionsBootableDiskDevice { deviceKey: *key }).into()
            }
            BootDevice::Nic(key) => {
                vim!(VirtualMachineBootOptionsBootableEthernetDevice { deviceKey: *key }).into()
            }
            BootDevice::Cdrom => vim!(VirtualMachineBootOptionsBootableCdromDevice {}).into(),
        })
        .collect();
    vim!(VirtualMachineBootOptions {
        bootDelay: config.boot.delay_ms,
        enterBIOSSetup: config.boot.setup,
        efiSecureBootEnabled: config.firmware == Firmware::Efi { secure_boot: true },
        bootRetryEnabled: config.boot.retry,
        bootRetryDelay: config.boot.retry_delay_ms,
        bootOrder: order,
        networkBootProtocol: "ipv4",
    })
}

fn latency_sensitivity(config: &VmConfig) -> ty!(LatencySensitivity) {
    match kept::latency(config) {
        "low" => vim!(LatencySensitivity { level: "low" }),
        "medium" => vim!(LatencySensitivity { level: "medium" }),
        "high" => vim!(LatencySensitivity { level: "high" }),
        _ => vim!(LatencySensitivity { level: "normal" }),
    }
}

fn memory_shares(config: &VmConfig) -> i32 {
    let mib = i32::try_from(config.memory_mib).unwrap_or(i32::MAX);
    mib.saturating_mul(NORMAL_MEMORY_SHARES)
}

/// `ResourceAllocationInfo`, where `normal` is the share at the level `normal`.
pub fn allocation(allocation: Allocation, normal: i32) -> ty!(ResourceAllocationInfo) {
    let shares = allocation.shares.number(normal);
    let shares = match allocation.shares {
        Shares::Low => vim!(SharesInfo { shares: shares, level: "low" }),
        Shares::Normal => vim!(SharesInfo { shares: shares, level: "normal" }),
        Shares::High => vim!(SharesInfo { shares: shares, level: "high" }),
        Shares::Custom(_) => vim!(SharesInfo { shares: shares, level: "custom" }),
    };
    vim!(ResourceAllocationInfo {
        reservation: allocation.reservation,
        expandableReservation: false,
        limit: allocation.limit,
        shares: shares,
    })
}

/// `VirtualMachine.resourceConfig`.
pub fn resources(config: &VmConfig, vm: &vim::MoRef) -> ty!(ResourceConfigSpec) {
    vim!(ResourceConfigSpec {
        entity: vm,
        changeVersion: &config.change_version,
        lastModified: config.modified,
        cpuAllocation: allocation(config.cpu, config.normal_cpu_shares()),
        memoryAllocation: allocation(config.memory, memory_shares(config)),
    })
}

/// `VirtualMachineConfigSummary`.
pub fn summary(config: &VmConfig, home: &FileRef, names: &Names<'_>) -> ty!(VirtualMachineConfigSummary) {
    let count = |n: usize| i32::try_from(n).unwrap_or(i32::MAX);
    let manager = config.managed_by.as_ref();
    vim!(VirtualMachineConfigSummary {
        name: &config.name,
        template: config.template,
        vmPathName: names.file(home),
        memorySizeMB: i32::try_from(config.memory_mib).unwrap_or(i32::MAX),
        cpuReservation: i32::try_from(config.cpu.reservation).unwrap_or(i32::MAX),
        memoryReservation: i32::try_from(config.memory.reservation).unwrap_or(i32::MAX),
        numCpu: i32::try_from(config.cpus).unwrap_or(i32::MAX),
        numEthernetCards: count(config.nics().count()),
        numVirtualDisks: count(config.disks().count()),
        uuid: config.bios_uuid.to_string(),
        instanceUuid: config.instance_uuid.to_string(),
        guestId: &config.guest_id,
        guestFullName: full_name(config),
        annotation: &config.annotation,
        installBootRequired: false,
        managedBy: manager.map(|by| vim!(ManagedByInfo { extensionKey: &by.extension, type: &by.ty })),
        tpmPresent: false,
        numVmiopBackings: 0,
        hwVersion: hardware_key(config.hardware_version),
    })
}

/// The datastores and networks that a VM uses.
pub fn uses(config: &VmConfig, home: &FileRef) -> (Vec<vim::MoRef>, Vec<vim::MoRef>) {
    let mut stores = vec![home.datastore];
    stores.extend(config.disks().map(|(_, disk)| disk.file.datastore));
    for device in config.devices.values() {
        if let Some(Medium::Iso(file)) = device.cdrom().map(|cdrom| &cdrom.medium) {
            stores.push(file.datastore);
        }
    }
    stores.sort_unstable();
    stores.dedup();
    let mut networks: Vec<&str> = config.nics().map(|(_, nic)| nic.network.as_str()).collect();
    networks.sort_unstable();
    networks.dedup();
    let stores = stores.into_iter().map(ids::datastore).collect();
    (stores, networks.into_iter().filter(|name| !name.is_empty()).map(ids::network).collect())
}
