//! The service that creates and registers VMs: it checks their place and chooses the host.

use std::sync::Arc;

use vim::{Fault, MoRef, Object, Value, fault, field};

use super::carrier::Carrier;
use super::find::nobody_reaches;
use crate::estate::vapps::is_vapp;
use crate::estate::{
    Datacenter, Expected, Holds, Placement, Record, datacenter_of, datastore_name, not_found, not_supported,
};
use crate::mirror::ManagedHost;

pub(crate) struct NewVms {
    pub(super) carrier: Arc<Carrier>,
    pub(super) expected: Arc<Expected>,
}

impl NewVms {
    pub(crate) fn new(carrier: Arc<Carrier>, expected: Arc<Expected>) -> Self {
        Self { carrier, expected }
    }

    /// # Errors
    /// `NotSupported` for a folder that is not for VMs, `DuplicateName`, or `InvalidArgument` for a pool in another
    /// datacenter.
    pub(super) fn check_place(&self, place: &Placement, name: &str) -> Result<(), Fault> {
        let inventory = &self.carrier.inventory;
        {
            let records = inventory.records();
            match records.get(&place.folder) {
                Some(Record::Folder(folder)) if folder.holds == Holds::Vms => {}
                Some(_) => return Err(not_supported("VMs can be created in folders for VMs only")),
                None => return Err(not_found(&place.folder)),
            }
            if !matches!(records.get(&place.pool), Some(Record::Pool(_))) {
                return Err(not_found(&place.pool));
            }
            let datacenter = |at: &MoRef| datacenter_of(|at| records.get(at), at);
            if datacenter(&place.folder) != datacenter(&place.pool) {
                return Err(fault!(
                    InvalidArgument { invalidProperty: "pool" },
                    "The resource pool is in another datacenter than the folder"
                ));
            }
        }
        inventory.free_vm_name(if is_vapp(&place.pool) { &place.pool } else { &place.folder }, name)
    }

    /// Whether a VM, or one that is being made, has this instance UUID.
    pub(super) fn has_uuid(&self, uuid: &str) -> bool {
        let records = self.carrier.inventory.records();
        let known = records.values().any(|record| match record {
            Record::Vm(vm) => vm.instance_uuid == uuid,
            _ => false,
        });
        known || self.expected.find(uuid).is_some()
    }

    /// The folder for the VMs of the pool's datacenter.
    ///
    /// # Errors
    /// `ManagedObjectNotFound`.
    pub(super) fn default_folder(&self, pool: &MoRef) -> Result<MoRef, Fault> {
        if let Some(folder) = self.carrier.inventory.vapp_folder(pool) {
            return Ok(folder);
        }
        let records = self.carrier.inventory.records();
        let datacenter = datacenter_of(|at| records.get(at), pool);
        match datacenter.and_then(|at| records.get(&at)) {
            Some(Record::Datacenter(Datacenter { vm_folder, .. })) => Ok(vm_folder.clone()),
            _ => Err(not_found(pool)),
        }
    }

    /// The host for a new VM: the one that the client wants, or of those of the pool that reach the datastores the one
    /// with the fewest VMs.
    ///
    /// # Errors
    /// `InvalidArgument` for a host outside of the pool, `InvalidDatastorePath` for a datastore that the datacenter does not have,
    /// `HostNotConnected`, or `InvalidState` for a host in maintenance mode.
    pub(super) fn choose(
        &self,
        pool: &MoRef,
        wanted: Option<&MoRef>,
        datastore: Option<&str>,
        spec: Option<&Object>,
    ) -> Result<Arc<ManagedHost>, Fault> {
        let Carrier { inventory, hosts, .. } = &*self.carrier;
        let at = pool;
        let Some(Record::Pool(pool)) = inventory.record(at) else { return Err(not_found(at)) };
        if let Some(wanted) = wanted {
            let wanted = inventory.resolve(wanted)?;
            let host = hosts.get(&wanted)?;
            if host.refs().fixed().compute != pool.owner {
                return Err(fault!(
                    InvalidArgument { invalidProperty: "host" },
                    "Host {} does not belong to the resource pool",
                    host.name
                ));
            }
            host.link()?;
            inventory.refuse_maintenance(&wanted)?;
            return Ok(host);
        }
        let mut needed: Vec<&str> = datastore.into_iter().collect();
        needed.extend(spec.into_iter().flat_map(disk_datastores));
        if let Some(name) = needed.iter().find(|name| !self.is_known(at, name)) {
            let path = format!("[{name}]");
            return Err(fault!(
                InvalidDatastorePath { name: *name, datastorePath: path },
                "No datastore in the datacenter is called '{name}'"
            ));
        }
        let mut able = hosts.connected_of(&pool.owner);
        able.retain(|host| !inventory.in_maintenance(&host.me));
        if able.is_empty() {
            return Err(fault!(
                HostNotConnected {},
                "No host of the resource pool is connected and outside of maintenance mode"
            ));
        }
        able.retain(|host| needed.iter().all(|name| self.has_datastore(host, name)));
        let first = able.into_iter().next();
        first.ok_or_else(|| nobody_reaches(needed.first().copied().unwrap_or_default()))
    }

    /// Whether the datacenter of the pool has a datastore of this name, be it reached or not.
    fn is_known(&self, pool: &MoRef, name: &str) -> bool {
        let inventory = &self.carrier.inventory;
        let datacenter = {
            let records = inventory.records();
            datacenter_of(|at| records.get(at), pool)
        };
        datacenter.is_some_and(|at| inventory.datastores_of(&at).iter().any(|(_, known)| known == name))
    }

    /// Whether the host has a datastore of this name.
    pub(super) fn has_datastore(&self, host: &ManagedHost, name: &str) -> bool {
        self.carrier.inventory.datastore_among(host.reported().datastores(), name).is_some()
    }

    /// Moves a VM that a host has just created to its place, if the mirror did not know that place.
    ///
    /// # Errors
    /// `ManagedObjectNotFound` if the VM no longer exists, or `SystemError`.
    pub(super) async fn place_result(
        &self,
        created: Option<Value>,
        place: &Placement,
    ) -> Result<Option<Value>, Fault> {
        if let Some(vm) = created.as_ref().and_then(Value::as_ref) {
            self.carrier.inventory.place_vm(vm, Some(&place.folder), Some(&place.pool)).await?;
        }
        Ok(created)
    }
}

/// The datastores that the files of a specification's devices are on.
fn disk_datastores(spec: &Object) -> impl Iterator<Item = &str> {
    let changes = spec.get(field!(VirtualMachineConfigSpec.deviceChange));
    changes.into_iter().flatten().filter_map(|change| {
        let device = change.get(field!(VirtualDeviceConfigSpec.device))?;
        let backing = device.get(field!(VirtualDevice.backing))?;
        datastore_name(backing.named("fileName")?.as_str()?)
    })
}
