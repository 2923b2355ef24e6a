//! `esfera host`: the daemon without a verb, and managing hosts with one.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::json;
use vim::{MoRef, Object, Value, call, data_id, field, managed_id, vim};

use super::host_lockdown::{self, LockdownCommand};
use crate::client::failure::{Failure, Reason};
use crate::client::inventory::{Found, Inventory};
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
        /// Take the host over from another center that manages it
        #[arg(long)]
        force: bool,
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
    /// Lockdown mode: who may log in to a host itself
    #[command(subcommand)]
    Lockdown(LockdownCommand),
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
        HostVerb::Add { address, to, port, user, password_file, thumbprint, force, target } => {
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
                force: force,
            });
            add(&inventory, &parent, spec.into(), &address).await
        }
        HostVerb::Disconnect { host, target } => on_host(&host, &target, call!(DisconnectHost_Task {})).await,
        HostVerb::Reconnect { host, target } => on_host(&host, &target, call!(ReconnectHost_Task {})).await,
        HostVerb::Lockdown(command) => host_lockdown::run(command).await,
        HostVerb::Remove { host, target } => remove(&host, &target).await,
    }
}

const LISTED: [&str; 7] = [
    "name",
    "runtime.connectionState",
    "summary.hardware.numCpuCores",
    "summary.hardware.memorySize",
    "vm",
    "summary.config.product.fullName",
    "configIssue",
];

async fn list(target: &Target) -> Result<(), Failure> {
    let client = session::open(target).await?;
    let inventory = Inventory::of(&client).await?;
    let mut table =
        Table::new(&["name", "id", "connection", "cores", "memory_mib", "vms", "product", "problem"]);
    for host in inventory.all(managed_id!(HostSystem), &LISTED).await? {
        table.row(vec![
            host.text(0).into(),
            host.me.id().into(),
            host.text(1).into(),
            json!(host.number(2)),
            json!(host.number(3).map(|bytes| bytes >> 20)),
            json!(host.at(4).map_or(0, |vms| vms.items().len())),
            json!(host.at(5).and_then(Value::as_str)),
            json!(problem(&host)),
        ]);
    }
    table.print(target.json)
}

/// The first of the host's problems: why the center does not reach it, for instance.
fn problem(host: &Found) -> Option<&str> {
    let issue = host.at(6)?.items().first()?.as_object()?;
    issue.get(field!(Event.fullFormattedMessage))
}

/// The parent of a new host: a cluster, or the host folder of a datacenter.
async fn parent_for(inventory: &Inventory<'_>, to: Option<&str>) -> Result<MoRef, Failure> {
    if let Some(name) = to {
        let clusters = inventory.all(managed_id!(ClusterComputeResource), &["name"]).await?;
        let cluster = clusters.into_iter().find(|found| found.text(0) == name || found.me.id() == name);
        if let Some(cluster) = cluster {
            return Ok(cluster.me);
        }
    }
    let datacenter = inventory.datacenter(to, "--to", &["hostFolder"]).await.map_err(|failure| match to {
        Some(name) if failure.reason == Reason::NotFound => Failure::not_found("datacenter or cluster", name),
        _ => failure,
    })?;
    let folder = datacenter.reference(1).cloned();
    folder.ok_or_else(|| Failure::new(Reason::Denied, "you may not see the host folder of the datacenter"))
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
        if failure.fault().is_some_and(|fault| fault.is_a(data_id!(AlreadyBeingManaged))) {
            return Err(failure.hint("to take the host over from that center, give --force"));
        }
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
            let message = if known {
                format!("{address} shows another certificate than the one with the given thumbprint")
            } else {
                format!("the certificate of {address} is not trusted")
            };
            let hint = format!("if it is the right one, give --thumbprint {thumbprint}");
            return Err(Failure::new(Reason::Unreachable, message).hint(hint));
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
