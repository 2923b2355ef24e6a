//! `ResourcePool`: pools of this host, and the VMs in them.

use std::sync::Arc;

use api::{Call, TaskOptions};
use pools::privileges::{DELETE, EDIT, MOVE_INTO, RENAME};
use vim::{Fault, ManagedId, MoRef, Object, Value, arg, fault, field, managed_id, method};
use vm::faults::not_supported;
use vm::plan::parse_name;

use super::{Reply, Table};
use crate::ids;
use crate::vms::pools::{Plan, Pool};
use crate::vms::service::Vms;

const POOL: ManagedId = managed_id!(ResourcePool);

pub(super) fn register(table: &mut Table<'_>) {
    pools::show::compute(table.methods);
    table.on(POOL, method!(CreateResourcePool), create);
    table.guarded(POOL, method!(UpdateConfig), EDIT, update_config);
    table.guarded(POOL, method!(UpdateChildResourceConfiguration), EDIT, update_children);
    table.guarded(POOL, method!(MoveIntoResourcePool), MOVE_INTO, move_into);
    table.guarded(POOL, method!(DestroyChildren), DELETE, |vms, call| async move {
        let me = call.this.clone();
        vms.pools
            .change(|plan| {
                plan.dissolve_below(&me);
                Ok(())
            })
            .await
            .map(|()| None)
    });
    table.guarded(POOL, method!(Rename_Task), RENAME, |vms, call| async move {
        let name = parse_name(call.required(arg!(Rename_Task.newName))?, Some(&call.this))?;
        task(vms, call, move |plan, me| rename(plan, me, &name)).await
    });
    table.guarded(POOL, method!(Destroy_Task), DELETE, |vms, call| async move {
        task(vms, call, |plan, me| plan.remove(me)).await
    });
    table.on(POOL, method!(RefreshRuntime), |_, _| async { Ok(None) });
}

/// Changes a pool other than the root pool as a task.
async fn task(
    vms: Arc<Vms>,
    call: Call,
    change: impl FnOnce(&mut Plan, &MoRef) -> Result<(), Fault> + Send + 'static,
) -> Reply {
    let me = call.this.clone();
    if me == ids::root_pool() {
        return Err(not_supported(
            "The root resource pool stands for the host and can be neither renamed nor removed",
        ));
    }
    let options = TaskOptions::exclusive(&me, vms.pools.find(&me)?.name);
    call.task(
        options,
        move |_| async move { vms.pools.change(|plan| change(plan, &me)).await.map(|()| None) },
    )
    .await
}

fn rename(plan: &mut Plan, me: &MoRef, name: &str) -> Result<(), Fault> {
    let parent = plan.pool(me)?.parent.clone();
    plan.free_name(&parent, name, Some(me))?;
    plan.pool(me)?.name = name.to_owned();
    Ok(())
}

fn configure(pool: &mut Pool, spec: &Object) -> Result<(), Fault> {
    let allocations = [&mut pool.cpu, &mut pool.memory];
    pools::configure(&pool.name, &mut pool.version, allocations, spec)
}

async fn create(vms: Arc<Vms>, call: Call) -> Reply {
    let name = parse_name(call.required(arg!(CreateResourcePool.name))?, Some(&call.this))?;
    let [cpu, memory] = pools::fresh(call.required(arg!(CreateResourcePool.spec))?)?;
    let parent = call.this.clone();
    let me = vms.pools.new_reference().await?;
    let change = vms.pools.change(|plan| {
        if parent != ids::root_pool() {
            plan.pool(&parent)?;
        }
        plan.free_name(parent.id(), &name, None)?;
        let pool = Pool { name, parent: parent.id().to_owned(), cpu, memory, version: 0 };
        plan.pools.insert(me.id().to_owned(), pool);
        Ok(())
    });
    change.await?;
    Ok(Some(Value::Ref(me)))
}

async fn update_config(vms: Arc<Vms>, call: Call) -> Reply {
    let me = call.this.clone();
    let name = call.arg(arg!(UpdateConfig.name)).filter(|name| !name.is_empty());
    let name = name.map(|name| parse_name(name, Some(&me))).transpose()?;
    let spec = call.arg(arg!(UpdateConfig.config)).cloned();
    let change = vms.pools.change(|plan| {
        if let Some(name) = name {
            rename(plan, &me, &name)?;
        }
        match spec {
            Some(spec) => configure(plan.pool(&me)?, &spec),
            None => Ok(()),
        }
    });
    change.await.map(|()| None)
}

async fn update_children(vms: Arc<Vms>, call: Call) -> Reply {
    let specs = call.required(arg!(UpdateChildResourceConfiguration.spec))?;
    let specs: Vec<Arc<Object>> = specs.into_iter().cloned().collect();
    let me = call.this.clone();
    let invalid = |message: String| fault!(InvalidArgument { invalidProperty: "spec.entity" }, "{message}");
    let change = vms.pools.change(|plan| {
        for spec in &specs {
            let entity = spec.get(field!(ResourceConfigSpec.entity));
            let entity = entity.ok_or_else(|| invalid("spec.entity is missing".into()))?;
            match plan.pools.get_mut(entity.id()).filter(|_| entity.is_a(POOL)) {
                Some(pool) if pool.parent == me.id() => configure(pool, spec)?,
                _ if plan.vms.iter().any(|(vm, pool)| vm.me == *entity && *pool == me) => {
                    return Err(not_supported("Change the resources of a VM by ReconfigVM_Task"));
                }
                _ => return Err(invalid(format!("{entity} is not in the resource pool"))),
            }
        }
        Ok(())
    });
    change.await.map(|()| None)
}

async fn move_into(vms: Arc<Vms>, call: Call) -> Reply {
    call.require_references()?;
    let list = call.required(arg!(MoveIntoResourcePool.list))?;
    let list: Vec<MoRef> = list.into_iter().cloned().collect();
    let me = call.this.clone();
    let change = vms.pools.change(|plan| list.iter().try_for_each(|entity| move_one(plan, entity, &me)));
    change.await.map(|()| None)
}

/// Moves a VM or a pool into the pool `into`.
fn move_one(plan: &mut Plan, entity: &MoRef, into: &MoRef) -> Result<(), Fault> {
    let invalid = |message: &str| fault!(InvalidArgument { invalidProperty: "list" }, "{message}");
    if entity.is_a(POOL) {
        let name = plan.pool(entity)?.name.clone();
        if plan.is_within(into, entity) {
            return Err(invalid("A pool cannot be moved into itself or into a pool below it"));
        }
        plan.free_name(into.id(), &name, Some(entity))?;
        into.id().clone_into(&mut plan.pool(entity)?.parent);
        return Ok(());
    }
    let Some((vm, pool)) = plan.vms.iter_mut().find(|(vm, _)| vm.me == *entity) else {
        return Err(invalid(&format!("{entity} is neither a VM nor a resource pool of this host")));
    };
    if vm.config().template {
        return Err(invalid(&format!("{} is a template, which is in no resource pool", vm.name())));
    }
    *pool = into.clone();
    Ok(())
}
