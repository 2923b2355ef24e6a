//! The durable part of each object, as the store holds it.
//!
//! Containers are stored whole. Of VMs, datastores and networks the center stores only its own part (place, identity)
//! and the last known facts, which describe them while their host is away.

pub(crate) use pools::Allocation;
use serde::{Deserialize, Serialize};
use store::Collection;
use vim::{MoRef, managed_id};

use super::reference;

/// All objects, by id.
pub(crate) const OBJECTS: Collection<Record> = Collection::new("objects");

/// New records (none: the object is removed), in the order in which they were first changed.
pub(crate) type Changes = Vec<(MoRef, Option<Record>)>;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "camelCase")]
pub(crate) enum Record {
    Folder(Folder),
    Pod(Pod),
    Datacenter(Datacenter),
    Compute(Box<Compute>),
    Pool(Pool),
    Host(Box<Host>),
    Vm(Vm),
    Snapshot(Snapshot),
    Datastore(Datastore),
    Network(Network),
}

/// The contents that a folder may have, besides folders of the same sort.
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

/// A datastore cluster.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Pod {
    pub name: String,
    #[serde(with = "reference")]
    pub parent: MoRef,
    /// `StorageDrsPodConfigInfo` in VI-JSON: stored, not acted upon.
    pub config: serde_json::Value,
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

/// A cluster, or the compute resource of one standalone host.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Compute {
    pub name: String,
    #[serde(with = "reference")]
    pub parent: MoRef,
    #[serde(with = "reference")]
    pub root_pool: MoRef,
    /// `ClusterConfigInfoEx` or `ComputeResourceConfigInfo` in VI-JSON: stored, not acted upon.
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
    /// Set for a vApp, which is a pool of its own kind.
    #[serde(default)]
    pub vapp: Option<Box<VApp>>,
}

/// The part of a vApp that other pools do not have.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct VApp {
    /// The folder of VMs that lists it; none for a vApp inside of another one.
    #[serde(with = "reference::optional", default)]
    pub folder: Option<MoRef>,
    /// `VAppConfigInfo` in VI-JSON, without the entities.
    pub config: serde_json::Value,
    /// The entities that have settings of their own.
    #[serde(default)]
    pub entities: Vec<VAppEntity>,
}

/// How a vApp starts and stops one VM or vApp in it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct VAppEntity {
    #[serde(with = "reference")]
    pub key: MoRef,
    #[serde(default)]
    pub tag: Option<String>,
    pub order: i32,
    /// In seconds, as the other delay.
    pub start_delay: i32,
    /// Whether the delay ends with the first heartbeat of the guest.
    pub waits: bool,
    pub start: StartAction,
    pub stop_delay: i32,
    pub stop: StopAction,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum StartAction {
    None,
    PowerOn,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum StopAction {
    None,
    PowerOff,
    GuestShutdown,
    Suspend,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Host {
    /// The address that the host was added by.
    pub name: String,
    #[serde(with = "reference")]
    pub parent: MoRef,
    pub port: u16,
    /// SHA-256 of the certificate that the center trusts, the host's own or its authority's; empty for a host in this
    /// process.
    pub fingerprint: String,
    /// The hardware's UUID. A host that answers with another UUID is a different host.
    pub uuid: String,
    /// Whether an administrator wants it disconnected.
    #[serde(default)]
    pub disconnected: bool,
    #[serde(default)]
    pub maintenance: bool,
    /// The folder in which its VMs first appear, if the client named one when it added the host.
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
    /// Lower case with dashes; empty until the host reports it.
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
    /// Two hosts whose datastores have the same URL share that datastore.
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
            Self::Pod(_) => managed_id!(StoragePod),
            Self::Datacenter(_) => managed_id!(Datacenter),
            Self::Compute(_) if id.starts_with("domain-c") => managed_id!(ClusterComputeResource),
            Self::Compute(_) => managed_id!(ComputeResource),
            Self::Pool(Pool { vapp: Some(_), .. }) => managed_id!(VirtualApp),
            Self::Pool(_) => managed_id!(ResourcePool),
            Self::Host(_) => managed_id!(HostSystem),
            Self::Vm(_) => managed_id!(VirtualMachine),
            Self::Snapshot(_) => managed_id!(VirtualMachineSnapshot),
            Self::Datastore(_) => managed_id!(Datastore),
            Self::Network(_) => managed_id!(Network),
        };
        MoRef::new(ty, id)
    }

    /// The parent in the tree of managed entities; none for the root folder and for a snapshot. The vApp of a VM counts as its
    /// parent here, although clients see it as `parentVApp`.
    pub(crate) fn parent(&self) -> Option<&MoRef> {
        match self {
            Self::Folder(folder) => folder.parent.as_ref(),
            Self::Pod(pod) => Some(&pod.parent),
            Self::Datacenter(datacenter) => Some(&datacenter.parent),
            Self::Compute(compute) => Some(&compute.parent),
            Self::Pool(pool) => Some(&pool.parent),
            Self::Host(host) => Some(&host.parent),
            Self::Vm(vm) if vm.is_in_vapp() => Some(&vm.pool),
            Self::Vm(vm) => Some(&vm.folder),
            Self::Datastore(datastore) => Some(&datastore.folder),
            Self::Network(network) => Some(&network.folder),
            Self::Snapshot(_) => None,
        }
    }

    /// The folder that lists a vApp, beside its parent.
    pub(crate) fn second_parent(&self) -> Option<&MoRef> {
        match self {
            Self::Pool(pool) => pool.vapp.as_ref()?.folder.as_ref(),
            _ => None,
        }
    }

    /// Everything that lists it among its children.
    pub(crate) fn parents(&self) -> impl Iterator<Item = &MoRef> {
        self.parent().into_iter().chain(self.second_parent())
    }

    /// The host of a VM or a snapshot.
    pub(crate) fn host(&self) -> Option<&MoRef> {
        match self {
            Self::Vm(vm) => Some(&vm.host),
            Self::Snapshot(snapshot) => Some(&snapshot.host),
            _ => None,
        }
    }

    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Folder(folder) => &folder.name,
            Self::Pod(pod) => &pod.name,
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
            Self::Pod(pod) => pod.name = name,
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
            Self::Pod(pod) => pod.parent = parent,
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

impl Vm {
    /// Whether a vApp, not its folder, lists it. A template is in no pool.
    pub(crate) fn is_in_vapp(&self) -> bool {
        !self.template && self.pool.is_a(managed_id!(VirtualApp))
    }
}
