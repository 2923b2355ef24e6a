//! Creating folders and datacenters, and the configuration of datacenters.

use std::sync::Arc;

use api::{Call, Methods, Table};
use vim::{Fault, MoRef, arg, field, managed_id, method};

use super::faults::not_supported;
use super::inventory::Inventory;
use super::names;
use super::plan::Plan;
use super::records::{Folder, Holds, Record};
use crate::reply::Reply;

pub(super) fn register(methods: &mut Methods, inventory: &Arc<Inventory>) {
    let mut table = Table { methods, daemon: inventory };
    let folder = managed_id!(Folder);
    table.on(folder, method!(CreateFolder), create_folder);
    table.on(folder, method!(CreateDatacenter), create_datacenter);
    table.on(managed_id!(Datacenter), method!(ReconfigureDatacenter_Task), reconfigure_datacenter);
}

async fn create_folder(inventory: Arc<Inventory>, call: Call) -> Reply {
    let name = names::parse(call.required(arg!(CreateFolder.name))?, Some(&call.this))?;
    let parent = call.this.clone();
    let made = inventory.change(|plan| {
        let holds = plan.folder(&parent)?.holds;
        plan.free_name(&parent, &name, None)?;
        let me = plan.ids.folder(holds);
        plan.put(&me, Record::Folder(Folder { name, parent: Some(parent), holds, fixed: false }));
        Ok(me)
    });
    Ok(Some(made.await?.into()))
}

async fn create_datacenter(inventory: Arc<Inventory>, call: Call) -> Reply {
    let name = names::parse(call.required(arg!(CreateDatacenter.name))?, Some(&call.this))?;
    let parent = call.this.clone();
    let made = inventory.change(|plan| {
        holding(plan, &parent, Holds::Datacenters, "a datacenter")?;
        plan.free_name(&parent, &name, None)?;
        Ok(plan.add_datacenter(&parent, &name))
    });
    Ok(Some(made.await?.into()))
}

/// Refuses a folder that is for other contents than `new`.
///
/// # Errors
/// `NotSupported`, or `ManagedObjectNotFound`.
pub(crate) fn holding(plan: &Plan, folder: &MoRef, holds: Holds, new: &str) -> Result<(), Fault> {
    let found = plan.folder(folder)?;
    if found.holds == holds {
        return Ok(());
    }
    Err(not_supported(&format!("The folder '{}' cannot contain {new}", found.name)))
}

async fn reconfigure_datacenter(inventory: Arc<Inventory>, call: Call) -> Reply {
    let spec = call.required(arg!(ReconfigureDatacenter_Task.spec))?;
    let version = spec.get(field!(DatacenterConfigSpec.defaultHardwareVersionKey)).map(str::to_owned);
    let modify = call.required(arg!(ReconfigureDatacenter_Task.modify))?;
    let me = call.this.clone();
    let options = inventory.alone(&call);
    call.task(options, move |_running| async move {
        let change = inventory.change(|plan| {
            let mut datacenter = plan.datacenter(&me)?.clone();
            if version.is_some() || !modify {
                datacenter.hardware_version = version;
            }
            plan.put(&me, Record::Datacenter(datacenter));
            Ok(())
        });
        change.await?;
        Ok(None)
    })
    .await
}
