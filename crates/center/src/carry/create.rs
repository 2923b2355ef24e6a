//! Creating VMs.

use std::sync::Arc;

use api::{Call, Guard, Methods, Table};
use vim::{MoRef, Object, arg, call, field, managed_id, method};
use vm::privileges::to_create;

use super::by::By;
use super::new_vms::NewVms;
use crate::access::StorageCheck;
use crate::estate::{Placement, datastore_name, names, store_fault};
use crate::link::{self, LinkError};
use crate::reply::Reply;

pub(super) fn register(methods: &mut Methods, new_vms: &Arc<NewVms>) {
    let mut table = Table { methods, daemon: new_vms };
    let guard = Guard::Arguments(to_create);
    table.guarded(managed_id!(Folder), method!(CreateVM_Task), guard, create);
    table.guarded(managed_id!(ResourcePool), method!(CreateChildVM_Task), guard, create_in_pool);
}

async fn create(new_vms: Arc<NewVms>, call: Call) -> Reply {
    call.require_references()?;
    let spec = call.required(arg!(CreateVM_Task.config))?.clone();
    let pool = new_vms.carrier.inventory.resolve(call.required(arg!(CreateVM_Task.pool))?)?;
    let host = call.arg(arg!(CreateVM_Task.host)).cloned();
    // In a vApp the VM belongs to the vApp's folder.
    let folder = new_vms.carrier.inventory.vapp_folder(&pool).unwrap_or_else(|| call.this.clone());
    create_at(new_vms, call, spec, Placement { folder, pool }, host).await
}

async fn create_in_pool(new_vms: Arc<NewVms>, call: Call) -> Reply {
    call.require_references()?;
    let spec = call.required(arg!(CreateChildVM_Task.config))?.clone();
    let host = call.arg(arg!(CreateChildVM_Task.host)).cloned();
    let pool = call.this.clone();
    let folder = new_vms.default_folder(&pool)?;
    create_at(new_vms, call, spec, Placement { folder, pool }, host).await
}

async fn create_at(
    new_vms: Arc<NewVms>,
    call: Call,
    spec: Arc<Object>,
    place: Placement,
    wanted: Option<MoRef>,
) -> Reply {
    let name = spec.get(field!(VirtualMachineConfigSpec.name)).unwrap_or_default();
    let name = names::parse(name, None)?;
    new_vms.check_place(&place, &name)?;
    let path = spec
        .get(field!(VirtualMachineConfigSpec.files))
        .and_then(|files| files.get(field!(VirtualMachineFileInfo.vmPathName)));
    let datastore = path.and_then(datastore_name);
    let host = new_vms.choose(&place.pool, wanted.as_ref(), datastore, Some(&spec))?;
    StorageCheck::new(&new_vms.carrier.inventory, &call, &host).may_use(&spec)?;
    // The UUID identifies the new VM when the host's stream reports it, so that it appears in its place. A newcomer does
    // not get that of another VM.
    let mut spec = Object::clone(&spec);
    let asked = spec.get(field!(VirtualMachineConfigSpec.instanceUuid)).map(str::to_lowercase);
    let asked = asked.filter(|uuid| !uuid.is_empty() && !new_vms.has_uuid(uuid));
    let uuid = asked.unwrap_or_else(|| uuid::Uuid::new_v4().to_string());
    spec.set(field!(VirtualMachineConfigSpec.instanceUuid), &uuid);
    let options = new_vms.carrier.inventory.shared(&call);
    call.task(options, move |running| async move {
        let failed = |error: store::Error| store_fault(&error);
        new_vms.expected.add(&uuid, place.clone()).await.map_err(failed)?;
        let args =
            call!(CreateVM_Task { config: spec, pool: link::names::root_pool(), host: link::names::host() });
        let folder = link::names::vm_folder();
        let made = new_vms.carrier.carry_remote(&host, &folder, &args, &By::task(&running)).await;
        // After an unknown outcome the VM may still appear, so its place stays.
        if !matches!(made, Err(LinkError::Unknown { .. })) {
            new_vms.expected.remove(&uuid).await.map_err(failed)?;
        }
        new_vms.place_result(made.map_err(LinkError::into_fault)?, &place).await
    })
    .await
}
