//! `esfera folder`: folders of datacenters, and in a datacenter those of VMs, hosts, datastores and networks.

use clap::Subcommand;
use serde_json::json;
use vim::{MoRef, Value, call, managed_id};

use crate::client::failure::{Failure, Reason};
use crate::client::inventory::{Found, Inventory};
use crate::client::output::Table;
use crate::client::session;
use crate::client::target::Target;
use crate::client::terminal;

#[derive(Subcommand)]
pub enum FolderCommand {
    /// List folders
    Ls(Target),
    /// Create a folder
    #[command(visible_alias = "add")]
    Create {
        folder: String,
        /// Folder that it is made in, by name, id or path: /DATACENTER/vm for VMs, /DATACENTER/host for hosts
        #[arg(long = "in", value_name = "FOLDER", default_value = "/")]
        within: String,
        #[command(flatten)]
        target: Target,
    },
    /// Rename a folder
    Rename {
        folder: String,
        name: String,
        #[command(flatten)]
        target: Target,
    },
    /// Remove an empty folder
    Rm {
        folder: String,
        #[command(flatten)]
        target: Target,
    },
}

pub async fn run(command: FolderCommand) -> Result<(), Failure> {
    match command {
        FolderCommand::Ls(target) => list(&target).await,
        FolderCommand::Create { folder, within, target } => create(&folder, &within, &target).await,
        FolderCommand::Rename { folder, name, target } => rename(&folder, name, &target).await,
        FolderCommand::Rm { folder, target } => remove(&folder, &target).await,
    }
}

/// A folder with its path in the inventory, as `/Lyon/vm/web`.
struct Folder {
    found: Found,
    path: String,
}

const NAME: usize = 0;
const PARENT: usize = 1;
const HOLDS: usize = 2;
const CHILDREN: usize = 3;

async fn folders(inventory: &Inventory<'_>) -> Result<Vec<Folder>, Failure> {
    let datacenters = inventory.all(managed_id!(Datacenter), &["name", "parent"]).await?;
    let found = inventory.all(managed_id!(Folder), &["name", "parent", "childType", "childEntity"]).await?;
    let place = |me: &MoRef| found.iter().chain(&datacenters).find(|other| other.me == *me);
    let path = |folder: &Found| {
        let mut names = vec![folder.text(NAME)];
        let mut at = folder.reference(PARENT).and_then(place);
        while let Some(above) = at {
            names.push(above.text(NAME));
            at = above.reference(PARENT).and_then(place);
        }
        names.iter().rev().fold(String::new(), |path, name| format!("{path}/{name}"))
    };
    let paths: Vec<String> = found.iter().map(path).collect();
    let mut folders: Vec<Folder> =
        found.into_iter().zip(paths).map(|(found, path)| Folder { found, path }).collect();
    folders.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(folders)
}

/// The one folder with this name, id or path.
async fn find(inventory: &Inventory<'_>, text: &str) -> Result<Folder, Failure> {
    let all = folders(inventory).await?.into_iter();
    let mut matching: Vec<Folder> = all
        .filter(|folder| {
            folder.path == text || folder.found.me.id() == text || folder.found.text(NAME) == text
        })
        .collect();
    match (matching.pop(), matching.pop()) {
        (Some(one), None) => Ok(one),
        (None, _) => Err(Failure::not_found("folder", text)),
        (Some(one), Some(other)) => {
            let hint = format!("give the path instead, for example {} or {}", other.path, one.path);
            Err(Failure::new(Reason::NotFound, format!("several folders are named {text:?}")).hint(hint))
        }
    }
}

/// The purpose of a folder, by the types that it may hold.
fn holds(folder: &Found) -> &'static str {
    let types: Vec<&str> =
        folder.at(HOLDS).into_iter().flat_map(Value::items).filter_map(Value::as_str).collect();
    let kinds = [
        ("Datacenter", "datacenters"),
        ("VirtualMachine", "VMs"),
        ("ComputeResource", "hosts"),
        ("Datastore", "datastores"),
        ("Network", "networks"),
    ];
    kinds.iter().find(|(ty, _)| types.contains(ty)).map_or("-", |(_, kind)| kind)
}

fn children(folder: &Found) -> usize {
    folder.at(CHILDREN).map_or(0, |list| list.items().len())
}

async fn list(target: &Target) -> Result<(), Failure> {
    let client = session::open(target).await?;
    let inventory = Inventory::of(&client).await?;
    let mut table = Table::new(&["name", "id", "holds", "path", "children"]);
    for Folder { found, path } in folders(&inventory).await? {
        table.row(vec![
            found.text(NAME).into(),
            found.me.id().into(),
            holds(&found).into(),
            path.into(),
            json!(children(&found)),
        ]);
    }
    table.print(target.json)
}

async fn create(name: &str, within: &str, target: &Target) -> Result<(), Failure> {
    let client = session::open(target).await?;
    let inventory = Inventory::of(&client).await?;
    let parent = match within {
        "/" => inventory.root()?,
        _ => find(&inventory, within).await?.found.me,
    };
    let made = client.invoke(&parent, &call!(CreateFolder { name: name })).await?;
    let made = made.as_ref().and_then(Value::as_ref);
    let made = made.ok_or_else(|| Failure::new(Reason::Failed, "the server did not name the new folder"))?;
    terminal::line(made.id())
}

async fn rename(folder: &str, name: String, target: &Target) -> Result<(), Failure> {
    let client = session::open(target).await?;
    let inventory = Inventory::of(&client).await?;
    let folder = find(&inventory, folder).await?.found.me;
    inventory.task(&folder, call!(Rename_Task { newName: name })).await.map(drop)
}

/// Removes a folder. The API would remove the VMs in it, with their disks: not by this verb.
async fn remove(folder: &str, target: &Target) -> Result<(), Failure> {
    let client = session::open(target).await?;
    let inventory = Inventory::of(&client).await?;
    let Folder { found, path } = find(&inventory, folder).await?;
    match children(&found) {
        0 => inventory.task(&found.me, call!(Destroy_Task {})).await.map(drop),
        count => {
            Err(Failure::new(Reason::Failed, format!("the folder {path} is not empty: it holds {count}"))
                .hint("move or remove what it holds first"))
        }
    }
}
