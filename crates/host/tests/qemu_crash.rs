//! A daemon that dies in the middle of an operation on a running machine, and the next one.

#![allow(clippy::unwrap_used)]

mod common;

use common::{Site, small};
use host::engine::Processors;
use qemu::RunState;
use qemu::qmp::command;
use vim::MoRef;

/// Changes what the register says of a machine.
async fn note(c: &common::Client, vm: &MoRef, key: &str, value: serde_json::Value) {
    let mut record = register(c, vm);
    record[key] = value;
    let mut batch = store::Batch::new();
    batch.put("vms", vm.id(), record.to_string().into_bytes());
    c.host.core.store.commit(batch).await.unwrap();
}

fn register(c: &common::Client, vm: &MoRef) -> serde_json::Value {
    let record = c.host.core.store.get("vms", vm.id()).unwrap().unwrap();
    serde_json::from_slice(&record).unwrap()
}

#[tokio::test]
async fn qemu_a_machine_whose_daemon_died_while_it_was_suspended_goes_on() {
    let site = Site::new();
    let c = site.open().await;
    let vm = c.create(small("half")).await.unwrap();
    c.power_on(&vm).await.unwrap();
    let pid = c.host.vm(&vm).unwrap().machine().unwrap().pid();
    note(&c, &vm, "suspending", "half-1.vmss".into()).await;
    drop(c);
    let (whole, partial) =
        (site.datastore().join("half/half-1.vmss"), site.datastore().join("half/half-1.vmss.partial"));
    // As far as QEMU comes without a daemon.
    let machine = qemu::Machine::adopt(site.root.path().join("run").join(vm.id())).await.unwrap();
    machine.stop().await.unwrap();
    std::fs::write(&partial, b"").unwrap();
    let directory = partial.parent().unwrap();
    std::fs::set_permissions(directory, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let user = machine.spec().confinement.user.unwrap();
    std::os::unix::fs::chown(&partial, Some(user.uid), Some(user.gid)).unwrap();
    let address = serde_json::json!({"transport": "file", "filename": partial, "offset": 0});
    let channels = vec![serde_json::json!({"channel-type": "main", "addr": address})];
    machine.monitor().run(&command::Migrate { channels }).await.unwrap();
    while machine.run_state().await.unwrap() != RunState::Saving {
        tokio::task::yield_now().await;
    }
    drop(machine);
    std::fs::copy(&partial, &whole).unwrap();

    let c = site.open().await;
    assert_eq!(c.power(&vm), "poweredOn");
    let machine = c.host.vm(&vm).unwrap().machine().unwrap();
    assert_eq!(machine.pid(), pid);
    assert_eq!(machine.processors().await.unwrap(), Processors::Running);
    assert!(!partial.exists() && !whole.exists(), "what it can never go on from");
    assert!(register(&c, &vm)["suspending"].is_null());
    c.power_off(&vm).await.unwrap();
}
