//! New VMs: which host makes them, and where in the inventory they appear.

use std::sync::Arc;

use api::{Call, Guard};
use vim::{Args, Fault, MoRef, Object, Value, arg, call, fault, field, managed_id, method, prop};
use vm::privileges::to_create;

use super::storage::StorageCheck;
use super::{By, free_vm_name, nobody_reaches, paths};
use crate::LinkError;
use crate::hosts::ManagedHost;
use crate::names;
use crate::ops::Table;
use crate::records::{Holds, Record, Vm};
use crate::state::{Placement, State};

pub(super) fn register(table: &mut Table) {
    table.guarded(managed_id!(Folder), method!(CreateVM_Task), Guard::Arguments(to_create), create);
    table.guarded(
        managed_id!(ResourcePool),
        method!(CreateChildVM_Task),
        Guard::Arguments(to_create),
        create_in_pool,
    );
    table.on(managed_id!(Folder), method!(RegisterVM_Task), register_vm);
    table.on(managed_id!(ResourcePool), method!(RegisterChildVM_Task), register_in_pool);
}

async fn create(state: Arc<State>, call: Call) -> Result<Option<Value>, Fault> {
    let spec = call.required(arg!(CreateVM_Task.config))?.clone();
    let pool = state.resolve(call.required(arg!(CreateVM_Task.pool))?)?;
    let host = call.arg(arg!(CreateVM_Task.host)).cloned();
    let folder = call.this.clone();
    create_at(state, call, spec, Placement { folder, pool }, host).await
}

async fn create_in_pool(state: Arc<State>, call: Call) -> Result<Option<Value>, Fault> {
    let spec = call.required(arg!(CreateChildVM_Task.config))?.clone();
    let host = call.arg(arg!(CreateChildVM_Task.host)).cloned();
    let pool = call.this.clone();
    let folder = state.default_folder(&pool)?;
    create_at(state, call, spec, Placement { folder, pool }, host).await
}

async fn create_at(
    state: Arc<State>,
    call: Call,
    spec: Arc<Object>,
    place: Placement,
    wanted: Option<MoRef>,
) -> Result<Option<Value>, Fault> {
    let name = spec.get(field!(VirtualMachineConfigSpec.name)).unwrap_or_default();
    let name = names::parse(name, None)?;
    state.check_place(&place, &name)?;
    let path = spec
        .get(field!(VirtualMachineConfigSpec.files))
        .and_then(|files| files.get(field!(VirtualMachineFileInfo.vmPathName)));
    let datastore = path.and_then(paths::datastore_name);
    let host = state.choose(&place.pool, wanted.as_ref(), datastore, &spec)?;
    StorageCheck::new(&state, &call, &host).may_use(&spec)?;
    // The UUID tells the new VM when the host's stream shows it, so that it appears where it belongs.
    let mut spec = Object::clone(&spec);
    let uuid = match spec.get(field!(VirtualMachineConfigSpec.instanceUuid)) {
        Some(uuid) if !uuid.is_empty() => uuid.to_lowercase(),
        _ => uuid::Uuid::new_v4().to_string(),
    };
    spec.set(field!(VirtualMachineConfigSpec.instanceUuid), &uuid);
    let options = state.shared(&call);
    call.task(options, move |running| async move {
        let store = state.inventory.store.clone();
        let failed = |error: store::Error| crate::inventory::store_fault(&error);
        state.expected.add(&store, &uuid, place.clone()).await.map_err(failed)?;
        let args = call!(CreateVM_Task {
            config: spec,
            pool: crate::link::names::root_pool(),
            host: crate::link::names::host(),
        });
        let made =
            state.carry_remote(&host, &crate::link::names::vm_folder(), &args, &By::task(&running)).await;
        // Of an unknown outcome the place is kept: the VM may still appear.
        if !matches!(made, Err(LinkError::Unknown { .. })) {
            state.expected.remove(&store, &uuid).await.map_err(failed)?;
        }
        let made = made.map_err(LinkError::into_fault)?;
        state.place_result(made, &place).await
    })
    .await
}

async fn register_vm(state: Arc<State>, call: Call) -> Result<Option<Value>, Fault> {
    let path = call.required(arg!(RegisterVM_Task.path))?.to_owned();
    let name = call.arg(arg!(RegisterVM_Task.name)).map(str::to_owned);
    let template = call.required(arg!(RegisterVM_Task.asTemplate))?;
    let host = call.arg(arg!(RegisterVM_Task.host)).cloned();
    let pool = match (call.arg(arg!(RegisterVM_Task.pool)), &host) {
        (Some(pool), _) => state.resolve(pool)?,
        (None, Some(host)) => state.pool_of(&state.resolve(host)?)?,
        (None, None) => {
            return Err(fault!(InvalidArgument { invalidProperty: "pool" }, "A pool or a host is needed"));
        }
    };
    let place = Placement { folder: call.this.clone(), pool };
    register_at(state, call, path, name, template, place, host).await
}

async fn register_in_pool(state: Arc<State>, call: Call) -> Result<Option<Value>, Fault> {
    let path = call.required(arg!(RegisterChildVM_Task.path))?.to_owned();
    let name = call.arg(arg!(RegisterChildVM_Task.name)).map(str::to_owned);
    let host = call.arg(arg!(RegisterChildVM_Task.host)).cloned();
    let pool = call.this.clone();
    let place = Placement { folder: state.default_folder(&pool)?, pool };
    register_at(state, call, path, name, false, place, host).await
}

async fn register_at(
    state: Arc<State>,
    call: Call,
    path: String,
    name: Option<String>,
    template: bool,
    place: Placement,
    wanted: Option<MoRef>,
) -> Result<Option<Value>, Fault> {
    let name = name.filter(|name| !name.is_empty()).map(|name| names::parse(&name, None)).transpose()?;
    state.check_place(&place, name.as_deref().unwrap_or_default())?;
    let known = state.inventory.records().iter().find_map(|(_, record)| match record {
        Record::Vm(vm) if vm.path == path => Some(vm.name.clone()),
        _ => None,
    });
    let datastore = paths::datastore_name(&path).ok_or_else(|| {
        fault!(InvalidDatastorePath { datastorePath: &path }, "{path:?} is no datastore path")
    })?;
    let host = state.choose(
        &place.pool,
        wanted.as_ref(),
        Some(datastore),
        &Object::new(vim::data_id!(VirtualMachineConfigSpec)),
    )?;
    let storage = StorageCheck::new(&state, &call, &host);
    storage.may_register(&path)?;
    let limits = storage.limits()?;
    if let Some(known) = known.filter(|_| state.same_datastore(&host, datastore)) {
        return Err(fault!(AlreadyExists { name: &known }, "{path} is registered already, as '{known}'"));
    }
    let options = state.shared(&call);
    call.task(options, move |running| async move {
        let args: Args = call!(RegisterVM_Task {
            path: path,
            name: name,
            asTemplate: template,
            pool: (!template).then(crate::link::names::root_pool),
            host: crate::link::names::host(),
        });
        let by = limits
            .into_iter()
            .fold(By::task(&running), |by, (privilege, datastores)| by.limited(privilege, datastores));
        let made = state.carry_remote(&host, &crate::link::names::vm_folder(), &args, &by).await;
        state.place_result(made.map_err(LinkError::into_fault)?, &place).await
    })
    .await
}

impl State {
    /// # Errors
    /// `NotSupported` for a folder that holds no VMs, `DuplicateName`, or `InvalidArgument` for a pool elsewhere.
    fn check_place(&self, place: &Placement, name: &str) -> Result<(), Fault> {
        let records = self.inventory.records();
        match records.get(&place.folder) {
            Some(Record::Folder(folder)) if folder.holds == Holds::Vms => {}
            Some(_) => return Err(fault!(NotSupported {}, "VMs are made in folders for VMs only")),
            None => return Err(crate::inventory::not_found(&place.folder)),
        }
        let datacenter = |at: &MoRef| crate::inventory::datacenter_of(|at| records.get(at), at);
        if !matches!(records.get(&place.pool), Some(Record::Pool(_))) {
            return Err(crate::inventory::not_found(&place.pool));
        }
        if datacenter(&place.folder) != datacenter(&place.pool) {
            return Err(fault!(
                InvalidArgument { invalidProperty: "pool" },
                "The resource pool is in another datacenter than the folder"
            ));
        }
        free_vm_name(&records, &place.folder, name, None)
    }

    fn default_folder(&self, pool: &MoRef) -> Result<MoRef, Fault> {
        let records = self.inventory.records();
        let datacenter = crate::inventory::datacenter_of(|at| records.get(at), pool);
        match datacenter.and_then(|at| records.get(&at)) {
            Some(Record::Datacenter(datacenter)) => Ok(datacenter.vm_folder.clone()),
            _ => Err(crate::inventory::not_found(pool)),
        }
    }

    /// The root pool of the host's compute resource.
    pub(super) fn pool_of(&self, host: &MoRef) -> Result<MoRef, Fault> {
        self.fixed(host).map(|(_, fixed)| fixed.pool)
    }

    /// The host that makes a VM: the one that was asked for, or among those of the pool that reach the datastores the
    /// one with the fewest VMs.
    fn choose(
        &self,
        pool: &MoRef,
        wanted: Option<&MoRef>,
        datastore: Option<&str>,
        spec: &Object,
    ) -> Result<Arc<ManagedHost>, Fault> {
        let owner = match self.inventory.records().get(pool) {
            Some(Record::Pool(pool)) => pool.owner.clone(),
            _ => return Err(crate::inventory::not_found(pool)),
        };
        if let Some(wanted) = wanted {
            let wanted = self.resolve(wanted)?;
            let host = self.hosts.get(&wanted)?;
            if host.refs().fixed().compute != owner {
                return Err(fault!(
                    InvalidArgument { invalidProperty: "host" },
                    "Host {} does not belong to the resource pool",
                    host.name
                ));
            }
            host.link()?;
            self.refuse_maintenance(&wanted)?;
            return Ok(host);
        }
        let tree = self.inventory.tree.snapshot();
        let hosts = tree.find(&owner).and_then(|node| node.get(prop!(ComputeResource.host)));
        let hosts: Vec<Arc<ManagedHost>> =
            hosts.into_iter().flatten().filter_map(|host| self.hosts.find(host)).collect();
        let connected: Vec<_> =
            hosts.into_iter().filter(|host| host.is_connected() && !self.in_maintenance(&host.me)).collect();
        if connected.is_empty() {
            return Err(fault!(
                HostNotConnected {},
                "No host of the resource pool is connected and in service"
            ));
        }
        let mut needed: Vec<&str> = datastore.into_iter().collect();
        let devices = spec.get(field!(VirtualMachineConfigSpec.deviceChange));
        let devices: Vec<Arc<Object>> = devices.into_iter().flatten().cloned().collect();
        needed.extend(devices.iter().filter_map(|change| {
            let device = change.get(field!(VirtualDeviceConfigSpec.device))?;
            let backing = device.get(field!(VirtualDevice.backing))?;
            paths::datastore_name(backing.named("fileName")?.as_str()?)
        }));
        let sees = |host: &Arc<ManagedHost>, name: &str| self.same_datastore(host, name);
        let able = connected.into_iter().filter(|host| needed.iter().all(|name| sees(host, name)));
        let load = |host: &Arc<ManagedHost>| {
            let vms = tree.find(&host.me).and_then(|node| node.get(prop!(HostSystem.vm)));
            (vms.map_or(0, |vms| vms.len()), host.me.clone())
        };
        able.min_by_key(load).ok_or_else(|| nobody_reaches(needed.first().copied().unwrap_or_default()))
    }

    /// Whether the host has an accessible datastore of this name.
    fn same_datastore(&self, host: &ManagedHost, name: &str) -> bool {
        let tree = self.inventory.tree.snapshot();
        let datastores = tree.find(&host.me).and_then(|node| node.get(prop!(HostSystem.datastore)));
        datastores
            .into_iter()
            .flatten()
            .any(|at| tree.find(at).and_then(|node| node.get(prop!(Datastore.name))) == Some(name))
    }

    /// Puts a VM that a host has just made where it belongs, if the stream did not know that.
    async fn place_result(&self, made: Option<Value>, place: &Placement) -> Result<Option<Value>, Fault> {
        if let Some(vm) = made.as_ref().and_then(Value::as_ref) {
            self.place(vm, Some(&place.folder), Some(&place.pool)).await?;
        }
        Ok(made)
    }

    /// Puts a VM into a folder and a pool.
    pub(super) async fn place(
        &self,
        vm: &MoRef,
        folder: Option<&MoRef>,
        pool: Option<&MoRef>,
    ) -> Result<(), Fault> {
        let placed = self.inventory.change(|plan| {
            let Record::Vm(known) = plan.get(vm)?.clone() else {
                return Err(crate::inventory::not_found(vm));
            };
            let new = Vm {
                folder: folder.unwrap_or(&known.folder).clone(),
                pool: pool.unwrap_or(&known.pool).clone(),
                ..known.clone()
            };
            if new != known {
                plan.put(vm, Record::Vm(new));
            }
            Ok(())
        });
        placed.await
    }
}
