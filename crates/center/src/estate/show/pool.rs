//! A resource pool's properties. The usage of its VMs is computed at each read.

use api::{Methods, Node, Service, Session, Snapshot};
use vim::{MoRef, Object, Props, Value, field, managed_id, prop, props, ty, vim};

use crate::estate::records::{Allocation, Pool, Shares};

/// Shares of a pool at each level, for CPU and for memory.
const CPU_SHARES: [i32; 3] = [2_000, 4_000, 8_000];
const MEMORY_SHARES: [i32; 3] = [81_920, 163_840, 327_680];
const MIB: i64 = 1 << 20;

pub(crate) fn props(me: &MoRef, pool: &Pool) -> Props {
    let (name, config) = (&pool.name, config(me, pool));
    props!(ResourcePool { name: name, parent: &pool.parent, owner: &pool.owner, config: config })
}

pub(crate) fn config(me: &MoRef, pool: &Pool) -> ty!(ResourceConfigSpec) {
    vim!(ResourceConfigSpec {
        entity: me,
        changeVersion: pool.version.to_string(),
        cpuAllocation: allocation(&pool.cpu, CPU_SHARES),
        memoryAllocation: allocation(&pool.memory, MEMORY_SHARES),
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
pub(crate) fn compute(methods: &mut Methods) {
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

pub(super) fn summary_of(node: &Node, state: &Snapshot) -> Option<ty!(ResourcePoolSummary)> {
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
    let (cpu_mhz, memory_bytes) = capacity(node, state);
    let config = node.get(prop!(ResourcePool.config));
    let allocation = |number| config.and_then(|config| config.at(number)).and_then(Value::as_object);
    let cpu = allocation(field!(ResourceConfigSpec.cpuAllocation).number());
    let memory = allocation(field!(ResourceConfigSpec.memoryAllocation).number());
    let limit = |allocation: Option<&std::sync::Arc<Object>>, unit: i64, all: i64| match allocation
        .and_then(|a| a.get(field!(ResourceAllocationInfo.limit)))
    {
        Some(limit) if limit >= 0 => limit.saturating_mul(unit).min(all),
        _ => all,
    };
    let part = |max: i64, used: i64| {
        vim!(ResourcePoolResourceUsage {
            reservationUsed: 0,
            reservationUsedForVm: 0,
            unreservedForPool: max,
            unreservedForVm: max,
            overallUsage: used,
            maxUsage: max,
        })
    };
    vim!(ResourcePoolRuntimeInfo {
        memory: part(limit(memory, MIB, memory_bytes), usage.host_mib * MIB),
        cpu: part(limit(cpu, 1, cpu_mhz), usage.cpu_mhz),
        overallStatus: "green",
    })
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

/// MHz and bytes of the hosts of the pool's compute resource.
fn capacity(node: &Node, state: &Snapshot) -> (i64, i64) {
    let owner = node.get(prop!(ResourcePool.owner)).and_then(|owner| state.find(owner));
    let Some(summary) = owner.and_then(|owner| owner.get(prop!(ComputeResource.summary))) else {
        return (0, 0);
    };
    let cpu = summary.get(field!(ComputeResourceSummary.effectiveCpu)).unwrap_or(0);
    let memory_mib = summary.get(field!(ComputeResourceSummary.effectiveMemory)).unwrap_or(0);
    (i64::from(cpu), memory_mib * MIB)
}

/// Applies a client's specification to a pool's allocation. Fields that it leaves unset stay as they are.
pub(crate) fn apply(allocation: &mut Allocation, given: &Object) {
    if let Some(reservation) = given.get(field!(ResourceAllocationInfo.reservation)) {
        allocation.reservation = reservation;
    }
    if let Some(expandable) = given.get(field!(ResourceAllocationInfo.expandableReservation)) {
        allocation.expandable = expandable;
    }
    if let Some(limit) = given.get(field!(ResourceAllocationInfo.limit)) {
        allocation.limit = limit;
    }
    if let Some(shares) = given.get(field!(ResourceAllocationInfo.shares)) {
        let level = shares.get(field!(SharesInfo.level)).map_or("custom", |level| level.name());
        allocation.shares = match level {
            "low" => Shares::Low,
            "normal" => Shares::Normal,
            "high" => Shares::High,
            _ => Shares::Custom(shares.get(field!(SharesInfo.shares)).unwrap_or(CPU_SHARES[1])),
        };
    }
}
