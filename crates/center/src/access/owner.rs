//! The entity whose permissions hold for an object that is not an entity itself.

use api::Snapshot;
use vim::{MoRef, field, managed_id, prop};

use crate::estate::{Inventory, is_part, root};

/// The owner of a part, such as the host of one of its systems. The root folder stands in for an owner that has been removed or is
/// not known, so that a part is never taken for the center's own; none for the center's own managers.
pub(crate) fn owner(inventory: &Inventory, object: &MoRef, state: &Snapshot) -> Option<MoRef> {
    if object.is_a(managed_id!(ScheduledTask)) {
        let info = state.find(object).and_then(|node| node.get(prop!(ScheduledTask.info)));
        let entity = info.and_then(|info| info.get(field!(ScheduledTaskInfo.entity)));
        return Some(entity.filter(|entity| state.find(entity).is_some()).cloned().unwrap_or_else(root));
    }
    match inventory.parts.owner(object) {
        Some(owner) => Some(if state.find(&owner).is_some() { owner } else { root() }),
        None => is_part(object.ty()).then(root),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use store::Store;
    use vim::props;

    use super::*;

    #[tokio::test]
    async fn the_parts_of_a_host_are_its_own_and_a_task_of_the_same_number_is_not() {
        let tree = Arc::new(api::Tree::new());
        let store = Store::in_memory().expect("a store");
        let inventory = Inventory::open(tree.clone(), store, false).await.expect("the inventory opens");
        let host = MoRef::new(managed_id!(HostSystem), "host-7");
        let part = MoRef::new(managed_id!(HostNetworkSystem), "networkSystem-7");
        inventory.parts.add(&part, &host);
        assert_eq!(owner(&inventory, &part, &tree.snapshot()), Some(root()), "the host has been removed");
        tree.write(|w| w.create(&host, props!(HostSystem { name: "h" })));
        let state = tree.snapshot();
        assert_eq!(owner(&inventory, &part, &state), Some(host));
        let stray = MoRef::new(managed_id!(HostDateTimeSystem), "dateTimeSystem-8");
        assert_eq!(owner(&inventory, &stray, &state), Some(root()), "a part of an unknown host");
        assert_eq!(owner(&inventory, &MoRef::new(managed_id!(Task), "task-7"), &state), None);
        let options = api::managers::Singletons::center().setting;
        assert_eq!(owner(&inventory, &options, &state), None, "the center's own, although hosts have such");
    }
}
