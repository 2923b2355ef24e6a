//! The privileges that methods of VMs take by what is asked: those of the parts of a specification, and of the kinds of a ticket.

use vim::{Fault, Object, arg, data_id, field, schema};

use crate::{Ask, Guard, Rule};

/// The privilege that a field of the specification takes. Other fields take [`SETTINGS`].
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
const OF_DEVICES: [&str; 5] = [DEVICES, EDIT_DEVICE, NEW_DISK, EXISTING_DISK, REMOVE_DISK];
const ALL: [&str; OF_FIELD.len() + OF_DEVICES.len() + 1] = {
    let mut all = [SETTINGS; OF_FIELD.len() + OF_DEVICES.len() + 1];
    let mut at = 0;
    while at < OF_FIELD.len() {
        all[at] = OF_FIELD[at].1;
        at += 1;
    }
    while at < OF_FIELD.len() + OF_DEVICES.len() {
        all[at] = OF_DEVICES[at - OF_FIELD.len()];
        at += 1;
    }
    all
};

/// For `ReconfigVM_Task`: the privileges of all parts of the specification, on the VM.
pub const RECONFIGURE: Guard = Guard::Rule(Rule { privileges: &ALL, check: reconfigure });
/// For `CreateVM_Task` and `CreateChildVM_Task`: beside what the schema says, the privileges of the devices, on the folder or pool.
pub const CREATE: Guard = Guard::Rule(Rule { privileges: &OF_DEVICES, check: create });

/// For `AcquireTicket`: a console takes another privilege than access to the guest.
pub const ACQUIRE_TICKET: Guard =
    Guard::Rule(Rule { privileges: &[CONSOLE, GUEST_CONTROL], check: acquire_ticket });

fn acquire_ticket(ask: &Ask<'_>) -> Result<(), Fault> {
    let console = ask.call.arg(arg!(AcquireTicket.ticketType)).is_none_or(|kind| kind.ends_with("mks"));
    ask.needs(ask.object, if console { CONSOLE } else { GUEST_CONTROL })
}

fn reconfigure(ask: &Ask<'_>) -> Result<(), Fault> {
    let spec = ask.call.arg(arg!(ReconfigVM_Task.spec));
    let all = spec.map(|spec| of_spec(spec)).unwrap_or_default();
    all.into_iter().try_for_each(|privilege| ask.needs(ask.object, privilege))
}

fn create(ask: &Ask<'_>) -> Result<(), Fault> {
    // The specification is the first parameter of both methods.
    let Some(spec) = ask.call.arg(arg!(CreateVM_Task.config)) else { return Ok(()) };
    let changes = spec.get(field!(VirtualMachineConfigSpec.deviceChange));
    let mut changes = changes.into_iter().flatten();
    changes.try_for_each(|change| ask.needs(ask.object, of_device_change(change)))
}

/// The privileges that a change of a VM takes.
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
}
