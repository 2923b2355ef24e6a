//! The contents of a simulated data center, with the names that API test servers use. This is only a plan: the caller
//! creates the simulated hosts and attaches them.

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
    /// In each cluster, and on each standalone host.
    pub vms: usize,
}

impl Default for Counts {
    fn default() -> Self {
        Self { datacenters: 1, clusters: 1, hosts: 3, standalone_hosts: 1, vms: 2 }
    }
}

/// The datastore and the network that all hosts of a datacenter share.
pub const DATASTORE: &str = "LocalDS_0";
pub const NETWORK: &str = "VM Network";

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatacenterPlan {
    pub name: String,
    pub clusters: Vec<ClusterPlan>,
    pub standalone_hosts: Vec<HostPlan>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterPlan {
    pub name: String,
    pub hosts: Vec<HostPlan>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPlan {
    pub name: String,
    pub vms: Vec<String>,
}

/// The datacenters in order. The VMs of a cluster are distributed over its hosts in turn.
pub fn plan(counts: &Counts) -> Vec<DatacenterPlan> {
    (0..counts.datacenters).map(|dc| datacenter(&format!("DC{dc}"), counts)).collect()
}

fn datacenter(name: &str, counts: &Counts) -> DatacenterPlan {
    let clusters = (0..counts.clusters).map(|at| cluster(&format!("{name}_C{at}"), counts)).collect();
    let standalone_hosts = (0..counts.standalone_hosts).map(|at| {
        let host = format!("{name}_H{at}");
        let vms = (0..counts.vms).map(|vm| format!("{host}_VM{vm}")).collect();
        HostPlan { name: host, vms }
    });
    DatacenterPlan { name: name.to_owned(), clusters, standalone_hosts: standalone_hosts.collect() }
}

fn cluster(name: &str, counts: &Counts) -> ClusterPlan {
    let mut hosts: Vec<HostPlan> =
        (0..counts.hosts).map(|at| HostPlan { name: format!("{name}_H{at}"), vms: Vec::new() }).collect();
    if !hosts.is_empty() {
        let many = hosts.len();
        for vm in 0..counts.vms {
            hosts[vm % many].vms.push(format!("{name}_RP0_VM{vm}"));
        }
    }
    ClusterPlan { name: name.to_owned(), hosts }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_plan_has_the_usual_names() {
        let plan = plan(&Counts::default());
        let [dc] = plan.as_slice() else { panic!("one datacenter") };
        assert_eq!(dc.name, "DC0");
        assert_eq!(dc.clusters[0].name, "DC0_C0");
        let hosts: Vec<_> = dc.clusters[0].hosts.iter().map(|host| host.name.as_str()).collect();
        assert_eq!(hosts, ["DC0_C0_H0", "DC0_C0_H1", "DC0_C0_H2"]);
        let in_cluster: Vec<_> =
            dc.clusters[0].hosts.iter().flat_map(|host| &host.vms).map(String::as_str).collect();
        assert_eq!(in_cluster, ["DC0_C0_RP0_VM0", "DC0_C0_RP0_VM1"]);
        assert_eq!(dc.standalone_hosts[0].name, "DC0_H0");
        assert_eq!(dc.standalone_hosts[0].vms, ["DC0_H0_VM0", "DC0_H0_VM1"]);
    }

    #[test]
    fn counts_multiply_and_a_cluster_without_hosts_has_no_vms() {
        let counts = Counts { datacenters: 2, clusters: 3, hosts: 4, standalone_hosts: 5, vms: 10 };
        let plan = plan(&counts);
        let hosts = |dc: &DatacenterPlan| dc.clusters.iter().map(|c| c.hosts.len()).sum::<usize>();
        assert_eq!(plan.iter().map(hosts).sum::<usize>(), 24);
        let first = &plan[0].clusters[0].hosts;
        assert_eq!(first.iter().map(|host| host.vms.len()).collect::<Vec<_>>(), [3, 3, 2, 2]);
        let empty = super::plan(&Counts { hosts: 0, ..counts });
        assert!(empty[0].clusters[0].hosts.is_empty());
    }
}
