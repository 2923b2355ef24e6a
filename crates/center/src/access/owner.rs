//! The entity whose permissions hold for an object that is not an entity itself.

use api::Snapshot;
use vim::MoRef;

use crate::estate::Inventory;

/// The owner of a part, such as the host of one of its systems; none for the center's own managers, and for an owner
/// that has been removed.
pub(crate) fn owner(inventory: &Inventory, object: &MoRef, state: &Snapshot) -> Option<MoRef> {
    inventory.parts.owner(object).filter(|owner| state.find(owner).is_some())
}
