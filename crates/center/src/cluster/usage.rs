//! The resources of a cluster that are in use, as its hosts and datastores show them.

use api::{Call, Node, Snapshot};
use vim::{Fault, MoRef, Object, field, prop, vim};

use crate::estate::not_found;

/// The sums over the hosts of a cluster, and over the datastores that any host of it has.
///
/// # Errors
/// `ManagedObjectNotFound`.
pub(super) fn usage(call: &Call) -> Result<Object, Fault> {
    let state = call.state();
    let me = state.find(&call.this).ok_or_else(|| not_found(&call.this))?;
    let mut sums = Sums::default();
    for host in me.get(prop!(ComputeResource.host)).into_iter().flatten() {
        sums.add_host(&state, host);
    }
    for store in me.get(prop!(ComputeResource.datastore)).into_iter().flatten() {
        sums.add_datastore(state.find(store));
    }
    let int = |value: i64| i32::try_from(value).unwrap_or(i32::MAX);
    Ok(vim!(ClusterResourceUsageSummary {
        cpuUsedMHz: int(sums.cpu_used_mhz),
        cpuCapacityMHz: int(sums.cpu_mhz),
        memUsedMB: int(sums.memory_used_mib),
        memCapacityMB: int(sums.memory_bytes >> 20),
        storageUsedMB: (sums.capacity_bytes - sums.free_bytes).max(0) >> 20,
        storageCapacityMB: sums.capacity_bytes >> 20,
    })
    .into())
}

#[derive(Default)]
struct Sums {
    cpu_used_mhz: i64,
    cpu_mhz: i64,
    memory_used_mib: i64,
    memory_bytes: i64,
    capacity_bytes: i64,
    free_bytes: i64,
}

impl Sums {
    fn add_host(&mut self, state: &Snapshot, host: &MoRef) {
        let Some(summary) = state.find(host).and_then(|host| host.get(prop!(HostSystem.summary))) else {
            return;
        };
        if let Some(hardware) = summary.get(field!(HostListSummary.hardware)) {
            let cores = i64::from(hardware.get(field!(HostHardwareSummary.numCpuCores)).unwrap_or(0));
            self.cpu_mhz += cores * i64::from(hardware.get(field!(HostHardwareSummary.cpuMhz)).unwrap_or(0));
            self.memory_bytes += hardware.get(field!(HostHardwareSummary.memorySize)).unwrap_or(0);
        }
        if let Some(used) = summary.get(field!(HostListSummary.quickStats)) {
            self.cpu_used_mhz +=
                i64::from(used.get(field!(HostListSummaryQuickStats.overallCpuUsage)).unwrap_or(0));
            self.memory_used_mib +=
                i64::from(used.get(field!(HostListSummaryQuickStats.overallMemoryUsage)).unwrap_or(0));
        }
    }

    fn add_datastore(&mut self, datastore: Option<&std::sync::Arc<Node>>) {
        let Some(summary) = datastore.and_then(|node| node.get(prop!(Datastore.summary))) else { return };
        self.capacity_bytes += summary.get(field!(DatastoreSummary.capacity)).unwrap_or(0);
        self.free_bytes += summary.get(field!(DatastoreSummary.freeSpace)).unwrap_or(0);
    }
}
