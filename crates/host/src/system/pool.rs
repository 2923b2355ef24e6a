//! The compute resource and the root resource pool.

use pools::Capacity;
use vim::{MoRef, Object, Props, props, vim};

use super::System;
use crate::ids;

/// The root pool: all resources of the host.
pub(super) fn root(system: &System) -> Props {
    props!(ResourcePool { owner: ids::compute_resource(), config: allocations(system.capacity()) })
}

/// The allocations of the root pool, which are fixed.
fn allocations(Capacity { mhz, mib }: Capacity) -> Object {
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

/// The resources that a pool uses and has left.
fn runtime(system: &System) -> Object {
    let memory = i64::try_from(system.hardware.memory_bytes).unwrap_or(i64::MAX);
    let mhz = i64::from(system.hardware.total_mhz());
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
pub(super) fn compute_resource(system: &System) -> Props {
    let memory = i64::try_from(system.hardware.memory_bytes).unwrap_or(i64::MAX);
    let cpu = &system.hardware.cpu;
    let short = |n: u16| i16::try_from(n).unwrap_or(i16::MAX);
    props!(ComputeResource {
        resourcePool: ids::root_pool(),
        host: [ids::host()],
        datastore: Vec::<MoRef>::new(),
        environmentBrowser: ids::environment_browser(),
        summary: ComputeResourceSummary {
            totalCpu: system.hardware.total_mhz(),
            totalMemory: memory,
            numCpuCores: short(cpu.cores),
            numCpuThreads: short(cpu.threads),
            effectiveCpu: system.hardware.total_mhz(),
            // In MiB, unlike the total.
            effectiveMemory: memory >> 20,
            numHosts: 1,
            numEffectiveHosts: 1,
            overallStatus: "green",
        },
        configurationEx: ComputeResourceConfigInfo { vmSwapPlacement: "vmDirectory" },
    })
}

impl System {
    /// The resources that pools share.
    pub(crate) fn capacity(&self) -> Capacity {
        let mib = i64::try_from(self.hardware.memory_bytes >> 20).unwrap_or(i64::MAX);
        Capacity { mhz: i64::from(self.hardware.total_mhz()), mib }
    }

    /// The resources that the root pool uses and has left.
    pub(crate) fn root_pool_runtime(&self) -> Object {
        runtime(self)
    }
}
