//! Property paths: which exist, and where they lead.
#![allow(clippy::unwrap_used)]

use vim::path::PropertyPath;
use vim::{ManagedId, Value, managed_id, prop, schema, vim};

const VM: ManagedId = managed_id!(VirtualMachine);

fn compile(text: &str) -> PropertyPath {
    PropertyPath::compile(VM, text).unwrap()
}

fn config() -> Value {
    vim!(VirtualMachineConfigInfo {
        name: "web",
        hardware: VirtualHardware {
            numCPU: 2,
            device: [
                VirtualE1000 { key: 4000, macAddress: "00:50:56:00:00:01" },
                VirtualDisk {
                    key: 2000,
                    capacityInKB: 1024,
                    backing: VirtualDiskFlatVer2BackingInfo { fileName: "[ds] web/web.vmdk" },
                },
            ],
        },
        extraConfig: [OptionValue { key: "a.b", value: "x" }, OptionValue { key: "q\"]", value: 7 }],
        datastoreUrl: [],
    })
    .into()
}

#[test]
fn a_path_leads_through_objects_and_picks_list_elements_by_key() {
    let root = config();
    for (path, expected) in [
        ("config.name", Some("web".into())),
        ("config.hardware.numCPU", Some(Value::Int(2))),
        ("config.hardware.device[2000].backing.fileName", Some("[ds] web/web.vmdk".into())),
        ("config.hardware.device[2000].capacityInKB", Some(Value::Long(1024))),
        ("config.hardware.device[4000].macAddress", Some("00:50:56:00:00:01".into())),
        // Of another type than the one with the name, unset, absent.
        ("config.hardware.device[4000].capacityInKB", None),
        ("config.hardware.device[2000].deviceInfo.label", None),
        ("config.hardware.device[1].key", None),
        // A list leads nowhere without a key.
        ("config.hardware.device.key", None),
        ("config.extraConfig[\"a.b\"].value", Some("x".into())),
        ("config.extraConfig[a.b].value", Some("x".into())),
        ("config.extraConfig[\"q\\\"]\"].value", Some(Value::Int(7))),
    ] {
        assert_eq!(compile(path).get(&root), expected, "{path}");
    }
    assert_eq!(compile("config.hardware.device").get(&root).unwrap().items().len(), 2);
}

#[test]
fn a_property_by_itself_is_whole() {
    let path = compile("config");
    assert!(path.is_whole_property() && !compile("config.name").is_whole_property());
    assert_eq!(path.property(), prop!(VirtualMachine.config).number());
    assert_eq!(path.get(&config()), Some(config()));
    assert_eq!(compile("recentTask[\"task-1\"]").get(&config()), None);
}

#[test]
fn a_name_that_no_type_has_is_an_invalid_path() {
    for path in [
        "",
        ".",
        "nonsense",
        "config.",
        "config..name",
        "config.nonsense",
        "config.name.length",
        "config.name[3]",
        "config.hardware.device[2000].nonsense",
        "config.hardware.device[2000",
        "config.hardware.device[].key",
        "config.hardware.device[2000]key",
        "config.hardware.device[\"2000].key",
        "runtime.host.name",
        "config[1]",
        "PowerOnVM_Task",
    ] {
        let error = PropertyPath::compile(VM, path).unwrap_err();
        assert_eq!(error.to_fault().type_name(), "InvalidProperty", "{path}");
    }
    let long = format!("config{}", ".a".repeat(10_000));
    assert!(PropertyPath::compile(VM, &long).is_err());
}

#[test]
fn every_property_of_every_managed_type_is_a_path() {
    for ty in &schema().managed {
        for (number, property) in (0u16..).zip(&ty.properties) {
            let path = PropertyPath::compile(ty.id, property.name).unwrap();
            assert_eq!((path.property(), path.is_whole_property()), (number, true), "{}", ty.name);
        }
    }
}
