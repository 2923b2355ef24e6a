//! The privileges to rename, destroy and move an object of the inventory, by its kind. They are those of the vSphere
//! security guide; the schema names none, since it has one method for all kinds.

use api::{Ask, Guard, Methods, Rule};
use vim::{Fault, ManagedId, Value, managed_id, method, prop};

use super::show::compute::is_cluster;

/// A kind of object in the inventory.
pub(super) struct OfKind {
    pub(super) ty: ManagedId,
    rename: &'static str,
    destroy: &'static str,
    relocate: &'static str,
}

const fn kind(ty: ManagedId, rename: &'static str, destroy: &'static str, relocate: &'static str) -> OfKind {
    OfKind { ty, rename, destroy, relocate }
}

/// Derived kinds come before their bases.
pub(super) const KINDS: [OfKind; 13] = [
    kind(
        managed_id!(VirtualMachine),
        "VirtualMachine.Config.Rename",
        "VirtualMachine.Inventory.Delete",
        "VirtualMachine.Inventory.Move",
    ),
    kind(managed_id!(StoragePod), "StoragePod.Config", "StoragePod.Config", "StoragePod.Config"),
    kind(managed_id!(Folder), "Folder.Rename", "Folder.Delete", "Folder.Move"),
    kind(managed_id!(Datacenter), "Datacenter.Rename", "Datacenter.Delete", "Datacenter.Move"),
    kind(
        managed_id!(ClusterComputeResource),
        "Host.Inventory.RenameCluster",
        "Host.Inventory.DeleteCluster",
        "Host.Inventory.MoveCluster",
    ),
    kind(
        managed_id!(ComputeResource),
        "Host.Inventory.RenameCluster",
        "Host.Inventory.RemoveHostFromCluster",
        "Host.Inventory.MoveHost",
    ),
    kind(
        managed_id!(HostSystem),
        "Host.Inventory.RenameCluster",
        "Host.Inventory.RemoveHostFromCluster",
        "Host.Inventory.MoveHost",
    ),
    kind(managed_id!(VirtualApp), "VApp.Rename", "VApp.Delete", "VApp.Move"),
    kind(managed_id!(ResourcePool), "Resource.RenamePool", "Resource.DeletePool", "Resource.MovePool"),
    kind(managed_id!(Datastore), "Datastore.Rename", "Datastore.Delete", "Datastore.Move"),
    kind(
        managed_id!(DistributedVirtualPortgroup),
        "DVPortgroup.Modify",
        "DVPortgroup.Delete",
        "DVPortgroup.Modify",
    ),
    kind(managed_id!(Network), "Network.Config", "Network.Delete", "Network.Move"),
    kind(managed_id!(DistributedVirtualSwitch), "DVSwitch.Modify", "DVSwitch.Delete", "DVSwitch.Move"),
];

const RELOCATE: [&str; KINDS.len() + 2] = {
    let mut all = [EDIT_CLUSTER; KINDS.len() + 2];
    all[KINDS.len()] = ADD_HOST;
    let mut at = 0;
    while at < KINDS.len() {
        all[at] = KINDS[at].relocate;
        at += 1;
    }
    all
};

/// Guards `Rename_Task` and `Destroy_Task` of every kind, whichever part of the center does them.
pub(super) fn guard(methods: &mut Methods) {
    for kind in KINDS {
        methods.guard(kind.ty, method!(Rename_Task), Guard::Privilege(kind.rename));
        methods.guard(kind.ty, method!(Destroy_Task), Guard::Privilege(kind.destroy));
    }
}

/// For `MoveIntoFolder_Task`: the privilege of the kind, on each of the objects, on the folder that it leaves and on the target. A host that
/// leaves its cluster needs those of its own.
pub(crate) const MOVE: Guard = Guard::Rule(Rule { privileges: &RELOCATE, check: may_move });

/// The privileges to change a cluster, and to add a host to a folder.
const EDIT_CLUSTER: &str = "Host.Inventory.EditCluster";
const ADD_HOST: &str = "Host.Inventory.AddStandaloneHost";

fn may_move(ask: &Ask<'_>) -> Result<(), Fault> {
    let list = ask.call.args.values().iter().flat_map(|(_, value)| value.items());
    for moved in list.filter_map(Value::as_ref) {
        let Some(kind) = KINDS.iter().find(|kind| moved.is_a(kind.ty)) else { continue };
        ask.needs(moved, kind.relocate)?;
        let parent = ask.state.find(moved).and_then(|node| node.get(prop!(ManagedEntity.parent)));
        if let Some(cluster) = parent.filter(|parent| is_cluster(parent)) {
            ask.needs(cluster, EDIT_CLUSTER)?;
            ask.needs(ask.object, ADD_HOST)?;
            continue;
        }
        ask.needs(ask.object, kind.relocate)?;
        // A VM in a vApp has no folder; the right to take it out of there is one on the VM.
        if let Some(source) = parent {
            ask.needs(source, kind.relocate)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use vim::{MoRef, schema};

    use super::*;

    #[test]
    fn a_derived_kind_has_a_row_of_its_own_or_its_bases() {
        for ty in ["VirtualApp", "StoragePod", "ClusterComputeResource", "OpaqueNetwork", "HostSystem"] {
            let id = schema().find_managed(ty).unwrap_or_else(|| panic!("{ty}"));
            assert!(KINDS.iter().any(|kind| MoRef::new(id, "x").is_a(kind.ty)), "{ty}");
        }
    }

    #[test]
    fn every_entity_of_the_inventory_has_a_row() {
        let entity = managed_id!(ManagedEntity);
        let ours = |since| since <= vim::api_release();
        let kinds =
            schema().managed.iter().filter(|ty| ty.id != entity && MoRef::new(ty.id, "x").is_a(entity));
        for ty in kinds.filter(|ty| ours(ty.since)) {
            assert!(KINDS.iter().any(|kind| MoRef::new(ty.id, "x").is_a(kind.ty)), "{}", ty.name);
        }
    }
}
