//! `esfera datacenter`

use clap::Subcommand;
use serde_json::json;
use vim::{Value, call, managed_id};

use crate::client::failure::{Failure, Reason};
use crate::client::inventory::Inventory;
use crate::client::output::Table;
use crate::client::session;
use crate::client::target::Target;
use crate::client::terminal;

#[derive(Subcommand)]
pub enum DatacenterCommand {
    /// List datacenters
    Ls(Target),
    /// Create a datacenter
    #[command(visible_alias = "create")]
    Add {
        datacenter: String,
        #[command(flatten)]
        target: Target,
    },
    /// Rename a datacenter
    Rename {
        datacenter: String,
        name: String,
        #[command(flatten)]
        target: Target,
    },
    /// Remove a datacenter without hosts
    Rm {
        datacenter: String,
        #[command(flatten)]
        target: Target,
    },
}

pub async fn run(command: DatacenterCommand) -> Result<(), Failure> {
    match command {
        DatacenterCommand::Ls(target) => list(&target).await,
        DatacenterCommand::Add { datacenter, target } => add(&datacenter, &target).await,
        DatacenterCommand::Rename { datacenter, name, target } => {
            on_datacenter(&datacenter, &target, call!(Rename_Task { newName: name })).await
        }
        DatacenterCommand::Rm { datacenter, target } => {
            on_datacenter(&datacenter, &target, call!(Destroy_Task {})).await
        }
    }
}

async fn list(target: &Target) -> Result<(), Failure> {
    let client = session::open(target).await?;
    let inventory = Inventory::of(&client).await?;
    let mut table = Table::new(&["name", "id", "datastores", "networks"]);
    for datacenter in inventory.all(managed_id!(Datacenter), &["name", "datastore", "network"]).await? {
        let count = |place| datacenter.at(place).map_or(0, |list| list.items().len());
        table.row(vec![
            datacenter.text(0).into(),
            datacenter.me.id().into(),
            json!(count(1)),
            json!(count(2)),
        ]);
    }
    table.print(target.json)
}

async fn add(name: &str, target: &Target) -> Result<(), Failure> {
    let client = session::open(target).await?;
    let inventory = Inventory::of(&client).await?;
    let made = client.invoke(&inventory.root()?, &call!(CreateDatacenter { name: name })).await?;
    let made = made.as_ref().and_then(Value::as_ref);
    let made =
        made.ok_or_else(|| Failure::new(Reason::Failed, "the server did not name the new datacenter"))?;
    terminal::line(made.id())
}

async fn on_datacenter(name: &str, target: &Target, call: vim::Args) -> Result<(), Failure> {
    let client = session::open(target).await?;
    let inventory = Inventory::of(&client).await?;
    let datacenter = inventory.named(managed_id!(Datacenter), "datacenter", name).await?;
    inventory.task(&datacenter, call).await.map(drop)
}
