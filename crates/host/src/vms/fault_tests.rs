//! The state that is left when a QEMU process fails in the middle of an operation.

use std::sync::{Arc, Mutex, Weak};

use vm::Power;

use super::faulty::{Fault, disk, names, running, stored, suspending};
use super::merge::consolidate;
use super::power::{power_off, power_on};
use super::saved_state;
use super::snapshot::{Wanted, remove_all, take};
use super::suspend::suspend;
use super::vm::Vm;
use crate::Host;
use crate::events::Who;

fn wanted() -> Wanted {
    Wanted { name: "one".into(), description: String::new(), memory: false, quiesce: None }
}

/// A VM with this fault, and the disk that its configuration named whenever it went on.
async fn watched(fault: Fault) -> (Arc<Host>, Arc<Vm>, Arc<Mutex<Vec<String>>>) {
    let slot = Arc::new(Mutex::new(None::<(Weak<Host>, Weak<Vm>)>));
    let seen = Arc::new(Mutex::new(Vec::new()));
    let (look, told) = (slot.clone(), seen.clone());
    let (host, vm) = running(fault, move || {
        let at = look.lock().unwrap().clone();
        if let Some((host, vm)) = at.and_then(|(host, vm)| Some((host.upgrade()?, vm.upgrade()?))) {
            told.lock().unwrap().push(disk(&stored(&host, &vm)));
        }
    })
    .await;
    *slot.lock().unwrap() = Some((Arc::downgrade(&host), Arc::downgrade(&vm)));
    (host, vm, seen)
}

#[tokio::test]
async fn the_configuration_names_the_new_layers_before_the_machine_uses_them() {
    let (host, vm, seen) = watched(Fault::None).await;
    take(&host.vms, &vm, wanted()).await.unwrap();
    assert_eq!(*seen.lock().unwrap(), ["vm-000001.vmdk"]);
}

#[tokio::test]
async fn the_configuration_names_the_file_below_before_a_guest_whose_layer_was_merged_goes_on() {
    for fault in [Fault::Stands, Fault::LosesMerge] {
        let (host, vm, seen) = watched(fault).await;
        take(&host.vms, &vm, wanted()).await.unwrap();
        remove_all(&host.vms, &vm, &|_| {}).await.unwrap();
        assert_eq!(*seen.lock().unwrap(), ["vm-000001.vmdk", "vm.vmdk"], "{fault:?}");
        assert_eq!(names(&host, ".vmdk"), ["vm.vmdk"]);
        assert!(!vm.read().consolidation_needed);
    }
}

#[tokio::test]
async fn a_merge_that_did_not_happen_leaves_the_layer_until_it_is_consolidated() {
    let (host, vm, seen) = watched(Fault::LosesMergeQuestion).await;
    take(&host.vms, &vm, wanted()).await.unwrap();
    remove_all(&host.vms, &vm, &|_| {}).await.unwrap_err();
    assert_eq!(seen.lock().unwrap().last().unwrap(), "vm-000001.vmdk");
    assert_eq!(disk(&vm.config()), "vm-000001.vmdk");
    assert!(vm.read().consolidation_needed && vm.read().snapshots.snapshots.is_empty());
    power_off(&host.vms, &vm, &Who::default()).await.unwrap();
    consolidate(&host.vms, &vm, &|_| {}).await.unwrap();
    assert_eq!(
        (disk(&stored(&host, &vm)), names(&host, ".vmdk")),
        ("vm.vmdk".into(), vec!["vm.vmdk".into()])
    );
    assert!(!vm.read().consolidation_needed);
}

#[tokio::test]
async fn a_snapshot_that_is_refused_leaves_the_old_configuration_and_no_files() {
    let (host, vm) = running(Fault::Refuses, || {}).await;
    take(&host.vms, &vm, wanted()).await.unwrap_err();
    assert_eq!((disk(&stored(&host, &vm)), disk(&vm.config())), ("vm.vmdk".into(), "vm.vmdk".into()));
    assert_eq!(names(&host, ".vmdk"), ["vm.vmdk"]);
    assert_eq!(names(&host, ".vmsn"), [""; 0]);
}

#[tokio::test]
async fn a_snapshot_whose_answer_is_lost_is_as_the_machine_says_that_it_is() {
    let (host, vm) = running(Fault::LosesAnswer, || {}).await;
    take(&host.vms, &vm, wanted()).await.unwrap();
    assert_eq!(
        (disk(&stored(&host, &vm)), disk(&vm.config())),
        ("vm-000001.vmdk".into(), "vm-000001.vmdk".into())
    );
    assert_eq!(vm.read().snapshots.snapshots.len(), 1);

    let (host, vm) = running(Fault::LosesQuestion, || {}).await;
    take(&host.vms, &vm, wanted()).await.unwrap_err();
    assert_eq!((disk(&stored(&host, &vm)), disk(&vm.config())), ("vm.vmdk".into(), "vm.vmdk".into()));
    assert_eq!(vm.read().snapshots.snapshots.len(), 0);
    assert_eq!(names(&host, ".vmdk"), ["vm-000001.vmdk", "vm.vmdk"], "it may still happen");
}

#[tokio::test]
async fn a_machine_that_ended_while_it_was_suspended_is_suspended_if_its_state_is_whole() {
    let (host, vm) = running(Fault::LosesEnd, || {}).await;
    suspend(&host.vms, &vm, &Who::default(), &|_| {}).await.unwrap();
    assert_eq!(vm.power(), Power::Suspended);
    assert_eq!(vm.read().suspend_file.as_deref(), Some(names(&host, ".vmss")[0].as_str()));
    assert_eq!(suspending(&host, &vm), None);
    power_on(&host.vms, &vm, &Who::default()).await.unwrap();
    assert_eq!(names(&host, ".vmss"), [""; 0]);

    let (host, vm) = running(Fault::EndsEarly, || {}).await;
    suspend(&host.vms, &vm, &Who::default(), &|_| {}).await.unwrap_err();
    assert_eq!(vm.power(), Power::Off);
    assert_eq!(suspending(&host, &vm), None);
}

#[tokio::test]
async fn a_saved_state_that_was_left_is_not_gone_on_from_once_the_machine_has_run() {
    let (host, vm) = running(Fault::None, || {}).await;
    power_off(&host.vms, &vm, &Who::default()).await.unwrap();
    saved_state::note(&host.vms.register, &vm, Some("vm-1.vmss")).await.unwrap();
    let on = host.datastores.by_name("ds").unwrap();
    on.store.write(&datastore::FilePath::parse("vm/vm-1.vmss").unwrap(), b"old").unwrap();
    power_on(&host.vms, &vm, &Who::default()).await.unwrap();
    assert_eq!(suspending(&host, &vm), None);
    assert_eq!(names(&host, ".vmss"), [""; 0]);
}

#[tokio::test]
async fn a_vm_that_does_not_come_up_has_nothing_connected() {
    let (host, vm) = running(Fault::None, || {}).await;
    power_off(&host.vms, &vm, &Who::default()).await.unwrap();
    vm.change(|state| {
        let port = vm::device::Serial {
            backing: vm::device::SerialBacking::Pipe {
                name: String::new(),
                endpoint: "server".into(),
                no_rx_loss: false,
            },
            yield_on_poll: false,
        };
        let device = vm::device::Device {
            key: vm::device::key::SERIAL,
            controller: Some(vm::device::key::SIO),
            unit: Some(0),
            connect: Some(vm::device::Connect::default()),
            kind: port.into(),
        };
        Arc::make_mut(&mut state.config).devices.insert(device.key, device);
    });
    // The record cannot be cleared, which is found out after the configuration was written.
    saved_state::note(&host.vms.register, &vm, Some("../elsewhere")).await.unwrap();
    power_on(&host.vms, &vm, &Who::default()).await.unwrap_err();
    assert_eq!(vm.power(), Power::Off);
    assert!(vm.machine().is_none());
    assert!(!vm.config().devices[&vm::device::key::SERIAL].connect.unwrap().now);
}
