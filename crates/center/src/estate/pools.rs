//! Resource pools: a tree below each compute resource.

use std::sync::Arc;

use api::{Call, Guard, Methods, Table};
use vim::{Fault, MoRef, Object, arg, fault, field, managed_id, method};

use super::faults::not_supported;
use super::inventory::Inventory;
use super::kinds::MOVE;
use super::names;
use super::plan::Plan;
use super::records::{Allocation, Pool, Record, Vm};
use super::show;
use super::vapps;
use crate::reply::Reply;

const EDIT: Guard = Guard::Privilege("Resource.EditPool");

pub(super) fn register(methods: &mut Methods, inventory: &Arc<Inventory>) {
    let mut table = Table { methods, daemon: inventory };
    show::pool::compute(table.methods);
    let pool = managed_id!(ResourcePool);
    table.on(pool, method!(CreateResourcePool), create);
    table.guarded(pool, method!(UpdateConfig), EDIT, update_config);
    table.guarded(pool, method!(UpdateChildResourceConfiguration), EDIT, update_children);
    table.guarded(pool, method!(MoveIntoResourcePool), MOVE, move_into);
    table.guarded(pool, method!(DestroyChildren), Guard::Privilege("Resource.DeletePool"), destroy_children);
    table.on(pool, method!(RefreshRuntime), |_, _| async { Ok(None) });
}

/// Applies an allocation that a client gave.
pub(super) fn allocate(known: &mut Allocation, given: Option<&Arc<Object>>) -> Result<(), Fault> {
    let Some(given) = given else { return Ok(()) };
    show::pool::apply(known, given);
    let bad =
        known.reservation < 0 || known.limit < -1 || (known.limit >= 0 && known.limit < known.reservation);
    if bad {
        return Err(fault!(
            InvalidArgument { invalidProperty: "spec" },
            "A reservation must not be negative, nor a limit below it (-1 for no limit)"
        ));
    }
    Ok(())
}

fn configure(pool: &mut Pool, spec: &Object) -> Result<(), Fault> {
    if let Some(version) = spec.get(field!(ResourceConfigSpec.changeVersion))
        && !version.is_empty()
        && version != pool.version.to_string()
    {
        return Err(fault!(
            ConcurrentAccess {},
            "The resource pool '{}' has changed meanwhile; read it again",
            pool.name
        ));
    }
    allocate(&mut pool.cpu, spec.get(field!(ResourceConfigSpec.cpuAllocation)))?;
    allocate(&mut pool.memory, spec.get(field!(ResourceConfigSpec.memoryAllocation)))?;
    pool.version += 1;
    Ok(())
}

async fn create(inventory: Arc<Inventory>, call: Call) -> Reply {
    let name = names::parse(call.required(arg!(CreateResourcePool.name))?, Some(&call.this))?;
    let spec = call.required(arg!(CreateResourcePool.spec))?.clone();
    let parent = call.this.clone();
    let made = inventory.change(|plan| {
        let owner = plan.pool(&parent)?.owner.clone();
        plan.free_name(&parent, &name, None)?;
        let mut pool = Pool {
            name,
            parent,
            owner,
            cpu: Allocation::default(),
            memory: Allocation::default(),
            version: 0,
            vapp: None,
        };
        allocate(&mut pool.cpu, spec.get(field!(ResourceConfigSpec.cpuAllocation)))?;
        allocate(&mut pool.memory, spec.get(field!(ResourceConfigSpec.memoryAllocation)))?;
        let me = plan.ids.reference(managed_id!(ResourcePool));
        plan.put(&me, Record::Pool(pool));
        Ok(me)
    });
    Ok(Some(made.await?.into()))
}

async fn update_config(inventory: Arc<Inventory>, call: Call) -> Reply {
    let me = call.this.clone();
    let name = call.arg(arg!(UpdateConfig.name)).filter(|name| !name.is_empty());
    let name = name.map(|name| names::parse(name, Some(&me))).transpose()?;
    let spec = call.arg(arg!(UpdateConfig.config)).cloned();
    let change = inventory.change(|plan| {
        let mut pool = plan.pool(&me)?.clone();
        if let Some(name) = name.filter(|name| *name != pool.name) {
            refuse_root(&pool, "renamed")?;
            plan.free_name(&pool.parent, &name, Some(&me))?;
            pool.name = name;
        }
        if let Some(spec) = spec {
            configure(&mut pool, &spec)?;
        }
        plan.put(&me, Record::Pool(pool));
        Ok(())
    });
    change.await.map(|()| None)
}

pub(super) fn refuse_root(pool: &Pool, what: &str) -> Result<(), Fault> {
    if pool.parent == pool.owner {
        return Err(not_supported(&format!("The root resource pool cannot be {what}")));
    }
    Ok(())
}

async fn update_children(inventory: Arc<Inventory>, call: Call) -> Reply {
    let specs: Vec<Arc<Object>> =
        call.required(arg!(UpdateChildResourceConfiguration.spec))?.into_iter().cloned().collect();
    let me = call.this.clone();
    let entities = specs.iter().map(|spec| match spec.get(field!(ResourceConfigSpec.entity)) {
        Some(entity) => inventory.resolve(entity),
        None => Err(fault!(InvalidArgument { invalidProperty: "spec.entity" }, "spec.entity is missing")),
    });
    let entities = entities.collect::<Result<Vec<_>, _>>()?;
    let change = inventory.change(|plan| {
        for (entity, spec) in entities.iter().zip(&specs) {
            match plan.get(entity)? {
                Record::Pool(pool) if pool.parent == me => {
                    let mut pool = pool.clone();
                    configure(&mut pool, spec)?;
                    plan.put(entity, Record::Pool(pool));
                }
                // The host keeps a VM's shares; ReconfigVM_Task carries them there.
                Record::Vm(vm) if vm.pool == me => {
                    return Err(not_supported("Change the resources of a VM by ReconfigVM_Task"));
                }
                _ => {
                    return Err(fault!(
                        InvalidArgument { invalidProperty: "spec.entity" },
                        "{entity} is not in the resource pool"
                    ));
                }
            }
        }
        Ok(())
    });
    change.await.map(|()| None)
}

async fn move_into(inventory: Arc<Inventory>, call: Call) -> Reply {
    let list = call.required(arg!(MoveIntoResourcePool.list))?;
    let list = inventory.resolve_all(list)?;
    let me = call.this.clone();
    let change = inventory.change(|plan| {
        let owner = plan.pool(&me)?.owner.clone();
        for entity in &list {
            match plan.get(entity)?.clone() {
                Record::Pool(pool) => {
                    refuse_root(&pool, "moved")?;
                    if pool.owner != owner || plan.is_within(&me, entity) {
                        return Err(fault!(
                            InvalidArgument { invalidProperty: "list" },
                            "A pool can be moved within its host or cluster only, and not into itself"
                        ));
                    }
                    plan.free_name(&me, &pool.name, Some(entity))?;
                    move_pool(plan, entity, pool, &me)?;
                }
                Record::Vm(vm) => {
                    if plan.pool(&vm.pool)?.owner != owner {
                        return Err(not_supported("Migrate the VM to move it to another host or cluster"));
                    }
                    if vm.template {
                        return Err(not_supported("A template is in no resource pool"));
                    }
                    move_vm(plan, entity, vm, &me)?;
                }
                _ => {
                    return Err(fault!(
                        InvalidArgument { invalidProperty: "list" },
                        "{entity} is neither a VM nor a resource pool"
                    ));
                }
            }
        }
        Ok(())
    });
    change.await.map(|()| None)
}

/// Puts a pool into another one. A vApp that enters a vApp leaves its folder, and one that leaves a vApp goes to the vApp's.
fn move_pool(plan: &mut Plan, me: &MoRef, mut pool: Pool, into: &MoRef) -> Result<(), Fault> {
    let above = vapps::folder_of(plan, &pool.parent);
    match &mut pool.vapp {
        None if vapps::is_vapp(into) => {
            return Err(not_supported("A vApp contains VMs and vApps only, not resource pools"));
        }
        Some(_) if vapps::is_vapp(into) => {
            vapps::check_depth(plan, into, vapps::levels(plan, me))?;
            if let Some(vapp) = &mut pool.vapp {
                vapp.folder = None;
            }
        }
        Some(vapp) if vapp.folder.is_none() => {
            if let Some(folder) = &above {
                plan.free_name(folder, &pool.name, Some(me))?;
            }
            vapp.folder = above;
        }
        _ => {}
    }
    plan.put(me, Record::Pool(Pool { parent: into.clone(), ..pool }));
    if vapps::is_vapp(me) {
        vapps::refolder(plan, me);
    }
    Ok(())
}

/// Puts a VM into a pool; in a vApp, and in the folder that it goes to from a vApp, its name must be free.
fn move_vm(plan: &mut Plan, me: &MoRef, vm: Vm, into: &MoRef) -> Result<(), Fault> {
    if vapps::is_vapp(into) {
        plan.free_name(into, &vm.name, Some(me))?;
    } else if vm.is_in_vapp()
        && let Some(folder) = vapps::folder_of(plan, &vm.pool)
    {
        plan.free_name(&folder, &vm.name, Some(me))?;
    }
    plan.put_into_pool(me, vm, into);
    Ok(())
}

async fn destroy_children(inventory: Arc<Inventory>, call: Call) -> Reply {
    let me = call.this.clone();
    let change = inventory.change(|plan| {
        plan.pool(&me)?;
        let below: Vec<MoRef> = plan.children(&me).map(|(at, _)| at.clone()).collect();
        for pool in below {
            dissolve(plan, &pool, &me);
        }
        Ok(())
    });
    change.await.map(|()| None)
}

/// Removes a pool with all pools below it; their VMs go to `heir`.
fn dissolve(plan: &mut Plan, pool: &MoRef, heir: &MoRef) {
    let mut gone = vec![pool.clone()];
    let mut at = 0;
    while at < gone.len() {
        let below: Vec<MoRef> = plan
            .children(&gone[at])
            .filter(|(_, record)| matches!(record, Record::Pool(_)))
            .map(|(child, _)| child.clone())
            .collect();
        gone.extend(below);
        at += 1;
    }
    let moved: Vec<(MoRef, Vm)> = plan
        .all()
        .filter_map(|(at, record)| match record {
            Record::Vm(vm) if gone.contains(&vm.pool) => Some((at.clone(), vm.clone())),
            _ => None,
        })
        .collect();
    for (at, vm) in moved {
        plan.put_into_pool(&at, vm, heir);
    }
    for pool in &gone {
        plan.remove(pool);
    }
}
