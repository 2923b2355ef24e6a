//! `esfera host ls|add|…`

use serde_json::json;
use vim::{MoRef, Object, Value, call, data_id, field, managed_id, vim};

use super::args::{HostVerb, Target};
use super::failure::{Failure, Reason};
use super::inventory::Inventory;
use super::output::Table;
use super::session;

pub async fn run(verb: HostVerb) -> Result<(), Failure> {
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

/// Where a host is added: a cluster, or the host folder of a datacenter.
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
            .hint("say where the host goes with --to"),
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
            let hint = format!("if this is the right one, give --thumbprint {thumbprint}");
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

/// A host of its own goes with the compute resource that was made for it.
async fn remove(name: &str, target: &Target) -> Result<(), Failure> {
    let client = session::open(target).await?;
    let inventory = Inventory::of(&client).await?;
    let host = inventory.host(name).await?;
    let found = inventory.read(&host, &["parent"]).await?;
    let parent = found.reference(0).filter(|parent| !parent.is_a(managed_id!(ClusterComputeResource)));
    let goes = parent.unwrap_or(&host);
    inventory.task(goes, call!(Destroy_Task {})).await.map(drop)
}
