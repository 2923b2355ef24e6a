//! Describes the inventory of a running center: of a real one by its API, of the simulator itself from within.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use api::client::Client;
use center::sim::{Inventory, KINDS, Shown, describe};
use clap::Args as Arguments;
use vim::{Args, MoRef, Object, Value, call, field, managed_id, schema, vim};

use super::insider::Insider;
use crate::client::failure::{Failure, Reason};
use crate::client::session;
use crate::client::target::Target;

/// Names, places and sizes; no identities, addresses, settings or secrets.
#[derive(Arguments)]
pub struct RecordArgs {
    /// File to write
    pub file: PathBuf,
    #[command(flatten)]
    pub target: Target,
}

pub async fn run(args: RecordArgs) -> Result<(), Failure> {
    let client = session::open(&args.target).await?;
    let inventory = read(&Door::Client(&client)).await?;
    if inventory.datacenters.is_empty() {
        return Err(Failure::new(Reason::NotFound, "the server shows no datacenter")
            .hint("record a center, with a user who may see its inventory"));
    }
    Ok(write(&args.file, &inventory)?)
}

/// The way to the center's objects.
pub enum Door<'a> {
    Client(&'a Client),
    Inside(&'a Insider),
}

impl Door<'_> {
    async fn call(&self, this: &MoRef, args: Args) -> Result<Option<Value>> {
        match self {
            Self::Client(client) => Ok(client.invoke(this, &args).await.map_err(Failure::from)?),
            Self::Inside(insider) => Ok(insider.call(this, args).await?),
        }
    }

    async fn content(&self) -> Result<std::sync::Arc<Object>> {
        let instance = MoRef::new(managed_id!(ServiceInstance), "ServiceInstance");
        let content = self.call(&instance, call!(RetrieveServiceContent {})).await?;
        content.as_ref().and_then(Value::as_object).cloned().context("the server has no content")
    }
}

/// Describes the whole inventory.
pub async fn read(door: &Door<'_>) -> Result<Inventory> {
    let content = door.content().await?;
    let lacks = "the server lacks a manager that this needs";
    let root = content.get(field!(ServiceContent.rootFolder)).context(lacks)?;
    let views = content.get(field!(ServiceContent.viewManager)).context(lacks)?;
    let collector = content.get(field!(ServiceContent.propertyCollector)).context(lacks)?;
    let names: Vec<&str> = KINDS.iter().map(|(ty, _)| schema().managed(*ty).name).collect();
    let make = call!(CreateContainerView { container: root, type: names.clone(), recursive: true });
    let view = door.call(views, make).await?;
    let view = view.as_ref().and_then(Value::as_ref).cloned().context("the server made no view")?;
    let properties: Vec<_> = names
        .iter()
        .zip(KINDS)
        .map(|(name, (_, paths))| vim!(PropertySpec { type: *name, pathSet: paths.to_vec() }))
        .collect();
    let through = vim!(TraversalSpec { type: "ContainerView", path: "view", skip: false });
    let objects = vim!(ObjectSpec { obj: view.clone(), skip: true, selectSet: [through] });
    let filter = vim!(PropertyFilterSpec { propSet: properties, objectSet: [objects] });
    let retrieve = call!(RetrievePropertiesEx { specSet: vec![filter], options: RetrieveOptions {} });
    let shown = pages(door, collector, retrieve).await;
    door.call(&view, call!(DestroyView {})).await?;
    Ok(describe(&shown?))
}

async fn pages(door: &Door<'_>, collector: &MoRef, first: Args) -> Result<Vec<Shown>> {
    let mut all = Vec::new();
    let mut page = door.call(collector, first).await?;
    while let Some(result) = page.as_ref().and_then(Value::as_object) {
        for content in result.get(field!(RetrieveResult.objects)).into_iter().flatten() {
            let Some(me) = content.get(field!(ObjectContent.obj)).cloned() else { continue };
            let set = content.get(field!(ObjectContent.propSet)).into_iter().flatten();
            let named = set.filter_map(|property| {
                let name = property.get(field!(DynamicProperty.name))?;
                Some((name.to_owned(), property.get(field!(DynamicProperty.val))?.clone()))
            });
            all.push(Shown { me, properties: named.collect() });
        }
        let Some(token) = result.get(field!(RetrieveResult.token)) else { break };
        page = door.call(collector, call!(ContinueRetrievePropertiesEx { token: token })).await?;
    }
    Ok(all)
}

/// Writes a description; the file appears whole.
pub fn write(file: &Path, inventory: &Inventory) -> Result<()> {
    let mut name = file.file_name().context("name a file")?.to_owned();
    name.push(".new");
    let new = file.with_file_name(name);
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    let text = serde_json::to_vec_pretty(inventory)?;
    options
        .open(&new)
        .and_then(|mut open| open.write_all(&text).and_then(|()| open.write_all(b"\n")))
        .and_then(|()| std::fs::rename(&new, file))
        .with_context(|| format!("cannot write {}", file.display()))
}
