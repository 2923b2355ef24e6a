//! Power, adoption and the end of real QEMU processes, with guests that have nothing to boot.
#![allow(clippy::unwrap_used)]

mod common;

use common::{Room, empty_machine};
use qemu::{Error, ExitReason, Machine, MachineEvent, RunState, StartOptions, machine};

#[tokio::test]
async fn qemu_a_machine_starts_stopped_runs_and_quits() {
    let room = Room::new();
    let vm = Machine::start(&empty_machine("power"), room.path("r"), StartOptions::default()).await.unwrap();
    assert_eq!(vm.run_state().await.unwrap(), RunState::Prelaunch);
    let mut events = vm.events();
    vm.resume().await.unwrap();
    assert_eq!(events.next().await, Some(MachineEvent::Running));
    assert_eq!(vm.run_state().await.unwrap(), RunState::Running);
    vm.stop().await.unwrap();
    assert_eq!(vm.run_state().await.unwrap(), RunState::Paused);
    assert!(vm.usage().unwrap().resident_bytes > 1 << 20);
    assert_eq!(vm.power_off().await.unwrap(), ExitReason::Quit);
    assert!(vm.usage().is_none());
    let mut last = None;
    while let Some(event) = events.next().await {
        last = Some(event);
    }
    assert_eq!(last, Some(MachineEvent::Exited { reason: ExitReason::Quit }));
    let mut late = vm.events();
    assert_eq!(late.next().await, last);
    assert_eq!(late.next().await, None);
}

#[tokio::test]
async fn qemu_two_starts_at_once_give_one_machine() {
    let room = Room::new();
    let (spec, at) = (empty_machine("once"), room.path("r"));
    let (first, second) = tokio::join!(
        Machine::start(&spec, &at, StartOptions::default()),
        Machine::start(&spec, &at, StartOptions::default())
    );
    let (vm, refusal) = match (first, second) {
        (Ok(vm), Err(e)) | (Err(e), Ok(vm)) => (vm, e),
        other => panic!("{other:?}"),
    };
    assert!(matches!(refusal, Error::AlreadyRunning(_)), "{refusal:?}");
    vm.kill().await.unwrap();
}

#[tokio::test]
async fn qemu_a_killed_machine_is_noticed_with_the_signal() {
    let room = Room::new();
    let vm = Machine::start(&empty_machine("killed"), room.path("r"), StartOptions::default()).await.unwrap();
    let mut events = vm.events();
    let pid = rustix::process::Pid::from_raw(vm.pid()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    let Some(MachineEvent::Exited { reason }) = events.next().await else { panic!("no end") };
    assert!(matches!(reason, ExitReason::Killed { signal: 9, .. }), "{reason:?}");
    assert!(matches!(vm.run_state().await, Err(Error::Closed)));
}

#[tokio::test]
async fn qemu_a_start_that_fails_says_why_and_leaves_nothing() {
    let room = Room::new();
    let at = room.path("r");
    let mut spec = empty_machine("broken");
    spec.cpu.model = Some("no-such-model".into());
    let error = Machine::start(&spec, &at, StartOptions::default()).await.unwrap_err();
    assert!(error.to_string().contains("no-such-model"), "{error}");
    assert!(matches!(Machine::adopt(&at).await, Err(Error::NotRunning(_))));
    spec.cpu.model = None;
    let vm = Machine::start(&spec, &at, StartOptions::default()).await.unwrap();
    vm.kill().await.unwrap();
}

#[tokio::test]
async fn qemu_a_machine_outlives_its_handle_and_is_adopted() {
    let room = Room::new();
    let at = room.path("r");
    let vm = Machine::start(&empty_machine("adopted"), &at, StartOptions::default()).await.unwrap();
    vm.resume().await.unwrap();
    let pid = vm.pid();
    drop(vm);
    let again = Machine::adopt(&at).await.unwrap();
    assert_eq!(again.pid(), pid);
    assert_eq!(again.spec().name, "adopted");
    assert_eq!(again.run_state().await.unwrap(), RunState::Running);
    assert_eq!(again.power_off().await.unwrap(), ExitReason::Quit);
    assert!(matches!(Machine::adopt(&at).await, Err(Error::NotRunning(_))));
}

#[tokio::test]
async fn qemu_orphans_are_killed_and_wanted_machines_are_kept() {
    let room = Room::new();
    let start = async |name: &str| {
        Machine::start(&empty_machine(name), room.path(name), StartOptions::default()).await.unwrap()
    };
    let (wanted, orphan, dead) = (start("wanted").await, start("orphan").await, start("dead").await);
    dead.kill().await.unwrap();
    let killed = machine::reap_orphans(&room.path(""), |r| r.spec.name == "wanted").await.unwrap();
    assert_eq!(killed, [room.path("orphan")]);
    assert!(matches!(orphan.wait_exit().await, ExitReason::Killed { signal: 9, .. }));
    let left = machine::scan(&room.path("")).unwrap();
    assert_eq!(left.len(), 1);
    assert!(left[0].alive && left[0].dir.ends_with("wanted"));
    wanted.kill().await.unwrap();
}

#[tokio::test]
async fn qemu_a_process_that_only_holds_the_lock_is_not_adopted() {
    let room = Room::new();
    let at = room.path("r");
    let vm = Machine::start(&empty_machine("impostor"), &at, StartOptions::default()).await.unwrap();
    let own = std::process::id().to_string();
    std::fs::write(at.join("pid"), own).unwrap();
    let error = Machine::adopt(&at).await.unwrap_err();
    assert!(matches!(error, Error::NotOurs { .. }), "{error:?}");
    // Without the record of its birth, its command line gives the impostor away.
    std::fs::remove_file(at.join("birth.json")).unwrap();
    let error = Machine::adopt(&at).await.unwrap_err();
    assert!(matches!(error, Error::NotOurs { .. }), "{error:?}");
    vm.kill().await.unwrap();
}
