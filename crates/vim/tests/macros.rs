//! The macros' output, and how it is read back.

use vim::{
    Fault, MoRef, Value, arg, call, data_id, fault, field, managed_id, prop, props, ty, vim, vim_enum,
};

#[test]
fn an_object_has_its_fields_in_wire_order_and_reads_back() {
    let annotation: Option<String> = None;
    let summary = vim!(VirtualMachineConfigSummary {
        numCpu: 2,
        name: "web",
        template: false,
        vmPathName: String::from("[ds] web/web.vmx"),
        annotation: annotation,
    });
    let numbers: Vec<_> = summary.fields().iter().map(|field| field.0).collect();
    assert!(numbers.is_sorted() && numbers.len() == 4);
    assert_eq!(summary.get(field!(VirtualMachineConfigSummary.name)), Some("web"));
    assert_eq!(summary.get(field!(VirtualMachineConfigSummary.numCpu)), Some(2));
    assert_eq!(summary.get(field!(VirtualMachineConfigSummary.annotation)), None);
}

#[test]
fn lists_hold_subtypes_and_enums_are_named() {
    let spec = vim!(VirtualMachineConfigSpec {
        deviceChange: [
            VirtualDeviceConfigSpec { operation: "add", device: VirtualDisk { key: -1, capacityInKB: 4 } },
            VirtualDeviceConfigSpec { operation: "remove", device: VirtualE1000 { key: 4000 } },
        ],
        extraConfig: Vec::<ty!(OptionValue)>::new(),
    });
    assert!(spec.get(field!(VirtualMachineConfigSpec.extraConfig)).is_none(), "an empty list is unset");
    let changes = spec.get(field!(VirtualMachineConfigSpec.deviceChange)).unwrap();
    let kinds: Vec<_> = changes
        .iter()
        .map(|change| {
            let operation = change.get(field!(VirtualDeviceConfigSpec.operation)).unwrap();
            (operation.name(), change.get(field!(VirtualDeviceConfigSpec.device)).unwrap().type_name())
        })
        .collect();
    assert_eq!(kinds, [("add", "VirtualDisk"), ("remove", "VirtualE1000")]);
}

#[test]
fn properties_can_be_unset_and_calls_carry_their_parameters() {
    let host = MoRef::new(managed_id!(HostSystem), "host-1");
    let new = props!(VirtualMachine { name: "web", guest: None::<ty!(GuestInfo)> });
    assert_eq!(new.values.len(), 2);
    assert_eq!(new.values.iter().find(|p| p.0 == prop!(VirtualMachine.guest).number()).unwrap().1, None);
    let power_on = call!(PowerOnVM_Task { host: &host });
    assert_eq!(power_on.get(arg!(PowerOnVM_Task.host)), Some(&host));
}

#[test]
fn references_are_replaced_at_any_depth_and_the_rest_is_shared() {
    let (old, new) = (MoRef::new(managed_id!(HostSystem), "a"), MoRef::new(managed_id!(HostSystem), "b"));
    let value: Value = vim!(VirtualMachineSummary {
        runtime: VirtualMachineRuntimeInfo { host: &old, powerState: "poweredOn" },
        config: VirtualMachineConfigSummary { name: "web" },
    })
    .into();
    let mapped = value.map_refs(&|r| (*r == old).then(|| new.clone()));
    let summary = mapped.as_object().unwrap();
    let runtime = summary.get(field!(VirtualMachineSummary.runtime)).unwrap();
    assert_eq!(runtime.get(field!(VirtualMachineRuntimeInfo.host)), Some(&new));
    let power = runtime.get(field!(VirtualMachineRuntimeInfo.powerState)).unwrap();
    assert_eq!(power, vim_enum!(VirtualMachinePowerState.poweredOn));
    let before = value.as_object().unwrap().get(field!(VirtualMachineSummary.config)).unwrap();
    let after = summary.get(field!(VirtualMachineSummary.config)).unwrap();
    assert!(std::sync::Arc::ptr_eq(before, after));
}

#[test]
fn a_fault_keeps_its_type_through_localisation() {
    let fault = fault!(InvalidPowerState { existingState: "poweredOff" }, "{} is off", "web");
    assert!(fault.is_a(data_id!(InvalidState)) && !fault.is_a(data_id!(FileFault)));
    assert_eq!(Fault::from_localized(&fault.localized()), Some(fault));
}
