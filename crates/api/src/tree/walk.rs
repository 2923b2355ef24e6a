//! Ways through the inventory.

use vim::{MoRef, field, managed_id, prop};

use super::Snapshot;

/// The longest way up that is followed; no inventory is that deep.
const MAX_DEPTH: usize = 256;

/// The top of the inventory, once the managers exist.
pub(crate) fn root_folder(state: &Snapshot) -> Option<MoRef> {
    let instance = MoRef::new(managed_id!(ServiceInstance), "ServiceInstance");
    let content = state.find(&instance)?.get(prop!(ServiceInstance.content))?;
    content.get(field!(ServiceContent.rootFolder)).cloned()
}

/// The entity's parent, the parent's parent and so on.
pub fn ancestors<'s>(state: &'s Snapshot, entity: &MoRef) -> impl Iterator<Item = MoRef> + use<'s> {
    let mut at = parent(state, entity);
    std::iter::from_fn(move || {
        let here = at.take()?;
        at = parent(state, &here);
        Some(here)
    })
    .take(MAX_DEPTH)
}

/// The entity's parent; for a VM in a vApp the vApp.
fn parent(state: &Snapshot, entity: &MoRef) -> Option<MoRef> {
    if !entity.is_a(managed_id!(ManagedEntity)) {
        return None;
    }
    let node = state.find(entity)?;
    let parent = node.get(prop!(ManagedEntity.parent)).cloned();
    if parent.is_none() && entity.is_a(managed_id!(VirtualMachine)) {
        return node.get(prop!(VirtualMachine.parentVApp)).cloned();
    }
    parent
}
