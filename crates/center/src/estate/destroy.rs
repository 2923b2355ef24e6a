//! Removing datacenters, clusters and pools. A container must not contain hosts, VMs, datastores or networks. `carry`
//! removes folders, since a folder of VMs is removed with its VMs.

use std::sync::Arc;

use api::{Call, Methods, Table};
use vim::{Fault, MoRef, fault, managed_id, method};

use super::faults::{not_found, not_supported};
use super::inventory::Inventory;
use super::plan::Plan;
use super::pools;
use super::records::{Pool, Record};
use crate::reply::Reply;

pub(super) fn register(methods: &mut Methods, inventory: &Arc<Inventory>) {
    let mut table = Table { methods, daemon: inventory };
    let destroy = method!(Destroy_Task);
    table.on(managed_id!(Datacenter), destroy, destroy_container);
    table.on(managed_id!(ClusterComputeResource), destroy, destroy_container);
    table.on(managed_id!(ResourcePool), destroy, destroy_pool);
    table.on(managed_id!(Network), destroy, |_, _| async {
        Err(not_supported("A network is removed with the last host and VM that use it"))
    });
}

async fn destroy_container(inventory: Arc<Inventory>, call: Call) -> Reply {
    let me = call.this.clone();
    let options = inventory.alone(&call);
    call.task(options, move |_| async move {
        inventory.change(|plan| remove_container(plan, &me)).await.map(|()| None)
    })
    .await
}

async fn destroy_pool(inventory: Arc<Inventory>, call: Call) -> Reply {
    let me = call.this.clone();
    match inventory.record(&me) {
        Some(Record::Pool(pool)) => pools::refuse_root(&pool, "removed")?,
        _ => return Err(not_found(&me)),
    }
    let options = inventory.alone(&call);
    call.task(options, move |_| async move {
        inventory.change(|plan| remove_pool(plan, &me)).await.map(|()| None)
    })
    .await
}

pub(super) fn in_use(me: &MoRef, name: &str, why: &str) -> Fault {
    fault!(ResourceInUse { type: me.type_name(), name: name }, "'{name}' is in use: {why}")
}

/// Removes a folder, datacenter or cluster with the containers in it.
///
/// # Errors
/// `ResourceInUse` if anything else is in it.
pub(crate) fn remove_container(plan: &mut Plan, me: &MoRef) -> Result<(), Fault> {
    let name = plan.get(me)?.name().to_owned();
    let mut below = vec![me.clone()];
    let mut at = 0;
    while at < below.len() {
        let here = below[at].clone();
        for (child, record) in plan.children(&here) {
            match record {
                // A folder lists a vApp, a pool contains it.
                Record::Pool(pool) if pool.vapp.is_some() && record.second_parent() == Some(&here) => {
                    return Err(in_use(me, &name, &format!("it contains the vApp '{}'", pool.name)));
                }
                Record::Folder(_)
                | Record::Pod(_)
                | Record::Datacenter(_)
                | Record::Compute(_)
                | Record::Pool(_) => {
                    below.push(child.clone());
                }
                other => {
                    let why = format!("it contains the {} '{}'", child.type_name(), other.name());
                    return Err(in_use(me, &name, &why));
                }
            }
        }
        at += 1;
    }
    for gone in below.iter().rev() {
        plan.remove(gone);
    }
    Ok(())
}

/// Removes a pool; its VMs and pools go to its parent.
fn remove_pool(plan: &mut Plan, me: &MoRef) -> Result<(), Fault> {
    let heir = plan.pool(me)?.parent.clone();
    let moved: Vec<(MoRef, Record)> = plan
        .all()
        .filter_map(|(at, record)| match record {
            Record::Vm(vm) if vm.pool == *me => Some((at.clone(), Record::Vm(vm.clone()))),
            Record::Pool(pool) if pool.parent == *me => {
                Some((at.clone(), Record::Pool(Pool { parent: heir.clone(), ..pool.clone() })))
            }
            _ => None,
        })
        .collect();
    for (at, record) in moved {
        if let Record::Vm(vm) = record {
            plan.put_into_pool(&at, vm, &heir);
            continue;
        }
        plan.free_name(&heir, record.name(), Some(me))?;
        plan.put(&at, record);
    }
    plan.remove(me);
    Ok(())
}
