//! The life of a machine on a simulated host: the same code as on a real one, without guests.

#![allow(clippy::unwrap_used)]

mod common;

use common::{Client, simulated, small};
use vim::{call, field, prop};

#[tokio::test]
async fn a_machine_is_made_switched_on_and_off_and_destroyed() {
    let c = simulated().await;
    let vm = c.create(small("web")).await.unwrap();
    assert_eq!(c.power(&vm), "poweredOff");
    c.power_on(&vm).await.unwrap();
    assert_eq!(c.power(&vm), "poweredOn");
    let again = c.task(&vm, call!(PowerOnVM_Task {})).await.unwrap_err();
    assert_eq!(again.type_name(), "InvalidPowerState");
    c.until(|c| {
        let guest = c.get(&vm, prop!(VirtualMachine.guest)).unwrap();
        guest.get(field!(GuestInfo.hostName)) == Some("web")
    })
    .await;
    assert_eq!(c.destroy(&vm).await.unwrap_err().type_name(), "InvalidPowerState");
    c.power_off(&vm).await.unwrap();
    c.destroy(&vm).await.unwrap();
    assert!(c.host.core.tree.snapshot().find(&vm).is_none());
    let on = c.host.datastores.by_name("ds").unwrap();
    assert_eq!(on.store.list(&datastore::FilePath::root()).unwrap(), []);
    assert_eq!(
        c.events().await,
        ["VmCreatedEvent", "VmStartingEvent", "VmPoweredOnEvent", "VmPoweredOffEvent", "VmRemovedEvent"]
    );
}

#[tokio::test]
async fn vms_are_watched_for_as_long_as_they_are_served() {
    let c = simulated().await;
    let vm = c.create(small("web")).await.unwrap();
    c.power_on(&vm).await.unwrap();
    let Client { host, service, .. } = c;
    let (core, engine) = (host.core.clone(), host.engine.clone());
    drop(host);
    engine.end(vm.id()).await.unwrap();
    let mut versions = core.tree.versions();
    loop {
        let state = core.tree.snapshot();
        let runtime = state.find(&vm).unwrap().get(prop!(VirtualMachine.runtime)).unwrap();
        let power = runtime.get(field!(VirtualMachineRuntimeInfo.powerState)).unwrap();
        if vim::EnumValue::from(power).name() == "poweredOff" {
            break;
        }
        versions.changed().await.unwrap();
    }
    drop(service);
}
