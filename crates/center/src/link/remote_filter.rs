//! The filter that the center gives a host's property collector: everything that it mirrors.

use vim::{MoRef, managed_id, schema, ty, vim};

use super::names;
use crate::estate::of_config_manager;

/// The host with its parts, VMs with their snapshots, datastores, networks, tasks, and the latest event.
pub(super) fn everything() -> ty!(PropertyFilterSpec) {
    let parts = of_config_manager();
    let mut from_host: Vec<ty!(TraversalSpec)> =
        parts.map(|(name, _)| leaf("HostSystem", &format!("configManager.{name}"))).collect();
    from_host.push(leaf("HostSystem", "datastoreBrowser"));
    from_host.push(leaf("HostSystem", "network"));
    from_host.push(vim!(TraversalSpec {
        type: "HostSystem",
        path: "datastore",
        selectSet: [leaf("Datastore", "browser")],
    }));
    from_host.push(vim!(TraversalSpec { type: "HostSystem", path: "vm", selectSet: [snapshots()] }));
    let info = MoRef::new(managed_id!(TaskManager), "ha-taskmgr");
    let events = MoRef::new(managed_id!(EventManager), "ha-eventmgr");
    let whole = |ty: &str| vim!(PropertySpec { type: ty, all: true });
    let mut properties: Vec<ty!(PropertySpec)> =
        of_config_manager().map(|(_, ty)| whole(schema().managed(ty).name)).collect();
    properties.extend(["ManagedEntity", "VirtualMachineSnapshot", "HostDatastoreBrowser"].map(whole));
    properties.push(vim!(PropertySpec { type: "Task", pathSet: ["info"] }));
    properties.push(vim!(PropertySpec { type: "EventManager", pathSet: ["latestEvent"] }));
    vim!(PropertyFilterSpec {
        propSet: properties,
        objectSet: [
            ObjectSpec { obj: names::host(), selectSet: from_host },
            ObjectSpec {
                obj: names::vm_folder(),
                skip: true,
                selectSet: [
                    TraversalSpec { type: "Folder", path: "childEntity", selectSet: [snapshots()] },
                ],
            },
            ObjectSpec { obj: info, skip: true, selectSet: [leaf("TaskManager", "recentTask")] },
            ObjectSpec { obj: events },
        ],
        reportMissingObjectsInResults: true,
    })
}

fn leaf(ty: &str, path: &str) -> ty!(TraversalSpec) {
    vim!(TraversalSpec { type: ty, path: path })
}

/// A VM's snapshots and those below them.
fn snapshots() -> ty!(TraversalSpec) {
    vim!(TraversalSpec {
        name: "snapshots",
        type: "VirtualMachine",
        path: "rootSnapshot",
        selectSet: [
            TraversalSpec {
                name: "below",
                type: "VirtualMachineSnapshot",
                path: "childSnapshot",
                selectSet: [SelectionSpec { name: "below" }],
            },
        ],
    })
}
