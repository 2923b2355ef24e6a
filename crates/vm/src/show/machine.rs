//! The properties of a `VirtualMachine` object.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use datastore::FileKind;
use datastore::vmsd::SnapshotList;
use vim::{DateTime, MoRef, Object, Props, props, ty, vim, vim_enum};

use super::{Names, config, signed};
use crate::config::VmConfig;
use crate::file::FileRef;
use crate::ids;
use crate::observed::{GuestInterface, GuestReport, OwnFile, Power, Question, Statistics};
use crate::storage::Storage;

/// A VM as it is now.
pub struct Shown<'a> {
    /// Its object.
    pub me: &'a MoRef,
    /// Its `.vmx`.
    pub home: &'a FileRef,
    pub config: &'a VmConfig,
    pub power: Power,
    pub snapshots: &'a SnapshotList,
    /// The configuration of each snapshot.
    pub frozen: &'a BTreeMap<u32, Arc<VmConfig>>,
    /// Snapshots that were taken with the guest's file systems at rest.
    pub quiesced: &'a BTreeSet<u32>,
    /// Disks have layers that no snapshot needs.
    pub consolidation_needed: bool,
    pub guest: Option<&'a GuestReport>,
    /// An agent has answered since the VM was registered.
    pub tools_seen: bool,
    pub booted: Option<DateTime>,
    pub suspended: Option<DateTime>,
    pub clean_power_off: Option<bool>,
    pub question: Option<&'a Question>,
    pub statistics: Statistics,
    pub statistics_at: DateTime,
    pub files: &'a [OwnFile],
    pub files_at: DateTime,
    pub pool: &'a MoRef,
    /// The configuration cannot be read.
    pub broken: bool,
    /// The VM is on, but its QEMU process does not answer.
    pub silent: bool,
}

/// The host that has the VM.
pub struct On<'a> {
    pub me: MoRef,
    /// Folder of its VMs.
    pub folder: MoRef,
    pub environment_browser: MoRef,
    /// Speed of one processor, MHz.
    pub mhz: u32,
    pub storage: &'a dyn Storage,
}

/// Everything that a VM shows.
pub fn props(on: &On<'_>, vm: &Shown<'_>) -> Props {
    let names = Names { storage: on.storage, vm: vm.me.id() };
    let runtime = runtime(on, vm);
    let (datastores, networks) = config::uses(vm.config, vm.home);
    let broken = vm.broken;
    let storage = usage(vm);
    let heartbeat = heartbeat(vm);
    props!(VirtualMachine {
        name: &vm.config.name,
        parent: on.folder.clone(),
        overallStatus: vim_enum!(ManagedEntityStatus.green),
        configStatus: vim_enum!(ManagedEntityStatus.green),
        alarmActionsEnabled: true,
        disabledMethod: disabled(vm),
        capability: capability(),
        config: (!broken).then(|| config::info(vm.config, vm.home, &names)),
        layoutEx: layout(vm, &names),
        storage: VirtualMachineStorageInfo {
            perDatastoreUsage: storage
                .iter()
                .map(|(on, used)| vim!(VirtualMachineUsageOnDatastore {
                    datastore: ids::datastore(*on),
                    committed: signed(used.committed),
                    uncommitted: signed(used.uncommitted),
                    unshared: signed(used.committed),
                }))
                .collect::<Vec<_>>(),
            timestamp: vm.files_at,
        },
        environmentBrowser: on.environment_browser.clone(),
        resourcePool: (!vm.config.template).then(|| vm.pool.clone()),
        resourceConfig: config::resources(vm.config, vm.me),
        runtime: runtime.clone(),
        guest: guest(vm),
        summary: VirtualMachineSummary {
            vm: vm.me,
            runtime: runtime,
            guest: guest_summary(vm),
            config: config::summary(vm.config, vm.home, &names),
            storage: VirtualMachineStorageSummary {
                committed: signed(storage.values().map(|used| used.committed).sum()),
                uncommitted: signed(storage.values().map(|used| used.uncommitted).sum()),
                unshared: signed(storage.values().map(|used| used.committed).sum()),
                timestamp: vm.files_at,
            },
            quickStats: quick_stats(vm),
            overallStatus: "green",
        },
        datastore: datastores,
        network: networks,
        snapshot: snapshots(vm),
        rootSnapshot: vm.snapshots.children(None).map(|s| ids::snapshot(vm.me, s.uid)).collect::<Vec<_>>(),
        guestHeartbeatStatus: heartbeat,
    })
}

/// Methods that make no sense in this vm.
fn disabled(vm: &Shown<'_>) -> Vec<&'static str> {
    if vm.config.template {
        return vec![
            "PowerOnVM_Task",
            "PowerOffVM_Task",
            "ResetVM_Task",
            "SuspendVM_Task",
            "ShutdownGuest",
            "RebootGuest",
            "MarkAsTemplate",
        ];
    }
    match vm.power {
        Power::On => vec!["PowerOnVM_Task", "Destroy_Task", "UnregisterVM", "MarkAsTemplate"],
        Power::Off => {
            vec!["PowerOffVM_Task", "ResetVM_Task", "SuspendVM_Task", "ShutdownGuest", "RebootGuest"]
        }
        Power::Suspended => vec!["SuspendVM_Task", "ResetVM_Task", "ShutdownGuest", "RebootGuest"],
    }
}

fn runtime(on: &On<'_>, vm: &Shown<'_>) -> Object {
    let running = vm.power == Power::On;
    let mhz = i64::from(on.mhz) * i64::from(vm.config.cpus);
    let question = vm.question.map(|question| {
        vim!(VirtualMachineQuestionInfo {
            id: &question.id,
            text: &question.text,
            choice: ChoiceOption {
                choiceInfo: [
                    ElementDescription { key: "0", label: "button.retry", summary: "Retry" },
                    ElementDescription { key: "1", label: "button.abort", summary: "Cancel" },
                ],
                defaultIndex: 0,
            },
        })
    });
    vim!(VirtualMachineRuntimeInfo {
        host: on.me.clone(),
        connectionState: match (vm.broken, vm.silent) {
            (true, _) => vim_enum!(VirtualMachineConnectionState.inaccessible),
            (false, true) => vim_enum!(VirtualMachineConnectionState.disconnected),
            (false, false) => vim_enum!(VirtualMachineConnectionState.connected),
        },
        powerState: vm.power.value(),
        vmFailoverInProgress: false,
        faultToleranceState: "notConfigured",
        toolsInstallerMounted: false,
        suspendTime: vm.suspended,
        bootTime: vm.booted.filter(|_| running),
        suspendInterval: 0i64,
        question: question,
        maxCpuUsage: i32::try_from(mhz).unwrap_or(i32::MAX),
        maxMemoryUsage: i32::try_from(vm.config.memory_mib).unwrap_or(i32::MAX),
        numMksConnections: 0,
        recordReplayState: "inactive",
        cleanPowerOff: vm.clean_power_off,
        onlineStandby: false,
        consolidationNeeded: vm.consolidation_needed,
        paused: false,
        snapshotInBackground: false,
    })
    .into()
}

/// State of the guest tools: installed and running, installed, or not installed.
fn tools(vm: &Shown<'_>) -> (ty!(VirtualMachineToolsStatus), &'static str, &'static str) {
    match (vm.guest, vm.tools_seen) {
        (Some(_), _) => {
            (vim_enum!(VirtualMachineToolsStatus.toolsOk), "guestToolsRunning", "guestToolsUnmanaged")
        }
        (None, true) => (
            vim_enum!(VirtualMachineToolsStatus.toolsNotRunning),
            "guestToolsNotRunning",
            "guestToolsUnmanaged",
        ),
        (None, false) => (
            vim_enum!(VirtualMachineToolsStatus.toolsNotInstalled),
            "guestToolsNotRunning",
            "guestToolsNotInstalled",
        ),
    }
}

fn heartbeat(vm: &Shown<'_>) -> ty!(ManagedEntityStatus) {
    match (vm.power, vm.guest, vm.tools_seen) {
        (Power::On, Some(_), _) => vim_enum!(ManagedEntityStatus.green),
        (Power::On, None, true) => vim_enum!(ManagedEntityStatus.red),
        _ => vim_enum!(ManagedEntityStatus.gray),
    }
}

/// The address that clients are shown first: IPv4 before IPv6, never a link-local one.
fn address(vm: &Shown<'_>) -> Option<String> {
    let report = vm.guest?;
    let mut usable: Vec<std::net::IpAddr> = report
        .interfaces
        .iter()
        .flat_map(|interface| interface.addresses.iter().map(|(ip, _)| *ip))
        .filter(|ip| match ip {
            std::net::IpAddr::V4(ip) => !ip.is_loopback() && !ip.is_link_local(),
            std::net::IpAddr::V6(ip) => !ip.is_loopback() && !ip.is_unicast_link_local(),
        })
        .collect();
    usable.sort_by_key(std::net::IpAddr::is_ipv6);
    usable.first().map(ToString::to_string)
}

fn guest(vm: &Shown<'_>) -> Object {
    let (status, tools_state, version) = tools(vm);
    let report = vm.guest;
    let running = vm.power == Power::On;
    let system = report.and_then(|report| report.system.clone());
    let nics: Vec<ty!(GuestNicInfo)> = report
        .map(|report| report.interfaces.iter().filter_map(|found| nic(vm.config, found)).collect())
        .unwrap_or_default();
    vim!(GuestInfo {
        toolsStatus: status,
        toolsVersionStatus: version,
        toolsVersionStatus2: version,
        toolsRunningStatus: tools_state,
        toolsVersion: report.and_then(|report| report.agent_version.clone()),
        guestId: report.map(|_| vm.config.guest_id.as_str()),
        guestFamily: report.and_then(|report| report.family),
        guestFullName: system,
        hostName: report.and_then(|report| report.host_name.clone()),
        ipAddress: address(vm),
        net: nics,
        guestState: if report.is_some() { "running" } else { "notRunning" },
        guestOperationsReady: false,
        interactiveGuestOperationsReady: false,
        guestStateChangeSupported: running && report.is_some(),
        hwVersion: format!("vmx-{:02}", vm.config.hardware_version),
    })
    .into()
}

/// An interface of the guest, if it belongs to one of the VM's adapters.
fn nic(config: &VmConfig, found: &GuestInterface) -> Option<ty!(GuestNicInfo)> {
    let (key, nic) = config.nics().find(|(_, nic)| nic.mac.eq_ignore_ascii_case(&found.mac))?;
    let connected = config.devices.get(&key)?.connect.is_none_or(|connect| connect.now);
    let addresses: Vec<String> = found.addresses.iter().map(|(ip, _)| ip.to_string()).collect();
    let configured: Vec<ty!(NetIpConfigInfoIpAddress)> = found
        .addresses
        .iter()
        .map(|(ip, prefix)| {
            vim!(NetIpConfigInfoIpAddress {
                ipAddress: ip.to_string(),
                prefixLength: i32::from(*prefix),
                state: "preferred",
            })
        })
        .collect();
    Some(vim!(GuestNicInfo {
        network: &nic.network,
        ipAddress: addresses,
        macAddress: &nic.mac,
        connected: connected,
        deviceConfigId: key,
        ipConfig: NetIpConfigInfo { ipAddress: configured },
    }))
}

fn guest_summary(vm: &Shown<'_>) -> ty!(VirtualMachineGuestSummary) {
    let (status, tools_state, version) = tools(vm);
    let report = vm.guest;
    vim!(VirtualMachineGuestSummary {
        guestId: report.map(|_| vm.config.guest_id.as_str()),
        guestFullName: report.and_then(|report| report.system.clone()),
        toolsStatus: status,
        toolsVersionStatus: version,
        toolsVersionStatus2: version,
        toolsRunningStatus: tools_state,
        hostName: report.and_then(|report| report.host_name.clone()),
        ipAddress: address(vm),
        hwVersion: format!("vmx-{:02}", vm.config.hardware_version),
    })
}

/// Use of the host's resources.
pub fn quick_stats(vm: &Shown<'_>) -> Object {
    let usage = &vm.statistics;
    let int = |n: u64| i32::try_from(n).unwrap_or(i32::MAX);
    let uptime = vm.booted.filter(|_| vm.power == Power::On).map(|booted| {
        let us = vm.statistics_at.as_micros().saturating_sub(booted.as_micros());
        i32::try_from(us.max(0) / 1_000_000).unwrap_or(i32::MAX)
    });
    vim!(VirtualMachineQuickStats {
        overallCpuUsage: int(usage.cpu_mhz),
        guestMemoryUsage: 0,
        hostMemoryUsage: int(usage.resident_bytes >> 20),
        guestHeartbeatStatus: heartbeat(vm),
        uptimeSeconds: uptime.unwrap_or(0),
        privateMemory: int(usage.resident_bytes >> 20),
        sharedMemory: 0,
        swappedMemory: 0,
        balloonedMemory: 0,
        compressedMemory: 0i64,
        consumedOverheadMemory: 0,
    })
    .into()
}

/// Capabilities of the VMs of this host.
pub fn capability() -> ty!(VirtualMachineCapability) {
    vim!(VirtualMachineCapability {
        snapshotOperationsSupported: true,
        multipleSnapshotsSupported: true,
        snapshotConfigSupported: true,
        poweredOffSnapshotsSupported: true,
        memorySnapshotsSupported: false,
        revertToSnapshotSupported: true,
        quiescedSnapshotsSupported: true,
        disableSnapshotsSupported: false,
        lockSnapshotsSupported: false,
        consolePreferencesSupported: false,
        cpuFeatureMaskSupported: false,
        s1AcpiManagementSupported: false,
        settingScreenResolutionSupported: false,
        toolsAutoUpdateSupported: false,
        vmNpivWwnSupported: false,
        npivWwnOnNonRdmVmSupported: false,
        vmNpivWwnDisableSupported: false,
        vmNpivWwnUpdateSupported: false,
        swapPlacementSupported: false,
        toolsSyncTimeSupported: false,
        virtualMmuUsageSupported: false,
        diskSharesSupported: false,
        bootOptionsSupported: true,
        bootRetryOptionsSupported: false,
        settingVideoRamSizeSupported: true,
        settingDisplayTopologySupported: false,
        recordReplaySupported: false,
        changeTrackingSupported: false,
        multipleCoresPerSocketSupported: true,
        hostBasedReplicationSupported: false,
        guestAutoLockSupported: false,
        memoryReservationLockSupported: false,
        featureRequirementSupported: false,
        poweredOnMonitorTypeChangeSupported: false,
        seSparseDiskSupported: false,
        nestedHVSupported: false,
        vPMCSupported: false,
        secureBootSupported: true,
    })
}

/// Bytes on one datastore.
#[derive(Debug, Clone, Copy, Default)]
struct Used {
    committed: u64,
    uncommitted: u64,
}

/// Bytes that the VM takes, and could still take, of each datastore.
fn usage(vm: &Shown<'_>) -> BTreeMap<uuid::Uuid, Used> {
    let mut used: BTreeMap<uuid::Uuid, Used> = BTreeMap::new();
    for file in vm.files {
        used.entry(file.file.datastore).or_default().committed += file.allocated_bytes;
    }
    for (_, disk) in vm.config.disks() {
        let taken =
            vm.files.iter().find(|file| file.file == disk.file).map_or(0, |file| file.allocated_bytes);
        used.entry(disk.file.datastore).or_default().uncommitted += disk.capacity_bytes.saturating_sub(taken);
    }
    used
}

/// Type of a file in `layoutEx`, in vSphere's words.
fn layout_type(name: &str) -> &'static str {
    match FileKind::of_name(name) {
        FileKind::VmConfig | FileKind::TemplateConfig => "config",
        FileKind::Disk => "diskDescriptor",
        FileKind::Log => "log",
        FileKind::Nvram => "nvram",
        FileKind::SnapshotList => "snapshotList",
        FileKind::Snapshot if name.ends_with(".vmss") => "suspend",
        FileKind::Snapshot => "snapshotData",
        _ => "extendedConfig",
    }
}

fn layout(vm: &Shown<'_>, names: &Names<'_>) -> Object {
    let number = |at: usize| i32::try_from(at).unwrap_or(i32::MAX);
    let key_of = |file: &FileRef| vm.files.iter().position(|f| f.file == *file).map(number);
    let files: Vec<ty!(VirtualMachineFileLayoutExFileInfo)> = vm
        .files
        .iter()
        .enumerate()
        .map(|(at, file)| {
            vim!(VirtualMachineFileLayoutExFileInfo {
                key: number(at),
                name: names.file(&file.file),
                type: layout_type(file.file.path.name()),
                size: signed(file.allocated_bytes),
                uniqueSize: signed(file.allocated_bytes),
                accessible: true,
            })
        })
        .collect();
    let disks: Vec<ty!(VirtualMachineFileLayoutExDiskLayout)> = vm
        .config
        .disks()
        .map(|(key, disk)| {
            let chain = disk.parents.iter().rev().chain(std::iter::once(&disk.file));
            let units: Vec<ty!(VirtualMachineFileLayoutExDiskUnit)> = chain
                .filter_map(key_of)
                .map(|key| vim!(VirtualMachineFileLayoutExDiskUnit { fileKey: vec![key] }))
                .collect();
            vim!(VirtualMachineFileLayoutExDiskLayout { key: key, chain: units })
        })
        .collect();
    let snapshots: Vec<ty!(VirtualMachineFileLayoutExSnapshotLayout)> = vm
        .snapshots
        .snapshots
        .iter()
        .filter_map(|snapshot| {
            let data = vm.home.sibling(&snapshot.file_name).ok().as_ref().and_then(key_of)?;
            Some(vim!(VirtualMachineFileLayoutExSnapshotLayout {
                key: ids::snapshot(vm.me, snapshot.uid),
                dataKey: data,
                memoryKey: -1,
            }))
        })
        .collect();
    vim!(VirtualMachineFileLayoutEx { file: files, disk: disks, snapshot: snapshots, timestamp: vm.files_at })
        .into()
}

fn snapshots(vm: &Shown<'_>) -> Option<Object> {
    if vm.snapshots.snapshots.is_empty() {
        return None;
    }
    let current = vm.snapshots.current.map(|uid| ids::snapshot(vm.me, uid));
    Some(
        vim!(VirtualMachineSnapshotInfo {
            currentSnapshot: current,
            rootSnapshotList: branch(vm, vm.snapshots, None, 0),
        })
        .into(),
    )
}

fn branch(
    vm: &Shown<'_>,
    list: &SnapshotList,
    parent: Option<u32>,
    depth: usize,
) -> Vec<ty!(VirtualMachineSnapshotTree)> {
    if depth > datastore::limits::MAX_SNAPSHOTS as usize {
        return Vec::new();
    }
    list.children(parent)
        .map(|snapshot| {
            vim!(VirtualMachineSnapshotTree {
                snapshot: ids::snapshot(vm.me, snapshot.uid),
                vm: vm.me,
                name: &snapshot.display_name,
                description: &snapshot.description,
                id: i32::try_from(snapshot.uid).unwrap_or(i32::MAX),
                createTime: DateTime::from_micros(snapshot.create_time_us),
                state: Power::Off.value(),
                quiesced: vm.quiesced.contains(&snapshot.uid),
                childSnapshotList: branch(vm, list, Some(snapshot.uid), depth + 1),
                replaySupported: false,
            })
        })
        .collect()
}

/// The properties of a snapshot object.
pub fn snapshot(on: &On<'_>, vm: &Shown<'_>, uid: u32) -> Props {
    let names = Names { storage: on.storage, vm: vm.me.id() };
    let frozen = vm.frozen.get(&uid).map_or(vm.config, |frozen| &**frozen);
    props!(VirtualMachineSnapshot {
        config: config::info(frozen, vm.home, &names),
        childSnapshot: vm
            .snapshots
            .children(Some(uid))
            .map(|s| ids::snapshot(vm.me, s.uid))
            .collect::<Vec<_>>(),
        vm: vm.me,
    })
}
