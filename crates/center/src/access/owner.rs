//! The entity whose permissions hold for an object that is not an entity itself.

use api::Snapshot;
use vim::MoRef;

use crate::estate::Inventory;

/// The owner of a part, such as the host of one of its systems; none for the center's own managers, and for an owner
/// that has been removed.
pub(crate) fn owner(inventory: &Inventory, object: &MoRef, state: &Snapshot) -> Option<MoRef> {
    inventory.parts.owner(object).filter(|owner| state.find(owner).is_some())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use store::Store;
    use vim::{managed_id, props};

    use super::*;

    #[tokio::test]
    async fn the_parts_of_a_host_are_its_own_and_a_task_of_the_same_number_is_not() {
        let tree = Arc::new(api::Tree::new());
        let store = Store::in_memory().expect("a store");
        let inventory = Inventory::open(tree.clone(), store, false).await.expect("the inventory opens");
        let host = MoRef::new(managed_id!(HostSystem), "host-7");
        let part = MoRef::new(managed_id!(HostNetworkSystem), "networkSystem-7");
        inventory.parts.add(&part, &host);
        assert_eq!(owner(&inventory, &part, &tree.snapshot()), None, "the host has been removed");
        tree.write(|w| w.create(&host, props!(HostSystem { name: "h" })));
        let state = tree.snapshot();
        assert_eq!(owner(&inventory, &part, &state), Some(host));
        assert_eq!(owner(&inventory, &MoRef::new(managed_id!(Task), "task-7"), &state), None);
    }
}
