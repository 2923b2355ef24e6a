//! `esfera sim`: the real center over simulated hosts, or one simulated host, all in memory.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use api::accounts::{AccountsDoor, CENTER_ACCOUNT};
use api::server::Site;
use api::tls::{CertificateAuthority, Renewing};
use center::link::LocalLink;
use center::sim::{Counts, DATASTORE, HostPlan, plan};
use center::{Center, Place};
use clap::Args as Arguments;
use datastore::Datastore;
use futures_util::{StreamExt, stream};
use host::{ADMINISTRATOR, Host, SimulatedOptions};
use store::Store;
use vim::{Object, vim};

use crate::client::terminal;
use crate::daemon::state::keep_private;
use crate::daemon::{Ready, bind, serve_all, shutdown_signal};

#[cfg(test)]
mod tests;

const CENTER_USER: &str = "administrator@vsphere.local";
const DATASTORE_BYTES: u64 = 10 << 40;
const VM_MEMORY_MIB: i64 = 32;
const VM_DISK_KIB: i64 = 10 << 20;
/// Simulated hosts that are made at the same time.
const HOSTS_AT_A_TIME: usize = 4;

#[derive(Arguments)]
pub struct SimArgs {
    #[arg(long, default_value = "127.0.0.1:8989")]
    listen: SocketAddr,
    /// Name of the administrator [default: administrator@vsphere.local, with --esx root]
    #[arg(long)]
    user: Option<String>,
    #[arg(long, default_value = "pass")]
    password: String,
    /// Serve plain HTTP
    #[arg(long)]
    plain: bool,
    /// Simulate one standalone host and no center
    #[arg(long)]
    esx: bool,
    #[arg(long, default_value_t = 1)]
    datacenters: usize,
    /// Clusters in each datacenter
    #[arg(long, default_value_t = 1)]
    clusters: usize,
    /// Hosts in each cluster
    #[arg(long, default_value_t = 3)]
    hosts: usize,
    /// Standalone hosts in each datacenter
    #[arg(long, default_value_t = 1)]
    standalone_hosts: usize,
    /// VMs in each cluster and on each standalone host
    #[arg(long, default_value_t = 2)]
    vms: usize,
    /// Write URL, user and password into this file when the simulator answers
    #[arg(long)]
    ready_file: Option<PathBuf>,
}

/// Serves a simulated data center until it is told to stop.
pub async fn run(args: SimArgs) -> Result<()> {
    keep_private();
    let shutdown = shutdown_signal()?;
    let listener = bind(args.listen)?;
    let default_user = if args.esx { ADMINISTRATOR } else { CENTER_USER };
    let user = args.user.clone().unwrap_or_else(|| default_user.to_owned());
    let keys = tempfile::tempdir()?;
    let certificate = if args.plain { None } else { Some(certificate(&args, keys.path())?) };
    let ready = Ready { file: args.ready_file.as_deref(), user: &user, password: Some(&args.password) };
    let address = listener.local_addr()?;
    let scheme = if args.plain { "http" } else { "https" };
    terminal::line(format!("{scheme}://{address}   user {user}   password {}", args.password))?;
    if args.esx {
        let site = lone_host(&args, &user).await?;
        return serve_all(site, vec![listener], certificate, ready, shutdown).await;
    }
    let center = data_center(&args, &user, &address.to_string()).await?;
    serve_all(center.site(), vec![listener], certificate, ready, shutdown).await
}

/// A certificate of an authority that ends with the process.
fn certificate(args: &SimArgs, directory: &Path) -> Result<Arc<Renewing>> {
    let authority = CertificateAuthority::open(directory, "Esfera simulator authority")?;
    let names = vec!["localhost".into(), "127.0.0.1".into(), args.listen.ip().to_string()];
    Ok(Renewing::new(authority, "server", names)?)
}

async fn lone_host(args: &SimArgs, user: &str) -> Result<Site> {
    let vms = (0..args.vms).map(|at| format!("ha-host_VM{at}")).collect();
    let plan = HostPlan { name: "localhost.localdomain".into(), vms };
    simulated_host(&plan, &shared_datastore(), Some((user, &args.password))).await
}

async fn data_center(args: &SimArgs, user: &str, address: &str) -> Result<Arc<Center>> {
    let mut options = center::Options::new(Store::in_memory()?);
    options.durable = false;
    options.address = Some(address.to_owned());
    options.administrator = user.to_owned();
    options.password = Some(args.password.clone());
    let center = Center::open(options).await?;
    let counts = Counts {
        datacenters: args.datacenters,
        clusters: args.clusters,
        hosts: args.hosts,
        standalone_hosts: args.standalone_hosts,
        vms: args.vms,
    };
    for datacenter in plan(&counts) {
        let (_, folder) = center.add_datacenter(&datacenter.name).await?;
        let store = shared_datastore();
        for cluster in &datacenter.clusters {
            let place = Place::Cluster { cluster: center.add_cluster(&folder, &cluster.name).await? };
            attach_all(&center, &cluster.hosts, &store, &place).await?;
        }
        let place = Place::Standalone { folder };
        attach_all(&center, &datacenter.standalone_hosts, &store, &place).await?;
    }
    Ok(center)
}

fn shared_datastore() -> Arc<Datastore> {
    Arc::new(Datastore::memory(uuid::Uuid::new_v4(), DATASTORE_BYTES))
}

/// Makes hosts, several at a time, and attaches them in their order.
async fn attach_all(
    center: &Center,
    plans: &[HostPlan],
    store: &Arc<Datastore>,
    place: &Place,
) -> Result<()> {
    let made = stream::iter(plans.to_vec()).map(|plan| {
        let store = store.clone();
        let host = tokio::spawn(async move {
            let site = simulated_host(&plan, &store, None).await?;
            anyhow::Ok((site, plan))
        });
        async move { host.await? }
    });
    let mut made = made.buffered(HOSTS_AT_A_TIME);
    while let Some(host) = made.next().await {
        let (site, plan): (Site, HostPlan) = host?;
        attach(center, &plan, site, place).await?;
    }
    Ok(())
}

async fn attach(center: &Center, plan: &HostPlan, site: Site, place: &Place) -> Result<()> {
    let Site { service, files, .. } = site;
    let link = LocalLink::new(&plan.name, service, files).with_context(|| plan.name.clone())?;
    center.attach(Arc::new(link), place).await?;
    Ok(())
}

/// A host with its VMs turned on.
async fn simulated_host(
    plan: &HostPlan,
    store: &Arc<Datastore>,
    administrator: Option<(&str, &str)>,
) -> Result<Site> {
    let options = SimulatedOptions::new(&plan.name, vec![(DATASTORE.into(), store.clone())]);
    let host = Host::simulated(options).await?;
    let accounts = host.accounts().await?;
    accounts.ensure_administrator(CENTER_ACCOUNT, "Control center", None).await?;
    if let Some((user, password)) = administrator {
        accounts.ensure_administrator(user, "Administrator", Some(password)).await?;
    }
    let service = host.service(&accounts, &[esxcli::register])?;
    let specs: Vec<Arc<Object>> = plan.vms.iter().map(|name| Arc::new(new_vm(name))).collect();
    host.populate(&specs, true).await?;
    Ok(Site {
        files: Some(host.storage().files(accounts.clone())),
        screens: Some(host.screens()),
        captures: Some(host.networking().captures()),
        protocols: vec![Arc::new(AccountsDoor(accounts))],
        service,
    })
}

fn new_vm(name: &str) -> Object {
    vim!(VirtualMachineConfigSpec {
        name: name,
        guestId: "otherGuest",
        numCPUs: 1,
        memoryMB: VM_MEMORY_MIB,
        files: VirtualMachineFileInfo { vmPathName: format!("[{DATASTORE}]") },
        deviceChange: [
            VirtualDeviceConfigSpec {
                operation: "add",
                device: ParaVirtualSCSIController { key: -1, busNumber: 0, sharedBus: "noSharing" },
            },
            VirtualDeviceConfigSpec {
                operation: "add",
                fileOperation: "create",
                device: VirtualDisk {
                    key: -2,
                    controllerKey: -1,
                    unitNumber: 0,
                    capacityInKB: VM_DISK_KIB,
                    backing: VirtualDiskFlatVer2BackingInfo {
                        fileName: "",
                        diskMode: "persistent",
                        thinProvisioned: true,
                    },
                },
            },
            VirtualDeviceConfigSpec {
                operation: "add",
                device: VirtualE1000 {
                    key: -3,
                    addressType: "generated",
                    backing: VirtualEthernetCardNetworkBackingInfo { deviceName: center::sim::NETWORK },
                },
            },
        ],
    })
    .into()
}
