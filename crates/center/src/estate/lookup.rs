//! Questions about the records that several operations ask.

use std::sync::Arc;

use api::{Call, TaskOptions};
use vim::{Fault, ManagedId, MoRef, fault, schema};

use super::faults::{duplicate_name, not_found};
use super::index::Records;
use super::inventory::Inventory;
use super::plan::Plan;
use super::records::{Record, Vm};
use super::vapps::folder_of;

/// # Errors
/// `DuplicateName` if another VM or folder in the folder has the name.
fn free_vm_name(records: &Records, folder: &MoRef, name: &str, me: Option<&MoRef>) -> Result<(), Fault> {
    match records.named(folder, name).find(|at| Some(*at) != me) {
        None => Ok(()),
        Some(other) => Err(duplicate_name(name, other)),
    }
}

impl Inventory {
    /// The object itself for a reference that a client gave, which may name a base type.
    ///
    /// # Errors
    /// `ManagedObjectNotFound`.
    pub(crate) fn resolve(&self, reference: &MoRef) -> Result<MoRef, Fault> {
        let records = self.records();
        if records.contains_key(reference) {
            return Ok(reference.clone());
        }
        let subtypes = schema().managed(reference.ty()).subtypes.clone();
        let mut exact = subtypes.map(|ty| MoRef::new(ManagedId(ty), reference.id()));
        exact.find(|at| records.contains_key(at)).ok_or_else(|| not_found(reference))
    }

    /// # Errors
    /// `ManagedObjectNotFound` for the first that does not exist.
    pub(crate) fn resolve_all<'a>(
        &self,
        references: impl IntoIterator<Item = &'a MoRef>,
    ) -> Result<Vec<MoRef>, Fault> {
        references.into_iter().map(|reference| self.resolve(reference)).collect()
    }

    /// The name of an entity, for tasks and messages; the id of an object without a name.
    pub(crate) fn name_of(&self, entity: &MoRef) -> String {
        let records = self.records();
        let name = records.get(entity).map(Record::name).filter(|name| !name.is_empty());
        name.unwrap_or(entity.id()).to_owned()
    }

    /// A task on the object of the call that excludes others on it.
    pub(crate) fn alone(&self, call: &Call) -> TaskOptions {
        TaskOptions::exclusive(&call.this, self.name_of(&call.this))
    }

    /// A task on the object of the call that others may run beside.
    pub(crate) fn shared(&self, call: &Call) -> TaskOptions {
        TaskOptions { exclusive: false, ..self.alone(call) }
    }

    /// The inventory path of an entity below the root folder: `folder/DC0`.
    pub(crate) fn path_of(&self, entity: &MoRef) -> String {
        let records = self.records();
        let mut names = Vec::new();
        let mut at = records.get(entity);
        while let Some(record) = at {
            let Some(parent) = record.parent() else { break };
            names.push(record.name());
            at = records.get(parent);
        }
        names.reverse();
        names.join("/")
    }

    /// All datacenters, in the order of their ids.
    pub(crate) fn datacenters(&self) -> Vec<MoRef> {
        let records = self.records();
        let datacenters = records.iter().filter(|(_, record)| matches!(record, Record::Datacenter(_)));
        let mut found: Vec<MoRef> = datacenters.map(|(at, _)| at.clone()).collect();
        found.sort();
        found
    }

    /// Refuses a name that another VM or folder in the folder has.
    ///
    /// # Errors
    /// `DuplicateName`.
    pub(crate) fn free_vm_name(&self, folder: &MoRef, name: &str) -> Result<(), Fault> {
        free_vm_name(&self.records(), folder, name, None)
    }

    /// Refuses a new name for a VM that another VM or folder in its folder has.
    ///
    /// # Errors
    /// `DuplicateName`.
    pub(crate) fn may_rename_vm(&self, vm: &MoRef, name: &str) -> Result<(), Fault> {
        let records = self.records();
        let Some(Record::Vm(record)) = records.get(vm) else { return Err(not_found(vm)) };
        let parent = if record.is_in_vapp() { &record.pool } else { &record.folder };
        free_vm_name(&records, parent, name, Some(vm))
    }

    /// Refuses an instance UUID that another VM has: by it clients tell VMs apart.
    ///
    /// # Errors
    /// `InvalidArgument`.
    pub(crate) fn may_have_instance_uuid(&self, vm: &MoRef, uuid: &str) -> Result<(), Fault> {
        let records = self.records();
        let other = records.iter().find_map(|(me, record)| match record {
            Record::Vm(known) if me != vm && known.instance_uuid.eq_ignore_ascii_case(uuid) => {
                Some(&known.name)
            }
            _ => None,
        });
        // An empty one asks for a new one.
        match other.filter(|_| !uuid.is_empty()) {
            None => Ok(()),
            Some(name) => Err(fault!(
                InvalidArgument { invalidProperty: "instanceUuid" },
                "The VM {name} has the instance UUID {uuid} already; an empty one asks for a new one"
            )),
        }
    }

    /// Puts a VM into a folder and a pool; none leaves it where it is.
    ///
    /// # Errors
    /// `ManagedObjectNotFound` if the VM does not exist, `SystemError` if the store failed.
    pub(crate) async fn place_vm(
        self: &Arc<Self>,
        vm: &MoRef,
        folder: Option<&MoRef>,
        pool: Option<&MoRef>,
    ) -> Result<(), Fault> {
        let placed = self.change(|plan| {
            let Record::Vm(known) = plan.get(vm)?.clone() else { return Err(not_found(vm)) };
            let new = Vm {
                folder: folder.unwrap_or(&known.folder).clone(),
                pool: pool.unwrap_or(&known.pool).clone(),
                ..known.clone()
            };
            let folder = folder_of(plan, &new.pool).unwrap_or_else(|| new.folder.clone());
            let new = Vm { folder, ..new };
            if new != known {
                plan.put(vm, Record::Vm(new));
            }
            Ok(())
        });
        placed.await
    }

    /// The folder of the VMs in a vApp; none for another pool.
    pub(crate) fn vapp_folder(&self, pool: &MoRef) -> Option<MoRef> {
        let records = self.records();
        folder_of(&Plan::new(&records, &self.ids), pool)
    }

    pub(crate) fn in_maintenance(&self, host: &MoRef) -> bool {
        matches!(self.records().get(host), Some(Record::Host(host)) if host.maintenance)
    }

    /// Refuses to start a VM on a host in maintenance mode.
    ///
    /// # Errors
    /// `InvalidState`.
    pub(crate) fn refuse_maintenance(&self, host: &MoRef) -> Result<(), Fault> {
        if self.in_maintenance(host) {
            return Err(fault!(
                InvalidState {},
                "Host {} is in maintenance mode, so no VM can be created or powered on there",
                self.name_of(host)
            ));
        }
        Ok(())
    }
}
