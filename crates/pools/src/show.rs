//! A resource pool's properties. The usage of its VMs is computed at each read.

use api::{Methods, Node, Service, Session, Snapshot};
use vim::{MoRef, Value, field, managed_id, prop, ty, vim};

use crate::{Allocation, Capacity, MAX_DEPTH, Shares};

/// Shares of a pool at each level, for CPU and for memory.
const CPU_SHARES: [i32; 3] = [2_000, 4_000, 8_000];
const MEMORY_SHARES: [i32; 3] = [81_920, 163_840, 327_680];
const MIB: i64 = 1 << 20;

/// The configuration of the pool `me`, which has changed `version` times.
pub fn config(me: &MoRef, version: u64, cpu: &Allocation, memory: &Allocation) -> ty!(ResourceConfigSpec) {
    vim!(ResourceConfigSpec {
        entity: me,
        changeVersion: version.to_string(),
        cpuAllocation: allocation(cpu, CPU_SHARES),
        memoryAllocation: allocation(memory, MEMORY_SHARES),
    })
}

fn allocation(given: &Allocation, levels: [i32; 3]) -> ty!(ResourceAllocationInfo) {
    let shares = match given.shares {
        Shares::Low => vim!(SharesInfo { shares: levels[0], level: "low" }),
        Shares::Normal => vim!(SharesInfo { shares: levels[1], level: "normal" }),
        Shares::High => vim!(SharesInfo { shares: levels[2], level: "high" }),
        Shares::Custom(shares) => vim!(SharesInfo { shares: shares, level: "custom" }),
    };
    vim!(ResourceAllocationInfo {
        reservation: given.reservation,
        expandableReservation: given.expandable,
        limit: given.limit,
        shares: shares,
    })
}

/// Enters the computed properties.
pub fn compute(methods: &mut Methods) {
    let pool = managed_id!(ResourcePool);
    methods.compute(pool, prop!(ResourcePool.runtime).number(), runtime);
    methods.compute(pool, prop!(ResourcePool.summary).number(), summary);
}

/// `ResourcePool.runtime`: the pool's limits and the present usage of its VMs.
fn runtime(_: &Service, _: &Session, node: &Node, state: &Snapshot) -> Option<Value> {
    Some(runtime_of(node, state).into())
}

/// `ResourcePool.summary`.
fn summary(_: &Service, _: &Session, node: &Node, state: &Snapshot) -> Option<Value> {
    summary_of(node, state).map(Into::into)
}

/// The summary of a pool or of the pool that a vApp is.
pub fn summary_of(node: &Node, state: &Snapshot) -> Option<ty!(ResourcePoolSummary)> {
    let config = node.get(prop!(ResourcePool.config))?;
    let usage = usage(node, state);
    let summary = vim!(ResourcePoolSummary {
        name: node.get(prop!(ResourcePool.name))?,
        config: config,
        runtime: runtime_of(node, state),
        quickStats: ResourcePoolQuickStats {
            overallCpuUsage: usage.cpu_mhz,
            overallCpuDemand: usage.cpu_mhz,
            guestMemoryUsage: usage.guest_mib,
            hostMemoryUsage: usage.host_mib,
        },
        configuredMemoryMB: i32::try_from(usage.configured_mib).unwrap_or(i32::MAX),
    });
    Some(summary)
}

fn runtime_of(node: &Node, state: &Snapshot) -> ty!(ResourcePoolRuntimeInfo) {
    let usage = usage(node, state);
    let owner = node.get(prop!(ResourcePool.owner));
    let all = owner.and_then(|owner| capacity(owner, state)).unwrap_or(Capacity { mhz: 0, mib: 0 });
    let part = |resource: &Resource, unit: i64, used: i64| {
        let reserved = resource.reserved(node, state, 0).saturating_mul(unit);
        let free = resource.free(node, state, 0).saturating_mul(unit);
        let limit = resource.allocation(node).map_or(-1, |own| own.limit);
        let all = resource.all.saturating_mul(unit);
        vim!(ResourcePoolResourceUsage {
            reservationUsed: reserved,
            reservationUsedForVm: reserved,
            unreservedForPool: free,
            unreservedForVm: free,
            overallUsage: used,
            maxUsage: if limit < 0 { all } else { limit.saturating_mul(unit).min(all) },
        })
    };
    let memory = Resource { field: field!(ResourceConfigSpec.memoryAllocation).number(), all: all.mib };
    let cpu = Resource { field: field!(ResourceConfigSpec.cpuAllocation).number(), all: all.mhz };
    vim!(ResourcePoolRuntimeInfo {
        memory: part(&memory, MIB, usage.host_mib * MIB),
        cpu: part(&cpu, 1, usage.cpu_mhz),
        overallStatus: "green",
    })
}

/// CPU or memory, in MHz or MiB.
struct Resource {
    /// The allocation of a pool's configuration.
    field: u16,
    /// The whole of the compute resource.
    all: i64,
}

/// The part of an allocation that a pool gives and takes by.
struct Own {
    reservation: i64,
    expandable: bool,
    limit: i64,
}

impl Resource {
    fn allocation(&self, pool: &Node) -> Option<Own> {
        let own = pool.get(prop!(ResourcePool.config))?.at(self.field)?.as_object()?;
        Some(Own {
            reservation: own.get(field!(ResourceAllocationInfo.reservation)).unwrap_or(0),
            expandable: own.get(field!(ResourceAllocationInfo.expandableReservation)).unwrap_or(false),
            limit: own.get(field!(ResourceAllocationInfo.limit)).unwrap_or(-1),
        })
    }

    /// The sum that the pools below reserve.
    fn reserved(&self, pool: &Node, state: &Snapshot, depth: usize) -> i64 {
        let below = pool.get(prop!(ResourcePool.resourcePool)).into_iter().flatten();
        let of = |child: &MoRef| {
            let child = state.find(child)?;
            let own = self.allocation(child)?;
            let expands = own.expandable && depth < MAX_DEPTH;
            let used = if expands { self.reserved(child, state, depth + 1) } else { 0 };
            Some(own.reservation.max(used))
        };
        below.filter_map(of).fold(0, i64::saturating_add)
    }

    /// The rest that a child could reserve.
    fn free(&self, pool: &Node, state: &Snapshot, depth: usize) -> i64 {
        let used = self.reserved(pool, state, 0);
        let parent =
            pool.get(prop!(ManagedEntity.parent)).filter(|parent| parent.is_a(managed_id!(ResourcePool)));
        let (Some(parent), Some(own)) = (parent.and_then(|parent| state.find(parent)), self.allocation(pool))
        else {
            return self.all.saturating_sub(used).max(0);
        };
        let left = own.reservation.saturating_sub(used).max(0);
        if !own.expandable || depth >= MAX_DEPTH {
            return left;
        }
        let free = left.saturating_add(self.free(parent, state, depth + 1));
        if own.limit < 0 { free } else { free.min(own.limit.saturating_sub(used).max(0)) }
    }
}

#[derive(Default)]
struct Usage {
    cpu_mhz: i64,
    guest_mib: i64,
    host_mib: i64,
    configured_mib: i64,
}

/// The usage of the VMs in the pool and in the pools below it.
fn usage(node: &Node, state: &Snapshot) -> Usage {
    let mut sum = Usage::default();
    let mut pools = vec![node.me().clone()];
    while let Some(pool) = pools.pop() {
        let Some(pool) = state.find(&pool) else { continue };
        pools.extend(pool.get(prop!(ResourcePool.resourcePool)).into_iter().flatten().cloned());
        for vm in pool.get(prop!(ResourcePool.vm)).into_iter().flatten() {
            let summary = state.find(vm).and_then(|vm| vm.get(prop!(VirtualMachine.summary)).cloned());
            let Some(summary) = summary else { continue };
            if let Some(config) = summary.get(field!(VirtualMachineSummary.config)) {
                let configured = config.get(field!(VirtualMachineConfigSummary.memorySizeMB));
                sum.configured_mib += i64::from(configured.unwrap_or(0));
            }
            if let Some(stats) = summary.get(field!(VirtualMachineSummary.quickStats)) {
                let read = |value: Option<i32>| i64::from(value.unwrap_or(0));
                sum.cpu_mhz += read(stats.get(field!(VirtualMachineQuickStats.overallCpuUsage)));
                sum.guest_mib += read(stats.get(field!(VirtualMachineQuickStats.guestMemoryUsage)));
                sum.host_mib += read(stats.get(field!(VirtualMachineQuickStats.hostMemoryUsage)));
            }
        }
    }
    sum
}

/// The resources of the hosts of a compute resource that can be used now, as it shows them.
pub fn capacity(compute: &MoRef, state: &Snapshot) -> Option<Capacity> {
    let summary = state.find(compute)?.get(prop!(ComputeResource.summary))?;
    let mhz = summary.get(field!(ComputeResourceSummary.effectiveCpu)).unwrap_or(0).into();
    let mib = summary.get(field!(ComputeResourceSummary.effectiveMemory)).unwrap_or(0);
    Some(Capacity { mhz, mib })
}
