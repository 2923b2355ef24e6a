//! VMs made, registered, removed: by the methods of the vSphere API, with their privileges.

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use vapi::{Error, Record, Value};
use vim::{MoRef, Object, call, field, managed_id, prop, vim};

use super::edit::{of_new_vm, placed};
use super::{guest_os, hardware, me, settings};
use crate::inventory::{self, invalid, made, name, spec_at, state};
use crate::operation::{Ask, Reply};
use crate::pages::text;

/// CPUs and memory of a VM whose specification does not say them.
const USUAL_CPUS: i32 = 1;
const USUAL_MEMORY_MIB: i64 = 1_024;

fn placement(spec: &Record) -> Option<&Record> {
    spec.get("placement").and_then(Value::as_record)
}

/// Where a VM is to be: its folder, its pool, and its host.
struct Place {
    folder: MoRef,
    pool: MoRef,
    host: Option<MoRef>,
}

fn place(ask: &Ask<'_>, spec: &Record) -> Result<Place, Error> {
    let at = placement(spec);
    let state = state(ask);
    let host = placed(at, "host", managed_id!(HostSystem));
    let cluster = placed(at, "cluster", managed_id!(ClusterComputeResource));
    let mut pool = placed(at, "resource_pool", managed_id!(ResourcePool));
    if pool.is_none() {
        let compute = match (&cluster, &host) {
            (Some(cluster), _) => Some(cluster.clone()),
            (None, Some(host)) => {
                let host = inventory::read(ask, &state, managed_id!(HostSystem), "host", host.id())?;
                host.get(prop!(ManagedEntity.parent)).cloned()
            }
            (None, None) => None,
        };
        if let Some(compute) = compute {
            let node = inventory::read(ask, &state, managed_id!(ComputeResource), "cluster", compute.id())?;
            pool = node.get(prop!(ComputeResource.resourcePool)).cloned();
        }
    }
    let missing = "The placement must name a resource_pool, a host or a cluster";
    let pool = pool.ok_or_else(|| invalid(missing))?;
    let folder = match placed(at, "folder", managed_id!(Folder)) {
        Some(folder) => folder,
        None => {
            // The folder of VMs of the datacenter that the pool is in.
            let pool = inventory::read(ask, &state, managed_id!(ResourcePool), "resource pool", pool.id())?;
            let datacenter =
                inventory::above(&pool, &state).into_iter().find(|at| at.is_a(managed_id!(Datacenter)));
            let datacenter = datacenter.and_then(|at| state.find(&at).cloned());
            let folder = datacenter.and_then(|at| at.get(prop!(Datacenter.vmFolder)).cloned());
            folder.ok_or_else(|| invalid("The placement must name a folder"))?
        }
    };
    Ok(Place { folder, pool, host })
}

fn datastore_name(ask: &Ask<'_>, id: &str) -> Result<String, Error> {
    let node = inventory::read(ask, &state(ask), managed_id!(Datastore), "datastore", id)?;
    Ok(name(&node).to_owned())
}

fn specification(ask: &Ask<'_>, spec: &Record) -> Result<Object, Error> {
    let datastore = placement(spec).and_then(|at| text(at, "datastore"));
    let datastore = datastore.ok_or_else(|| invalid("The placement must name a datastore"))?;
    let guest = text(spec, "guest_OS").unwrap_or_default();
    let mut made: Object = vim!(VirtualMachineConfigSpec {
        name: text(spec, "name").map_or_else(|| format!("vm-{}", guest.to_lowercase()), str::to_owned),
        guestId: guest_os::id(guest),
        version: text(spec, "hardware_version").map(hardware::version_id),
        files: VirtualMachineFileInfo { vmPathName: format!("[{}]", datastore_name(ask, datastore)?) },
        numCPUs: USUAL_CPUS,
        memoryMB: USUAL_MEMORY_MIB,
    })
    .into();
    let part = |field: &str| spec.get(field).and_then(Value::as_record);
    settings::with_cpu(&mut made, part("cpu"))?;
    settings::with_memory(&mut made, part("memory"))?;
    settings::with_boot(&mut made, part("boot"))?;
    if matches!(spec.get("boot_devices"), Some(Value::List(entries)) if !entries.is_empty()) {
        return Err(invalid("Set the order of booting once the VM is there; leave boot_devices out"));
    }
    let changes = of_new_vm(ask, spec)?;
    if !changes.is_empty() {
        made.set(field!(VirtualMachineConfigSpec.deviceChange), changes);
    }
    Ok(made)
}

pub(super) fn create(ask: Ask<'_>) -> BoxFuture<'_, Reply> {
    async move {
        let spec = spec_at(&ask, 0).ok_or_else(|| invalid("The specification is missing"))?;
        let (place, config) = (place(&ask, spec)?, specification(&ask, spec)?);
        let args = call!(CreateVM_Task { config: config, pool: place.pool, host: place.host });
        made(inventory::task(&ask, &place.folder, args).await?.as_ref())
    }
    .boxed()
}

pub(super) fn register(ask: Ask<'_>) -> BoxFuture<'_, Reply> {
    async move {
        let spec = spec_at(&ask, 0).ok_or_else(|| invalid("The specification is missing"))?;
        let path = match (text(spec, "datastore_path"), text(spec, "datastore"), text(spec, "path")) {
            (Some(path), None, None) => path.to_owned(),
            (None, Some(datastore), Some(path)) => format!("[{}] {path}", datastore_name(&ask, datastore)?),
            _ => return Err(invalid("Give either datastore_path, or datastore and path")),
        };
        let place = place(&ask, spec)?;
        let args = call!(RegisterVM_Task {
            path: path,
            name: text(spec, "name"),
            asTemplate: false,
            pool: place.pool,
            host: place.host,
        });
        made(inventory::task(&ask, &place.folder, args).await?.as_ref())
    }
    .boxed()
}

pub(super) fn delete(ask: Ask<'_>) -> BoxFuture<'_, Reply> {
    async move { inventory::task(&ask, &me(&ask), call!(Destroy_Task {})).await.map(|_| Value::Unset) }
        .boxed()
}

pub(super) fn unregister(ask: Ask<'_>) -> BoxFuture<'_, Reply> {
    async move { inventory::call(&ask, &me(&ask), call!(UnregisterVM {})).await.map(|_| Value::Unset) }
        .boxed()
}
