//! Resource pools: a tree below each compute resource.

use std::sync::Arc;

use api::{Call, Methods, Snapshot, Table};
use pools::Member;
use pools::privileges::{DELETE, EDIT, MOVE_INTO};
use vim::{Fault, MoRef, Object, arg, fault, field, managed_id, method};

use super::faults::not_supported;
use super::inventory::Inventory;
use super::names;
use super::plan::Plan;
use super::records::{Pool, Record, Vm};
use super::vapps;
use crate::reply::Reply;

pub(super) fn register(methods: &mut Methods, inventory: &Arc<Inventory>) {
    let mut table = Table { methods, daemon: inventory };
    pools::show::compute(table.methods);
    let pool = managed_id!(ResourcePool);
    table.on(pool, method!(CreateResourcePool), create);
    table.guarded(pool, method!(UpdateConfig), EDIT, update_config);
    table.guarded(pool, method!(UpdateChildResourceConfiguration), EDIT, update_children);
    table.guarded(pool, method!(MoveIntoResourcePool), MOVE_INTO, move_into);
    table.guarded(pool, method!(DestroyChildren), DELETE, destroy_children);
    table.on(pool, method!(RefreshRuntime), |_, _| async { Ok(None) });
}

fn configure(pool: &mut Pool, spec: &Object) -> Result<(), Fault> {
    let allocations = [&mut pool.cpu, &mut pool.memory];
    pools::configure(&pool.name, &mut pool.version, allocations, spec)
}

/// The pools of a compute resource before a change.
pub(super) struct Before(Vec<(MoRef, Pool)>);

impl Before {
    pub(super) fn of(plan: &Plan, owner: &MoRef) -> Self {
        let own = |(at, record): (&MoRef, &Record)| match record {
            Record::Pool(pool) if pool.owner == *owner => Some((at.clone(), pool.clone())),
            _ => None,
        };
        Self(plan.all().filter_map(own).collect())
    }

    fn members(&self) -> Vec<Member<'_, &MoRef>> {
        let members = self.0.iter().map(|(me, pool)| Member {
            me,
            parent: (pool.parent != pool.owner).then_some(&pool.parent),
            cpu: &pool.cpu,
            memory: &pool.memory,
        });
        members.collect()
    }

    /// Admits what the plan has made of the pools: they may reserve what the connected hosts of their compute resource have in this
    /// state. Hosts come and go; what is reserved already stays.
    ///
    /// # Errors
    /// `InsufficientResourcesFault` by its kinds, and for too many pools.
    pub(super) fn admit(&self, plan: &Plan, owner: &MoRef, state: &Snapshot) -> Result<(), Fault> {
        let after = Self::of(plan, owner);
        let (before, after) = (self.members(), after.members());
        pools::admission::bound(&before, &after)?;
        pools::admit(&before, &after, pools::show::capacity(owner, state))
    }
}

async fn create(inventory: Arc<Inventory>, call: Call) -> Reply {
    let name = names::parse(call.required(arg!(CreateResourcePool.name))?, Some(&call.this))?;
    let spec = call.required(arg!(CreateResourcePool.spec))?.clone();
    let parent = call.this.clone();
    let state = call.state();
    let made = inventory.change(|plan| {
        let owner = plan.pool(&parent)?.owner.clone();
        let before = Before::of(plan, &owner);
        plan.free_name(&parent, &name, None)?;
        let [cpu, memory] = pools::fresh(&spec)?;
        let pool = Pool { name, parent, owner: owner.clone(), cpu, memory, version: 0, vapp: None };
        let me = plan.ids.reference(managed_id!(ResourcePool));
        plan.put(&me, Record::Pool(pool));
        before.admit(plan, &owner, &state)?;
        Ok(me)
    });
    Ok(Some(made.await?.into()))
}

async fn update_config(inventory: Arc<Inventory>, call: Call) -> Reply {
    let me = call.this.clone();
    let name = call.arg(arg!(UpdateConfig.name)).filter(|name| !name.is_empty());
    let name = name.map(|name| names::parse(name, Some(&me))).transpose()?;
    let spec = call.arg(arg!(UpdateConfig.config)).cloned();
    let state = call.state();
    let change = inventory.change(|plan| {
        let mut pool = plan.pool(&me)?.clone();
        let (owner, before) = (pool.owner.clone(), Before::of(plan, &pool.owner));
        if let Some(name) = name.filter(|name| *name != pool.name) {
            refuse_root(&pool, "renamed")?;
            plan.free_name(&pool.parent, &name, Some(&me))?;
            pool.name = name;
        }
        if let Some(spec) = spec {
            configure(&mut pool, &spec)?;
        }
        plan.put(&me, Record::Pool(pool));
        before.admit(plan, &owner, &state)
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
    let state = call.state();
    let change = inventory.change(|plan| {
        let owner = plan.pool(&me)?.owner.clone();
        let before = Before::of(plan, &owner);
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
        before.admit(plan, &owner, &state)
    });
    change.await.map(|()| None)
}

async fn move_into(inventory: Arc<Inventory>, call: Call) -> Reply {
    let list = call.required(arg!(MoveIntoResourcePool.list))?;
    let list = inventory.resolve_all(list)?;
    let me = call.this.clone();
    let state = call.state();
    let change = inventory.change(|plan| {
        let owner = plan.pool(&me)?.owner.clone();
        let before = Before::of(plan, &owner);
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
        before.admit(plan, &owner, &state)
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
