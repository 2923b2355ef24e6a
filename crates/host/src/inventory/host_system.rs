//! The `HostSystem` object: hardware, state and the few settings that a Linux machine has at this point.

use vim::{DateTime, MoRef, Object, Props, props, ty, vim};

use crate::{Host, cpuid, hardware, ids};

/// Most machines that are promised to run at once.
const MAX_RUNNING: i32 = 1024;
/// The port of the API, where the center reaches it.
const PORT: i32 = 443;

/// Everything of the host that does not change while it runs, and the first statistics.
pub(super) fn props(host: &Host, datastores: Vec<MoRef>) -> Props {
    let runtime = runtime(host);
    props!(HostSystem {
        runtime: runtime.clone(),
        summary: HostListSummary {
            host: ids::host(),
            hardware: hardware_summary(host),
            runtime: runtime,
            config: HostConfigSummary {
                name: &host.name,
                port: PORT,
                product: about(host),
                vmotionEnabled: false,
                faultToleranceEnabled: false,
            },
            quickStats: quick_stats(host, (0, 0), (0, 0)),
            overallStatus: "green",
            rebootRequired: false,
        },
        hardware: hardware_info(host),
        capability: capability(host),
        licensableResource: HostLicensableResourceInfo {
            resource: [KeyAnyValue { key: "numCpuPackages", value: i32::from(host.hardware.cpu.packages) },]
        },
        configManager: HostConfigManager {
            advancedOption: ids::advanced_options(),
            autoStartManager: ids::auto_start_manager(),
            networkSystem: ids::network_system(),
            virtualNicManager: ids::virtual_nic_manager(),
        },
        config: config(host),
        datastore: datastores,
        datastoreBrowser: ids::datastore_browser(),
    })
}

/// Machines do not start with the host: libvirt reads so before it describes a machine, and does not survive a host
/// that has nobody to ask.
pub(super) fn auto_start() -> Props {
    props!(HostAutoStartManager {
        config: HostAutoStartManagerConfig { defaults: AutoStartDefaults { enabled: false } },
    })
}

/// `about` of this host: the product as clients need to see it.
pub fn about(host: &Host) -> ty!(AboutInfo) {
    let version = env!("CARGO_PKG_VERSION");
    vim!(AboutInfo {
        name: "Esfera Host",
        fullName: format!("Esfera Host {version} (vSphere API {})", vim::API_RELEASE),
        vendor: "Esfera",
        version: "8.0.3",
        build: version,
        localeVersion: "INTL",
        localeBuild: "000",
        osType: "linux-x64",
        productLineId: "embeddedEsx",
        apiType: "HostAgent",
        apiVersion: vim::API_RELEASE,
        instanceUuid: host.uuid.to_string(),
        licenseProductName: "Esfera Host",
        licenseProductVersion: version,
    })
}

fn runtime(host: &Host) -> Object {
    vim!(HostRuntimeInfo {
        connectionState: "connected",
        powerState: "poweredOn",
        standbyMode: "none",
        inMaintenanceMode: false,
        inQuarantineMode: false,
        bootTime: host.hardware.booted,
        hostMaxVirtualDiskCapacity: i64::try_from(vm::limits::MAX_DISK_BYTES).unwrap_or(i64::MAX),
    })
    .into()
}

fn short(number: u16) -> i16 {
    i16::try_from(number).unwrap_or(i16::MAX)
}

fn memory(host: &Host) -> i64 {
    i64::try_from(host.hardware.memory_bytes).unwrap_or(i64::MAX)
}

fn hardware_summary(host: &Host) -> Object {
    let hardware = &host.hardware;
    vim!(HostHardwareSummary {
        vendor: &hardware.vendor,
        model: &hardware.model,
        uuid: host.uuid.to_string(),
        memorySize: memory(host),
        cpuModel: &hardware.cpu.model,
        cpuMhz: i32::try_from(hardware.cpu.mhz).unwrap_or(i32::MAX),
        numCpuPkgs: short(hardware.cpu.packages),
        numCpuCores: short(hardware.cpu.cores),
        numCpuThreads: short(hardware.cpu.threads),
        numNics: i32::try_from(hardware.nics).unwrap_or(i32::MAX),
        numHBAs: 0,
    })
    .into()
}

fn hardware_info(host: &Host) -> Object {
    let (hardware, cpu) = (&host.hardware, &host.hardware.cpu);
    let hz = i64::from(cpu.mhz) * 1_000_000;
    let threads: Vec<i16> = (0..short(cpu.threads)).collect();
    let per_package = threads.len().div_ceil(usize::from(cpu.packages)).max(1);
    let features = features(host);
    let packages: Vec<ty!(HostCpuPackage)> = threads
        .chunks(per_package)
        .enumerate()
        .map(|(index, threads)| {
            vim!(HostCpuPackage {
                index: i16::try_from(index).unwrap_or(i16::MAX),
                vendor: cpu_vendor(&cpu.vendor),
                hz: hz,
                busHz: hz,
                description: &cpu.model,
                threadId: threads.to_vec(),
                cpuFeature: features.clone(),
            })
        })
        .collect();
    let numa: Vec<ty!(HostNumaNode)> = hardware
        .numa
        .iter()
        .enumerate()
        .map(|(index, node)| {
            let bytes = i64::try_from(node.memory_bytes).unwrap_or(i64::MAX);
            vim!(HostNumaNode {
                typeId: i8::try_from(index).unwrap_or(i8::MAX),
                cpuID: node.cpus.clone(),
                memorySize: bytes,
                memoryRangeBegin: 0i64,
                memoryRangeLength: bytes,
            })
        })
        .collect();
    vim!(HostHardwareInfo {
        systemInfo: HostSystemInfo {
            vendor: &hardware.vendor,
            model: &hardware.model,
            uuid: host.uuid.to_string(),
        },
        cpuInfo: HostCpuInfo {
            numCpuPackages: short(cpu.packages),
            numCpuCores: short(cpu.cores),
            numCpuThreads: short(cpu.threads),
            hz: hz,
        },
        cpuPkg: packages,
        memorySize: memory(host),
        cpuFeature: features,
        numaInfo: HostNumaInfo {
            type: "NUMA",
            numNodes: i32::try_from(hardware.numa.len()).unwrap_or(i32::MAX),
            numaNode: numa,
        },
        smcPresent: false,
        biosInfo: HostBIOSInfo { biosVersion: &hardware.bios_version, vendor: &hardware.bios_vendor },
    })
    .into()
}

fn features(host: &Host) -> Vec<ty!(HostCpuIdInfo)> {
    let leaves = host.hardware.cpu.features.iter();
    leaves
        .map(|leaf| {
            let [eax, ebx, ecx, edx] = leaf.registers.map(cpuid::digits);
            let level = leaf.level.cast_signed();
            vim!(HostCpuIdInfo { level: level, eax: eax, ebx: ebx, ecx: ecx, edx: edx })
        })
        .collect()
}

/// `intel` and `amd`, as clients compare them.
fn cpu_vendor(vendor: &str) -> &str {
    match vendor {
        "GenuineIntel" => "intel",
        "AuthenticAMD" => "amd",
        other => other,
    }
}

fn config(host: &Host) -> Object {
    vim!(HostConfigInfo {
        host: ids::host(),
        product: about(host),
        hyperThread: HostHyperThreadScheduleInfo {
            available: host.hardware.cpu.threads > host.hardware.cpu.cores,
            active: host.hardware.cpu.threads > host.hardware.cpu.cores,
            config: host.hardware.cpu.threads > host.hardware.cpu.cores,
        },
        dateTimeInfo: HostDateTimeInfo {
            timeZone: HostDateTimeSystemTimeZone {
                key: "UTC",
                name: "UTC",
                description: "UTC",
                gmtOffset: 0,
            },
        },
    })
    .into()
}

/// What is possible on this host; what is not there yet is false.
pub(crate) fn capability(host: &Host) -> Object {
    let no = false;
    vim!(HostCapability {
        recursiveResourcePoolsSupported: true,
        cpuMemoryResourceConfigurationSupported: no,
        rebootSupported: no,
        shutdownSupported: no,
        vmotionSupported: no,
        standbySupported: no,
        maxSupportedVMs: i32::try_from(crate::limits::MAX_VMS).unwrap_or(i32::MAX),
        maxRunningVMs: MAX_RUNNING,
        maxSupportedVcpus: i32::try_from(vm::limits::MAX_CPUS).unwrap_or(i32::MAX),
        maxRegisteredVMs: i32::try_from(crate::limits::MAX_VMS).unwrap_or(i32::MAX),
        datastorePrincipalSupported: no,
        sanSupported: no,
        nfsSupported: no,
        iscsiSupported: no,
        vlanTaggingSupported: true,
        nicTeamingSupported: true,
        highGuestMemSupported: true,
        maintenanceModeSupported: no,
        suspendedRelocateSupported: no,
        restrictedSnapshotRelocateSupported: no,
        perVmSwapFiles: no,
        localSwapDatastoreSupported: no,
        unsharedSwapVMotionSupported: no,
        backgroundSnapshotsSupported: no,
        preAssignedPCIUnitNumbersSupported: no,
        screenshotSupported: !host.engine.info().simulated,
        scaledScreenshotSupported: no,
        storageVMotionSupported: no,
        vmotionWithStorageVMotionSupported: no,
        hbrNicSelectionSupported: no,
        vrNfcNicSelectionSupported: no,
        recordReplaySupported: no,
        ftSupported: no,
        smpFtSupported: no,
        cloneFromSnapshotSupported: no,
        deltaDiskBackingsSupported: true,
        perVMNetworkTrafficShapingSupported: no,
        tpmSupported: no,
        virtualExecUsageSupported: no,
        storageIORMSupported: no,
        vStorageCapable: no,
        snapshotRelayoutSupported: no,
        vmfsDatastoreMountCapable: no,
        eightPlusHostVmfsSharedAccessSupported: no,
        nestedHVSupported: no,
        vPMCSupported: no,
        interVMCommunicationThroughVMCISupported: no,
        featureCapabilitiesSupported: no,
        latencySensitivitySupported: no,
        accel3dSupported: no,
        provisioningNicSelectionSupported: no,
        vmCreateDateSupported: true,
    })
    .into()
}

/// Use of the machine, as `quickStats` shows it. `previous` is an earlier reading of the processors.
pub(crate) fn quick_stats(host: &Host, previous: (u64, u64), now: (u64, u64)) -> Object {
    let (busy, all) = (now.0.saturating_sub(previous.0), now.1.saturating_sub(previous.1));
    let total = u64::try_from(host.hardware.total_mhz()).unwrap_or(0);
    let used_mhz = busy.saturating_mul(total).checked_div(all).unwrap_or(0);
    // A simulated host takes nothing of the machine that it is not.
    let memory = if host.engine.info().simulated { 0 } else { hardware::memory_used() };
    let uptime = (DateTime::now().as_micros() - host.hardware.booted.as_micros()) / 1_000_000;
    vim!(HostListSummaryQuickStats {
        overallCpuUsage: i32::try_from(used_mhz).unwrap_or(i32::MAX),
        overallMemoryUsage: i32::try_from(memory >> 20).unwrap_or(i32::MAX),
        uptime: i32::try_from(uptime).unwrap_or(i32::MAX),
    })
    .into()
}
