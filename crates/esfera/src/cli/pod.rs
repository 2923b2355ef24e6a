//! `esfera pod`: datastore clusters.

use clap::Subcommand;
use serde_json::json;
use vim::{ManagedId, MoRef, Value, call, field, managed_id};

use crate::client::failure::{Failure, Reason};
use crate::client::inventory::Inventory;
use crate::client::output::Table;
use crate::client::session;
use crate::client::target::Target;
use crate::client::terminal;

const POD: ManagedId = managed_id!(StoragePod);

#[derive(Subcommand)]
pub enum PodCommand {
    /// List datastore clusters with the sums over their datastores
    Ls(Target),
    /// Create a datastore cluster
    #[command(visible_alias = "add")]
    Create {
        pod: String,
        /// Datacenter, by name; needed if there are several
        #[arg(long)]
        datacenter: Option<String>,
        #[command(flatten)]
        target: Target,
    },
    /// Rename a datastore cluster
    Rename {
        pod: String,
        name: String,
        #[command(flatten)]
        target: Target,
    },
    /// Move datastores into a datastore cluster
    Put {
        pod: String,
        #[arg(required = true)]
        datastores: Vec<String>,
        #[command(flatten)]
        target: Target,
    },
    /// Move datastores out of a datastore cluster, to the folder that it is in
    Take {
        pod: String,
        #[arg(required = true)]
        datastores: Vec<String>,
        #[command(flatten)]
        target: Target,
    },
    /// Remove a datastore cluster; its datastores stay
    Rm {
        pod: String,
        #[command(flatten)]
        target: Target,
    },
}

pub async fn run(command: PodCommand) -> Result<(), Failure> {
    match command {
        PodCommand::Ls(target) => list(&target).await,
        PodCommand::Create { pod, datacenter, target } => create(&pod, datacenter.as_deref(), &target).await,
        PodCommand::Rename { pod, name, target } => {
            on_pod(&pod, &target, call!(Rename_Task { newName: name })).await
        }
        PodCommand::Put { pod, datastores, target } => shift(&pod, &datastores, &target, true).await,
        PodCommand::Take { pod, datastores, target } => shift(&pod, &datastores, &target, false).await,
        PodCommand::Rm { pod, target } => on_pod(&pod, &target, call!(Destroy_Task {})).await,
    }
}

async fn list(target: &Target) -> Result<(), Failure> {
    let client = session::open(target).await?;
    let inventory = Inventory::of(&client).await?;
    let mut table = Table::new(&["name", "id", "datastores", "capacity_mib", "free_mib"]);
    for pod in inventory.all(POD, &["name", "childEntity", "summary"]).await? {
        let summary = pod.object(2);
        let mib = |bytes: Option<i64>| json!(bytes.map(|bytes| bytes >> 20));
        table.row(vec![
            pod.text(0).into(),
            pod.me.id().into(),
            json!(pod.at(1).map_or(0, |list| list.items().len())),
            mib(summary.and_then(|summary| summary.get(field!(StoragePodSummary.capacity)))),
            mib(summary.and_then(|summary| summary.get(field!(StoragePodSummary.freeSpace)))),
        ]);
    }
    table.print(target.json)
}

async fn create(name: &str, datacenter: Option<&str>, target: &Target) -> Result<(), Failure> {
    let client = session::open(target).await?;
    let inventory = Inventory::of(&client).await?;
    let datacenter = inventory.datacenter(datacenter, "--datacenter", &["datastoreFolder"]).await?;
    let folder = datacenter.reference(1).ok_or_else(|| {
        Failure::new(Reason::Denied, "you may not see the datastore folder of the datacenter")
    })?;
    let made = client.invoke(folder, &call!(CreateStoragePod { name: name })).await?;
    let made = made.as_ref().and_then(Value::as_ref);
    let made = made
        .ok_or_else(|| Failure::new(Reason::Failed, "the server did not name the new datastore cluster"))?;
    terminal::line(made.id())
}

/// Moves datastores into the cluster, or out of it.
async fn shift(name: &str, datastores: &[String], target: &Target, into: bool) -> Result<(), Failure> {
    let client = session::open(target).await?;
    let inventory = Inventory::of(&client).await?;
    let pod = inventory.named(POD, "datastore cluster", name).await?;
    let mut list: Vec<MoRef> = Vec::new();
    for datastore in datastores {
        list.push(inventory.named(managed_id!(Datastore), "datastore", datastore).await?);
    }
    let folder =
        if into { Some(pod) } else { inventory.read(&pod, &["parent"]).await?.reference(0).cloned() };
    let folder = folder
        .ok_or_else(|| Failure::new(Reason::Denied, "you may not see the folder of the datastore cluster"))?;
    inventory.task(&folder, call!(MoveIntoFolder_Task { list: list })).await.map(drop)
}

async fn on_pod(name: &str, target: &Target, call: vim::Args) -> Result<(), Failure> {
    let client = session::open(target).await?;
    let inventory = Inventory::of(&client).await?;
    let pod = inventory.named(POD, "datastore cluster", name).await?;
    inventory.task(&pod, call).await.map(drop)
}
