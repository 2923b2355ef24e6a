//! The `HostSystem` object: hardware, state and settings. Services add their parts through the methods of [`System`] here,
//! each by the call that changes the part.

use std::sync::Arc;

use api::Writer;
use api::managers::Singletons;
use vim::{DateTime, MoRef, Object, Props, data_id, field, prop, props, ty, vim};
use vm::limits::{MAX_CPUS, MAX_DISK_BYTES};

use super::settings::ShownSettings;
use super::{System, cpuid, hardware, storage_system};
use crate::ids;

/// Most VMs that are promised to run at once.
const MAX_RUNNING: i32 = 1024;
/// The port of the API, where the center reaches it.
const PORT: i32 = 443;

/// The properties of the object to which several services add, as they are shown now.
pub(super) struct Shown {
    /// `HostConfigInfo`.
    pub(super) config: Object,
    /// `HostRuntimeInfo`.
    runtime: Object,
    /// `HostListSummary`; it repeats the runtime.
    summary: Object,
    pub(super) settings: ShownSettings,
}

impl Default for Shown {
    fn default() -> Self {
        Self {
            config: Object::new(data_id!(HostConfigInfo)),
            runtime: Object::new(data_id!(HostRuntimeInfo)),
            summary: Object::new(data_id!(HostListSummary)),
            settings: ShownSettings::default(),
        }
    }
}

impl System {
    /// The state that is shown before any service has added its part.
    pub(super) fn first_shown(&self) -> Shown {
        let runtime = runtime(self);
        let facts = [
            ("Esfera.Accelerator", self.engine.accelerator.to_owned()),
            ("Esfera.AcceleratorReason", self.engine.reason.clone()),
        ];
        Shown {
            config: config(self),
            summary: self.summary(&runtime),
            runtime,
            settings: ShownSettings::of_facts(facts.into()),
        }
    }

    fn summary(&self, runtime: &Object) -> Object {
        vim!(HostListSummary {
            host: ids::host(),
            hardware: hardware_summary(self),
            runtime: runtime.clone(),
            config: HostConfigSummary {
                name: &self.name,
                port: PORT,
                product: self.about(),
                vmotionEnabled: false,
                faultToleranceEnabled: false,
            },
            quickStats: quick_stats(self, (0, 0), (0, 0)),
            overallStatus: "green",
            rebootRequired: false,
        })
        .into()
    }

    /// The properties that the object has from the start.
    pub(super) fn host_props(&self) -> Props {
        let shown = self.shown.lock();
        props!(HostSystem {
            runtime: shown.runtime.clone(),
            summary: shown.summary.clone(),
            hardware: hardware_info(self),
            capability: self.capability(),
            licensableResource: HostLicensableResourceInfo {
                resource: [KeyAnyValue {
                    key: "numCpuPackages",
                    value: i32::from(self.hardware.cpu.packages)
                },]
            },
            config: shown.config.clone(),
            datastore: Vec::<MoRef>::new(),
            datastoreBrowser: ids::datastore_browser(),
        })
    }

    /// Names the host's subsystems to clients.
    pub(crate) fn show_subsystems(&self, w: &mut Writer<'_>, named: Object) {
        w.set(&ids::host(), props!(HostSystem { configManager: named }));
    }

    /// Names the managers of the host's users beside its subsystems.
    pub(crate) fn name_accounts(&self, w: &mut Writer<'_>) {
        let named = w.find(&ids::host()).and_then(|node| node.get(prop!(HostSystem.configManager)).cloned());
        let mut named =
            named.map_or_else(|| Object::new(data_id!(HostConfigManager)), |named| Object::clone(&named));
        let managers = Singletons::host();
        named.set(field!(HostConfigManager.accountManager), managers.account_manager);
        named.set(field!(HostConfigManager.userDirectory), managers.user_directory);
        self.show_subsystems(w, named);
    }

    /// Shows the network: its configuration, and its state while it runs.
    pub(crate) fn show_network(&self, w: &mut Writer<'_>, info: Object, running: Object) {
        let mut shown = self.shown.lock();
        shown.config.set(field!(HostConfigInfo.network), info);
        shown.runtime.set(field!(HostRuntimeInfo.networkRuntimeInfo), running);
        let runtime = shown.runtime.clone();
        shown.summary.set(field!(HostListSummary.runtime), runtime.clone());
        let (config, summary) = (shown.config.clone(), shown.summary.clone());
        w.set(&ids::host(), props!(HostSystem { config: config, runtime: runtime, summary: summary }));
    }

    /// Shows the settings of the clock.
    pub(super) fn show_date_time(&self, w: &mut Writer<'_>, info: Object) {
        let mut shown = self.shown.lock();
        shown.config.set(field!(HostConfigInfo.dateTimeInfo), info);
        w.set(&ids::host(), props!(HostSystem { config: shown.config.clone() }));
    }

    /// Shows the disks.
    pub(super) fn show_storage(&self, w: &mut Writer<'_>, info: Arc<Object>) {
        let mut shown = self.shown.lock();
        shown.config.set(field!(HostConfigInfo.storageDevice), info);
        w.set(&ids::host(), props!(HostSystem { config: shown.config.clone() }));
    }

    /// Shows how much of the processors was used between two readings, and how much memory is in use now.
    pub(crate) fn show_use(&self, before: (u64, u64), now: (u64, u64)) {
        let use_now = quick_stats(self, before, now);
        self.core.tree.write(|w| {
            let mut shown = self.shown.lock();
            shown.summary.set(field!(HostListSummary.quickStats), use_now);
            w.set(&ids::host(), props!(HostSystem { summary: shown.summary.clone() }));
        });
    }
}

fn runtime(system: &System) -> Object {
    vim!(HostRuntimeInfo {
        connectionState: "connected",
        powerState: "poweredOn",
        standbyMode: "none",
        inMaintenanceMode: false,
        inQuarantineMode: false,
        bootTime: system.hardware.booted,
        hostMaxVirtualDiskCapacity: i64::try_from(MAX_DISK_BYTES).unwrap_or(i64::MAX),
    })
    .into()
}

fn short(number: u16) -> i16 {
    i16::try_from(number).unwrap_or(i16::MAX)
}

fn memory(system: &System) -> i64 {
    i64::try_from(system.hardware.memory_bytes).unwrap_or(i64::MAX)
}

fn hardware_summary(system: &System) -> Object {
    let hardware = &system.hardware;
    vim!(HostHardwareSummary {
        vendor: &hardware.vendor,
        model: &hardware.model,
        uuid: system.uuid.to_string(),
        memorySize: memory(system),
        cpuModel: &hardware.cpu.model,
        cpuMhz: i32::try_from(hardware.cpu.mhz).unwrap_or(i32::MAX),
        numCpuPkgs: short(hardware.cpu.packages),
        numCpuCores: short(hardware.cpu.cores),
        numCpuThreads: short(hardware.cpu.threads),
        numNics: i32::try_from(hardware.nics).unwrap_or(i32::MAX),
        numHBAs: i32::try_from(storage_system::adapters(&hardware.disks)).unwrap_or(i32::MAX),
    })
    .into()
}

fn hardware_info(system: &System) -> Object {
    let (hardware, cpu) = (&system.hardware, &system.hardware.cpu);
    let hz = i64::from(cpu.mhz) * 1_000_000;
    let threads: Vec<i16> = (0..short(cpu.threads)).collect();
    let per_package = threads.len().div_ceil(usize::from(cpu.packages)).max(1);
    let features = features(system);
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
            uuid: system.uuid.to_string(),
        },
        cpuInfo: HostCpuInfo {
            numCpuPackages: short(cpu.packages),
            numCpuCores: short(cpu.cores),
            numCpuThreads: short(cpu.threads),
            hz: hz,
        },
        cpuPkg: packages,
        memorySize: memory(system),
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

fn features(system: &System) -> Vec<ty!(HostCpuIdInfo)> {
    let leaves = system.hardware.cpu.features.iter();
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

fn config(system: &System) -> Object {
    vim!(HostConfigInfo {
        host: ids::host(),
        product: system.about(),
        hyperThread: HostHyperThreadScheduleInfo {
            available: system.hardware.cpu.threads > system.hardware.cpu.cores,
            active: system.hardware.cpu.threads > system.hardware.cpu.cores,
            config: system.hardware.cpu.threads > system.hardware.cpu.cores,
        },
        dateTimeInfo: system.date_time_info(),
        storageDevice: system.storage_info(),
    })
    .into()
}

/// The use of the host since `previous`, an earlier reading of the processors.
fn quick_stats(system: &System, previous: (u64, u64), now: (u64, u64)) -> Object {
    let (busy, all) = (now.0.saturating_sub(previous.0), now.1.saturating_sub(previous.1));
    let total = u64::try_from(system.hardware.total_mhz()).unwrap_or(0);
    let used_mhz = busy.saturating_mul(total).checked_div(all).unwrap_or(0);
    // A simulated host uses none of the hardware on which it is simulated.
    let memory = if system.engine.simulated { 0 } else { hardware::memory_used() };
    let uptime = (DateTime::now().as_micros() - system.hardware.booted.as_micros()) / 1_000_000;
    vim!(HostListSummaryQuickStats {
        overallCpuUsage: i32::try_from(used_mhz).unwrap_or(i32::MAX),
        overallMemoryUsage: i32::try_from(memory >> 20).unwrap_or(i32::MAX),
        uptime: i32::try_from(uptime).unwrap_or(i32::MAX),
    })
    .into()
}

impl System {
    /// The host's capability; a feature that the host does not have yet is false.
    pub(crate) fn capability(&self) -> Object {
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
            maxSupportedVcpus: i32::try_from(MAX_CPUS).unwrap_or(i32::MAX),
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
            screenshotSupported: !self.engine.simulated,
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
}
