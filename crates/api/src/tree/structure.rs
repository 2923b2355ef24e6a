//! The structure of the inventory: which objects lie in which.

use vim::{ManagedId, managed_id, prop};

use super::{Change, What};

/// The properties that lead down: the type that has one, its number, and the type that it leads to.
pub(crate) fn ways() -> [(ManagedId, u16); 10] {
    [
        (managed_id!(Folder), prop!(Folder.childEntity).number()),
        (managed_id!(Datacenter), prop!(Datacenter.vmFolder).number()),
        (managed_id!(Datacenter), prop!(Datacenter.hostFolder).number()),
        (managed_id!(Datacenter), prop!(Datacenter.datastoreFolder).number()),
        (managed_id!(Datacenter), prop!(Datacenter.networkFolder).number()),
        (managed_id!(ComputeResource), prop!(ComputeResource.host).number()),
        (managed_id!(ComputeResource), prop!(ComputeResource.resourcePool).number()),
        (managed_id!(ResourcePool), prop!(ResourcePool.resourcePool).number()),
        (managed_id!(ResourcePool), prop!(ResourcePool.vm).number()),
        (managed_id!(HostSystem), prop!(HostSystem.vm).number()),
    ]
}

/// Whether a change may alter the structure of the inventory.
pub(crate) fn is_structural(change: &Change) -> bool {
    match &change.what {
        What::Created | What::Removed => change.object.is_a(managed_id!(ManagedEntity)),
        What::Set(numbers) => {
            ways().iter().any(|(ty, number)| numbers.contains(number) && change.object.is_a(*ty))
        }
    }
}
