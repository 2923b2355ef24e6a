//! The properties of a `VirtualMachine` object.

use std::collections::BTreeMap;

use datastore::FileKind;
use datastore::vmsd::SnapshotList;
use vim::{DateTime, MoRef, Object, Props, props, ty, vim, vim_enum};

use super::{Names, config, signed};
use crate::vm::Vm;
use crate::vm::config::VmConfig;
use crate::vm::state::{Power, State};
use crate::{Host, ids};

/// Everything that a machine shows. `state` is its state now.
pub(crate) fn props(host: &Host, vm: &Vm, state: &State) -> Props {
    let names = Names { datastores: &host.datastores, vm: vm.me.id() };
    let runtime = runtime(host, state);
    let (datastores, networks) = config::uses(&state.config, &state.home);
    let broken = state.broken.is_some();
    let storage = usage(state);
    let heartbeat = heartbeat(state);
    props!(VirtualMachine {
        name: &state.config.name,
        parent: ids::vm_folder(),
        overallStatus: vim_enum!(ManagedEntityStatus.green),
        configStatus: vim_enum!(ManagedEntityStatus.green),
        alarmActionsEnabled: true,
        disabledMethod: disabled(state),
        capability: capability(),
        config: (!broken).then(|| config::info(&state.config, &state.home, &names)),
        layoutEx: layout(&vm.me, state, &names),
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
            timestamp: state.files_at,
        },
        environmentBrowser: ids::environment_browser(),
        resourcePool: (!state.config.template).then(|| state.pool.clone()),
        resourceConfig: config::resources(&state.config, &vm.me),
        runtime: runtime.clone(),
        guest: guest(state),
        summary: VirtualMachineSummary {
            vm: &vm.me,
            runtime: runtime,
            guest: guest_summary(state),
            config: config::summary(&state.config, &state.home, &names),
            storage: VirtualMachineStorageSummary {
                committed: signed(storage.values().map(|used| used.committed).sum()),
                uncommitted: signed(storage.values().map(|used| used.uncommitted).sum()),
                unshared: signed(storage.values().map(|used| used.committed).sum()),
                timestamp: state.files_at,
            },
            quickStats: quick_stats(state),
            overallStatus: "green",
        },
        datastore: datastores,
        network: networks,
        snapshot: snapshots(vm, state),
        rootSnapshot: state
            .snapshots
            .children(None)
            .map(|s| ids::snapshot(&vm.me, s.uid))
            .collect::<Vec<_>>(),
        guestHeartbeatStatus: heartbeat,
    })
}

/// Methods that make no sense in this state.
fn disabled(state: &State) -> Vec<&'static str> {
    match state.power {
        Power::On => vec!["PowerOnVM_Task", "Destroy_Task", "UnregisterVM", "MarkAsTemplate"],
        Power::Off => {
            vec!["PowerOffVM_Task", "ResetVM_Task", "SuspendVM_Task", "ShutdownGuest", "RebootGuest"]
        }
        Power::Suspended => vec!["SuspendVM_Task", "ResetVM_Task", "ShutdownGuest", "RebootGuest"],
    }
}

fn power_state(power: Power) -> ty!(VirtualMachinePowerState) {
    match power {
        Power::On => vim_enum!(VirtualMachinePowerState.poweredOn),
        Power::Off => vim_enum!(VirtualMachinePowerState.poweredOff),
        Power::Suspended => vim_enum!(VirtualMachinePowerState.suspended),
    }
}

fn runtime(host: &Host, state: &State) -> Object {
    let on = state.power == Power::On;
    let mhz = i64::from(host.hardware.cpu.mhz) * i64::from(state.config.cpus);
    let question = state.question.as_ref().map(|question| {
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
        host: ids::host(),
        connectionState: match (&state.broken, &state.silent) {
            (Some(_), _) => vim_enum!(VirtualMachineConnectionState.inaccessible),
            (None, Some(_)) => vim_enum!(VirtualMachineConnectionState.disconnected),
            (None, None) => vim_enum!(VirtualMachineConnectionState.connected),
        },
        powerState: power_state(state.power),
        vmFailoverInProgress: false,
        faultToleranceState: "notConfigured",
        toolsInstallerMounted: false,
        suspendTime: state.suspended,
        bootTime: state.booted.filter(|_| on),
        suspendInterval: 0i64,
        question: question,
        maxCpuUsage: i32::try_from(mhz).unwrap_or(i32::MAX),
        maxMemoryUsage: i32::try_from(state.config.memory_mib).unwrap_or(i32::MAX),
        numMksConnections: 0,
        recordReplayState: "inactive",
        cleanPowerOff: state.clean_power_off,
        onlineStandby: false,
        consolidationNeeded: state.consolidation_needed,
        paused: false,
        snapshotInBackground: false,
    })
    .into()
}

/// What is said of the tools: installed and running, installed, or not there.
fn tools(state: &State) -> (ty!(VirtualMachineToolsStatus), &'static str, &'static str) {
    match (&state.guest, state.tools_seen) {
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

fn heartbeat(state: &State) -> ty!(ManagedEntityStatus) {
    match (state.power, &state.guest, state.tools_seen) {
        (Power::On, Some(_), _) => vim_enum!(ManagedEntityStatus.green),
        (Power::On, None, true) => vim_enum!(ManagedEntityStatus.red),
        _ => vim_enum!(ManagedEntityStatus.gray),
    }
}

/// The address that clients are shown first: IPv4 before IPv6, never a link-local one.
fn address(state: &State) -> Option<String> {
    let report = state.guest.as_ref()?;
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

fn guest(state: &State) -> Object {
    let (status, running, version) = tools(state);
    let report = state.guest.as_ref();
    let on = state.power == Power::On;
    let system = report.and_then(|report| report.system.clone());
    let nics: Vec<ty!(GuestNicInfo)> = report
        .map(|report| report.interfaces.iter().filter_map(|found| nic(&state.config, found)).collect())
        .unwrap_or_default();
    vim!(GuestInfo {
        toolsStatus: status,
        toolsVersionStatus: version,
        toolsVersionStatus2: version,
        toolsRunningStatus: running,
        toolsVersion: report.and_then(|report| report.agent_version.clone()),
        guestId: report.map(|_| state.config.guest_id.as_str()),
        guestFamily: report.and_then(|report| report.family),
        guestFullName: system,
        hostName: report.and_then(|report| report.host_name.clone()),
        ipAddress: address(state),
        net: nics,
        guestState: if report.is_some() { "running" } else { "notRunning" },
        guestOperationsReady: false,
        interactiveGuestOperationsReady: false,
        guestStateChangeSupported: on && report.is_some(),
        hwVersion: format!("vmx-{:02}", state.config.hardware_version),
    })
    .into()
}

/// An interface of the guest, if it is one of the machine's adapters.
fn nic(config: &VmConfig, found: &crate::engine::GuestInterface) -> Option<ty!(GuestNicInfo)> {
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

fn guest_summary(state: &State) -> ty!(VirtualMachineGuestSummary) {
    let (status, running, version) = tools(state);
    let report = state.guest.as_ref();
    vim!(VirtualMachineGuestSummary {
        guestId: report.map(|_| state.config.guest_id.as_str()),
        guestFullName: report.and_then(|report| report.system.clone()),
        toolsStatus: status,
        toolsVersionStatus: version,
        toolsVersionStatus2: version,
        toolsRunningStatus: running,
        hostName: report.and_then(|report| report.host_name.clone()),
        ipAddress: address(state),
        hwVersion: format!("vmx-{:02}", state.config.hardware_version),
    })
}

/// What is known of the use of resources.
pub(crate) fn quick_stats(state: &State) -> Object {
    let usage = &state.statistics;
    let int = |n: u64| i32::try_from(n).unwrap_or(i32::MAX);
    let uptime = state.booted.filter(|_| state.power == Power::On).map(|booted| {
        let us = state.statistics_at.as_micros().saturating_sub(booted.as_micros());
        i32::try_from(us.max(0) / 1_000_000).unwrap_or(i32::MAX)
    });
    vim!(VirtualMachineQuickStats {
        overallCpuUsage: int(usage.cpu_mhz),
        guestMemoryUsage: 0,
        hostMemoryUsage: int(usage.resident_bytes >> 20),
        guestHeartbeatStatus: heartbeat(state),
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

/// What machines of this host can do.
pub(crate) fn capability() -> ty!(VirtualMachineCapability) {
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

/// What a machine takes and could still take of each datastore.
fn usage(state: &State) -> BTreeMap<uuid::Uuid, Used> {
    let mut used: BTreeMap<uuid::Uuid, Used> = BTreeMap::new();
    for file in &state.files {
        used.entry(file.file.datastore).or_default().committed += file.allocated_bytes;
    }
    for (_, disk) in state.config.disks() {
        let taken =
            state.files.iter().find(|file| file.file == disk.file).map_or(0, |file| file.allocated_bytes);
        used.entry(disk.file.datastore).or_default().uncommitted += disk.capacity_bytes.saturating_sub(taken);
    }
    used
}

/// What vSphere calls a file in `layoutEx`.
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

fn layout(me: &MoRef, state: &State, names: &Names<'_>) -> Object {
    let number = |at: usize| i32::try_from(at).unwrap_or(i32::MAX);
    let key_of =
        |file: &crate::vm::device::FileRef| state.files.iter().position(|f| f.file == *file).map(number);
    let files: Vec<ty!(VirtualMachineFileLayoutExFileInfo)> = state
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
    let disks: Vec<ty!(VirtualMachineFileLayoutExDiskLayout)> = state
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
    let snapshots: Vec<ty!(VirtualMachineFileLayoutExSnapshotLayout)> = state
        .snapshots
        .snapshots
        .iter()
        .filter_map(|snapshot| {
            let data = state.home.sibling(&snapshot.file_name).ok().as_ref().and_then(key_of)?;
            Some(vim!(VirtualMachineFileLayoutExSnapshotLayout {
                key: ids::snapshot(me, snapshot.uid),
                dataKey: data,
                memoryKey: -1,
            }))
        })
        .collect();
    vim!(VirtualMachineFileLayoutEx {
        file: files,
        disk: disks,
        snapshot: snapshots,
        timestamp: state.files_at,
    })
    .into()
}

fn snapshots(vm: &Vm, state: &State) -> Option<Object> {
    if state.snapshots.snapshots.is_empty() {
        return None;
    }
    let current = state.snapshots.current.map(|uid| ids::snapshot(&vm.me, uid));
    Some(
        vim!(VirtualMachineSnapshotInfo {
            currentSnapshot: current,
            rootSnapshotList: branch(vm, state, &state.snapshots, None, 0),
        })
        .into(),
    )
}

fn branch(
    vm: &Vm,
    state: &State,
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
                snapshot: ids::snapshot(&vm.me, snapshot.uid),
                vm: &vm.me,
                name: &snapshot.display_name,
                description: &snapshot.description,
                id: i32::try_from(snapshot.uid).unwrap_or(i32::MAX),
                createTime: DateTime::from_micros(snapshot.create_time_us),
                state: power_state(Power::Off),
                quiesced: state.quiesced.contains(&snapshot.uid),
                childSnapshotList: branch(vm, state, list, Some(snapshot.uid), depth + 1),
                replaySupported: false,
            })
        })
        .collect()
}

/// The properties of a snapshot object.
pub(crate) fn snapshot(host: &Host, vm: &Vm, state: &State, uid: u32) -> Props {
    let names = Names { datastores: &host.datastores, vm: vm.me.id() };
    let frozen = state.frozen.get(&uid).unwrap_or(&state.config);
    props!(VirtualMachineSnapshot {
        config: config::info(frozen, &state.home, &names),
        childSnapshot: state
            .snapshots
            .children(Some(uid))
            .map(|s| ids::snapshot(&vm.me, s.uid))
            .collect::<Vec<_>>(),
        vm: &vm.me,
    })
}
