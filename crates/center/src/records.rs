//! What the center remembers of each object: the durable part, as it is written to the store.
//!
//! Containers are all there; of VMs, datastores and networks only the center's own part (place, identity) and the last
//! known facts that tell people what they were while their host is away.

use serde::{Deserialize, Serialize};
use store::Collection;
use vim::{MoRef, managed_id};

use crate::reference;

/// All objects, by id.
pub(crate) const OBJECTS: Collection<Record> = Collection::new("objects");

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "camelCase")]
pub(crate) enum Record {
    Folder(Folder),
    Datacenter(Datacenter),
    Compute(Box<Compute>),
    Pool(Pool),
    Host(Box<Host>),
    Vm(Vm),
    Snapshot(Snapshot),
    Datastore(Datastore),
    Network(Network),
}

/// What a folder may contain, beside folders of the same sort.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Holds {
    Datacenters,
    Vms,
    Hosts,
    Datastores,
    Networks,
}

impl Holds {
    pub(crate) fn letter(self) -> char {
        match self {
            Self::Datacenters => 'd',
            Self::Vms => 'v',
            Self::Hosts => 'h',
            Self::Datastores => 's',
            Self::Networks => 'n',
        }
    }

    /// Names of the types, as `Folder.childType` has them.
    pub(crate) fn child_types(self) -> &'static [&'static str] {
        match self {
            Self::Datacenters => &["Folder", "Datacenter"],
            Self::Vms => &["Folder", "VirtualMachine", "VirtualApp"],
            Self::Hosts => &["Folder", "ComputeResource"],
            Self::Datastores => &["Folder", "Datastore", "StoragePod"],
            Self::Networks => &["Folder", "Network", "DistributedVirtualSwitch"],
        }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Folder {
    pub name: String,
    /// None for the root folder.
    #[serde(with = "reference::optional", default)]
    pub parent: Option<MoRef>,
    pub holds: Holds,
    /// Whether it is one of the four folders of a datacenter, or the root.
    #[serde(default)]
    pub fixed: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Datacenter {
    pub name: String,
    #[serde(with = "reference")]
    pub parent: MoRef,
    #[serde(with = "reference")]
    pub vm_folder: MoRef,
    #[serde(with = "reference")]
    pub host_folder: MoRef,
    #[serde(with = "reference")]
    pub datastore_folder: MoRef,
    #[serde(with = "reference")]
    pub network_folder: MoRef,
    #[serde(default)]
    pub hardware_version: Option<String>,
}

/// A cluster, or what stands around one standalone host.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Compute {
    pub name: String,
    #[serde(with = "reference")]
    pub parent: MoRef,
    #[serde(with = "reference")]
    pub root_pool: MoRef,
    /// `ClusterConfigInfoEx` or `ComputeResourceConfigInfo` in VI-JSON: data that is kept, not acted upon.
    pub config: serde_json::Value,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Pool {
    pub name: String,
    /// The compute resource for a root pool, else a pool.
    #[serde(with = "reference")]
    pub parent: MoRef,
    #[serde(with = "reference")]
    pub owner: MoRef,
    pub cpu: Allocation,
    pub memory: Allocation,
    /// Counts the changes of the configuration.
    #[serde(default)]
    pub version: u64,
}

/// What a pool is promised and allowed of one resource: MHz or MiB.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Allocation {
    pub reservation: i64,
    pub expandable: bool,
    /// -1: no limit.
    pub limit: i64,
    pub shares: Shares,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Shares {
    Low,
    Normal,
    High,
    Custom(i32),
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Host {
    /// As it was given when the host was added.
    pub name: String,
    #[serde(with = "reference")]
    pub parent: MoRef,
    pub port: u16,
    /// SHA-256 of the certificate that the center believes, the host's own or its authority's; empty for a host in
    /// this process.
    pub fingerprint: String,
    /// The hardware's UUID: a host that answers with another one is not this host.
    pub uuid: String,
    /// Whether an administrator wants it disconnected.
    #[serde(default)]
    pub disconnected: bool,
    #[serde(default)]
    pub maintenance: bool,
    /// Where its VMs appear at first, if that was said when the host was added.
    #[serde(with = "reference::optional", default)]
    pub vm_folder: Option<MoRef>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Vm {
    pub name: String,
    #[serde(with = "reference")]
    pub host: MoRef,
    /// The host's own reference.
    #[serde(with = "reference")]
    pub remote: MoRef,
    #[serde(with = "reference")]
    pub folder: MoRef,
    #[serde(with = "reference")]
    pub pool: MoRef,
    /// Lower case with dashes; empty while the host has not said it.
    #[serde(default)]
    pub instance_uuid: String,
    #[serde(default)]
    pub uuid: String,
    /// `[datastore] directory/name.vmx`
    #[serde(default)]
    pub path: String,
    #[serde(default)]
    pub template: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Snapshot {
    #[serde(with = "reference")]
    pub host: MoRef,
    #[serde(with = "reference")]
    pub remote: MoRef,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Datastore {
    pub name: String,
    /// What tells that two hosts see the same one.
    pub url: String,
    #[serde(with = "reference")]
    pub folder: MoRef,
    #[serde(with = "reference")]
    pub datacenter: MoRef,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Network {
    pub name: String,
    #[serde(with = "reference")]
    pub folder: MoRef,
    #[serde(with = "reference")]
    pub datacenter: MoRef,
}

impl Record {
    /// The reference of the object with this id.
    pub(crate) fn reference(&self, id: &str) -> MoRef {
        let ty = match self {
            Self::Folder(_) => managed_id!(Folder),
            Self::Datacenter(_) => managed_id!(Datacenter),
            Self::Compute(_) if id.starts_with("domain-c") => managed_id!(ClusterComputeResource),
            Self::Compute(_) => managed_id!(ComputeResource),
            Self::Pool(_) => managed_id!(ResourcePool),
            Self::Host(_) => managed_id!(HostSystem),
            Self::Vm(_) => managed_id!(VirtualMachine),
            Self::Snapshot(_) => managed_id!(VirtualMachineSnapshot),
            Self::Datastore(_) => managed_id!(Datastore),
            Self::Network(_) => managed_id!(Network),
        };
        MoRef::new(ty, id)
    }

    /// Where it hangs in the tree of managed entities; none for the root and for what is no entity.
    pub(crate) fn parent(&self) -> Option<&MoRef> {
        match self {
            Self::Folder(folder) => folder.parent.as_ref(),
            Self::Datacenter(datacenter) => Some(&datacenter.parent),
            Self::Compute(compute) => Some(&compute.parent),
            Self::Pool(pool) => Some(&pool.parent),
            Self::Host(host) => Some(&host.parent),
            Self::Vm(vm) => Some(&vm.folder),
            Self::Datastore(datastore) => Some(&datastore.folder),
            Self::Network(network) => Some(&network.folder),
            Self::Snapshot(_) => None,
        }
    }

    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Folder(folder) => &folder.name,
            Self::Datacenter(datacenter) => &datacenter.name,
            Self::Compute(compute) => &compute.name,
            Self::Pool(pool) => &pool.name,
            Self::Host(host) => &host.name,
            Self::Vm(vm) => &vm.name,
            Self::Datastore(datastore) => &datastore.name,
            Self::Network(network) => &network.name,
            Self::Snapshot(_) => "",
        }
    }

    pub(crate) fn set_name(&mut self, name: &str) {
        let name = name.to_owned();
        match self {
            Self::Folder(folder) => folder.name = name,
            Self::Datacenter(datacenter) => datacenter.name = name,
            Self::Compute(compute) => compute.name = name,
            Self::Pool(pool) => pool.name = name,
            Self::Host(host) => host.name = name,
            Self::Vm(vm) => vm.name = name,
            Self::Datastore(datastore) => datastore.name = name,
            Self::Network(network) => network.name = name,
            Self::Snapshot(_) => {}
        }
    }

    pub(crate) fn set_parent(&mut self, parent: &MoRef) {
        let parent = parent.clone();
        match self {
            Self::Folder(folder) => folder.parent = Some(parent),
            Self::Datacenter(datacenter) => datacenter.parent = parent,
            Self::Compute(compute) => compute.parent = parent,
            Self::Pool(pool) => pool.parent = parent,
            Self::Host(host) => host.parent = parent,
            Self::Vm(vm) => vm.folder = parent,
            Self::Datastore(datastore) => datastore.folder = parent,
            Self::Network(network) => network.folder = parent,
            Self::Snapshot(_) => {}
        }
    }
}

impl Default for Allocation {
    fn default() -> Self {
        Self { reservation: 0, expandable: true, limit: -1, shares: Shares::Normal }
    }
}
