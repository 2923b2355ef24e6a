//! Rules of moving an object into another folder or cluster: plans only. The methods are in `hosts`, since a host that
//! moves has to be read again.

use std::sync::Arc;

use vim::{Fault, MoRef, fault, managed_id};

use super::faults::{not_found, not_supported};
use super::plan::Plan;
use super::pods::MAX_DATASTORES;
use super::records::{Holds, Host, Pool, Record, Vm};
use super::show::compute::{is_cluster, new_standalone_config};
use super::stored;
use super::vapps::{is_vapp, refolder};

/// The compute resource of a standalone host, which moves in its place; any other object itself.
pub(crate) fn compute_of(plan: &Plan, entity: &MoRef) -> MoRef {
    match plan.find(entity) {
        Some(Record::Host(host)) if !is_cluster(&host.parent) => host.parent.clone(),
        _ => entity.clone(),
    }
}

/// Moves an object other than a host into a folder.
///
/// # Errors
/// `NotSupported` if the folder is for other contents, `InvalidFolder`, `DuplicateName`.
pub(crate) fn move_entity(plan: &mut Plan, entity: &MoRef, target: &MoRef) -> Result<(), Fault> {
    let mut record = plan.get(entity)?.clone();
    let (holds, name, in_pod) = match plan.get(target)? {
        Record::Folder(folder) => (folder.holds, folder.name.clone(), false),
        Record::Pod(pod) => (Holds::Datastores, pod.name.clone(), true),
        _ => return Err(not_found(target)),
    };
    let fits = match &record {
        Record::Folder(inner) if inner.fixed => {
            return Err(not_supported("The root folder and the folders of a datacenter cannot be moved"));
        }
        Record::Folder(inner) => inner.holds == holds && !in_pod,
        Record::Pod(_) => holds == Holds::Datastores && !in_pod,
        Record::Datacenter(_) => holds == Holds::Datacenters,
        Record::Compute(_) => holds == Holds::Hosts,
        Record::Vm(_) => holds == Holds::Vms,
        Record::Datastore(_) => holds == Holds::Datastores,
        Record::Network(_) => holds == Holds::Networks,
        Record::Pool(pool) => holds == Holds::Vms && pool.vapp.is_some(),
        Record::Host(_) | Record::Snapshot(_) => false,
    };
    if !fits {
        let message = format!("The folder '{}' cannot contain a {}", name, entity.type_name());
        return Err(not_supported(&message));
    }
    if plan.is_within(target, entity) {
        return Err(fault!(InvalidFolder { target: target }, "A folder cannot be moved into itself"));
    }
    if holds != Holds::Datacenters && plan.datacenter_of(entity) != plan.datacenter_of(target) {
        return Err(fault!(InvalidFolder { target: target }, "The folder is in another datacenter"));
    }
    plan.free_name(target, record.name(), Some(entity))?;
    if in_pod && plan.children(target).count() >= MAX_DATASTORES {
        let message = format!("A datastore cluster has at most {MAX_DATASTORES} datastores");
        return Err(fault!(
            LimitExceeded { limit: i32::try_from(MAX_DATASTORES).unwrap_or(i32::MAX) },
            "{message}"
        ));
    }
    match &mut record {
        // A VM that goes to a folder leaves its vApp, for the pool that the vApp is in.
        Record::Vm(vm) if vm.is_in_vapp() => vm.pool = pool_around(plan, &vm.pool)?,
        Record::Pool(pool) => {
            let vapp = pool.vapp.as_mut().filter(|vapp| vapp.folder.is_some());
            let Some(vapp) = vapp else {
                return Err(not_supported(
                    "A vApp inside of another one is in no folder; move it to a resource pool first",
                ));
            };
            vapp.folder = Some(target.clone());
            plan.put(entity, record);
            refolder(plan, entity);
            return Ok(());
        }
        _ => {}
    }
    record.set_parent(target);
    plan.put(entity, record);
    Ok(())
}

/// The pool that the outermost vApp around this one is in.
fn pool_around(plan: &Plan, vapp: &MoRef) -> Result<MoRef, Fault> {
    let mut at = vapp.clone();
    while is_vapp(&at) {
        at = plan.pool(&at)?.parent.clone();
    }
    Ok(at)
}

/// A host must be in maintenance mode, or disconnected, to leave its cluster.
fn movable(plan: &Plan, host: &MoRef) -> Result<Host, Fault> {
    let Record::Host(record) = plan.get(host)? else { return Err(not_found(host)) };
    if is_cluster(&record.parent) && !record.maintenance && !record.disconnected {
        return Err(fault!(
            InvalidState {},
            "Host {} must be in maintenance mode or disconnected to leave its cluster",
            record.name
        ));
    }
    Ok(Host::clone(record))
}

/// Moves a host out of its cluster, to stand alone in the folder.
///
/// # Errors
/// `InvalidState`, `NotSupported`, `InvalidFolder`, `DuplicateName`.
pub(crate) fn leave_cluster(plan: &mut Plan, host: &MoRef, folder: &MoRef) -> Result<(), Fault> {
    if plan.folder(folder)?.holds != Holds::Hosts {
        return Err(not_supported("Only host folders can contain hosts"));
    }
    let record = movable(plan, host)?;
    if plan.datacenter_of(host) != plan.datacenter_of(folder) {
        return Err(fault!(InvalidState {}, "The folder is in another datacenter than host {}", record.name));
    }
    plan.free_name(folder, &record.name, None)?;
    let config = stored::encode(&Arc::new(new_standalone_config()));
    let compute = plan.add_compute(managed_id!(ComputeResource), folder, &record.name, config);
    put_host(plan, host, record, &compute)
}

/// Moves a host into a cluster of the same datacenter.
///
/// # Errors
/// `InvalidState`, `NotSupported`, `DuplicateName`.
pub(crate) fn move_into_cluster(plan: &mut Plan, host: &MoRef, cluster: &MoRef) -> Result<(), Fault> {
    let record = movable(plan, host)?;
    if record.parent == *cluster {
        return Ok(());
    }
    if plan.datacenter_of(host) != plan.datacenter_of(cluster) {
        return Err(not_supported("A host can be moved within its datacenter only"));
    }
    plan.free_name(cluster, &record.name, None)?;
    put_host(plan, host, record, cluster)
}

/// Puts the host under another compute resource. Its VMs go to the root pool there, and the compute resource of a
/// standalone host is removed.
fn put_host(plan: &mut Plan, host: &MoRef, record: Host, compute: &MoRef) -> Result<(), Fault> {
    let pool = plan.compute(compute)?.root_pool.clone();
    let old = record.parent.clone();
    plan.put(host, Record::Host(Box::new(Host { parent: compute.clone(), ..record })));
    let vms: Vec<(MoRef, Vm)> = plan
        .on_host(host)
        .filter_map(|(at, record)| match record {
            Record::Vm(vm) => Some((at.clone(), vm.clone())),
            _ => None,
        })
        .collect();
    for (at, vm) in vms {
        plan.put_into_pool(&at, vm, &pool);
    }
    if !is_cluster(&old) {
        remove_compute(plan, &old);
    }
    Ok(())
}

/// Removes a compute resource with its pools.
pub(crate) fn remove_compute(plan: &mut Plan, compute: &MoRef) {
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
