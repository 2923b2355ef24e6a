//! Moving what is in folders and clusters.

use std::sync::Arc;

use api::Call;
use vim::{Fault, ManagedId, MoRef, Value, arg, fault, managed_id, method};

use super::{Table, kinds, not_supported};
use crate::inventory::Plan;
use crate::objects;
use crate::records::{Holds, Host, Pool, Record, Vm};
use crate::state::State;

const HOST: ManagedId = managed_id!(HostSystem);

pub(super) fn register(table: &mut Table) {
    table.guarded(managed_id!(Folder), method!(MoveIntoFolder_Task), kinds::MOVE, into_folder);
    let cluster = managed_id!(ClusterComputeResource);
    table.on(cluster, method!(MoveInto_Task), |state, call| async move {
        let hosts = state.resolve_all(call.required(arg!(MoveInto_Task.host))?)?;
        into_cluster(state, call, hosts).await
    });
    table.on(cluster, method!(MoveHostInto_Task), |state, call| async move {
        let host = state.resolve(call.required(arg!(MoveHostInto_Task.host))?)?;
        into_cluster(state, call, vec![host]).await
    });
}

async fn into_folder(state: Arc<State>, call: Call) -> Result<Option<Value>, Fault> {
    let list = state.resolve_all(call.required(arg!(MoveIntoFolder_Task.list))?)?;
    let me = call.this.clone();
    let options = state.shared(&call);
    call.task(options, move |_running| async move {
        let moved = state.inventory.change(|plan| {
            for entity in &list {
                let entity = compute_of(plan, entity);
                if entity.ty() == HOST {
                    leave_cluster(plan, &entity, &me)?;
                } else {
                    move_entity(plan, &entity, &me)?;
                }
            }
            Ok(())
        });
        moved.await?;
        state.rehome(list.iter().filter(|entity| entity.ty() == HOST)).await;
        Ok(None)
    })
    .await
}

/// A standalone host stands for its compute resource.
fn compute_of(plan: &Plan, entity: &MoRef) -> MoRef {
    match plan.find(entity) {
        Some(Record::Host(host)) if !objects::compute::is_cluster(&host.parent) => host.parent.clone(),
        _ => entity.clone(),
    }
}

fn move_entity(plan: &mut Plan, entity: &MoRef, target: &MoRef) -> Result<(), Fault> {
    let mut record = plan.get(entity)?.clone();
    let folder = plan.folder(target)?;
    let holds = folder.holds;
    let fits = match &record {
        Record::Folder(inner) if inner.fixed => {
            return Err(not_supported("The root folder and the folders of a datacenter stay where they are"));
        }
        Record::Folder(inner) => inner.holds == holds,
        Record::Datacenter(_) => holds == Holds::Datacenters,
        Record::Compute(_) => holds == Holds::Hosts,
        Record::Vm(_) => holds == Holds::Vms,
        Record::Datastore(_) => holds == Holds::Datastores,
        Record::Network(_) => holds == Holds::Networks,
        Record::Pool(_) | Record::Host(_) | Record::Snapshot(_) => false,
    };
    if !fits {
        let message = format!("A {} cannot be in the folder '{}'", entity.type_name(), folder.name);
        return Err(not_supported(&message));
    }
    if plan.is_within(target, entity) {
        return Err(fault!(InvalidFolder { target: target }, "A folder cannot be moved into itself"));
    }
    if holds != Holds::Datacenters && plan.datacenter_of(entity) != plan.datacenter_of(target) {
        return Err(fault!(InvalidFolder { target: target }, "The folder is in another datacenter"));
    }
    plan.free_name(target, record.name(), Some(entity))?;
    record.set_parent(target);
    plan.put(entity, record);
    Ok(())
}

/// A host must be in maintenance mode, or away, to change its cluster.
fn movable(plan: &Plan, host: &MoRef) -> Result<Host, Fault> {
    let Record::Host(record) = plan.get(host)? else { return Err(crate::inventory::not_found(host)) };
    if objects::compute::is_cluster(&record.parent) && !record.maintenance && !record.disconnected {
        return Err(fault!(
            InvalidState {},
            "Host {} must be in maintenance mode or disconnected to leave its cluster",
            record.name
        ));
    }
    Ok(Host::clone(record))
}

/// Takes a host out of its cluster, to stand alone in the folder.
fn leave_cluster(plan: &mut Plan, host: &MoRef, folder: &MoRef) -> Result<(), Fault> {
    let record = movable(plan, host)?;
    if plan.folder(folder)?.holds != Holds::Hosts {
        return Err(not_supported("Hosts are in host folders only"));
    }
    if plan.datacenter_of(host) != plan.datacenter_of(folder) {
        return Err(fault!(InvalidFolder { target: folder }, "The folder is in another datacenter"));
    }
    plan.free_name(folder, &record.name, None)?;
    let config = crate::stored::encode(&Arc::new(objects::compute::new_standalone_config()));
    let compute = plan.add_compute(managed_id!(ComputeResource), folder, &record.name, config);
    put_host(plan, host, record, &compute)
}

async fn into_cluster(state: Arc<State>, call: Call, hosts: Vec<MoRef>) -> Result<Option<Value>, Fault> {
    let me = call.this.clone();
    let options = state.alone(&call);
    call.task(options, move |_running| async move {
        let moved = state.inventory.change(|plan| {
            for host in &hosts {
                let record = movable(plan, host)?;
                if record.parent == me {
                    continue;
                }
                if plan.datacenter_of(host) != plan.datacenter_of(&me) {
                    return Err(not_supported("A host moves within its datacenter only"));
                }
                plan.free_name(&me, &record.name, None)?;
                put_host(plan, host, record, &me)?;
            }
            Ok(())
        });
        moved.await?;
        state.rehome(hosts.iter()).await;
        Ok(None)
    })
    .await
}

/// Puts the host under another compute resource: its VMs go to the root pool there, and a standalone host's own
/// compute resource ends.
fn put_host(plan: &mut Plan, host: &MoRef, record: Host, compute: &MoRef) -> Result<(), Fault> {
    let pool = plan.compute(compute)?.root_pool.clone();
    let old = record.parent.clone();
    plan.put(host, Record::Host(Box::new(Host { parent: compute.clone(), ..record })));
    let vms: Vec<(MoRef, Vm)> = plan
        .all()
        .filter_map(|(at, record)| match record {
            Record::Vm(vm) if vm.host == *host => Some((at.clone(), vm.clone())),
            _ => None,
        })
        .collect();
    for (at, vm) in vms {
        plan.put(&at, Record::Vm(Vm { pool: pool.clone(), ..vm }));
    }
    if !objects::compute::is_cluster(&old) {
        remove_compute(plan, &old);
    }
    Ok(())
}

/// Removes a compute resource with its pools.
pub(super) fn remove_compute(plan: &mut Plan, compute: &MoRef) {
    let pools: Vec<MoRef> = plan
        .all()
        .filter(|(_, record)| matches!(record, Record::Pool(Pool { owner, .. }) if owner == compute))
        .map(|(at, _)| at.clone())
        .collect();
    for pool in pools {
        plan.remove(&pool);
    }
    plan.remove(compute);
}

impl State {
    /// Has the references of moved hosts lead to their new places, and shows what they say anew.
    async fn rehome<'a>(self: &Arc<Self>, hosts: impl Iterator<Item = &'a MoRef>) {
        for me in hosts {
            let (Some(host), Ok((_, fixed))) = (self.hosts.find(me), self.fixed(me)) else { continue };
            host.refs_mut().rehome(fixed);
            if host.is_connected()
                && let Err(fault) = self.bring_in(&host).await
            {
                tracing::warn!(host = host.name, %fault, "the moved host could not be read anew yet");
            }
        }
    }
}
