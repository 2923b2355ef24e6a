//! Faults of all kinds: two operations at once, a daemon that died half-way, a full datastore, a process that
//! was killed.

#![allow(clippy::unwrap_used)]

mod common;

use std::path::Path;
use std::process::Command;

use common::{Site, simulated, small};
use datastore::FilePath;
use vim::{call, field, prop, vim};

#[tokio::test]
async fn of_two_power_ons_at_once_one_wins() {
    let c = simulated().await;
    let vm = c.create(small("twice")).await.unwrap();
    let (first, second) = tokio::join!(c.power_on(&vm), c.power_on(&vm));
    let refusal = match (first, second) {
        (Ok(()), Err(fault)) | (Err(fault), Ok(())) => fault,
        other => panic!("{other:?}"),
    };
    assert!(["TaskInProgress", "InvalidPowerState"].contains(&refusal.type_name()), "{refusal:?}");
    assert_eq!(c.power(&vm), "poweredOn");
}

#[tokio::test]
async fn of_two_machines_of_one_name_one_is_refused_and_leaves_nothing() {
    let c = simulated().await;
    c.create(small("same")).await.unwrap();
    assert_eq!(c.create(small("same")).await.unwrap_err().type_name(), "DuplicateName");
    let on = c.host.datastores.by_name("ds").unwrap();
    let names: Vec<String> =
        on.store.list(&FilePath::root()).unwrap().into_iter().map(|entry| entry.name).collect();
    assert_eq!(names, ["same"]);
}

#[tokio::test]
async fn machines_made_at_the_same_time_do_not_get_into_each_others_way() {
    let c = simulated().await;
    let (first, second) = tokio::join!(c.create(small("race")), c.create(small("race")));
    assert_eq!([&first, &second].iter().filter(|made| made.is_ok()).count(), 1, "{first:?} {second:?}");
    let made = first.or(second).unwrap();
    let on = c.host.datastores.by_name("ds").unwrap();
    assert!(on.store.exists(&FilePath::parse("race/race.vmx").unwrap()).unwrap());
    assert_eq!(c.get(&made, prop!(VirtualMachine.name)).as_deref(), Some("race"));
    let (one, two) = tokio::join!(c.create(small("one")), c.create(small("two")));
    assert!(one.is_ok() && two.is_ok());
}

#[tokio::test]
async fn names_and_paths_that_lead_elsewhere_are_refused() {
    let c = simulated().await;
    for (path, ty) in [
        ("", "InvalidVmConfig"),
        ("[ds] ../out/x.vmx", "InvalidDatastorePath"),
        ("[elsewhere]", "InvalidDatastorePath"),
        ("ds/x.vmx", "InvalidDatastorePath"),
    ] {
        let spec = vim!(VirtualMachineConfigSpec {
            name: "path",
            files: VirtualMachineFileInfo { vmPathName: path },
        });
        assert_eq!(c.create(spec).await.unwrap_err().type_name(), ty, "{path}");
    }
    let long = "n".repeat(81);
    assert_eq!(c.create(small(&long)).await.unwrap_err().type_name(), "InvalidName");
    let odd = c.create(small("a/b\\c ..")).await.unwrap();
    assert_eq!(c.get(&odd, prop!(VirtualMachine.name)).as_deref(), Some("a%2fb%5cc .."));
}

#[tokio::test]
async fn qemu_a_creation_that_a_crash_interrupted_leaves_nothing_and_a_machine_that_was_made_stays() {
    let site = Site::new();
    let c = site.open().await;
    let kept = c.create(small("kept")).await.unwrap();
    c.close().await;
    let c = site.open().await;
    let uuid = c.host.datastores.by_name("ds").unwrap().store.uuid();
    // As a daemon leaves it that dies in the middle.
    std::fs::create_dir(site.datastore().join("half")).unwrap();
    std::fs::write(site.datastore().join("half/half.vmdk"), b"half").unwrap();
    let token = format!("{} 77\n", c.host.uuid);
    std::fs::write(site.datastore().join("half/.unfinished-machine"), token).unwrap();
    // Another host made this one in the moment before.
    std::fs::create_dir(site.datastore().join("taken")).unwrap();
    std::fs::write(site.datastore().join("taken/taken.vmdk"), b"another's").unwrap();
    std::fs::create_dir(site.datastore().join("bare")).unwrap();
    let mut batch = store::Batch::new();
    for (number, name) in [("77", "half"), ("78", "taken"), ("79", "bare")] {
        let record = format!(
            r#"{{"datastore":"{uuid}","path":"{name}/{name}.vmx","user":77,"unfinished":[["{uuid}","{name}"]],"task":"task-9"}}"#
        );
        batch.put("vms", number, record.into_bytes());
    }
    c.host.core.store.commit(batch).await.unwrap();
    c.close().await;
    let c = site.open().await;
    assert!(!site.datastore().join("half").exists() && !site.datastore().join("bare").exists());
    assert!(site.datastore().join("taken/taken.vmdk").exists());
    assert!(!site.datastore().join("kept/.unfinished-machine").exists());
    assert_eq!(c.host.all_vms().len(), 1);
    assert_eq!(c.get(&kept, prop!(VirtualMachine.name)).as_deref(), Some("kept"));
    c.close().await;
    let c = site.open().await;
    assert_eq!(c.host.all_vms().len(), 1, "once is enough");
}

#[tokio::test]
async fn a_machine_whose_configuration_is_damaged_is_shown_as_inaccessible() {
    let site = Site::new();
    let c = site.open().await;
    let vm = c.create(small("hurt")).await.unwrap();
    c.close().await;
    std::fs::write(site.datastore().join("hurt/hurt.vmx"), b"no = \"configuration").unwrap();
    let c = site.open().await;
    let runtime = c.get(&vm, prop!(VirtualMachine.runtime)).unwrap();
    let connection = runtime.get(field!(VirtualMachineRuntimeInfo.connectionState)).unwrap();
    assert_eq!(vim::EnumValue::from(connection).name(), "inaccessible");
    assert_eq!(c.task(&vm, call!(PowerOnVM_Task {})).await.unwrap_err().type_name(), "InvalidState");
    c.invoke(&vm, call!(UnregisterVM {})).await.unwrap();
}

#[tokio::test]
async fn qemu_a_killed_machine_is_noticed_with_its_reason_and_can_be_started_again() {
    let site = Site::new();
    let c = site.open().await;
    let vm = c.create(small("dead")).await.unwrap();
    c.power_on(&vm).await.unwrap();
    let pid = c.host.vm(&vm).unwrap().machine().unwrap().pid();
    let pid = rustix::process::Pid::from_raw(pid).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    c.until(|c| c.power(&vm) == "poweredOff").await;
    let runtime = c.get(&vm, prop!(VirtualMachine.runtime)).unwrap();
    assert_eq!(runtime.get(field!(VirtualMachineRuntimeInfo.cleanPowerOff)), Some(false));
    c.until(|c| c.latest_event().0 == "VmPoweredOffEvent").await;
    let (_, message) = c.latest_event();
    assert!(message.contains("killed by signal 9"), "{message}");
    c.power_on(&vm).await.unwrap();
    c.power_off(&vm).await.unwrap();
}

#[tokio::test]
async fn qemu_a_machine_that_died_with_its_daemon_is_off_and_an_orphan_is_ended() {
    let site = Site::new();
    let c = site.open().await;
    let (gone, orphan) = (c.create(small("gone")).await.unwrap(), c.create(small("orphan")).await.unwrap());
    c.power_on(&gone).await.unwrap();
    c.power_on(&orphan).await.unwrap();
    let pid = |vm| c.host.vm(vm).unwrap().machine().unwrap().pid();
    let (dead, left) = (pid(&gone), pid(&orphan));
    // The register forgets the orphan, as if its removal had been the last thing that the daemon did.
    let mut batch = store::Batch::new();
    batch.delete("vms", orphan.id());
    c.host.core.store.commit(batch).await.unwrap();
    c.close().await;
    let dead = rustix::process::Pid::from_raw(dead).unwrap();
    rustix::process::kill_process(dead, rustix::process::Signal::KILL).unwrap();
    let c = site.open().await;
    assert_eq!(c.power(&gone), "poweredOff");
    assert!(c.host.core.tree.snapshot().find(&orphan).is_none());
    let ended = std::fs::read_to_string(format!("/proc/{left}/stat"));
    assert!(ended.is_err() || ended.unwrap().contains(") Z "), "the orphan has ended");
    c.power_on(&gone).await.unwrap();
    c.power_off(&gone).await.unwrap();
}

/// A small file system on the datastore's directory.
struct Small<'a>(&'a Path);

impl<'a> Small<'a> {
    fn mount(at: &'a Path, size: &str) -> Self {
        let options = format!("size={size},mode=755");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(at).status();
        assert!(mounted.unwrap().success());
        Self(at)
    }
}

impl Drop for Small<'_> {
    fn drop(&mut self) {
        drop(Command::new("umount").arg("-l").arg(self.0).status());
    }
}

#[tokio::test]
async fn qemu_a_full_datastore_is_a_clear_fault_and_nothing_half_made_stays() {
    let site = Site::new();
    let directory = site.datastore();
    let _small = Small::mount(&directory, "2m");
    let c = site.open().await;
    let before = c.create(small("before")).await.unwrap();
    std::fs::write(directory.join("ballast"), vec![1; 4 << 20]).unwrap_err();
    let fault = c.create(small("full")).await.unwrap_err();
    assert_eq!(fault.type_name(), "NoDiskSpace", "{fault}");
    assert!(!directory.join("full").exists());
    let spec = vim!(VirtualMachineConfigSpec { annotation: "x".repeat(9000) });
    let fault = c.task(&before, call!(ReconfigVM_Task { spec: spec })).await.unwrap_err();
    assert_eq!(fault.type_name(), "NoDiskSpace", "{fault}");
    let config = c.get(&before, prop!(VirtualMachine.config)).unwrap();
    assert_eq!(config.get(field!(VirtualMachineConfigInfo.annotation)), Some(""));
    c.close().await;
    std::fs::remove_file(directory.join("ballast")).unwrap();
    let c = site.open().await;
    assert_eq!(c.get(&before, prop!(VirtualMachine.name)).as_deref(), Some("before"));
    c.create(small("full")).await.unwrap();
}
