//! A cluster, or the compute resource of a standalone host: its stored configuration, and the sums over its hosts.

use std::collections::HashSet;

use api::Writer;
use vim::kind::{ListOf, Marker};
use vim::{
    DataId, Field, List, MoRef, Object, Value, data_id, field, managed_id, prop, props, vim, vim_enum,
};

use crate::estate::records::Compute;
use crate::estate::stored;

/// The environment browser of a compute resource.
pub(crate) fn browser(me: &MoRef) -> MoRef {
    let number = me.id().trim_start_matches(|c: char| !c.is_ascii_digit());
    MoRef::new(managed_id!(EnvironmentBrowser), format!("envbrowser-{number}"))
}

pub(crate) fn is_cluster(me: &MoRef) -> bool {
    me.is_a(managed_id!(ClusterComputeResource))
}

/// The type of the configuration: of a cluster, or of a standalone host.
pub(crate) fn config_type(me: &MoRef) -> DataId {
    if is_cluster(me) { data_id!(ClusterConfigInfoEx) } else { data_id!(ComputeResourceConfigInfo) }
}

pub(crate) fn show(w: &mut Writer, me: &MoRef, compute: &Compute, new: bool) {
    let (name, parent, pool) = (&compute.name, &compute.parent, &compute.root_pool);
    w.set(me, props!(ComputeResource { name: name, parent: parent, resourcePool: pool }));
    if new {
        w.set(me, props!(ComputeResource { environmentBrowser: browser(me) }));
        refresh(w, me);
    }
    let config = stored::decode(config_type(me), &compute.config);
    if is_cluster(me) {
        w.set(me, props!(ClusterComputeResource { configuration: old_configuration(&config) }));
    }
    w.set(me, props!(ComputeResource { configurationEx: config }));
}

/// `ClusterComputeResource.configuration`, the older form of `configurationEx`.
fn old_configuration(config: &Object) -> Object {
    let mut old = Object::new(data_id!(ClusterConfigInfo));
    old.put(field!(ClusterConfigInfo.dasConfig).number(), at(config, field!(ClusterConfigInfoEx.dasConfig)));
    old.put(field!(ClusterConfigInfo.drsConfig).number(), at(config, field!(ClusterConfigInfoEx.drsConfig)));
    old.put(
        field!(ClusterConfigInfo.dasVmConfig).number(),
        at(config, field!(ClusterConfigInfoEx.dasVmConfig)),
    );
    old.put(
        field!(ClusterConfigInfo.drsVmConfig).number(),
        at(config, field!(ClusterConfigInfoEx.drsVmConfig)),
    );
    old.put(field!(ClusterConfigInfo.rule).number(), at(config, field!(ClusterConfigInfoEx.rule)));
    old
}

fn at<K>(object: &Object, field: Field<K>) -> Option<Value> {
    object.at(field.number()).cloned()
}

/// The configuration of a new cluster. Clusters are containers: the settings of DRS and HA are kept, and enabling
/// them is refused.
pub(crate) fn new_cluster_config() -> Object {
    vim!(ClusterConfigInfoEx {
        vmSwapPlacement: "vmDirectory",
        dasConfig: ClusterDasConfigInfo {
            enabled: false,
            vmMonitoring: "vmMonitoringDisabled",
            hostMonitoring: "enabled",
            failoverLevel: 1,
            admissionControlEnabled: true,
        },
        drsConfig: ClusterDrsConfigInfo {
            enabled: false,
            enableVmBehaviorOverrides: true,
            defaultVmBehavior: "fullyAutomated",
            vmotionRate: 3,
        },
        dpmConfigInfo: ClusterDpmConfigInfo { enabled: false, defaultDpmBehavior: "automated" },
        vsanConfigInfo: VsanClusterConfigInfo {
            enabled: false,
            defaultConfig: VsanClusterConfigInfoHostDefaultInfo { autoClaimStorage: false },
        },
    })
    .into_object()
}

pub(crate) fn new_standalone_config() -> Object {
    vim!(ComputeResourceConfigInfo { vmSwapPlacement: "vmDirectory" }).into_object()
}

#[derive(Default)]
struct Totals {
    cpu_mhz: i64,
    memory_bytes: i64,
    cores: i64,
    threads: i64,
    hosts: i32,
    effective_cpu_mhz: i64,
    effective_memory_bytes: i64,
    effective_hosts: i32,
}

/// Computes the sums of a compute resource over its hosts: capacity, datastores, networks.
pub(crate) fn refresh(w: &mut Writer, me: &MoRef) {
    let Some(node) = w.find(me).cloned() else { return };
    let hosts: Vec<MoRef> = node.get(prop!(ComputeResource.host)).into_iter().flatten().cloned().collect();
    let mut totals = Totals { hosts: i32::try_from(hosts.len()).unwrap_or(i32::MAX), ..Totals::default() };
    for host in &hosts {
        totals.add(w, host);
    }
    let status = if totals.hosts > totals.effective_hosts {
        vim_enum!(ManagedEntityStatus.yellow)
    } else {
        vim_enum!(ManagedEntityStatus.green)
    };
    let datastores = union(w, &hosts, prop!(HostSystem.datastore));
    let networks = union(w, &hosts, prop!(HostSystem.network));
    w.set(me, props!(ComputeResource { datastore: datastores, network: networks, overallStatus: status }));
    let int = |value: i64| i32::try_from(value).unwrap_or(i32::MAX);
    let short = |value: i64| i16::try_from(value).unwrap_or(i16::MAX);
    let summary = vim!(ComputeResourceSummary {
        totalCpu: int(totals.cpu_mhz),
        totalMemory: totals.memory_bytes,
        numCpuCores: short(totals.cores),
        numCpuThreads: short(totals.threads),
        effectiveCpu: int(totals.effective_cpu_mhz),
        effectiveMemory: totals.effective_memory_bytes >> 20,
        numHosts: totals.hosts,
        numEffectiveHosts: totals.effective_hosts,
        overallStatus: status,
    })
    .into_object();
    if is_cluster(me) {
        let mut cluster = summary.retyped(data_id!(ClusterComputeResourceSummary));
        cluster.set(field!(ClusterComputeResourceSummary.currentFailoverLevel), 0);
        cluster.set(field!(ClusterComputeResourceSummary.numVmotions), 0);
        let summary = std::sync::Arc::new(cluster);
        w.set(me, props!(ComputeResource { summary: &summary }));
        w.set(me, props!(ClusterComputeResource { summaryEx: &summary }));
    } else {
        w.set(me, props!(ComputeResource { summary: summary }));
    }
}

impl Totals {
    fn add(&mut self, w: &Writer, host: &MoRef) {
        let Some(summary) = w.find(host).and_then(|host| host.get(prop!(HostSystem.summary)).cloned()) else {
            return;
        };
        let Some(hardware) = summary.get(field!(HostListSummary.hardware)) else { return };
        let cores = i64::from(hardware.get(field!(HostHardwareSummary.numCpuCores)).unwrap_or(0));
        let mhz = cores * i64::from(hardware.get(field!(HostHardwareSummary.cpuMhz)).unwrap_or(0));
        let memory = hardware.get(field!(HostHardwareSummary.memorySize)).unwrap_or(0);
        self.cpu_mhz += mhz;
        self.memory_bytes += memory;
        self.cores += cores;
        self.threads += i64::from(hardware.get(field!(HostHardwareSummary.numCpuThreads)).unwrap_or(0));
        let runtime = summary.get(field!(HostListSummary.runtime));
        let connected = runtime.is_some_and(|runtime| {
            runtime.get(field!(HostRuntimeInfo.connectionState))
                == Some(vim_enum!(HostSystemConnectionState.connected))
                && runtime.get(field!(HostRuntimeInfo.inMaintenanceMode)) != Some(true)
        });
        if connected {
            self.effective_cpu_mhz += mhz;
            self.effective_memory_bytes += memory;
            self.effective_hosts += 1;
        }
    }
}

/// The references that any of the hosts has in this list.
fn union<K: Marker>(w: &Writer, hosts: &[MoRef], list: Field<ListOf<K>>) -> Option<List> {
    let mut seen = HashSet::new();
    let mut items: Vec<Value> = Vec::new();
    for host in hosts {
        let Some(node) = w.find(host) else { continue };
        for item in node.at(list.number()).map(Value::items).unwrap_or_default() {
            if item.as_ref().is_some_and(|item| seen.insert(item.clone())) {
                items.push(item.clone());
            }
        }
    }
    (!items.is_empty()).then(|| List::new(K::kind(), items))
}
