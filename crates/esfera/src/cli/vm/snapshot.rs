//! `esfera vm snapshot`

use clap::Subcommand;
use serde_json::json;
use vim::{MoRef, Object, Value, call, field};

use crate::client::failure::{Failure, Reason};
use crate::client::inventory::Inventory;
use crate::client::output::Table;
use crate::client::session;
use crate::client::target::Target;
use crate::client::terminal;

#[derive(Subcommand)]
pub enum SnapshotCommand {
    /// List the snapshots of a VM
    Ls {
        vm: String,
        #[command(flatten)]
        target: Target,
    },
    /// Take a snapshot of the disks
    Create {
        vm: String,
        name: String,
        #[arg(long, default_value = "")]
        description: String,
        /// Let the guest's agent bring file systems to rest first
        #[arg(long)]
        quiesce: bool,
        #[command(flatten)]
        target: Target,
    },
    /// Go back to a snapshot; what was written since is lost
    Revert {
        vm: String,
        name: String,
        #[command(flatten)]
        target: Target,
    },
    /// Remove a snapshot, keeping what was written since
    Remove {
        vm: String,
        name: String,
        /// Remove those that were made on top of it too
        #[arg(long)]
        children: bool,
        #[command(flatten)]
        target: Target,
    },
    /// Remove all snapshots
    RemoveAll {
        vm: String,
        #[command(flatten)]
        target: Target,
    },
}

pub async fn run(command: SnapshotCommand) -> Result<(), Failure> {
    match command {
        SnapshotCommand::Ls { vm, target } => list(&vm, &target).await,
        SnapshotCommand::Create { vm, name, description, quiesce, target } => {
            let call = call!(CreateSnapshot_Task {
                name: name,
                description: description,
                memory: false,
                quiesce: quiesce,
            });
            on_vm(&vm, &target, call).await
        }
        SnapshotCommand::Revert { vm, name, target } => {
            on_snapshot(&vm, &name, &target, call!(RevertToSnapshot_Task {})).await
        }
        SnapshotCommand::Remove { vm, name, children, target } => {
            let call = call!(RemoveSnapshot_Task { removeChildren: children, consolidate: true });
            on_snapshot(&vm, &name, &target, call).await
        }
        SnapshotCommand::RemoveAll { vm, target } => {
            on_vm(&vm, &target, call!(RemoveAllSnapshots_Task {})).await
        }
    }
}

/// A snapshot in the tree of a VM's snapshots.
struct Entry {
    me: MoRef,
    name: String,
    created: String,
    depth: usize,
    current: bool,
}

async fn entries(inventory: &Inventory<'_>, vm: &str) -> Result<Vec<Entry>, Failure> {
    let me = inventory.vm(vm).await?;
    let found = inventory.read(&me, &["snapshot"]).await?;
    let mut entries = Vec::new();
    let Some(info) = found.object(0) else { return Ok(entries) };
    let current = info.get(field!(VirtualMachineSnapshotInfo.currentSnapshot));
    let roots = info.get(field!(VirtualMachineSnapshotInfo.rootSnapshotList));
    let mut waiting: Vec<(&Object, usize)> = roots.into_iter().flatten().map(|root| (&**root, 0)).collect();
    waiting.reverse();
    while let Some((tree, depth)) = waiting.pop() {
        let Some(me) = tree.get(field!(VirtualMachineSnapshotTree.snapshot)) else { continue };
        entries.push(Entry {
            me: me.clone(),
            name: tree.get(field!(VirtualMachineSnapshotTree.name)).unwrap_or_default().to_owned(),
            created: tree
                .get(field!(VirtualMachineSnapshotTree.createTime))
                .map_or_else(String::new, |t| t.to_string()),
            depth,
            current: current == Some(me),
        });
        let children = tree.get(field!(VirtualMachineSnapshotTree.childSnapshotList));
        let before = waiting.len();
        waiting.extend(children.into_iter().flatten().map(|child| (&**child, depth + 1)));
        waiting[before..].reverse();
    }
    Ok(entries)
}

async fn list(vm: &str, target: &Target) -> Result<(), Failure> {
    let client = session::open(target).await?;
    let inventory = Inventory::of(&client).await?;
    let mut table = Table::new(&["name", "id", "created", "current"]);
    for entry in entries(&inventory, vm).await? {
        let name =
            if target.json { entry.name } else { format!("{}{}", "  ".repeat(entry.depth), entry.name) };
        table.row(vec![name.into(), entry.me.id().into(), entry.created.into(), json!(entry.current)]);
    }
    table.print(target.json)
}

async fn on_vm(vm: &str, target: &Target, call: vim::Args) -> Result<(), Failure> {
    let client = session::open(target).await?;
    let inventory = Inventory::of(&client).await?;
    let me = inventory.vm(vm).await?;
    let made = inventory.task(&me, call).await?;
    if let Some(snapshot) = made.as_ref().and_then(Value::as_ref) {
        terminal::line(snapshot.id())?;
    }
    Ok(())
}

async fn on_snapshot(vm: &str, name: &str, target: &Target, call: vim::Args) -> Result<(), Failure> {
    let client = session::open(target).await?;
    let inventory = Inventory::of(&client).await?;
    let entries = entries(&inventory, vm).await?;
    let mut matching = entries.iter().filter(|entry| entry.name == name || entry.me.id() == name);
    match (matching.next(), matching.next()) {
        (Some(one), None) => inventory.task(&one.me, call).await.map(drop),
        (None, _) => Err(Failure::not_found("snapshot", name)),
        _ => Err(Failure::new(Reason::NotFound, format!("{vm} has several snapshots {name:?}"))
            .hint("give the id instead; esfera vm snapshot ls shows it")),
    }
}
