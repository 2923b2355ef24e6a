//! Privileges that methods of a VM take beside those that the schema names, by their arguments: by the content of a specification, and
//! by the kind of a ticket. The names are those of the vSphere security guide. Daemons register these functions as guards.

use vim::{Args, Object, arg, data_id, field, schema};

/// Privilege that changing a field of the specification takes. Other fields take [`SETTINGS`].
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

/// Every privilege that this module may name.
pub fn all() -> impl Iterator<Item = &'static str> {
    let of_field = OF_FIELD.iter().map(|(_, privilege)| *privilege);
    let others =
        [SETTINGS, DEVICES, EDIT_DEVICE, NEW_DISK, EXISTING_DISK, REMOVE_DISK, CONSOLE, GUEST_CONTROL];
    of_field.chain(others)
}

/// The privileges that a call of `ReconfigVM_Task` takes on the VM.
pub fn to_reconfigure(args: &Args) -> Vec<&'static str> {
    args.get(arg!(ReconfigVM_Task.spec)).map(|spec| of_spec(spec)).unwrap_or_default()
}

/// The privileges that a call of `CreateVM_Task` or `CreateChildVM_Task` takes, beside the one that the schema names, on the folder or
/// the resource pool.
pub fn to_create(args: &Args) -> Vec<&'static str> {
    // The specification is the first parameter of both methods.
    let spec = args.get(arg!(CreateVM_Task.config));
    let changes = spec.and_then(|spec| spec.get(field!(VirtualMachineConfigSpec.deviceChange)));
    changes.into_iter().flatten().map(|change| of_device_change(change)).collect()
}

/// The privilege that a call of `AcquireTicket` takes on the VM: a console takes another one than access to the guest.
pub fn to_acquire_ticket(args: &Args) -> Vec<&'static str> {
    let console = args.get(arg!(AcquireTicket.ticketType)).is_none_or(|kind| kind.ends_with("mks"));
    vec![if console { CONSOLE } else { GUEST_CONTROL }]
}

/// The privileges that `ReconfigVM_Task` takes on the VM for this `VirtualMachineConfigSpec`, sorted, each once.
pub fn of_spec(spec: &Object) -> Vec<&'static str> {
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
    if all.iter().all(|privilege| *privilege == "System.View") {
        // A change of nothing still occupies the VM with a task, which a user who may only look must not do.
        all.push(SETTINGS);
    }
    all.sort_unstable();
    all.dedup();
    all
}

/// The privilege that one `VirtualDeviceConfigSpec` takes: on the VM that it changes, or on the folder where
/// `CreateVM_Task` creates the VM.
pub fn of_device_change(change: &Object) -> &'static str {
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
    use vim::vim;

    use super::*;

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
    fn a_change_of_nothing_takes_more_than_looking() {
        let empty = Object::from(vim!(VirtualMachineConfigSpec {}));
        let versioned = Object::from(vim!(VirtualMachineConfigSpec { changeVersion: "1" }));
        for spec in [empty, versioned] {
            assert!(of_spec(&spec).contains(&SETTINGS));
        }
    }
}
