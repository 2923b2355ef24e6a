//! `Folder`: making and registering machines.

use std::sync::Arc;

use api::{Call, Guard, TaskOptions};
use vim::{Fault, MoRef, Value, arg, fault, field, managed_id, method};
use vm::privileges::to_create;

use super::Table;
use crate::events::{self, Who};
use crate::{Host, ids};

pub(super) fn register(table: &mut Table<'_>) {
    let (folder, pool) = (managed_id!(Folder), managed_id!(ResourcePool));
    table.guarded(folder, method!(CreateVM_Task), Guard::Arguments(to_create), |host, call| async move {
        let spec = call.required(arg!(CreateVM_Task.config))?.clone();
        let pool = call.arg(arg!(CreateVM_Task.pool)).cloned();
        create(host, call, spec, pool).await
    });
    table.guarded(pool, method!(CreateChildVM_Task), Guard::Arguments(to_create), |host, call| async move {
        let spec = call.required(arg!(CreateChildVM_Task.config))?.clone();
        let pool = Some(call.this.clone());
        create(host, call, spec, pool).await
    });
    table.on(folder, method!(RegisterVM_Task), |host, call| async move {
        let path = call.required(arg!(RegisterVM_Task.path))?.to_owned();
        let name = call.arg(arg!(RegisterVM_Task.name)).map(ToOwned::to_owned);
        let template = call.arg(arg!(RegisterVM_Task.asTemplate)).unwrap_or(false);
        let pool = call.arg(arg!(RegisterVM_Task.pool)).cloned();
        register_vm(host, call, path, name, template, pool).await
    });
    table.on(pool, method!(RegisterChildVM_Task), |host, call| async move {
        let path = call.required(arg!(RegisterChildVM_Task.path))?.to_owned();
        let name = call.arg(arg!(RegisterChildVM_Task.name)).map(ToOwned::to_owned);
        let pool = Some(call.this.clone());
        register_vm(host, call, path, name, false, pool).await
    });
}

/// Refuses folders that machines cannot be in.
fn check_folder(call: &Call) -> Result<(), Fault> {
    if call.this.is_a(managed_id!(Folder)) && call.this != ids::vm_folder() {
        return Err(fault!(
            InvalidFolder { target: &call.this },
            "Virtual machines of a host are in the folder {}",
            ids::vm_folder().id()
        ));
    }
    Ok(())
}

/// The pool that a machine goes into.
fn pool_of(call: &Call, pool: Option<MoRef>) -> Result<MoRef, Fault> {
    let pool = pool.unwrap_or_else(ids::root_pool);
    match call.state().find(&pool) {
        Some(node) => Ok(node.me().clone()),
        None => Err(fault!(ManagedObjectNotFound { obj: &pool }, "There is no {pool}")),
    }
}

async fn create(
    host: Arc<Host>,
    call: Call,
    spec: Arc<vim::Object>,
    pool: Option<MoRef>,
) -> Result<Option<Value>, Fault> {
    check_folder(&call)?;
    let pool = pool_of(&call, pool)?;
    let name = spec.get(field!(VirtualMachineConfigSpec.name)).unwrap_or_default();
    vm::plan::check_name(name)?;
    let who = Who::of(&call);
    let options = TaskOptions {
        entity: Some(call.this.clone()),
        entity_name: Some(name.to_owned()),
        ..TaskOptions::default()
    };
    call.task(options, move |running| async move {
        let vm = host.create_vm(spec, pool, &running.task).await?;
        host.post(&vm, events::Vm::Created, &who.in_task(&running)).await;
        Ok(Some(Value::Ref(vm.me.clone())))
    })
    .await
}

async fn register_vm(
    host: Arc<Host>,
    call: Call,
    path: String,
    name: Option<String>,
    template: bool,
    pool: Option<MoRef>,
) -> Result<Option<Value>, Fault> {
    check_folder(&call)?;
    let pool = pool_of(&call, pool)?;
    let who = Who::of(&call);
    let options = TaskOptions {
        entity: Some(call.this.clone()),
        entity_name: Some(path.clone()),
        ..TaskOptions::default()
    };
    let call_of_task = call.clone();
    call.task(options, move |running| async move {
        let may = |datastore: &MoRef, privilege: &str| call_of_task.check(datastore, privilege);
        let vm = host.register_vm(&path, name.as_deref(), template, pool, &running.task, &may).await?;
        host.post(&vm, events::Vm::Registered, &who.in_task(&running)).await;
        Ok(Some(Value::Ref(vm.me.clone())))
    })
    .await
}
