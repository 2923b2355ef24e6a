//! The QEMU process of a VM: cold and hot devices alike.
#![allow(clippy::unwrap_used)]

mod common;

use common::{World, planned, reconfigured};
use qemu::MachineSpec;
use qemu::spec::{Accel, Confinement, Firmware};
use vim::{Object, vim};
use vm::config::VmConfig;
use vm::machine::{self, Given};
use vm::plan;

fn spec(config: &VmConfig) -> MachineSpec {
    let given = Given {
        accel: Accel::Tcg,
        firmware: Firmware::Bios,
        confinement: Confinement::default(),
        files: &World,
        tap: &|key| Some(format!("tap{key}")),
    };
    let spec = machine::spec(config, given).unwrap();
    spec.validate().unwrap();
    spec
}

/// A VM with `disk.EnableUUID`, a SCSI controller, a disk on it, and a network adapter.
fn vm() -> VmConfig {
    let spec = Object::from(vim!(VirtualMachineConfigSpec {
        name: "web01",
        flags: VirtualMachineFlagInfo { diskUuidEnabled: true },
        deviceChange: [
            VirtualDeviceConfigSpec {
                operation: "add",
                device: ParaVirtualSCSIController { key: -1, busNumber: 1, sharedBus: "noSharing" },
            },
            disk("[ds] web01/web01.vmdk", -1),
            nic(),
        ],
    }));
    planned(false, |around| plan::create(&spec, around)).unwrap().config
}

fn disk(file: &str, controller: i32) -> vim::ty!(VirtualDeviceConfigSpec) {
    vim!(VirtualDeviceConfigSpec {
        operation: "add",
        device: VirtualDisk {
            key: -100,
            controllerKey: controller,
            capacityInKB: 1i64,
            backing: VirtualDiskFlatVer2BackingInfo { fileName: file, diskMode: "persistent" },
        },
    })
}

fn nic() -> vim::ty!(VirtualDeviceConfigSpec) {
    vim!(VirtualDeviceConfigSpec {
        operation: "add",
        device: VirtualVmxnet3 {
            key: -200,
            backing: VirtualEthernetCardNetworkBackingInfo { deviceName: "VM Network" },
        },
    })
}

#[test]
fn a_hot_added_disk_is_the_one_that_a_cold_start_has() {
    let before = vm();
    let spec_change =
        Object::from(vim!(VirtualMachineConfigSpec { deviceChange: [disk("[ds] web01/b.vmdk", 1001)] }));
    let (config, steps) = reconfigured(&before, true, &spec_change).unwrap();
    let [vm::device::Step::Plug(key)] = steps[..] else { panic!("{steps:?}") };
    let hot = machine::hot_disk(&config, key, &World).unwrap();
    let mut cold = spec(&config).disks.into_iter().find(|disk| disk.id == hot.id).unwrap();
    // The boot order is asked for at power-on only.
    assert!(cold.boot_index.take().is_some());
    assert_eq!(hot, cold);
    let uuid = config.devices[&key].disk().unwrap().uuid.simple().to_string();
    assert_eq!(hot.serial.as_deref(), Some(&uuid[..20]));
}

#[test]
fn a_hot_added_adapter_is_the_one_that_a_cold_start_has_but_for_its_port() {
    let (config, _) =
        reconfigured(&vm(), true, &Object::from(vim!(VirtualMachineConfigSpec { deviceChange: [nic()] })))
            .unwrap();
    let hot = machine::hot_nic(&config, 4001, Some("tap4001".into())).unwrap();
    let mut cold = spec(&config).nics.into_iter().find(|nic| nic.id == hot.id).unwrap();
    assert_eq!((cold.boot_index.take().is_some(), cold.port.take()), (true, Some(1)));
    assert_eq!(hot, cold);
}

#[test]
fn a_disk_shows_no_serial_unless_the_vm_asks_for_it() {
    let mut config = vm();
    config.disk_uuid = false;
    assert_eq!(spec(&config).disks[0].serial, None);
}
