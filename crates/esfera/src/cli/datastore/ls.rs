//! `esfera datastore ls`

use clap::Args;
use serde_json::json;
use vim::{Value, call, data_id, field, managed_id, vim};

use super::place::Place;
use crate::client::failure::{Failure, Reason};
use crate::client::inventory::Inventory;
use crate::client::output::{Table, size};
use crate::client::session;
use crate::client::target::Target;

#[derive(Args)]
pub struct Ls {
    /// "[datastore] directory"
    path: Option<String>,
    #[command(flatten)]
    target: Target,
}

pub async fn run(Ls { path, target }: Ls) -> Result<(), Failure> {
    match path {
        None => list(&target).await,
        Some(path) => files(&path, &target).await,
    }
}

async fn list(target: &Target) -> Result<(), Failure> {
    let client = session::open(target).await?;
    let inventory = Inventory::of(&client).await?;
    let paths =
        ["name", "summary.type", "summary.capacity", "summary.freeSpace", "host", "summary.accessible"];
    let mut table = Table::new(&["name", "id", "type", "capacity", "free", "hosts", "accessible"]);
    let amount = |bytes: Option<i64>| match bytes {
        Some(bytes) if target.json => json!(bytes),
        other => json!(other.map(size)),
    };
    for datastore in inventory.all(managed_id!(Datastore), &paths).await? {
        table.row(vec![
            datastore.text(0).into(),
            datastore.me.id().into(),
            datastore.text(1).into(),
            amount(datastore.number(2)),
            amount(datastore.number(3)),
            json!(datastore.at(4).map_or(0, |hosts| hosts.items().len())),
            json!(matches!(datastore.at(5), Some(Value::Boolean(true)))),
        ]);
    }
    table.print(target.json)
}

async fn files(path: &str, target: &Target) -> Result<(), Failure> {
    let client = session::open(target).await?;
    let inventory = Inventory::of(&client).await?;
    let place = Place::find(&inventory, path).await?;
    let found = inventory.read(&place.datastore, &["browser"]).await?;
    let browser = found
        .reference(0)
        .cloned()
        .ok_or_else(|| Failure::new(Reason::Failed, "the datastore has no browser"))?;
    let spec = vim!(HostDatastoreBrowserSearchSpec {
        details: FileQueryFlags { fileType: true, fileSize: true, modification: true },
        sortFoldersFirst: true,
    });
    let result = inventory
        .task(&browser, call!(SearchDatastore_Task { datastorePath: path, searchSpec: spec }))
        .await?;
    let mut table = Table::new(&["name", "type", "size", "modified"]);
    let listing = result.as_ref().and_then(Value::as_object);
    let files = listing.and_then(|listing| listing.get(field!(HostDatastoreBrowserSearchResults.file)));
    for file in files.into_iter().flatten() {
        let kind = if file.is_a(data_id!(FolderFileInfo)) { "folder" } else { file.type_name() };
        let bytes = file.get(field!(FileInfo.fileSize));
        table.row(vec![
            json!(file.get(field!(FileInfo.path))),
            kind.trim_end_matches("FileInfo").into(),
            if target.json { json!(bytes) } else { json!(bytes.map(size)) },
            json!(file.get(field!(FileInfo.modification)).map(|time| time.to_string())),
        ]);
    }
    table.print(target.json)
}
