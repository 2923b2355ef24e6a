//! A property path that a client names, compiled and followed.

use std::sync::LazyLock;

use vim::path::PropertyPath;
use vim::{ManagedId, Value, managed_id, schema, vim};

static CONFIG: LazyLock<Value> = LazyLock::new(|| {
    vim!(VirtualMachineConfigInfo {
        name: "web",
        hardware: VirtualHardware {
            numCPU: 2,
            device: [
                VirtualE1000 { key: 4000, macAddress: "00:50:56:00:00:01" },
                VirtualDisk {
                    key: 2000,
                    backing: VirtualDiskFlatVer2BackingInfo { fileName: "[ds] a.vmdk" }
                },
            ],
        },
        extraConfig: [OptionValue { key: "a.b", value: "x" }],
    })
    .into()
});

pub(crate) fn run(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    for ty in [managed_id!(VirtualMachine), ManagedId(text.len() as u16 % schema().managed.len() as u16)] {
        match PropertyPath::compile(ty, text) {
            Ok(path) => {
                assert_eq!(path.text(), text);
                let root = path.get(&CONFIG);
                assert!(!path.is_whole_property() || root.as_ref() == Some(&*CONFIG));
            }
            Err(error) => assert_eq!(error.to_fault().type_name(), "InvalidProperty"),
        }
    }
}
