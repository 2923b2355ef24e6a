//! Machines with real QEMU processes.

mod common;

use common::{Site, small};
use vim::{call, field, prop};

#[tokio::test]
async fn qemu_a_machine_is_made_switched_on_and_destroyed() {
    let site = Site::new();
    let c = site.open().await;
    let vm = c.create(small("real")).await.unwrap();
    c.power_on(&vm).await.unwrap();
    assert_eq!(c.power(&vm), "poweredOn");
    let machine = c.host.vm(&vm).unwrap().machine().unwrap();
    assert!(machine.usage().unwrap().resident_bytes > 1 << 20);
    c.task(&vm, call!(ResetVM_Task {})).await.unwrap();
    c.power_off(&vm).await.unwrap();
    let runtime = c.get(&vm, prop!(VirtualMachine.runtime)).unwrap();
    assert_eq!(runtime.get(field!(VirtualMachineRuntimeInfo.cleanPowerOff)), Some(true));
    c.destroy(&vm).await.unwrap();
    assert!(!site.datastore().join("real").exists());
    assert_eq!(std::fs::read_dir(site.root.path().join("run")).unwrap().count(), 0);
}
