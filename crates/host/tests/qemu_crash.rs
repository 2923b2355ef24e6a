//! A daemon that dies in the middle of an operation on a running machine, and the next one.

#![allow(clippy::unwrap_used)]

mod common;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use common::{Client, Site, small};
use host::engine::Processors;
use host::net::{PortError, PortPlug, PortSpec, Tap};
use qemu::RunState;
use qemu::qmp::command;
use rustix::process::{Pid, Signal, kill_process};
use vim::{MoRef, call, field, prop, vim};

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

/// Connects nothing, and remembers which ports were to stay.
#[derive(Default)]
struct Ports(Mutex<BTreeSet<(String, i32)>>);

#[async_trait]
impl PortPlug for Ports {
    async fn plug(&self, _port: &PortSpec, _owner: Option<u32>) -> Result<Option<Tap>, PortError> {
        Ok(None)
    }
    async fn move_port(&self, _port: &PortSpec) -> Result<(), PortError> {
        Ok(())
    }
    async fn unplug(&self, _vm: &str, _key: i32) -> Result<(), PortError> {
        Ok(())
    }
    async fn reconcile(&self, wanted: &BTreeSet<(String, i32)>) -> Result<(), PortError> {
        self.0.lock().unwrap().clone_from(wanted);
        Ok(())
    }
}

fn signal(pid: i32, signal: Signal) {
    kill_process(Pid::from_raw(pid).unwrap(), signal).unwrap();
}

fn connection(c: &Client, vm: &MoRef) -> &'static str {
    let runtime = c.get(vm, prop!(VirtualMachine.runtime)).unwrap();
    vim::EnumValue::from(runtime.get(field!(VirtualMachineRuntimeInfo.connectionState)).unwrap()).name()
}

/// A machine with an adapter that is on while its daemon has died.
async fn left_running(site: &Site) -> (MoRef, i32) {
    let c = site.open().await;
    let mut spec: vim::Object = small("deaf").into();
    let adapter = vim!(VirtualMachineConfigSpec {
        deviceChange: [VirtualDeviceConfigSpec {
            operation: "add",
            device: VirtualVmxnet3 {
                key: -1,
                addressType: "manual",
                macAddress: "00:50:56:12:34:57",
                backing: VirtualEthernetCardNetworkBackingInfo { deviceName: "VM Network" },
            },
        }],
    });
    let changes = field!(VirtualMachineConfigSpec.deviceChange).number();
    spec.put(changes, vim::Object::from(adapter).at(changes).cloned());
    let vm = c.create(spec).await.unwrap();
    c.power_on(&vm).await.unwrap();
    let pid = c.host.vm(&vm).unwrap().machine().unwrap().pid();
    (vm, pid)
}

#[tokio::test]
async fn qemu_a_machine_that_does_not_answer_a_new_daemon_is_on_keeps_its_port_and_is_adopted_when_it_does() {
    let site = Site::new();
    let (vm, pid) = left_running(&site).await;
    signal(pid, Signal::STOP);
    let ports = Arc::new(Ports::default());
    let c = Client::of(site.open_host_with(ports.clone()).await);
    assert_eq!((c.power(&vm), connection(&c, &vm)), ("poweredOn", "disconnected"));
    assert_eq!(*ports.0.lock().unwrap(), [(vm.id().to_owned(), 4000)].into());

    let refused = |result: Result<_, vim::Fault>| result.unwrap_err().type_name();
    assert_eq!(refused(c.power_on(&vm).await), "InvalidPowerState");
    assert_eq!(refused(c.destroy(&vm).await), "InvalidPowerState");
    assert_eq!(refused(c.invoke(&vm, call!(UnregisterVM {})).await.map(drop)), "InvalidPowerState");
    assert_eq!(refused(c.task(&vm, call!(ResetVM_Task {})).await.map(drop)), "InvalidState");
    let snapshot = call!(CreateSnapshot_Task { name: "s", memory: false, quiesce: false });
    assert_eq!(refused(c.task(&vm, snapshot).await.map(drop)), "InvalidState");

    signal(pid, Signal::CONT);
    c.until(|c| connection(c, &vm) == "connected").await;
    let machine = c.host.vm(&vm).unwrap().machine().unwrap();
    assert_eq!((c.power(&vm), machine.pid()), ("poweredOn", pid));
    c.power_off(&vm).await.unwrap();
    c.destroy(&vm).await.unwrap();
}

#[tokio::test]
async fn qemu_a_machine_that_does_not_answer_can_be_powered_off_and_its_end_is_noticed() {
    let site = Site::new();
    let (vm, pid) = left_running(&site).await;
    signal(pid, Signal::STOP);
    let c = site.open().await;
    c.power_off(&vm).await.unwrap();
    assert_eq!((c.power(&vm), connection(&c, &vm)), ("poweredOff", "connected"));
    assert!(!std::path::Path::new(&format!("/proc/{pid}/fd/0")).exists(), "the process is gone");
    c.power_on(&vm).await.unwrap();

    let pid = c.host.vm(&vm).unwrap().machine().unwrap().pid();
    drop(c);
    signal(pid, Signal::STOP);
    let c = site.open().await;
    assert_eq!(c.power(&vm), "poweredOn");
    signal(pid, Signal::KILL);
    c.until(|c| c.power(&vm) == "poweredOff").await;
    c.destroy(&vm).await.unwrap();
}
