//! Privileges of methods for which the schema names none because they depend on the kind of object or on what is asked:
//! destroying a folder takes another privilege than destroying a machine. The names are those of the vSphere security guide.
//!
//! A method that the schema says nothing of, and that is in no list here, cannot be registered: [`crate::Service::new`]
//! refuses it.

use vim::{
    Fault, ManagedId, MethodId, MoRef, Object, Value, arg, data_id, field, managed_id, method, schema,
};

use crate::{Call, Session, Snapshot};

/// Kind of object, privilege to rename one, privilege to destroy one, privilege to move one.
type OfKind = (ManagedId, &'static str, &'static str, &'static str);

/// Derived kinds come before their bases.
const OF_KIND: [OfKind; 13] = [
    (
        managed_id!(VirtualMachine),
        "VirtualMachine.Config.Rename",
        "VirtualMachine.Inventory.Delete",
        "VirtualMachine.Inventory.Move",
    ),
    (managed_id!(StoragePod), "StoragePod.Config", "StoragePod.Config", "StoragePod.Config"),
    (managed_id!(Folder), "Folder.Rename", "Folder.Delete", "Folder.Move"),
    (managed_id!(Datacenter), "Datacenter.Rename", "Datacenter.Delete", "Datacenter.Move"),
    (
        managed_id!(ClusterComputeResource),
        "Host.Inventory.RenameCluster",
        "Host.Inventory.DeleteCluster",
        "Host.Inventory.MoveCluster",
    ),
    (
        managed_id!(ComputeResource),
        "Host.Inventory.RenameCluster",
        "Host.Inventory.RemoveHostFromCluster",
        "Host.Inventory.MoveHost",
    ),
    (
        managed_id!(HostSystem),
        "Host.Inventory.RenameCluster",
        "Host.Inventory.RemoveHostFromCluster",
        "Host.Inventory.MoveHost",
    ),
    (managed_id!(VirtualApp), "VApp.Rename", "VApp.Delete", "VApp.Move"),
    (managed_id!(ResourcePool), "Resource.RenamePool", "Resource.DeletePool", "Resource.MovePool"),
    (managed_id!(Datastore), "Datastore.Rename", "Datastore.Delete", "Datastore.Move"),
    (
        managed_id!(DistributedVirtualPortgroup),
        "DVPortgroup.Modify",
        "DVPortgroup.Delete",
        "DVPortgroup.Modify",
    ),
    (managed_id!(Network), "Network.Config", "Network.Delete", "Network.Move"),
    (managed_id!(DistributedVirtualSwitch), "DVSwitch.Modify", "DVSwitch.Delete", "DVSwitch.Move"),
];

/// What changing a machine takes, by the field of the specification. Other fields take [`SETTINGS`].
const OF_FIELD: [(&str, &str); 19] = [
    ("changeVersion", "System.View"),
    ("name", "VirtualMachine.Config.Rename"),
    ("annotation", "VirtualMachine.Config.Annotation"),
    ("extraConfig", "VirtualMachine.Config.AdvancedConfig"),
    ("numCPUs", "VirtualMachine.Config.CPUCount"),
    ("numCoresPerSocket", "VirtualMachine.Config.CPUCount"),
    ("cpuHotAddEnabled", "VirtualMachine.Config.CPUCount"),
    ("cpuHotRemoveEnabled", "VirtualMachine.Config.CPUCount"),
    ("memoryMB", "VirtualMachine.Config.Memory"),
    ("memoryHotAddEnabled", "VirtualMachine.Config.Memory"),
    ("cpuAllocation", "VirtualMachine.Config.Resource"),
    ("memoryAllocation", "VirtualMachine.Config.Resource"),
    ("cpuAffinity", "VirtualMachine.Config.Resource"),
    ("memoryAffinity", "VirtualMachine.Config.Resource"),
    ("swapPlacement", "VirtualMachine.Config.SwapPlacement"),
    ("changeTrackingEnabled", "VirtualMachine.Config.ChangeTracking"),
    ("managedBy", "VirtualMachine.Config.ManagedBy"),
    ("vAppConfig", "VApp.ApplicationConfig"),
    ("vAppConfigRemoved", "VApp.ApplicationConfig"),
];
const SETTINGS: &str = "VirtualMachine.Config.Settings";
const DEVICES: &str = "VirtualMachine.Config.AddRemoveDevice";
const EDIT_DEVICE: &str = "VirtualMachine.Config.EditDevice";
const NEW_DISK: &str = "VirtualMachine.Config.AddNewDisk";
const EXISTING_DISK: &str = "VirtualMachine.Config.AddExistingDisk";
const REMOVE_DISK: &str = "VirtualMachine.Config.RemoveDisk";

const CONSOLE: &str = "VirtualMachine.Interact.ConsoleInteract";
const GUEST_CONTROL: &str = "VirtualMachine.Interact.GuestControl";

const NETWORK: &str = "Host.Config.Network";

/// Methods for which [`check`] looks at what is asked, or of what.
const BY_WHAT_IS_ASKED: [MethodId; 6] = [
    method!(Rename_Task),
    method!(Destroy_Task),
    method!(MoveIntoFolder_Task),
    method!(MoveIntoResourcePool),
    method!(AcquireTicket),
    method!(ReconfigVM_Task),
];

/// Methods of objects that are a session's own, which nobody else can call, and what everybody may do who is logged in.
const OPEN: [MethodId; 16] = [
    method!(DestroyCollector),
    method!(RewindCollector),
    method!(ResetCollector),
    method!(SetCollectorPageSize),
    method!(ReadNextEvents),
    method!(ReadPreviousEvents),
    method!(ReadNextTasks),
    method!(ReadPreviousTasks),
    method!(OpenInventoryViewFolder),
    method!(CloseInventoryViewFolder),
    method!(ModifyListView),
    method!(ResetListView),
    method!(ResetListViewFromView),
    method!(DestroyPropertyFilter),
    method!(RetrieveUserGroups),
    // Who began a task may stop it; the method asks everybody else for a privilege.
    method!(CancelTask),
];

/// Methods that ask for the privilege themselves, on what a text names, or for every caller alike.
const ASKS_ITSELF: [MethodId; 10] = [
    method!(MoveDatastoreFile_Task),
    method!(CopyDatastoreFile_Task),
    method!(DeleteDatastoreFile_Task),
    method!(MakeDirectory),
    method!(ChangeOwner),
    method!(SearchDatastore_Task),
    method!(SearchDatastoreSubFolders_Task),
    method!(UpdateOptions),
    // What is executed says what it takes, one of [`ESXCLI`].
    method!(ExecuteSoap),
    method!(FetchSoap),
];

/// Methods that take the same privilege on their object whatever is asked.
const FIXED: [(MethodId, &str); 13] = [
    (method!(UpdateConfig), "Resource.EditPool"),
    (method!(UpdateChildResourceConfiguration), "Resource.EditPool"),
    (method!(DestroyChildren), "Resource.DeletePool"),
    (method!(UpdateVAppConfig), "VApp.ApplicationConfig"),
    (method!(CloneVM_Task), "VirtualMachine.Provisioning.Clone"),
    (method!(MigrateVM_Task), "Resource.ColdMigrate"),
    (method!(LogUserEvent), "Global.LogEvent"),
    (method!(setCustomValue), "Global.SetCustomField"),
    (method!(UpdateNetworkConfig), NETWORK),
    (method!(AddVirtualNic), NETWORK),
    (method!(UpdateVirtualNic), NETWORK),
    (method!(AddServiceConsoleVirtualNic), NETWORK),
    (method!(UpdateServiceConsoleVirtualNic), NETWORK),
];

/// Privileges that commands of esxcli take on the host. A host asks for the one of the command; a center, which does not know the
/// commands of its hosts, says which of them its user lacks.
pub const ESXCLI: [&str; 2] = ["System.Read", NETWORK];

/// Every privilege that this module may ask for.
pub(crate) fn privileges() -> impl Iterator<Item = &'static str> {
    let of_kind = OF_KIND.iter().flat_map(|(_, rename, destroy, relocate)| [*rename, *destroy, *relocate]);
    let of_field = OF_FIELD.iter().map(|(_, privilege)| *privilege);
    let fixed = FIXED.iter().map(|(_, privilege)| *privilege);
    let devices =
        [SETTINGS, DEVICES, EDIT_DEVICE, NEW_DISK, EXISTING_DISK, REMOVE_DISK, CONSOLE, GUEST_CONTROL];
    of_kind.chain(of_field).chain(fixed).chain(devices)
}

/// Whether the schema or one of the lists here says what a method takes.
pub(crate) fn is_said(method: MethodId) -> bool {
    let known = schema().method(method);
    known.privilege.is_some()
        // What may be left out guards nothing.
        || known.parameters.iter().zip(&known.parameter_privileges).any(|(parameter, privilege)| {
            privilege.is_some() && !parameter.optional
        })
        || FIXED.iter().any(|row| row.0 == method)
        || [&BY_WHAT_IS_ASKED[..], &OPEN, &ASKS_ITSELF].into_iter().flatten().any(|said| *said == method)
}

/// Checks what a call takes beside what the schema says.
///
/// # Errors
/// `NoPermission`.
pub(crate) fn check(session: &Session, object: &MoRef, call: &Call, state: &Snapshot) -> Result<(), Fault> {
    let needs = |at: &MoRef, privilege: &str| call.service.check(session, at, privilege, state);
    let of_kind = |at: &MoRef| OF_KIND.iter().find(|row| at.is_a(row.0));
    let method = call.args.method;
    if let Some((_, privilege)) = FIXED.iter().find(|row| row.0 == method) {
        return needs(object, privilege);
    }
    if method == method!(Rename_Task) {
        return of_kind(object).map_or(Ok(()), |row| needs(object, row.1));
    }
    if method == method!(Destroy_Task) {
        return of_kind(object).map_or(Ok(()), |row| needs(object, row.2));
    }
    if method == method!(MoveIntoFolder_Task) || method == method!(MoveIntoResourcePool) {
        let list = call.args.values().iter().flat_map(|(_, value)| value.items());
        for moved in list.filter_map(Value::as_ref) {
            let Some(row) = of_kind(moved) else { continue };
            let into_pool = object.is_a(managed_id!(ResourcePool)) && row.0 == managed_id!(VirtualMachine);
            let privilege = if into_pool { "Resource.AssignVMToPool" } else { row.3 };
            needs(moved, if into_pool { "System.View" } else { privilege })?;
            needs(object, privilege)?;
        }
        return Ok(());
    }
    if method == method!(AcquireTicket) {
        let console = call.arg(arg!(AcquireTicket.ticketType)).is_none_or(|kind| kind.ends_with("mks"));
        return needs(object, if console { CONSOLE } else { GUEST_CONTROL });
    }
    if method == method!(ReconfigVM_Task)
        && let Some(spec) = call.arg(arg!(ReconfigVM_Task.spec))
    {
        for privilege in of_spec(spec) {
            needs(object, privilege)?;
        }
    }
    // The specification is the first parameter of both.
    let creates = method == method!(CreateVM_Task) || method == method!(CreateChildVM_Task);
    if creates && let Some(spec) = call.arg(arg!(CreateVM_Task.config)) {
        let changes = spec.get(field!(VirtualMachineConfigSpec.deviceChange));
        for change in changes.into_iter().flatten() {
            needs(object, of_device_change(change))?;
        }
    }
    Ok(())
}

/// The privileges that a change of a machine takes.
fn of_spec(spec: &Object) -> Vec<&'static str> {
    let members = &schema().data(spec.ty()).fields;
    let mut all = vec!["System.View"];
    for (number, _) in spec.fields() {
        let name = members[usize::from(*number)].name;
        if name != "deviceChange" {
            all.push(OF_FIELD.iter().find(|row| row.0 == name).map_or(SETTINGS, |row| row.1));
        }
    }
    let changes = spec.get(field!(VirtualMachineConfigSpec.deviceChange));
    all.extend(changes.into_iter().flatten().map(|change| of_device_change(change)));
    all.sort_unstable();
    all.dedup();
    all
}

fn of_device_change(change: &Object) -> &'static str {
    let device = change.get(field!(VirtualDeviceConfigSpec.device));
    let disk = device.is_some_and(|device| device.is_a(data_id!(VirtualDisk)));
    let operation = change.get(field!(VirtualDeviceConfigSpec.operation)).map(|operation| operation.name());
    let creates = change.get(field!(VirtualDeviceConfigSpec.fileOperation)).is_some();
    match (operation, disk) {
        (Some("add"), true) if creates => NEW_DISK,
        (Some("add"), true) => EXISTING_DISK,
        (Some("remove"), true) => REMOVE_DISK,
        (Some("add" | "remove"), false) => DEVICES,
        _ => EDIT_DEVICE,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use vim::vim;

    use super::*;
    use crate::testing::Guard;
    use crate::{Core, Methods, Service};

    #[test]
    fn a_change_takes_the_privileges_of_all_its_parts() {
        let spec = vim!(VirtualMachineConfigSpec {
            name: "a",
            numCPUs: 2,
            guestId: "otherGuest",
            deviceChange: [
                VirtualDeviceConfigSpec {
                    operation: "add",
                    fileOperation: "create",
                    device: VirtualDisk { key: -1, capacityInKB: 1i64 },
                },
                VirtualDeviceConfigSpec {
                    operation: "edit",
                    device: VirtualDisk { key: 2000, capacityInKB: 1i64 }
                },
                VirtualDeviceConfigSpec { operation: "add", device: VirtualE1000 { key: -2 } },
            ],
        });
        let spec = Object::from(spec);
        let mut expected = [
            "System.View",
            NEW_DISK,
            EDIT_DEVICE,
            DEVICES,
            SETTINGS,
            "VirtualMachine.Config.CPUCount",
            "VirtualMachine.Config.Rename",
        ];
        expected.sort_unstable();
        assert_eq!(of_spec(&spec), expected);
    }

    #[test]
    fn no_list_names_what_another_or_the_schema_says() {
        let fixed = FIXED.iter().map(|row| row.0);
        let all: Vec<MethodId> = fixed.chain(BY_WHAT_IS_ASKED).chain(OPEN).chain(ASKS_ITSELF).collect();
        for (at, method) in all.iter().enumerate() {
            let known = schema().method(*method);
            assert!(known.privilege.is_none(), "{}", known.name);
            assert!(!all[..at].contains(method), "{}", known.name);
        }
    }

    #[test]
    #[should_panic(expected = "IpPoolManager.AllocateIpv4Address")]
    fn a_method_of_which_nothing_is_said_is_not_served() {
        let core = Arc::new(Core::new(store::Store::in_memory().unwrap()));
        let mut methods = Methods::default();
        methods.on(managed_id!(IpPoolManager), method!(AllocateIpv4Address), |_| async { Ok(None) });
        Service::new(core, Arc::new(Guard::default()), methods);
    }

    #[test]
    fn a_derived_kind_has_a_row_of_its_own_or_its_bases() {
        for ty in ["VirtualApp", "StoragePod", "ClusterComputeResource", "OpaqueNetwork", "HostSystem"] {
            let Some(vim::TypeRef::Managed(id)) = schema().find(ty) else { panic!("{ty}") };
            assert!(OF_KIND.iter().any(|row| MoRef::new(id, "x").is_a(row.0)), "{ty}");
        }
    }
}
