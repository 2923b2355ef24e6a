//! A daemon that dies in the middle of an operation on a running machine, and the next one.

#![allow(clippy::unwrap_used)]

mod common;

use std::sync::Arc;

use common::{Client, Site, added, disk_on_scsi, small, small_with};
use host::engine::Processors;
use hostnet::{NetworkOptions, NoFabric};
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
    c.close().await;
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
    let adapter = vim!(VirtualVmxnet3 {
        key: -1,
        addressType: "manual",
        macAddress: "00:50:56:12:34:57",
        backing: VirtualEthernetCardNetworkBackingInfo { deviceName: "VM Network" },
    });
    let vm = c.create(small_with("deaf", vec![added(adapter)])).await.unwrap();
    c.power_on(&vm).await.unwrap();
    let pid = c.host.vm(&vm).unwrap().machine().unwrap().pid();
    // The test is about to stop the QEMU process, which would keep an asking daemon waiting.
    c.close().await;
    (vm, pid)
}

#[tokio::test]
async fn qemu_a_machine_that_does_not_answer_a_new_daemon_is_on_keeps_its_port_and_is_adopted_when_it_does() {
    let site = Site::new();
    let (vm, pid) = left_running(&site).await;
    signal(pid, Signal::STOP);
    let fabric = Arc::new(NoFabric::new(2));
    let network = || NetworkOptions {
        fabric: fabric.clone(),
        ..NetworkOptions::simulated(vec![host::DEFAULT_NETWORK.into()], None)
    };
    let c = Client::of(site.open_host_with(network).await);
    assert_eq!((c.power(&vm), connection(&c, &vm)), ("poweredOn", "disconnected"));
    let ports: Vec<_> = fabric.declared().ports.into_iter().map(|port| port.interface).collect();
    assert_eq!(ports, [format!("vm{}n0", vm.id())]);

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
    c.close().await;
    signal(pid, Signal::STOP);
    let c = site.open().await;
    assert_eq!(c.power(&vm), "poweredOn");
    signal(pid, Signal::KILL);
    c.until(|c| c.power(&vm) == "poweredOff").await;
    c.destroy(&vm).await.unwrap();
}

fn consolidation_needed(c: &Client, vm: &MoRef) -> Option<bool> {
    c.get(vm, prop!(VirtualMachine.runtime))?.get(field!(VirtualMachineRuntimeInfo.consolidationNeeded))
}

/// A machine with a disk and a layer on it that is on while its daemon has died, as the daemon leaves it that begins to
/// remove the snapshot: the `.vmsd` does not know it any more, and the register tells of the merging.
async fn left_merging(site: &Site) -> (MoRef, qemu::Machine) {
    let c = site.open().await;
    let backing = vim!(VirtualDiskFlatVer2BackingInfo { fileName: "", diskMode: "persistent" });
    let vm = c.create(small_with("merge", disk_on_scsi(8192, backing))).await.unwrap();
    c.power_on(&vm).await.unwrap();
    let snapshot = call!(CreateSnapshot_Task { name: "s", memory: false, quiesce: false });
    c.task(&vm, snapshot).await.unwrap();
    let on = register(&c, &vm)["datastore"].clone();
    let merging =
        serde_json::json!({"layer": [on, "merge/merge-000001.vmdk"], "base": [on, "merge/merge.vmdk"]});
    note(&c, &vm, "merging", merging).await;
    c.close().await;
    std::fs::remove_file(site.datastore().join("merge/merge.vmsd")).unwrap();
    let machine = qemu::Machine::adopt(site.root.path().join("run").join(vm.id())).await.unwrap();
    let arguments = serde_json::json!({"command-line": "qemu-io -d d2000 \"write -P 5 0 1M\""});
    machine.monitor().raw("human-monitor-command", arguments, qemu::limits::QMP_CALL).await.unwrap();
    (vm, machine)
}

/// The `.vmx`, and which images are there.
fn on_disk(site: &Site) -> (String, Vec<String>) {
    let directory = site.datastore().join("merge");
    let names = std::fs::read_dir(&directory).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
    let mut images: Vec<String> = names.filter(|name| name.ends_with(".vmdk")).collect();
    images.sort();
    (std::fs::read_to_string(directory.join("merge.vmx")).unwrap(), images)
}

#[tokio::test]
async fn qemu_a_merge_whose_daemon_died_is_given_up_and_done_by_a_consolidation() {
    let site = Site::new();
    let (vm, machine) = left_merging(&site).await;
    let device = machine.drives().await.unwrap().remove(0).node_name;
    let job =
        serde_json::json!({"job-id": "commit-d2000", "device": device, "speed": 1, "auto-dismiss": false});
    machine.monitor().raw("block-commit", job, qemu::limits::QMP_CALL).await.unwrap();
    drop(machine);

    let c = site.open().await;
    assert_eq!((c.power(&vm), consolidation_needed(&c, &vm)), ("poweredOn", Some(true)));
    let (vmx, images) = on_disk(&site);
    assert!(vmx.contains("merge-000001.vmdk"), "{vmx}");
    assert_eq!(images, ["merge-000001.vmdk", "merge.vmdk"]);
    assert!(register(&c, &vm)["merging"].is_null());
    c.task(&vm, call!(ConsolidateVMDisks_Task {})).await.unwrap();
    let (vmx, images) = on_disk(&site);
    assert!(!vmx.contains("merge-000001.vmdk"), "{vmx}");
    assert_eq!((images, consolidation_needed(&c, &vm)), (vec!["merge.vmdk".to_owned()], Some(false)));
    let machine = c.host.vm(&vm).unwrap().machine().unwrap();
    assert_eq!(machine.processors().await.unwrap(), Processors::Running);
    c.power_off(&vm).await.unwrap();
    c.destroy(&vm).await.unwrap();
}

#[tokio::test]
async fn qemu_a_layer_that_was_merged_when_the_daemon_died_is_named_no_more_before_the_guest_goes_on() {
    let site = Site::new();
    let (vm, machine) = left_merging(&site).await;
    let base = site.datastore().join("merge/merge.vmdk");
    assert!(machine.commit("d2000", None, &base, |_| {}).await.unwrap(), "the guest stands still");
    drop(machine);
    assert!(on_disk(&site).0.contains("merge-000001.vmdk"), "this is what is to be mended");

    let c = site.open().await;
    let (vmx, images) = on_disk(&site);
    assert!(!vmx.contains("merge-000001.vmdk"), "{vmx}");
    assert_eq!((images, consolidation_needed(&c, &vm)), (vec!["merge.vmdk".to_owned()], Some(false)));
    assert!(register(&c, &vm)["merging"].is_null());
    let machine = c.host.vm(&vm).unwrap().machine().unwrap();
    assert_eq!(machine.processors().await.unwrap(), Processors::Running);
    c.power_off(&vm).await.unwrap();
    c.destroy(&vm).await.unwrap();
}
