//! `esfera cluster`

use clap::Subcommand;
use serde_json::json;
use vim::{Value, call, managed_id, vim};

use crate::client::failure::{Failure, Reason};
use crate::client::inventory::Inventory;
use crate::client::output::Table;
use crate::client::session;
use crate::client::target::Target;
use crate::client::terminal;

#[derive(Subcommand)]
pub enum ClusterCommand {
    /// List clusters
    Ls(Target),
    /// Create a cluster
    #[command(visible_alias = "add")]
    Create {
        cluster: String,
        /// Datacenter, by name; needed if there are several
        #[arg(long)]
        datacenter: Option<String>,
        #[command(flatten)]
        target: Target,
    },
    /// Rename a cluster
    Rename {
        cluster: String,
        name: String,
        #[command(flatten)]
        target: Target,
    },
    /// Remove a cluster without hosts
    Rm {
        cluster: String,
        #[command(flatten)]
        target: Target,
    },
}

pub async fn run(command: ClusterCommand) -> Result<(), Failure> {
    match command {
        ClusterCommand::Ls(target) => list(&target).await,
        ClusterCommand::Create { cluster, datacenter, target } => {
            create(&cluster, datacenter.as_deref(), &target).await
        }
        ClusterCommand::Rename { cluster, name, target } => {
            on_cluster(&cluster, &target, call!(Rename_Task { newName: name })).await
        }
        ClusterCommand::Rm { cluster, target } => on_cluster(&cluster, &target, call!(Destroy_Task {})).await,
    }
}

async fn list(target: &Target) -> Result<(), Failure> {
    let client = session::open(target).await?;
    let inventory = Inventory::of(&client).await?;
    let mut table = Table::new(&["name", "id", "hosts", "datastores", "networks"]);
    let paths = ["name", "host", "datastore", "network"];
    for cluster in inventory.all(managed_id!(ClusterComputeResource), &paths).await? {
        let count = |place| json!(cluster.at(place).map_or(0, |list| list.items().len()));
        table.row(vec![cluster.text(0).into(), cluster.me.id().into(), count(1), count(2), count(3)]);
    }
    table.print(target.json)
}

async fn create(name: &str, datacenter: Option<&str>, target: &Target) -> Result<(), Failure> {
    let client = session::open(target).await?;
    let inventory = Inventory::of(&client).await?;
    let datacenter = inventory.datacenter(datacenter, "--datacenter", &["hostFolder"]).await?;
    let folder = datacenter
        .reference(1)
        .ok_or_else(|| Failure::new(Reason::Denied, "you may not see the host folder of the datacenter"))?;
    let spec = vim!(ClusterConfigSpecEx {});
    let made = client.invoke(folder, &call!(CreateClusterEx { name: name, spec: spec })).await?;
    let made = made.as_ref().and_then(Value::as_ref);
    let made = made.ok_or_else(|| Failure::new(Reason::Failed, "the server did not name the new cluster"))?;
    terminal::line(made.id())
}

async fn on_cluster(name: &str, target: &Target, call: vim::Args) -> Result<(), Failure> {
    let client = session::open(target).await?;
    let inventory = Inventory::of(&client).await?;
    let cluster = inventory.named(managed_id!(ClusterComputeResource), "cluster", name).await?;
    inventory.task(&cluster, call).await.map(drop)
}
