//! The compute resource and the root resource pool.

use vim::{MoRef, Object, Props, props, vim};

use crate::{Host, ids};

/// The root pool: all of the host.
pub(super) fn root(host: &Host) -> Props {
    let (mhz, mib) = (i64::from(host.hardware.total_mhz()), host.hardware.memory_bytes >> 20);
    let config = allocations(mhz, i64::try_from(mib).unwrap_or(i64::MAX));
    let runtime = runtime(host);
    props!(ResourcePool {
        summary: ResourcePoolSummary { name: "Resources", config: config.clone(), runtime: runtime.clone() },
        runtime: runtime,
        owner: ids::compute_resource(),
        config: config,
    })
}

/// The allocations of the root pool, which are fixed.
fn allocations(mhz: i64, mib: i64) -> Object {
    vim!(ResourceConfigSpec {
        entity: ids::root_pool(),
        cpuAllocation: ResourceAllocationInfo {
            reservation: mhz,
            expandableReservation: false,
            limit: mhz,
            shares: SharesInfo { shares: 4000, level: "normal" },
        },
        memoryAllocation: ResourceAllocationInfo {
            reservation: mib,
            expandableReservation: false,
            limit: mib,
            shares: SharesInfo { shares: 163_840, level: "normal" },
        },
    })
    .into()
}

/// What a pool uses and could give.
pub(crate) fn runtime(host: &Host) -> Object {
    let memory = i64::try_from(host.hardware.memory_bytes).unwrap_or(i64::MAX);
    let mhz = i64::from(host.hardware.total_mhz());
    vim!(ResourcePoolRuntimeInfo {
        memory: ResourcePoolResourceUsage {
            reservationUsed: 0i64,
            reservationUsedForVm: 0i64,
            unreservedForPool: memory,
            unreservedForVm: memory,
            overallUsage: 0i64,
            maxUsage: memory,
        },
        cpu: ResourcePoolResourceUsage {
            reservationUsed: 0i64,
            reservationUsedForVm: 0i64,
            unreservedForPool: mhz,
            unreservedForVm: mhz,
            overallUsage: 0i64,
            maxUsage: mhz,
        },
        overallStatus: "green",
    })
    .into()
}

/// The compute resource that is this host alone.
pub(super) fn compute_resource(host: &Host, datastores: Vec<MoRef>) -> Props {
    let memory = i64::try_from(host.hardware.memory_bytes).unwrap_or(i64::MAX);
    let cpu = &host.hardware.cpu;
    let short = |n: u16| i16::try_from(n).unwrap_or(i16::MAX);
    props!(ComputeResource {
        resourcePool: ids::root_pool(),
        host: [ids::host()],
        datastore: datastores,
        environmentBrowser: ids::environment_browser(),
        summary: ComputeResourceSummary {
            totalCpu: host.hardware.total_mhz(),
            totalMemory: memory,
            numCpuCores: short(cpu.cores),
            numCpuThreads: short(cpu.threads),
            effectiveCpu: host.hardware.total_mhz(),
            // In MiB, unlike the total.
            effectiveMemory: memory >> 20,
            numHosts: 1,
            numEffectiveHosts: 1,
            overallStatus: "green",
        },
        configurationEx: ComputeResourceConfigInfo { vmSwapPlacement: "vmDirectory" },
    })
}
