//! The privileges that vSphere knows: those that the schema names at a method, parameter or property, and the rest of them.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use vim::schema;

/// Everybody who is logged in has these on objects that belong to no inventory entity.
pub(crate) const IMPLICIT: [&str; 3] = ["System.Anonymous", "System.View", "System.Read"];

/// Privileges of the vSphere security guide that no method or property of the schema names: some depend on the kind of an object
/// or on what is asked of it.
const UNNAMED: [&str; 38] = [
    "DVPortgroup.Delete",
    "DVPortgroup.Modify",
    "DVSwitch.Move",
    "Datacenter.Delete",
    "Datacenter.Move",
    "Datacenter.Rename",
    "Datastore.Browse",
    "Datastore.Move",
    "Folder.Move",
    "Folder.Rename",
    "Global.CancelTask",
    "Host.Inventory.DeleteCluster",
    "Host.Inventory.MoveCluster",
    "Host.Inventory.RemoveHostFromCluster",
    "Host.Inventory.RenameCluster",
    "Network.Config",
    "Network.Move",
    "Resource.DeletePool",
    "Resource.MovePool",
    "Resource.RenamePool",
    "VApp.ApplicationConfig",
    "VApp.Delete",
    "VApp.Move",
    "VApp.Rename",
    "VirtualMachine.Config.AddNewDisk",
    "VirtualMachine.Config.AddRemoveDevice",
    "VirtualMachine.Config.AdvancedConfig",
    "VirtualMachine.Config.Annotation",
    "VirtualMachine.Config.CPUCount",
    "VirtualMachine.Config.ChangeTracking",
    "VirtualMachine.Config.EditDevice",
    "VirtualMachine.Config.ManagedBy",
    "VirtualMachine.Config.Memory",
    "VirtualMachine.Config.Rename",
    "VirtualMachine.Config.Resource",
    "VirtualMachine.Config.SwapPlacement",
    "VirtualMachine.Inventory.Delete",
    "VirtualMachine.Inventory.Move",
];

/// The ids of all privileges (`VirtualMachine.Interact.PowerOn`), in order.
pub fn all_privileges() -> &'static BTreeSet<&'static str> {
    static ALL: LazyLock<BTreeSet<&'static str>> = LazyLock::new(|| {
        let schema = schema();
        let mut all = BTreeSet::from(UNNAMED);
        all.extend(IMPLICIT);
        for ty in &schema.managed {
            all.extend(ty.privileges.iter().flatten());
        }
        for method in &schema.methods {
            all.extend(method.privilege);
            all.extend(method.parameter_privileges.iter().flatten());
        }
        all
    });
    &ALL
}

/// The privileges that a host asks for on itself, whatever of it is read or configured.
pub fn host_privileges() -> impl Iterator<Item = &'static str> {
    all_privileges().iter().copied().filter(|id| *id == "System.Read" || id.starts_with("Host."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_beside_the_schema_names_only_what_the_schema_does_not() {
        let schema = schema();
        let of_properties = schema.managed.iter().flat_map(|ty| ty.privileges.iter().flatten());
        let of_methods = schema
            .methods
            .iter()
            .flat_map(|method| method.privilege.iter().chain(method.parameter_privileges.iter().flatten()));
        let named: BTreeSet<&str> = of_properties.chain(of_methods).copied().collect();
        let twice: Vec<_> = UNNAMED.iter().filter(|id| named.contains(*id)).collect();
        assert!(twice.is_empty(), "{twice:?}");
    }
}
