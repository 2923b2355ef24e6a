//! The resources of this host that VMs can use.

use std::sync::Arc;

use hostnet::HostNetwork;
use vim::{ty, vim};
use vm::limits::MAX_DISK_BYTES;

use crate::datastores::{Datastores, Mounted};
use crate::system::System;
use crate::{ids, storage};

/// The services that the environment browser asks.
pub(crate) struct Environment {
    pub(crate) datastores: Arc<Datastores>,
    pub(crate) network: Arc<HostNetwork>,
    pub(crate) system: Arc<System>,
}

impl Environment {
    /// `ConfigTarget` of this host.
    pub(super) fn target(&self) -> ty!(ConfigTarget) {
        let hardware = &self.system.hardware;
        let cpu = &hardware.cpu;
        let memory = i32::try_from(hardware.memory_bytes >> 20).unwrap_or(i32::MAX);
        vim!(ConfigTarget {
            numCpus: i32::from(cpu.threads),
            numCpuCores: i32::from(cpu.cores),
            numNumaNodes: i32::try_from(hardware.numa.len()).unwrap_or(1),
            maxCpusPerHost: i32::from(cpu.threads),
            smcPresent: false,
            datastore: self.datastores.all().iter().map(datastore).collect::<Vec<_>>(),
            network: self.network.names().iter().map(|name| network(name)).collect::<Vec<_>>(),
            maxMemMBOptimalPerf: memory,
            supportedMaxMemMB: memory,
            resourcePool: self.system.root_pool_runtime(),
            autoVmotion: false,
        })
    }
}

fn datastore(mounted: &Mounted) -> ty!(VirtualMachineDatastoreInfo) {
    vim!(VirtualMachineDatastoreInfo {
        name: &mounted.name,
        datastore: storage::summary(mounted),
        capability: storage::capability(),
        maxFileSize: i64::try_from(MAX_DISK_BYTES).unwrap_or(i64::MAX),
        maxVirtualDiskCapacity: i64::try_from(MAX_DISK_BYTES).unwrap_or(i64::MAX),
        mode: "readWrite",
    })
}

fn network(name: &str) -> ty!(VirtualMachineNetworkInfo) {
    vim!(VirtualMachineNetworkInfo {
        name: name,
        network: NetworkSummary { network: ids::network(name), name: name, accessible: true, ipPoolName: "" },
    })
}
