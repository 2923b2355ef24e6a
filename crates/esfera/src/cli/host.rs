//! `esfera host`: the daemon without a verb, and managing hosts with one.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::json;
use vim::{MoRef, Object, Value, call, data_id, field, managed_id, vim};

use crate::client::failure::{Failure, Reason};
use crate::client::inventory::Inventory;
use crate::client::output::Table;
use crate::client::session;
use crate::client::target::Target;
use crate::daemon;
use crate::daemon::host::HostArgs;

#[derive(Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct HostCommand {
    #[command(subcommand)]
    pub verb: Option<HostVerb>,
    #[command(flatten)]
    pub run: HostArgs,
}

#[derive(Subcommand)]
pub enum HostVerb {
    /// List hosts
    Ls(Target),
    /// Add a host to the inventory
    Add {
        /// Name or address of the host
        address: String,
        /// Datacenter or cluster to add it to, by name; needed if there are several
        #[arg(long)]
        to: Option<String>,
        #[arg(long, default_value_t = 443)]
        port: u16,
        #[arg(long, short, default_value = "root")]
        user: String,
        /// File that holds the password; otherwise $ESFERA_HOST_PASSWORD, or it is asked for
        #[arg(long)]
        password_file: Option<PathBuf>,
        /// Thumbprint of the host's certificate; without it the certificate must be accepted at the terminal
        #[arg(long)]
        thumbprint: Option<String>,
        #[command(flatten)]
        target: Target,
    },
    /// Stop managing a host for a while
    Disconnect {
        host: String,
        #[command(flatten)]
        target: Target,
    },
    /// Manage a disconnected host again
    Reconnect {
        host: String,
        #[command(flatten)]
        target: Target,
    },
    /// Remove a disconnected host from the inventory; its VMs run on
    Remove {
        host: String,
        #[command(flatten)]
        target: Target,
    },
}

pub async fn run(command: HostCommand) -> Result<(), Failure> {
    let Some(verb) = command.verb else {
        daemon::start_log("info");
        return Ok(daemon::host::run(command.run).await?);
    };
    match verb {
        HostVerb::Ls(target) => list(&target).await,
        HostVerb::Add { address, to, port, user, password_file, thumbprint, target } => {
            let password =
                session::password(password_file.as_deref(), "ESFERA_HOST_PASSWORD", &user, &address)?;
            let client = session::open(&target).await?;
            let inventory = Inventory::of(&client).await?;
            let parent = parent_for(&inventory, to.as_deref()).await?;
            let spec = vim!(HostConnectSpec {
                hostName: &address,
                port: i32::from(port),
                userName: user,
                password: password,
                sslThumbprint: thumbprint,
                force: false,
            });
            add(&inventory, &parent, spec.into(), &address).await
        }
        HostVerb::Disconnect { host, target } => on_host(&host, &target, call!(DisconnectHost_Task {})).await,
        HostVerb::Reconnect { host, target } => on_host(&host, &target, call!(ReconnectHost_Task {})).await,
        HostVerb::Remove { host, target } => remove(&host, &target).await,
    }
}

const LISTED: [&str; 6] = [
    "name",
    "runtime.connectionState",
    "summary.hardware.numCpuCores",
    "summary.hardware.memorySize",
    "vm",
    "summary.config.product.fullName",
];

async fn list(target: &Target) -> Result<(), Failure> {
    let client = session::open(target).await?;
    let inventory = Inventory::of(&client).await?;
    let mut table = Table::new(&["name", "id", "connection", "cores", "memory_mib", "vms", "product"]);
    for host in inventory.all(managed_id!(HostSystem), &LISTED).await? {
        table.row(vec![
            host.text(0).into(),
            host.me.id().into(),
            host.text(1).into(),
            json!(host.number(2)),
            json!(host.number(3).map(|bytes| bytes >> 20)),
            json!(host.at(4).map_or(0, |vms| vms.items().len())),
            json!(host.at(5).and_then(Value::as_str)),
        ]);
    }
    table.print(target.json);
    Ok(())
}

/// The parent of a new host: a cluster, or the host folder of a datacenter.
async fn parent_for(inventory: &Inventory<'_>, to: Option<&str>) -> Result<MoRef, Failure> {
    let datacenters = inventory.all(managed_id!(Datacenter), &["name", "hostFolder"]).await?;
    let clusters = inventory.all(managed_id!(ClusterComputeResource), &["name"]).await?;
    let cluster = clusters.iter().find(|cluster| Some(cluster.text(0)) == to);
    if let Some(cluster) = cluster {
        return Ok(cluster.me.clone());
    }
    let folder = match (to, datacenters.as_slice()) {
        (Some(name), _) => datacenters.iter().find(|datacenter| datacenter.text(0) == name),
        (None, [only]) => Some(only),
        (None, _) => None,
    };
    let folder = folder.and_then(|datacenter| datacenter.reference(1)).cloned();
    folder.ok_or_else(|| match to {
        Some(name) => Failure::not_found("datacenter or cluster", name),
        None => Failure::new(Reason::Usage, format!("there are {} datacenters", datacenters.len()))
            .hint("name the one for the host with --to"),
    })
}

async fn add(
    inventory: &Inventory<'_>,
    parent: &MoRef,
    mut spec: Object,
    address: &str,
) -> Result<(), Failure> {
    loop {
        let call = if parent.is_a(managed_id!(ClusterComputeResource)) {
            call!(AddHost_Task { spec: spec.clone(), asConnected: true })
        } else {
            call!(AddStandaloneHost_Task { spec: spec.clone(), addConnected: true })
        };
        let failure = match inventory.task(parent, call).await {
            Ok(_) => return Ok(()),
            Err(failure) => failure,
        };
        let Some(shown) = failure.fault().filter(|fault| fault.is_a(data_id!(SSLVerifyFault))) else {
            return Err(failure);
        };
        let thumbprint = shown.object().get(field!(SSLVerifyFault.thumbprint)).unwrap_or_default().to_owned();
        let known = spec.get(field!(HostConnectSpec.sslThumbprint)).is_some();
        if known
            || !session::confirm(&format!(
                "{address} shows a certificate with thumbprint {thumbprint}. Trust it?"
            ))
        {
            let hint = format!("if it is the right one, give --thumbprint {thumbprint}");
            return Err(Failure::new(Reason::Unreachable, failure.message).hint(hint));
        }
        spec.set(field!(HostConnectSpec.sslThumbprint), thumbprint);
    }
}

async fn on_host(name: &str, target: &Target, call: vim::Args) -> Result<(), Failure> {
    let client = session::open(target).await?;
    let inventory = Inventory::of(&client).await?;
    let host = inventory.host(name).await?;
    inventory.task(&host, call).await.map(drop)
}

/// Removes a host; a standalone one goes with its compute resource.
async fn remove(name: &str, target: &Target) -> Result<(), Failure> {
    let client = session::open(target).await?;
    let inventory = Inventory::of(&client).await?;
    let host = inventory.host(name).await?;
    let found = inventory.read(&host, &["parent"]).await?;
    let parent = found.reference(0).filter(|parent| !parent.is_a(managed_id!(ClusterComputeResource)));
    let goes = parent.unwrap_or(&host);
    inventory.task(goes, call!(Destroy_Task {})).await.map(drop)
}
