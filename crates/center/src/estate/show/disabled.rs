//! `disabledMethod`: the methods that the present state of an object makes impossible. For a VM its host says so, as long as it
//! is reached.

use api::{Methods, Node, Service, Session, Snapshot};
use vim::{List, MoRef, Value, field, managed_id, prop, schema, vim_enum};

const NUMBER: u16 = prop!(ManagedEntity.disabledMethod).number();

/// Methods that need the host of a VM.
const ON_HOST: [&str; 14] = [
    "PowerOnVM_Task",
    "PowerOffVM_Task",
    "SuspendVM_Task",
    "ResetVM_Task",
    "ShutdownGuest",
    "RebootGuest",
    "StandbyGuest",
    "ReconfigVM_Task",
    "CreateSnapshot_Task",
    "CreateSnapshotEx_Task",
    "RevertToCurrentSnapshot_Task",
    "RemoveAllSnapshots_Task",
    "Destroy_Task",
    "UnregisterVM",
];

/// Enters the computed properties.
pub(crate) fn compute(methods: &mut Methods) {
    methods.compute(managed_id!(VirtualMachine), NUMBER, vm);
    methods.compute(managed_id!(HostSystem), NUMBER, host);
    methods.compute(managed_id!(VirtualApp), NUMBER, vapp);
    methods.compute(managed_id!(Folder), NUMBER, folder);
    methods.compute(managed_id!(ResourcePool), NUMBER, pool);
    methods.compute(managed_id!(ClusterComputeResource), NUMBER, cluster);
    methods.compute(managed_id!(Network), NUMBER, network);
}

fn list(me: &MoRef, disabled: impl IntoIterator<Item = &'static str>) -> Option<Value> {
    let items: Vec<Value> = disabled.into_iter().map(Value::from).collect();
    let element = schema().managed(me.ty()).properties[usize::from(NUMBER)].kind;
    (!items.is_empty()).then(|| Value::List(List::new(element, items)))
}

fn vm(_: &Service, _: &Session, node: &Node, _: &Snapshot) -> Option<Value> {
    let runtime = node.get(prop!(VirtualMachine.runtime));
    let connection =
        runtime.and_then(|runtime| runtime.get(field!(VirtualMachineRuntimeInfo.connectionState)));
    if connection == Some(vim_enum!(VirtualMachineConnectionState.disconnected)) {
        return list(node.me(), ON_HOST);
    }
    node.at(NUMBER).cloned()
}

fn host(_: &Service, _: &Session, node: &Node, _: &Snapshot) -> Option<Value> {
    let runtime = node.get(prop!(HostSystem.runtime))?;
    let connected = vim_enum!(HostSystemConnectionState.connected);
    let maintenance = runtime.get(field!(HostRuntimeInfo.inMaintenanceMode)).unwrap_or(false);
    let state = runtime.get(field!(HostRuntimeInfo.connectionState));
    list(node.me(), of_host(state == Some(connected), maintenance))
}

fn of_host(connected: bool, maintenance: bool) -> Vec<&'static str> {
    if !connected {
        return vec![
            "DisconnectHost_Task",
            "EnterMaintenanceMode_Task",
            "ExitMaintenanceMode_Task",
            "RebootHost_Task",
            "ShutdownHost_Task",
            "EnterLockdownMode",
            "ExitLockdownMode",
        ];
    }
    vec![
        "ReconnectHost_Task",
        if maintenance { "EnterMaintenanceMode_Task" } else { "ExitMaintenanceMode_Task" },
    ]
}

/// Methods that end an object or give it another name.
const FIXED: [&str; 2] = ["Destroy_Task", "Rename_Task"];

/// The root folder and the four folders of a datacenter stay as they are.
fn folder(_: &Service, _: &Session, node: &Node, _: &Snapshot) -> Option<Value> {
    let parent = node.get(prop!(ManagedEntity.parent));
    let fixed = parent.is_none_or(|parent| parent.is_a(managed_id!(Datacenter)));
    if fixed { list(node.me(), FIXED.into_iter().chain(["UnregisterAndDestroy_Task"])) } else { None }
}

/// The root pool is a part of its compute resource.
fn pool(_: &Service, _: &Session, node: &Node, _: &Snapshot) -> Option<Value> {
    let parent = node.get(prop!(ManagedEntity.parent));
    let root = parent.is_some_and(|parent| parent.is_a(managed_id!(ComputeResource)));
    if root { list(node.me(), FIXED) } else { None }
}

/// A cluster with hosts is in use.
fn cluster(_: &Service, _: &Session, node: &Node, _: &Snapshot) -> Option<Value> {
    let hosts = node.get(prop!(ComputeResource.host)).into_iter().flatten().count();
    if hosts > 0 { list(node.me(), ["Destroy_Task"]) } else { None }
}

/// A network is renamed on its hosts, and goes with the last that uses it.
fn network(_: &Service, _: &Session, node: &Node, _: &Snapshot) -> Option<Value> {
    list(node.me(), FIXED)
}

fn vapp(_: &Service, _: &Session, node: &Node, state: &Snapshot) -> Option<Value> {
    let (on, _) = super::vapp::power(node, state);
    let disabled: &[&str] = if on {
        &["Destroy_Task", "unregisterVApp_Task"]
    } else {
        &["PowerOffVApp_Task", "SuspendVApp_Task"]
    };
    list(node.me(), disabled.iter().copied())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_state_of_a_host_decides_which_methods_it_has() {
        for (connected, maintenance, disabled, possible) in [
            (true, false, "ExitMaintenanceMode_Task", "EnterMaintenanceMode_Task"),
            (true, true, "EnterMaintenanceMode_Task", "ExitMaintenanceMode_Task"),
            (false, false, "DisconnectHost_Task", "ReconnectHost_Task"),
        ] {
            let all = of_host(connected, maintenance);
            assert!(all.contains(&disabled) && !all.contains(&possible), "{connected} {maintenance}");
            assert!(all.iter().all(|name| schema().find_method(name).is_some()), "they exist");
        }
        assert!(ON_HOST.iter().all(|name| schema().find_method(name).is_some()));
    }
}
