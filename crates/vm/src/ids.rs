//! References of the objects that belong to VMs, spelt as ESXi spells them.

use vim::{MoRef, managed_id};

/// A snapshot of a virtual machine: `1-snapshot-3`.
pub fn snapshot(vm: &MoRef, number: u32) -> MoRef {
    MoRef::new(managed_id!(VirtualMachineSnapshot), format!("{}-snapshot-{number}", vm.id()))
}

/// A datastore by its identity.
pub fn datastore(uuid: uuid::Uuid) -> MoRef {
    MoRef::new(managed_id!(Datastore), uuid.to_string())
}

/// A network by its name.
pub fn network(name: &str) -> MoRef {
    MoRef::new(managed_id!(Network), format!("HaNetwork-{name}"))
}
