//! Creating and reconfiguring clusters.

use std::sync::Arc;

use api::{Call, Methods, Table};
use vim::{Object, arg, managed_id, method};

use super::config::changed;
use super::usage::usage;
use crate::estate::show::compute;
use crate::estate::{Compute, Holds, Inventory, Record, holding, names, stored};
use crate::reply::Reply;

pub(crate) fn register(methods: &mut Methods, inventory: &Arc<Inventory>) {
    let mut table = Table { methods, daemon: inventory };
    let folder = managed_id!(Folder);
    table.on(folder, method!(CreateCluster), |inventory, call| async move {
        let spec = call.required(arg!(CreateCluster.spec))?.clone();
        create(inventory, call, spec).await
    });
    table.on(folder, method!(CreateClusterEx), |inventory, call| async move {
        let spec = call.required(arg!(CreateClusterEx.spec))?.clone();
        create(inventory, call, spec).await
    });
    let resource = managed_id!(ComputeResource);
    table.on(resource, method!(ReconfigureComputeResource_Task), |inventory, call| async move {
        let spec = call.required(arg!(ReconfigureComputeResource_Task.spec))?.clone();
        let modify = call.required(arg!(ReconfigureComputeResource_Task.modify))?;
        reconfigure(inventory, call, spec, modify).await
    });
    let cluster = managed_id!(ClusterComputeResource);
    table.on(cluster, method!(ReconfigureCluster_Task), |inventory, call| async move {
        let spec = call.required(arg!(ReconfigureCluster_Task.spec))?.clone();
        let modify = call.required(arg!(ReconfigureCluster_Task.modify))?;
        reconfigure(inventory, call, spec, modify).await
    });
    table.on(cluster, method!(GetResourceUsage), |_, call| async move { Ok(Some(usage(&call)?.into())) });
}

async fn create(inventory: Arc<Inventory>, call: Call, spec: Arc<Object>) -> Reply {
    call.require_all_references()?;
    // Both methods have the name as their first parameter.
    let name = names::parse(call.required(arg!(CreateCluster.name))?, Some(&call.this))?;
    let config = stored::encode(&Arc::new(changed(&compute::new_cluster_config(), &spec, true)?));
    let parent = call.this.clone();
    let made = inventory.change(|plan| {
        holding(plan, &parent, Holds::Hosts, "a cluster")?;
        plan.free_name(&parent, &name, None)?;
        Ok(plan.add_compute(managed_id!(ClusterComputeResource), &parent, &name, config))
    });
    Ok(Some(made.await?.into()))
}

async fn reconfigure(inventory: Arc<Inventory>, call: Call, spec: Arc<Object>, modify: bool) -> Reply {
    call.require_all_references()?;
    let me = call.this.clone();
    let options = inventory.alone(&call);
    call.task(options, move |_running| async move {
        let change = inventory.change(|plan| {
            let known = plan.compute(&me)?.clone();
            let old = stored::decode(compute::config_type(&me), &known.config);
            let config = stored::encode(&Arc::new(changed(&old, &spec, modify)?));
            plan.put(&me, Record::Compute(Box::new(Compute { config, ..known })));
            Ok(())
        });
        change.await?;
        Ok(None)
    })
    .await
}
