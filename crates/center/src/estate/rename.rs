//! Renaming the center's own objects. VMs and datastores are renamed on their hosts, by the methods of `carry`.

use std::sync::Arc;

use api::{Call, Methods, Table};
use vim::{Fault, ManagedId, arg, managed_id, method};

use super::faults::{not_found, not_supported};
use super::inventory::Inventory;
use super::kinds::KINDS;
use super::names;
use super::pools;
use super::records::Record;
use crate::reply::Reply;

/// Kinds whose objects are renamed on their hosts.
const ON_HOSTS: [ManagedId; 2] = [managed_id!(VirtualMachine), managed_id!(Datastore)];

pub(super) fn register(methods: &mut Methods, inventory: &Arc<Inventory>) {
    let mut table = Table { methods, daemon: inventory };
    for kind in KINDS.iter().filter(|kind| !ON_HOSTS.contains(&kind.ty)) {
        table.on(kind.ty, method!(Rename_Task), rename);
    }
    table.on(managed_id!(ManagedEntity), method!(Reload), |_, _| async { Ok(None) });
}

async fn rename(inventory: Arc<Inventory>, call: Call) -> Reply {
    let name = names::parse(call.required(arg!(Rename_Task.newName))?, Some(&call.this))?;
    let me = call.this.clone();
    if inventory.record(&me).is_none() {
        return Err(not_found(&me));
    }
    let options = inventory.alone(&call);
    call.task(options, move |_| async move {
        let change = inventory.change(|plan| {
            let mut record = plan.get(&me)?.clone();
            renamable(&record)?;
            if let Some(parent) = record.parent() {
                plan.free_name(parent, &name, Some(&me))?;
            }
            if let Some(folder) = record.second_parent() {
                plan.free_name(folder, &name, Some(&me))?;
            }
            record.set_name(&name);
            plan.put(&me, record);
            Ok(())
        });
        change.await?;
        Ok(None)
    })
    .await
}

/// # Errors
/// `NotSupported` for an object whose name cannot be changed in the center.
fn renamable(record: &Record) -> Result<(), Fault> {
    match record {
        Record::Folder(folder) if folder.fixed => {
            Err(not_supported("The root folder and the folders of a datacenter cannot be renamed"))
        }
        Record::Host(_) => {
            Err(not_supported("A host is named by its address; to change it, add the host again"))
        }
        Record::Network(_) => Err(not_supported("Rename the network on its hosts")),
        Record::Vm(_) | Record::Datastore(_) => {
            Err(not_supported("VMs and datastores are renamed on their hosts"))
        }
        Record::Pool(known) => pools::refuse_root(known, "renamed"),
        _ => Ok(()),
    }
}
