//! The form of a described inventory: names, places and sizes, without identities, addresses and secrets.

use serde::{Deserialize, Serialize};

/// The name of the form, the first thing in a file.
pub const FORMAT: &str = "esfera-inventory-1";

/// A path of folders or pools, the outermost first, below the fixed folder or the root pool.
pub type Path = Vec<String>;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inventory {
    pub format: String,
    pub datacenters: Vec<Datacenter>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Datacenter {
    pub name: String,
    /// The folders between the root folder and the datacenter.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub folder: Path,
    #[serde(default)]
    pub folders: Folders,
    #[serde(default)]
    pub datastores: Vec<Datastore>,
    /// Folders of networks, by name of the network; those that lie in the fixed folder are not listed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub networks: Vec<Network>,
    /// Names of datastore clusters, which are empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pods: Vec<String>,
    #[serde(default)]
    pub computes: Vec<Compute>,
}

/// The folders of a datacenter, parents before their children.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Folders {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub vm: Vec<Path>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub host: Vec<Path>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub datastore: Vec<Path>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub network: Vec<Path>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Datastore {
    pub name: String,
    pub capacity_bytes: u64,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub folder: Path,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Network {
    pub name: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub folder: Path,
}

/// A cluster, or a host by itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Compute {
    pub name: String,
    pub cluster: bool,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub folder: Path,
    /// Pools below the root pool, parents before their children.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pools: Vec<Path>,
    /// Names of vApps below the root pool.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub vapps: Vec<String>,
    pub hosts: Vec<Host>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Host {
    pub name: String,
    pub threads: u16,
    pub memory_mib: u64,
    /// Names of its datastores.
    pub datastores: Vec<String>,
    /// Names of its port groups for VMs.
    pub networks: Vec<String>,
    #[serde(default)]
    pub vms: Vec<Vm>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vm {
    pub name: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub folder: Path,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pool: Path,
    pub guest_id: String,
    pub cpus: i32,
    pub memory_mib: i64,
    /// The datastore of its configuration and its disks.
    pub datastore: String,
    pub disks_kib: Vec<i64>,
    /// The port group of each network adapter.
    pub networks: Vec<String>,
    pub cdrom: bool,
    pub powered_on: bool,
}

impl Inventory {
    pub fn new(datacenters: Vec<Datacenter>) -> Self {
        Self { format: FORMAT.to_owned(), datacenters }
    }
}

impl Datacenter {
    /// All hosts with the places that they stand in.
    pub fn hosts(&self) -> impl Iterator<Item = (&Compute, &Host)> {
        self.computes.iter().flat_map(|compute| compute.hosts.iter().map(move |host| (compute, host)))
    }
}
