//! The command line of the simulator.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use center::sim::Counts;
use clap::{ArgAction, Args, Subcommand};

use super::failing::Failing;
use super::record::RecordArgs;

/// The longest time that tasks can be made to take: an hour.
const LONGEST_DELAY_MS: u64 = 3_600_000;

#[derive(Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct SimCommand {
    #[command(subcommand)]
    pub verb: Option<SimVerb>,
    #[command(flatten)]
    pub run: SimArgs,
}

#[derive(Subcommand)]
pub enum SimVerb {
    /// Write the structure of a center's inventory into a file for --load
    Record(RecordArgs),
}

#[derive(Args)]
pub struct SimArgs {
    #[arg(long, default_value = "127.0.0.1:8989")]
    pub listen: SocketAddr,
    /// Name of the administrator [default: administrator@vsphere.local, with --esx root]
    #[arg(long)]
    pub user: Option<String>,
    #[arg(long, default_value = "pass")]
    pub password: String,
    /// Serve plain HTTP
    #[arg(long)]
    pub plain: bool,
    /// Simulate one standalone host and no center
    #[arg(long)]
    pub esx: bool,
    #[arg(long, alias = "dc", default_value_t = 1)]
    pub datacenters: usize,
    /// Clusters in each datacenter
    #[arg(long, alias = "cluster", default_value_t = 1)]
    pub clusters: usize,
    /// Hosts in each cluster
    #[arg(long, alias = "host", default_value_t = 3)]
    pub hosts: usize,
    /// Standalone hosts in each datacenter
    #[arg(long, alias = "standalone-host", default_value_t = 1)]
    pub standalone_hosts: usize,
    /// VMs in each pool (in a cluster without pools: in the cluster) and on each standalone host
    #[arg(long, alias = "vm", default_value_t = 2)]
    pub vms: usize,
    /// Datastores in each datacenter, on all its hosts
    #[arg(long, alias = "ds", default_value_t = 1, value_parser = datastores)]
    pub datastores: usize,
    /// Resource pools in each cluster
    #[arg(long, alias = "pool", default_value_t = 0)]
    pub pools: usize,
    /// vApps in each cluster, with VMs of their own
    #[arg(long, alias = "app", default_value_t = 0)]
    pub apps: usize,
    /// Datastore clusters in each datacenter, which are empty
    #[arg(long, alias = "pod", default_value_t = 0)]
    pub pods: usize,
    /// Datacenters that lie in a folder, with their contents in folders too
    #[arg(long, alias = "folder", default_value_t = 0)]
    pub folders: usize,
    /// Whether the VMs are on
    #[arg(long, default_value_t = true, action = ArgAction::Set, value_name = "BOOL")]
    pub autostart: bool,
    /// Simulate the inventory in this file, which --save or `esfera sim record` has written
    #[arg(long, value_name = "FILE", conflicts_with = "esx")]
    pub load: Option<PathBuf>,
    /// Write the structure of the inventory into this file at the end, and at the signal USR1
    #[arg(long, value_name = "FILE", conflicts_with = "esx")]
    pub save: Option<PathBuf>,
    /// Let every task take this long, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = 0, value_parser = clap::value_parser!(u64).range(..=LONGEST_DELAY_MS))]
    pub task_delay: u64,
    /// Let calls of a method fail: METHOD=FAULT, or METHOD=FAULT:RATE with a rate from 0 to 1; may be repeated
    #[arg(long, value_name = "METHOD=FAULT[:RATE]")]
    pub fail: Vec<Failing>,
    /// Number that UUIDs, addresses and the failures of --fail are derived from
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Write URL, user and password into this file when the simulator answers
    #[arg(long)]
    pub ready_file: Option<PathBuf>,
}

/// VMs need one.
fn datastores(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) => Err("a host needs a datastore".into()),
        Ok(number) => Ok(number),
        Err(error) => Err(format!("{error}")),
    }
}

impl SimArgs {
    pub fn counts(&self) -> Counts {
        Counts {
            datacenters: self.datacenters,
            clusters: self.clusters,
            hosts: self.hosts,
            standalone_hosts: self.standalone_hosts,
            vms: self.vms,
            datastores: self.datastores,
            pools: self.pools,
            apps: self.apps,
            pods: self.pods,
            folders: self.folders,
            autostart: self.autostart,
        }
    }

    pub fn pace(&self) -> Option<Duration> {
        (self.task_delay > 0).then(|| Duration::from_millis(self.task_delay))
    }
}
