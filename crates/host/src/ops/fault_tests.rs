//! What is left when a machine fails in the middle of an operation.

use std::sync::{Arc, Mutex};

use super::Wanted;
use super::faulty::{Fault, disk, names, running, stored, suspending};
use crate::events::Who;
use crate::vm::state::Power;

fn wanted() -> Wanted {
    Wanted { name: "one".into(), description: String::new(), memory: false, quiesce: false }
}

#[tokio::test]
async fn the_configuration_names_the_new_layers_before_the_machine_uses_them() {
    let seen = Arc::new(Mutex::new(None));
    let (slot, told) = (Arc::new(Mutex::new(None::<Box<dyn Fn() -> String + Send>>)), seen.clone());
    let look = slot.clone();
    let (host, vm) = running(Fault::None, move || {
        *told.lock().unwrap() = look.lock().unwrap().as_ref().map(|look| look());
    })
    .await;
    let (at, of) = (host.clone(), vm.clone());
    *slot.lock().unwrap() = Some(Box::new(move || disk(&stored(&at, &of))));
    host.take_snapshot(&vm, wanted()).await.unwrap();
    *slot.lock().unwrap() = None;
    assert_eq!(seen.lock().unwrap().as_deref(), Some("vm-000001.vmdk"));
}

#[tokio::test]
async fn a_snapshot_that_is_refused_leaves_the_old_configuration_and_no_files() {
    let (host, vm) = running(Fault::Refuses, || {}).await;
    host.take_snapshot(&vm, wanted()).await.unwrap_err();
    assert_eq!((disk(&stored(&host, &vm)), disk(&vm.config())), ("vm.vmdk".into(), "vm.vmdk".into()));
    assert_eq!(names(&host, ".vmdk"), ["vm.vmdk"]);
    assert_eq!(names(&host, ".vmsn"), [""; 0]);
}

#[tokio::test]
async fn a_snapshot_whose_answer_is_lost_is_as_the_machine_says_that_it_is() {
    let (host, vm) = running(Fault::LosesAnswer, || {}).await;
    host.take_snapshot(&vm, wanted()).await.unwrap();
    assert_eq!(
        (disk(&stored(&host, &vm)), disk(&vm.config())),
        ("vm-000001.vmdk".into(), "vm-000001.vmdk".into())
    );
    assert_eq!(vm.state().snapshots.snapshots.len(), 1);

    let (host, vm) = running(Fault::LosesQuestion, || {}).await;
    host.take_snapshot(&vm, wanted()).await.unwrap_err();
    assert_eq!((disk(&stored(&host, &vm)), disk(&vm.config())), ("vm.vmdk".into(), "vm.vmdk".into()));
    assert_eq!(vm.state().snapshots.snapshots.len(), 0);
    assert_eq!(names(&host, ".vmdk"), ["vm-000001.vmdk", "vm.vmdk"], "it may still happen");
}

#[tokio::test]
async fn a_machine_that_ended_while_it_was_suspended_is_suspended_if_its_state_is_whole() {
    let (host, vm) = running(Fault::LosesEnd, || {}).await;
    host.suspend(&vm, &Who::default(), &|_| {}).await.unwrap();
    assert_eq!(vm.power(), Power::Suspended);
    assert_eq!(vm.state().file.suspend_file.as_deref(), Some(names(&host, ".vmss")[0].as_str()));
    assert_eq!(suspending(&host, &vm), None);
    host.power_on(&vm, &Who::default()).await.unwrap();
    assert_eq!(names(&host, ".vmss"), [""; 0]);

    let (host, vm) = running(Fault::EndsEarly, || {}).await;
    host.suspend(&vm, &Who::default(), &|_| {}).await.unwrap_err();
    assert_eq!(vm.power(), Power::Off);
    assert_eq!(suspending(&host, &vm), None);
}

#[tokio::test]
async fn a_saved_state_that_was_left_is_not_gone_on_from_once_the_machine_has_run() {
    let (host, vm) = running(Fault::None, || {}).await;
    host.power_off(&vm, &Who::default()).await.unwrap();
    host.note_suspending(&vm, Some("vm-1.vmss")).await.unwrap();
    let on = host.datastores.by_name("ds").unwrap();
    on.store.write(&datastore::FilePath::parse("vm/vm-1.vmss").unwrap(), b"old").unwrap();
    host.power_on(&vm, &Who::default()).await.unwrap();
    assert_eq!(suspending(&host, &vm), None);
    assert_eq!(names(&host, ".vmss"), [""; 0]);
}
