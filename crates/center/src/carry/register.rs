//! Registering VMs from their files.

use std::sync::Arc;

use api::{Call, Methods, Table};
use vim::{Args, Fault, MoRef, arg, call, fault, managed_id, method};

use super::by::By;
use super::new_vms::NewVms;
use crate::access::StorageCheck;
use crate::estate::{Placement, Record, datastore_name, names};
use crate::link::{self, LinkError};
use crate::mirror::Fixed;
use crate::reply::Reply;

pub(super) fn register(methods: &mut Methods, new_vms: &Arc<NewVms>) {
    let mut table = Table { methods, daemon: new_vms };
    table.on(managed_id!(Folder), method!(RegisterVM_Task), register_vm);
    table.on(managed_id!(ResourcePool), method!(RegisterChildVM_Task), register_in_pool);
}

async fn register_vm(new_vms: Arc<NewVms>, call: Call) -> Reply {
    call.require_references()?;
    let path = call.required(arg!(RegisterVM_Task.path))?.to_owned();
    datastore_of(&path)?;
    let name = call.arg(arg!(RegisterVM_Task.name)).map(str::to_owned);
    let template = call.required(arg!(RegisterVM_Task.asTemplate))?;
    let host = call.arg(arg!(RegisterVM_Task.host)).cloned();
    let inventory = &new_vms.carrier.inventory;
    let pool = match (call.arg(arg!(RegisterVM_Task.pool)), &host) {
        (Some(pool), _) => inventory.resolve(pool)?,
        (None, Some(host)) => {
            let host = inventory.resolve(host)?;
            Fixed::of(&inventory.records(), &host)?.pool
        }
        (None, None) => {
            return Err(fault!(
                InvalidArgument { invalidProperty: "pool" },
                "Name a resource pool or a host"
            ));
        }
    };
    let folder = inventory.vapp_folder(&pool).filter(|_| !template).unwrap_or_else(|| call.this.clone());
    let place = Placement { folder, pool };
    register_at(new_vms, call, path, name, template, place, host).await
}

/// The datastore that the path of a configuration names.
fn datastore_of(path: &str) -> Result<&str, Fault> {
    datastore_name(path).ok_or_else(|| {
        fault!(InvalidDatastorePath { datastorePath: path }, "{path:?} is not a datastore path")
    })
}

async fn register_in_pool(new_vms: Arc<NewVms>, call: Call) -> Reply {
    call.require_references()?;
    let path = call.required(arg!(RegisterChildVM_Task.path))?.to_owned();
    let name = call.arg(arg!(RegisterChildVM_Task.name)).map(str::to_owned);
    let host = call.arg(arg!(RegisterChildVM_Task.host)).cloned();
    let pool = call.this.clone();
    let place = Placement { folder: new_vms.default_folder(&pool)?, pool };
    register_at(new_vms, call, path, name, false, place, host).await
}

async fn register_at(
    new_vms: Arc<NewVms>,
    call: Call,
    path: String,
    name: Option<String>,
    template: bool,
    place: Placement,
    wanted: Option<MoRef>,
) -> Reply {
    let datastore = datastore_of(&path)?;
    let name = name.filter(|name| !name.is_empty()).map(|name| names::parse(&name, None)).transpose()?;
    new_vms.check_place(&place, name.as_deref().unwrap_or_default())?;
    let inventory = &new_vms.carrier.inventory;
    let known = inventory.records().values().find_map(|record| match record {
        Record::Vm(vm) if vm.path == path => Some(vm.name.clone()),
        _ => None,
    });
    let host = new_vms.choose(&place.pool, wanted.as_ref(), Some(datastore), None)?;
    let storage = StorageCheck::new(inventory, &call, &host);
    storage.may_register(&path)?;
    let limits = storage.limits()?;
    if let Some(known) = known.filter(|_| new_vms.has_datastore(&host, datastore)) {
        return Err(fault!(AlreadyExists { name: &known }, "{path} is already registered, as '{known}'"));
    }
    let options = inventory.shared(&call);
    call.task(options, move |running| async move {
        let args: Args = call!(RegisterVM_Task {
            path: path,
            name: name,
            asTemplate: template,
            pool: (!template).then(link::names::root_pool),
            host: link::names::host(),
        });
        let by = limits
            .into_iter()
            .fold(By::task(&running), |by, (privilege, datastores)| by.limited(privilege, datastores));
        let made = new_vms.carrier.carry_remote(&host, &link::names::vm_folder(), &args, &by).await;
        new_vms.place_result(made.map_err(LinkError::into_fault)?, &place).await
    })
    .await
}
