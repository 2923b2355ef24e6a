//! Destroying a VM removes its own files and never those of other VMs.

#![allow(clippy::unwrap_used)]

mod common;

use common::{Client, simulated};
use datastore::FilePath;
use vim::{Data, MoRef, Object, call, field, prop, vim, vim_enum};

type Spec = Data<{ vim::data_id!(VirtualMachineConfigSpec).0 }>;

fn at(name: &str, path: &str) -> Spec {
    vim!(VirtualMachineConfigSpec {
        name: name,
        guestId: "otherLinux64Guest",
        memoryMB: 128i64,
        numCPUs: 1,
        files: VirtualMachineFileInfo { vmPathName: path },
    })
}

fn is_there(c: &Client, name: &str) -> bool {
    c.host.datastores.by_name("ds").unwrap().store.exists(&FilePath::parse(name).unwrap()).unwrap()
}

/// Gives a machine a disk, a new one or one that is there.
async fn add_disk(c: &Client, vm: &MoRef, file: &str, new: bool) {
    let mut disk = Object::from(vim!(VirtualDeviceConfigSpec {
        operation: "add",
        device: VirtualDisk {
            key: -2,
            controllerKey: -1,
            unitNumber: 0,
            capacityInKB: 1024i64,
            backing: VirtualDiskFlatVer2BackingInfo { fileName: file, diskMode: "persistent" },
        },
    }));
    if new {
        disk.set(
            field!(VirtualDeviceConfigSpec.fileOperation),
            vim_enum!(VirtualDeviceConfigSpecFileOperation.create),
        );
    }
    let controller = Object::from(vim!(VirtualDeviceConfigSpec {
        operation: "add",
        device: ParaVirtualSCSIController { key: -1, busNumber: 0, sharedBus: "noSharing" },
    }));
    let spec = vim!(VirtualMachineConfigSpec { deviceChange: [controller, disk] });
    c.task(vm, call!(ReconfigVM_Task { spec: spec })).await.unwrap();
}

#[tokio::test]
async fn a_machine_with_a_longer_name_in_the_same_directory_stays() {
    let c = simulated().await;
    let web = c.create(at("web", "[ds] d/web.vmx")).await.unwrap();
    let other = c.create(at("web2", "[ds] d/web2.vmx")).await.unwrap();
    c.create(at("dash", "[ds] d/web-3.vmx")).await.unwrap();
    c.destroy(&web).await.unwrap();
    assert!(!is_there(&c, "d/web.vmx"));
    assert!(is_there(&c, "d/web2.vmx") && is_there(&c, "d/web-3.vmx"));
    c.power_on(&other).await.unwrap();
}

#[tokio::test]
async fn a_disk_that_another_machine_has_stays_and_one_that_is_on_keeps_the_machine() {
    let c = simulated().await;
    let maker = c.create(at("maker", "[ds] maker/maker.vmx")).await.unwrap();
    add_disk(&c, &maker, "[ds] maker/shared.vmdk", true).await;
    let user = c.create(at("user", "[ds] user/user.vmx")).await.unwrap();
    add_disk(&c, &user, "[ds] maker/shared.vmdk", false).await;
    c.power_on(&user).await.unwrap();
    assert_eq!(c.destroy(&maker).await.unwrap_err().type_name(), "FileLocked");
    assert!(is_there(&c, "maker/maker.vmx"), "nothing is removed");
    assert!(c.get(&maker, prop!(VirtualMachine.name)).is_some());
    c.power_off(&user).await.unwrap();
    c.destroy(&maker).await.unwrap();
    assert!(!is_there(&c, "maker/maker.vmx"));
    assert!(is_there(&c, "maker/shared.vmdk"));
    c.power_on(&user).await.unwrap();
}

#[tokio::test]
async fn a_machine_that_is_open_on_another_host_is_not_destroyed() {
    let c = simulated().await;
    let vm = c.create(at("away", "[ds] away/away.vmx")).await.unwrap();
    let on = c.host.datastores.by_name("ds").unwrap();
    let lock = on.store.lock_vm(&FilePath::parse("away/away.vmx").unwrap(), "elsewhere").unwrap();
    assert_eq!(c.destroy(&vm).await.unwrap_err().type_name(), "FileLocked");
    assert!(is_there(&c, "away/away.vmx"));
    drop(lock);
    c.destroy(&vm).await.unwrap();
    assert!(!is_there(&c, "away"));
}
