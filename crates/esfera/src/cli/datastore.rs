//! `esfera datastore …`

use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use api::client::{Client, FilePath};
use bytes::BytesMut;
use serde_json::json;
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use vim::{MoRef, Value, call, data_id, field, managed_id, vim};

use super::args::{DatastoreCommand, Target};
use super::failure::{Failure, Reason};
use super::inventory::{Found, Inventory};
use super::output::{Table, size};
use super::progress::Progress;
use super::session;

/// Bytes that a download reads at once.
const CHUNK_BYTES: usize = 256 * 1024;

pub async fn run(command: DatastoreCommand) -> Result<(), Failure> {
    match command {
        DatastoreCommand::Ls { path: None, target } => list(&target).await,
        DatastoreCommand::Ls { path: Some(path), target } => files(&path, &target).await,
        DatastoreCommand::Cp { from, to, target } => copy(&from, &to, &target).await,
        DatastoreCommand::Rm { path, target } => {
            let client = session::open(&target).await?;
            let inventory = Inventory::of(&client).await?;
            let place = Place::find(&inventory, &path).await?;
            let call = call!(DeleteDatastoreFile_Task { name: path, datacenter: place.datacenter });
            inventory.task(&inventory.manager(field!(ServiceContent.fileManager))?, call).await.map(drop)
        }
        DatastoreCommand::Mkdir { path, target } => {
            let client = session::open(&target).await?;
            let inventory = Inventory::of(&client).await?;
            let place = Place::find(&inventory, &path).await?;
            let call = call!(MakeDirectory {
                name: path,
                datacenter: place.datacenter,
                createParentDirectories: true
            });
            inventory.task(&inventory.manager(field!(ServiceContent.fileManager))?, call).await.map(drop)
        }
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
    table.print(target.json);
    Ok(())
}

async fn files(path: &str, target: &Target) -> Result<(), Failure> {
    let client = session::open(target).await?;
    let inventory = Inventory::of(&client).await?;
    let place = Place::find(&inventory, path).await?;
    let found = inventory.read(&place.datastore, &["browser"]).await?;
    let browser =
        found.reference(0).cloned().ok_or_else(|| Failure::new(Reason::Failed, "it cannot be browsed"))?;
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
    table.print(target.json);
    Ok(())
}

async fn copy(from: &str, to: &str, target: &Target) -> Result<(), Failure> {
    let client = session::open(target).await?;
    let inventory = Inventory::of(&client).await?;
    let progress = Arc::new(Progress::new("copy"));
    match (is_remote(from), is_remote(to)) {
        (true, true) => {
            let (source, target) = (Place::find(&inventory, from).await?, Place::find(&inventory, to).await?);
            let call = call!(CopyDatastoreFile_Task {
                sourceName: from,
                sourceDatacenter: source.datacenter,
                destinationName: to,
                destinationDatacenter: target.datacenter,
                force: false,
            });
            inventory.task(&inventory.manager(field!(ServiceContent.fileManager))?, call).await?;
        }
        (true, false) => {
            let place = Place::find(&inventory, from).await?;
            download(&client, &place.file(), Path::new(to), &progress).await?;
        }
        (false, true) => {
            let place = Place::find(&inventory, to).await?;
            upload(&client, Path::new(from), &place.file(), &progress).await?;
        }
        (false, false) => {
            return Err(Failure::new(Reason::Usage, "neither path is on a datastore")
                .hint("write a path of a datastore as \"[datastore] path\""));
        }
    }
    progress.end();
    Ok(())
}

/// Into a file that appears under its name when it is whole.
async fn download(client: &Client, from: &FilePath, to: &Path, progress: &Progress) -> Result<(), Failure> {
    let mut source = client.download(from, None).await?;
    let target =
        if to.is_dir() { to.join(from.path.rsplit('/').next().unwrap_or_default()) } else { to.to_owned() };
    let mut half = target.clone().into_os_string();
    half.push(".part");
    let mut file = File::create(&half).await.with_context(|| format!("cannot make {}", half.display()))?;
    let mut chunk = BytesMut::with_capacity(CHUNK_BYTES);
    let mut done = 0;
    while source.read_buf(&mut chunk).await.context("the download was cut off")? > 0 {
        done += chunk.len() as u64;
        file.write_all(&chunk).await.with_context(|| format!("cannot write {}", half.display()))?;
        chunk.clear();
        progress.show(percent(done, source.size));
    }
    file.sync_all().await.with_context(|| format!("cannot write {}", half.display()))?;
    Ok(std::fs::rename(&half, &target).with_context(|| format!("cannot make {}", target.display()))?)
}

async fn upload(
    client: &Client,
    from: &Path,
    to: &FilePath,
    progress: &Arc<Progress>,
) -> Result<(), Failure> {
    let file = File::open(from).await.with_context(|| format!("cannot read {}", from.display()))?;
    let size = file.metadata().await.with_context(|| format!("cannot read {}", from.display()))?.len();
    let progress = progress.clone();
    client.upload(to, Some(size), file, move |done| progress.show(percent(done, Some(size)))).await?;
    Ok(())
}

fn percent(done: u64, size: Option<u64>) -> u8 {
    let percent = size.filter(|size| *size > 0).map_or(0, |size| done.saturating_mul(100) / size);
    u8::try_from(percent).unwrap_or(100)
}

fn is_remote(path: &str) -> bool {
    path.starts_with('[')
}

/// What `[datastore] path` means.
struct Place {
    datastore: MoRef,
    datacenter: Option<MoRef>,
    /// Names of the folders and the datacenter, with `/` between.
    datacenter_path: String,
    name: String,
    path: String,
}

impl Place {
    fn file(&self) -> FilePath {
        FilePath {
            datacenter: self.datacenter_path.clone(),
            datastore: self.name.clone(),
            path: self.path.clone(),
        }
    }

    async fn find(inventory: &Inventory<'_>, path: &str) -> Result<Self, Failure> {
        let parts = path.strip_prefix('[').and_then(|rest| rest.split_once(']'));
        let Some((name, path)) = parts.map(|(name, path)| (name.trim(), path.trim())) else {
            return Err(Failure::new(Reason::Usage, format!("{path:?} is no path on a datastore"))
                .hint("write it as \"[datastore] path\""));
        };
        let datastore = inventory.named(managed_id!(Datastore), "datastore", name).await?;
        let (mut at, mut names, mut datacenter) = (datastore.clone(), Vec::new(), None);
        loop {
            let found: Found = inventory.read(&at, &["name", "parent"]).await?;
            let Some(parent) = found.reference(1) else { break };
            if datacenter.is_some() || at.is_a(managed_id!(Datacenter)) {
                names.push(found.text(0).to_owned());
                datacenter.get_or_insert_with(|| at.clone());
            }
            at = parent.clone();
        }
        names.reverse();
        Ok(Self {
            datastore,
            datacenter,
            datacenter_path: names.join("/"),
            name: name.into(),
            path: path.into(),
        })
    }
}
