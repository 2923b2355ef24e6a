//! New folders, datacenters, clusters, and hosts that stand alone.

use std::sync::Arc;

use api::Call;
use vim::{Fault, Value, arg, managed_id, method};

use super::{Table, cluster, not_supported};
use crate::hosts::{Place, Wanted};
use crate::inventory::Plan;
use crate::names;
use crate::records::{Folder, Holds, Record};
use crate::state::State;

pub(super) fn register(table: &mut Table) {
    let folder = managed_id!(Folder);
    table.on(folder, method!(CreateFolder), create_folder);
    table.on(folder, method!(CreateDatacenter), create_datacenter);
    table.on(folder, method!(CreateCluster), |state, call| async move {
        let spec = call.required(arg!(CreateCluster.spec))?.clone();
        create_cluster(state, call, spec).await
    });
    table.on(folder, method!(CreateClusterEx), |state, call| async move {
        let spec = call.required(arg!(CreateClusterEx.spec))?.clone();
        create_cluster(state, call, spec).await
    });
    table.on(folder, method!(AddStandaloneHost_Task), add_standalone_host);
}

async fn create_folder(state: Arc<State>, call: Call) -> Result<Option<Value>, Fault> {
    let name = names::parse(call.required(arg!(CreateFolder.name))?, Some(&call.this))?;
    let parent = call.this.clone();
    let made = state.inventory.change(|plan| {
        let holds = plan.folder(&parent)?.holds;
        plan.free_name(&parent, &name, None)?;
        let me = plan.ids.folder(holds);
        plan.put(&me, Record::Folder(Folder { name, parent: Some(parent), holds, fixed: false }));
        Ok(me)
    });
    Ok(Some(made.await?.into()))
}

async fn create_datacenter(state: Arc<State>, call: Call) -> Result<Option<Value>, Fault> {
    let name = names::parse(call.required(arg!(CreateDatacenter.name))?, Some(&call.this))?;
    let parent = call.this.clone();
    let made = state.inventory.change(|plan| {
        holding(plan, &parent, Holds::Datacenters, "a datacenter")?;
        plan.free_name(&parent, &name, None)?;
        Ok(plan.add_datacenter(&parent, &name))
    });
    Ok(Some(made.await?.into()))
}

/// # Errors
/// `NotSupported` if the folder holds other things.
fn holding(plan: &Plan, folder: &vim::MoRef, holds: Holds, what: &str) -> Result<(), Fault> {
    let found = plan.folder(folder)?;
    if found.holds == holds {
        return Ok(());
    }
    Err(not_supported(&format!("The folder '{}' cannot hold {what}", found.name)))
}

async fn create_cluster(
    state: Arc<State>,
    call: Call,
    spec: Arc<vim::Object>,
) -> Result<Option<Value>, Fault> {
    let name = names::parse(call.required(arg!(CreateCluster.name))?, Some(&call.this))?;
    let config = cluster::changed(&crate::objects::compute::new_cluster_config(), &spec, true)?;
    let config = crate::stored::encode(&Arc::new(config));
    let parent = call.this.clone();
    let made = state.inventory.change(|plan| {
        holding(plan, &parent, Holds::Hosts, "a cluster")?;
        plan.free_name(&parent, &name, None)?;
        Ok(plan.add_compute(managed_id!(ClusterComputeResource), &parent, &name, config))
    });
    Ok(Some(made.await?.into()))
}

async fn add_standalone_host(state: Arc<State>, call: Call) -> Result<Option<Value>, Fault> {
    let wanted = Wanted::read(call.required(arg!(AddStandaloneHost_Task.spec))?)?;
    let connect = call.required(arg!(AddStandaloneHost_Task.addConnected))?;
    let config = match call.arg(arg!(AddStandaloneHost_Task.compResSpec)) {
        None => None,
        Some(spec) => {
            let new = crate::objects::compute::new_standalone_config();
            Some(Arc::new(cluster::changed(&new, spec, true)?))
        }
    };
    let folder = call.this.clone();
    let holds = match state.inventory.record(&folder) {
        Some(Record::Folder(folder)) => folder.holds,
        _ => return Err(crate::inventory::not_found(&folder)),
    };
    if holds != Holds::Hosts {
        return Err(not_supported("Hosts are added to host folders only"));
    }
    let options = state.shared(&call);
    call.task(options, move |_running| async move {
        let host = state.add_host(Place::Standalone { folder }, wanted, config, connect).await?;
        let Some(Record::Host(record)) = state.inventory.record(&host) else {
            return Err(crate::inventory::not_found(&host));
        };
        Ok(Some(record.parent.into()))
    })
    .await
}
