//! The filter that the center gives a host's property collector: everything that it mirrors.

use vim::{Kind, MoRef, data_id, managed_id, schema, ty, vim};

use super::names;

/// The host with its parts, VMs with their snapshots, datastores, networks, tasks, and the latest event.
pub(super) fn everything() -> ty!(PropertyFilterSpec) {
    let parts = schema().data(data_id!(HostConfigManager)).fields.iter();
    let parts = parts.filter(|field| matches!(field.kind, Kind::Ref(_)));
    let mut from_host: Vec<ty!(TraversalSpec)> =
        parts.map(|part| leaf("HostSystem", &format!("configManager.{}", part.name))).collect();
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
    vim!(PropertyFilterSpec {
        propSet: [
            PropertySpec { type: "ManagedEntity", all: true },
            PropertySpec { type: "VirtualMachineSnapshot", all: true },
            PropertySpec { type: "HostDatastoreBrowser", all: true },
            PropertySpec { type: "Task", pathSet: ["info"] },
            PropertySpec { type: "EventManager", pathSet: ["latestEvent"] },
            PropertySpec { type: "OptionManager", all: true },
            PropertySpec { type: "ExtensibleManagedObject", all: true },
        ],
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
