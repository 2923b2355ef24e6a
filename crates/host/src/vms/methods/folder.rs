//! `Folder` and `ResourcePool`: making and registering VMs.

use std::sync::Arc;

use api::{Call, Guard, TaskOptions};
use vim::{Fault, MoRef, Object, Value, arg, fault, field, managed_id, method};
use vm::plan::parse_name;
use vm::privileges::to_create;

use super::{Reply, Table};
use crate::events::{VmEvent, Who};
use crate::ids;
use crate::vms::create;
use crate::vms::registration::{self, Wanted};
use crate::vms::service::Vms;

pub(super) fn register(table: &mut Table<'_>) {
    let (folder, pool) = (managed_id!(Folder), managed_id!(ResourcePool));
    table.guarded(folder, method!(CreateVM_Task), Guard::Arguments(to_create), |vms, call| async move {
        let spec = call.required(arg!(CreateVM_Task.config))?.clone();
        let pool = call.arg(arg!(CreateVM_Task.pool)).cloned();
        create_vm(vms, call, spec, pool).await
    });
    table.guarded(pool, method!(CreateChildVM_Task), Guard::Arguments(to_create), |vms, call| async move {
        let spec = call.required(arg!(CreateChildVM_Task.config))?.clone();
        let pool = Some(call.this.clone());
        create_vm(vms, call, spec, pool).await
    });
    table.on(folder, method!(RegisterVM_Task), |vms, call| async move {
        let path = call.required(arg!(RegisterVM_Task.path))?.to_owned();
        let name = call.arg(arg!(RegisterVM_Task.name)).map(ToOwned::to_owned);
        let template = call.arg(arg!(RegisterVM_Task.asTemplate)).unwrap_or(false);
        let pool = call.arg(arg!(RegisterVM_Task.pool)).cloned();
        register_vm(vms, call, path, name, template, pool).await
    });
    table.on(pool, method!(RegisterChildVM_Task), |vms, call| async move {
        let path = call.required(arg!(RegisterChildVM_Task.path))?.to_owned();
        let name = call.arg(arg!(RegisterChildVM_Task.name)).map(ToOwned::to_owned);
        let pool = Some(call.this.clone());
        register_vm(vms, call, path, name, false, pool).await
    });
}

/// Refuses folders that VMs cannot be in, and a host or pool that is not there.
fn check_folder(call: &Call) -> Result<(), Fault> {
    call.require_references()?;
    if call.this.is_a(managed_id!(Folder)) && call.this != ids::vm_folder() {
        return Err(fault!(
            InvalidFolder { target: &call.this },
            "Virtual machines of a host are in the folder {}",
            ids::vm_folder().id()
        ));
    }
    Ok(())
}

/// The pool that a VM goes into: the root pool, unless a client names another one.
pub(super) fn pool_of(vms: &Vms, asked: Option<MoRef>) -> Result<MoRef, Fault> {
    let Some(pool) = asked else { return Ok(ids::root_pool()) };
    if pool != ids::root_pool() {
        vms.pools.find(&pool)?;
    }
    Ok(pool)
}

async fn create_vm(vms: Arc<Vms>, call: Call, spec: Arc<Object>, pool: Option<MoRef>) -> Reply {
    check_folder(&call)?;
    let pool = pool_of(&vms, pool)?;
    let name = parse_name(spec.get(field!(VirtualMachineConfigSpec.name)).unwrap_or_default(), None)?;
    let who = Who::of(&call);
    let options = on_folder(&call, &name);
    call.task(options, move |running| async move {
        let vm = create::create(&vms, spec, pool, &running.task).await?;
        let who = who.in_task(&running);
        vms.post(&vm, VmEvent::Created, &who).await;
        vms.warn_of_shared_macs(&vm, &who).await;
        Ok(Some(Value::Ref(vm.me.clone())))
    })
    .await
}

async fn register_vm(
    vms: Arc<Vms>,
    call: Call,
    path: String,
    name: Option<String>,
    template: bool,
    pool: Option<MoRef>,
) -> Reply {
    check_folder(&call)?;
    let pool = pool_of(&vms, pool)?;
    let who = Who::of(&call);
    let (options, call_of_task) = (on_folder(&call, &path), call.clone());
    call.task(options, move |running| async move {
        let may = |datastore: &MoRef, privilege: &str| call_of_task.check(datastore, privilege);
        let wanted = Wanted { path: &path, name: name.as_deref(), template, pool, task: &running.task };
        let vm = registration::register(&vms, wanted, &may).await?;
        let who = who.in_task(&running);
        vms.post(&vm, VmEvent::Registered, &who).await;
        vms.warn_of_shared_macs(&vm, &who).await;
        Ok(Some(Value::Ref(vm.me.clone())))
    })
    .await
}

/// How a task is shown that makes something with this name in the folder or pool of the call.
fn on_folder(call: &Call, name: &str) -> TaskOptions {
    TaskOptions {
        entity: Some(call.this.clone()),
        entity_name: Some(name.to_owned()),
        ..TaskOptions::default()
    }
}
