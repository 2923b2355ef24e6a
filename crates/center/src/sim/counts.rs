//! The inventory that clients of API test servers expect: its names and numbers.

use super::inventory::{Compute, Datacenter, Datastore, Folders, Host, Inventory, Network, Path, Vm};

/// The numbers of objects of each kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counts {
    pub datacenters: usize,
    /// In each datacenter.
    pub clusters: usize,
    /// In each cluster.
    pub hosts: usize,
    /// By themselves, in each datacenter.
    pub standalone_hosts: usize,
    /// In each pool (in a cluster without pools: in the cluster), and on each standalone host.
    pub vms: usize,
    /// In each datacenter, on all its hosts.
    pub datastores: usize,
    /// In each cluster, below its root pool.
    pub pools: usize,
    /// vApps in each cluster, below its root pool; each has VMs as a pool has.
    pub apps: usize,
    /// Datastore clusters in each datacenter.
    pub pods: usize,
    /// Datacenters that lie in folders, and have their contents in folders.
    pub folders: usize,
    /// Whether VMs are on.
    pub autostart: bool,
}

impl Default for Counts {
    fn default() -> Self {
        Self {
            datacenters: 1,
            clusters: 1,
            hosts: 3,
            standalone_hosts: 1,
            vms: 2,
            datastores: 1,
            pools: 0,
            apps: 0,
            pods: 0,
            folders: 0,
            autostart: true,
        }
    }
}

/// The datastore of all VMs, and the network that all hosts have.
pub const DATASTORE: &str = "LocalDS_0";
pub const NETWORK: &str = "VM Network";
/// The network of the hosts' management adapters.
const MANAGEMENT: &str = "Management Network";

/// The size of a VM.
pub const VM_MEMORY_MIB: i64 = 32;
pub const VM_DISK_KIB: i64 = 10 << 20;

const DATASTORE_BYTES: u64 = 10 << 40;
const HOST_THREADS: u16 = 16;
const HOST_MEMORY_MIB: u64 = 64 << 10;

/// The datacenters in order. The VMs of a cluster are distributed over its hosts in turn.
pub fn plan(counts: &Counts) -> Inventory {
    Inventory::new((0..counts.datacenters).map(|at| datacenter(at, counts)).collect())
}

/// A host without a center.
pub fn lone_host(counts: &Counts) -> (Host, Vec<Datastore>) {
    let datastores = datastores(counts, &Path::new());
    let mut lone = host("localhost.localdomain".into(), counts);
    lone.vms = (0..counts.vms).map(|at| vm(format!("ha-host_VM{at}"), counts)).collect();
    (lone, datastores)
}

fn datacenter(number: usize, counts: &Counts) -> Datacenter {
    let name = format!("DC{number}");
    // A datacenter in a folder has one of the same name in each of its own folders.
    let folder: Path = (number < counts.folders).then(|| format!("F{number}")).into_iter().collect();
    let clusters = (0..counts.clusters).map(|at| cluster(format!("{name}_C{at}"), counts));
    let alone = (0..counts.standalone_hosts).map(|at| {
        let mut host = host(format!("{name}_H{at}"), counts);
        host.vms = (0..counts.vms).map(|vm_at| vm(format!("{}_VM{vm_at}", host.name), counts)).collect();
        let (name, pools) = (host.name.clone(), Vec::new());
        Compute { name, cluster: false, folder: Path::new(), pools, vapps: Vec::new(), hosts: vec![host] }
    });
    let mut datacenter = Datacenter {
        name: name.clone(),
        folder: folder.clone(),
        folders: Folders::default(),
        datastores: datastores(counts, &folder),
        pods: (0..counts.pods).map(|at| format!("{name}_POD{at}")).collect(),
        networks: Vec::new(),
        computes: clusters.chain(alone).collect(),
    };
    if !folder.is_empty() {
        let all = || vec![folder.clone()];
        datacenter.folders = Folders { vm: all(), host: all(), datastore: all(), network: all() };
        let network = |name: &str| Network { name: name.into(), folder: folder.clone() };
        datacenter.networks = [NETWORK, MANAGEMENT].map(network).into();
        for compute in &mut datacenter.computes {
            compute.folder.clone_from(&folder);
            for vm in compute.hosts.iter_mut().flat_map(|host| &mut host.vms) {
                // A VM in a vApp is in no folder.
                if !vm.pool.iter().any(|pool| compute.vapps.contains(pool)) {
                    vm.folder.clone_from(&folder);
                }
            }
        }
    }
    datacenter
}

fn datastores(counts: &Counts, folder: &Path) -> Vec<Datastore> {
    let one = |at| Datastore {
        name: format!("LocalDS_{at}"),
        capacity_bytes: DATASTORE_BYTES,
        folder: folder.clone(),
    };
    (0..counts.datastores).map(one).collect()
}

fn host(name: String, counts: &Counts) -> Host {
    Host {
        name,
        threads: HOST_THREADS,
        memory_mib: HOST_MEMORY_MIB,
        datastores: datastores(counts, &Path::new()).into_iter().map(|datastore| datastore.name).collect(),
        networks: vec![NETWORK.into()],
        vms: Vec::new(),
    }
}

fn vm(name: String, counts: &Counts) -> Vm {
    Vm {
        name,
        folder: Path::new(),
        pool: Path::new(),
        guest_id: "otherGuest".into(),
        cpus: 1,
        memory_mib: VM_MEMORY_MIB,
        datastore: DATASTORE.into(),
        disks_kib: vec![VM_DISK_KIB],
        networks: vec![NETWORK.into()],
        cdrom: true,
        powered_on: counts.autostart,
    }
}

fn cluster(name: String, counts: &Counts) -> Compute {
    let mut hosts: Vec<Host> = (0..counts.hosts).map(|at| host(format!("{name}_H{at}"), counts)).collect();
    let pools: Vec<Path> = (1..=counts.pools).map(|at| vec![format!("{name}_RP{at}")]).collect();
    let in_root = (counts.pools == 0).then(|| (format!("{name}_RP0"), Path::new()));
    let vapps: Vec<String> = (0..counts.apps).map(|at| format!("{name}_APP{at}")).collect();
    let in_vapps = vapps.iter().map(|vapp| (vapp.clone(), vec![vapp.clone()]));
    let places = pools.iter().map(|pool| (pool[0].clone(), pool.clone())).chain(in_root).chain(in_vapps);
    if !hosts.is_empty() {
        let many = hosts.len();
        for (prefix, pool) in places {
            for at in 0..counts.vms {
                let vm = vm(format!("{prefix}_VM{at}"), counts);
                hosts[at % many].vms.push(Vm { pool: pool.clone(), ..vm });
            }
        }
    }
    Compute { name, cluster: true, folder: Path::new(), pools, vapps, hosts }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vms(compute: &Compute) -> Vec<&str> {
        compute.hosts.iter().flat_map(|host| &host.vms).map(|vm| vm.name.as_str()).collect()
    }

    #[test]
    fn the_default_plan_has_the_usual_names() {
        let plan = plan(&Counts::default());
        let [dc] = plan.datacenters.as_slice() else { panic!("one datacenter") };
        assert_eq!(dc.name, "DC0");
        let [cluster, alone] = dc.computes.as_slice() else { panic!("a cluster and a host") };
        assert_eq!(cluster.name, "DC0_C0");
        let hosts: Vec<_> = cluster.hosts.iter().map(|host| host.name.as_str()).collect();
        assert_eq!(hosts, ["DC0_C0_H0", "DC0_C0_H1", "DC0_C0_H2"]);
        assert_eq!(vms(cluster), ["DC0_C0_RP0_VM0", "DC0_C0_RP0_VM1"]);
        assert_eq!(alone.name, "DC0_H0");
        assert_eq!(vms(alone), ["DC0_H0_VM0", "DC0_H0_VM1"]);
        assert_eq!(dc.datastores[0].name, DATASTORE);
    }

    #[test]
    fn counts_multiply_and_a_cluster_without_hosts_has_no_vms() {
        let counts = Counts {
            datacenters: 2,
            clusters: 3,
            hosts: 4,
            standalone_hosts: 5,
            vms: 10,
            ..Counts::default()
        };
        let made = plan(&counts);
        let clustered = |dc: &Datacenter| dc.hosts().filter(|(compute, _)| compute.cluster).count();
        assert_eq!(made.datacenters.iter().map(clustered).sum::<usize>(), 24);
        let first = &made.datacenters[0].computes[0].hosts;
        assert_eq!(first.iter().map(|host| host.vms.len()).collect::<Vec<_>>(), [3, 3, 2, 2]);
        let empty = plan(&Counts { hosts: 0, ..counts });
        assert!(empty.datacenters[0].computes[0].hosts.is_empty());
    }

    #[test]
    fn with_pools_each_has_the_vms_and_the_root_pool_has_none() {
        let made = plan(&Counts { pools: 2, ..Counts::default() });
        let cluster = &made.datacenters[0].computes[0];
        assert_eq!(cluster.pools, [["DC0_C0_RP1"], ["DC0_C0_RP2"]]);
        let mut names = vms(cluster);
        names.sort_unstable();
        assert_eq!(names, ["DC0_C0_RP1_VM0", "DC0_C0_RP1_VM1", "DC0_C0_RP2_VM0", "DC0_C0_RP2_VM1"]);
        assert!(cluster.hosts.iter().flat_map(|host| &host.vms).all(|vm| vm.name.starts_with(&vm.pool[0])));
    }

    #[test]
    fn vapps_have_vms_of_their_own_beside_those_of_the_root_pool() {
        let made = plan(&Counts { apps: 1, pods: 2, folders: 1, ..Counts::default() });
        let dc = &made.datacenters[0];
        assert_eq!(dc.pods, ["DC0_POD0", "DC0_POD1"]);
        let cluster = &dc.computes[0];
        assert_eq!(cluster.vapps, ["DC0_C0_APP0"]);
        let mut names = vms(cluster);
        names.sort_unstable();
        assert_eq!(names, ["DC0_C0_APP0_VM0", "DC0_C0_APP0_VM1", "DC0_C0_RP0_VM0", "DC0_C0_RP0_VM1"]);
        let inside = cluster.hosts.iter().flat_map(|host| &host.vms).filter(|vm| !vm.pool.is_empty());
        assert!(inside.clone().count() == 2 && inside.into_iter().all(|vm| vm.folder.is_empty()));
    }

    #[test]
    fn folders_hold_the_first_datacenters_and_all_that_is_in_them() {
        let made = plan(&Counts { datacenters: 2, folders: 1, ..Counts::default() });
        let [inside, outside] = made.datacenters.as_slice() else { panic!("two datacenters") };
        assert_eq!((inside.folder.as_slice(), outside.folder.len()), (["F0".to_owned()].as_slice(), 0));
        let vms = inside.hosts().flat_map(|(_, host)| &host.vms);
        assert!(
            vms.map(|vm| &vm.folder)
                .chain(inside.computes.iter().map(|at| &at.folder))
                .all(|at| *at == ["F0"])
        );
    }
}
