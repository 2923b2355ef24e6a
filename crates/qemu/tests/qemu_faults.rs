//! Faults inflicted on real QEMU processes: stopped, cut off, out of space, confined.
#![allow(clippy::unwrap_used)]

mod common;

use common::{Room, SmallDisk, disk, empty_machine, nic, qemu_io};
use qemu::machine::NewLayer;
use qemu::qmp::command;
use qemu::spec::{Attachment, Confinement, NicBackend, NicModel, User, Video};
use qemu::{Error, ExitReason, Machine, MachineEvent, RunState, StartOptions, image, machine};
use rustix::process::{Pid, Signal, kill_process};
use std::path::Path;
use std::time::Duration;

fn send(vm: &Machine, signal: Signal) {
    kill_process(Pid::from_raw(vm.pid()).unwrap(), signal).unwrap();
}

#[tokio::test]
async fn qemu_a_frozen_process_costs_a_timeout_and_answers_again_when_thawed() {
    let room = Room::new();
    let vm = Machine::start(&empty_machine("frozen"), room.path("r"), StartOptions::default()).await.unwrap();
    send(&vm, Signal::STOP);
    for _ in 0..3 {
        let call = vm.monitor().run_within(&command::QueryStatus {}, Duration::from_millis(50)).await;
        assert!(matches!(call, Err(Error::Timeout { .. })), "{call:?}");
    }
    send(&vm, Signal::CONT);
    assert_eq!(vm.run_state().await.unwrap(), RunState::Prelaunch);
    send(&vm, Signal::STOP);
    let reason = vm.power_off_within(Duration::from_millis(100)).await.unwrap();
    assert!(matches!(reason, ExitReason::Killed { signal: 9, .. }), "{reason:?}");
}

#[tokio::test]
async fn qemu_a_lost_monitor_is_connected_anew_while_the_machine_runs() {
    let room = Room::new();
    let vm = Machine::start(&empty_machine("cut"), room.path("r"), StartOptions::default()).await.unwrap();
    let mut events = vm.events();
    let old = vm.monitor();
    cut_connection(&vm).await;
    let mut seen = Vec::new();
    loop {
        match events.next().await.unwrap() {
            MachineEvent::MonitorRestored => break,
            event => seen.push(event),
        }
    }
    assert!(seen.iter().any(|e| matches!(e, MachineEvent::MonitorLost { .. })), "{seen:?}");
    assert!(old.is_closed());
    assert_eq!(vm.run_state().await.unwrap(), RunState::Prelaunch);
    vm.power_off().await.unwrap();
}

/// Shuts our end of the monitor socket down from outside, by a descriptor of our own table.
async fn cut_connection(vm: &Machine) {
    let path = vm.runtime_dir().qmp();
    for entry in std::fs::read_dir("/proc/self/fd").unwrap() {
        let Ok(number) = entry.unwrap().file_name().to_str().unwrap().parse::<i32>() else { continue };
        // SAFETY: only looked at and shut down, never closed; the descriptor was just listed as open.
        let descriptor = unsafe { std::os::fd::BorrowedFd::borrow_raw(number) };
        let Ok(peer) = rustix::net::getpeername(descriptor) else { continue };
        let Some(peer) = peer else { continue };
        let Ok(peer) = rustix::net::SocketAddrUnix::try_from(peer) else { continue };
        if peer.path_bytes() == Some(path.as_os_str().as_encoded_bytes()) {
            rustix::net::shutdown(descriptor, rustix::net::Shutdown::Both).unwrap();
            return;
        }
    }
    panic!("no connection to {}", path.display());
}

#[tokio::test]
async fn qemu_offline_work_on_a_full_datastore_says_so_and_leaves_nothing() {
    let room = Room::new();
    let small = SmallDisk::mount(&room.path("small"), 4);
    let path = small.path().join("d.qcow2");
    let qcow2 = qemu::spec::ImageFormat::Qcow2;
    let full = image::create(&path, qcow2, 64 << 20, image::Preallocation::Full).await;
    assert!(matches!(full, Err(Error::NoSpace { .. })), "{full:?}");
    assert!(!path.exists());
    image::create(&path, qcow2, 64 << 20, image::Preallocation::Off).await.unwrap();
}

#[tokio::test]
async fn qemu_live_work_on_a_full_datastore_fails_and_the_chain_stays() {
    let room = Room::new();
    let small = SmallDisk::mount(&room.path("small"), 4);
    let mut spec = empty_machine("full");
    let base = small.path().join("a.qcow2");
    image::create(&base, qemu::spec::ImageFormat::Qcow2, 64 << 20, image::Preallocation::Off).await.unwrap();
    let mut a = disk(&room, "a", Attachment::VirtioBlk).await;
    a.path = base.clone();
    spec.disks = vec![a];
    let vm = Machine::start(&spec, room.path("r"), StartOptions::default()).await.unwrap();
    // The layer on a roomy datastore takes more than its base has room for.
    let top = room.path("a-1.qcow2");
    vm.snapshot(&[NewLayer { disk: "a".into(), file: top.clone() }]).await.unwrap();
    assert!(!qemu_io(&vm, "a", "write -P 9 0 16M").await.contains("failed"));
    let failed = vm.commit("a", None, &base, |_| {}).await;
    assert!(
        matches!(&failed, Err(Error::JobFailed { reason, .. }) if reason.contains("No space")),
        "{failed:?}"
    );
    assert_eq!(vm.chain("a").await.unwrap(), [top.clone(), base]);
    assert!(!qemu_io(&vm, "a", "read -P 9 0 16M").await.contains("failed"));
    // A snapshot whose file has no room fails before the disk is touched.
    std::fs::write(small.path().join("filler"), vec![1; 8 << 20]).unwrap_err();
    let refused = vm.snapshot(&[NewLayer { disk: "a".into(), file: small.path().join("a-2.qcow2") }]).await;
    assert!(refused.is_err());
    assert!(!small.path().join("a-2.qcow2").exists());
    assert_eq!(vm.chain("a").await.unwrap()[0], top);
    vm.power_off().await.unwrap();
    let report = image::check(&top, qemu::spec::ImageFormat::Qcow2, false).await.unwrap();
    assert_eq!(report.corruptions, 0);
}

#[tokio::test]
async fn qemu_the_process_has_no_rights_and_no_descriptors_of_ours() {
    let room = Room::new();
    let user = User { uid: 64_123, gid: 64_124 };
    let mut spec = empty_machine("confined");
    spec.disks = vec![disk(&room, "a", Attachment::VirtioBlk).await];
    spec.confinement = Confinement { user: Some(user), oom_score_adj: Some(100), ..Confinement::default() };
    (spec.vnc, spec.guest_agent, spec.video) = (true, true, Video::Vga { memory_mib: 16 });
    spec.serial = Some(qemu::spec::SerialPort { log: Some(room.path("serial.log")) });
    std::os::unix::fs::chown(&spec.disks[0].path, Some(user.uid), Some(user.gid)).unwrap();
    room.let_others_in();
    let ours = std::fs::File::open("/etc/hostname").unwrap();
    // Inheritable, as a careless library would leave it.
    rustix::io::fcntl_setfd(&ours, rustix::io::FdFlags::empty()).unwrap();
    let vm = Machine::start(&spec, room.path("r"), StartOptions::default()).await.unwrap();
    let status = std::fs::read_to_string(format!("/proc/{}/status", vm.pid())).unwrap();
    let line = |key: &str| {
        let line = status.lines().find(|l| l.starts_with(key)).unwrap();
        line.split_whitespace().skip(1).map(ToOwned::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(line("Uid:"), ["64123"; 4]);
    assert_eq!(line("Gid:"), ["64124"; 4]);
    assert!(line("Groups:").is_empty());
    for set in ["CapInh:", "CapPrm:", "CapEff:", "CapBnd:", "CapAmb:"] {
        assert_eq!(line(set), ["0000000000000000"], "{set}");
    }
    assert_eq!(line("NoNewPrivs:"), ["1"]);
    assert_eq!(line("Seccomp:"), ["2"]);
    let proc = format!("/proc/{}", vm.pid());
    assert_eq!(std::fs::read_to_string(format!("{proc}/oom_score_adj")).unwrap().trim(), "100");
    let session = rustix::process::getsid(Pid::from_raw(vm.pid())).unwrap();
    assert_eq!(session.as_raw_nonzero().get(), vm.pid());
    for entry in std::fs::read_dir(format!("{proc}/fd")).unwrap() {
        let target = std::fs::read_link(entry.unwrap().path()).unwrap();
        assert_ne!(target, Path::new("/etc/hostname"));
        assert_ne!(target, room.path("r/pid"));
    }
    vm.resume().await.unwrap();
    assert_eq!(&vm.screenshot().await.unwrap()[1..4], b"PNG");
    let layer = NewLayer { disk: "a".into(), file: room.path("a-1.qcow2") };
    // The user may not make files there, but the daemon may.
    vm.snapshot(&[layer]).await.unwrap();
    assert!(std::os::unix::net::UnixStream::connect(vm.vnc_socket().unwrap()).is_ok());
    vm.power_off().await.unwrap();
}

#[tokio::test]
async fn qemu_a_suspended_confined_machine_resumes() {
    let room = Room::new();
    let user = User { uid: 64_125, gid: 64_125 };
    let mut spec = empty_machine("confined-suspend");
    spec.confinement.user = Some(user);
    room.let_others_in();
    let vm = Machine::start(&spec, room.path("r"), StartOptions::default()).await.unwrap();
    vm.resume().await.unwrap();
    vm.suspend(&room.path("state"), |_| {}).await.unwrap();
    let options = StartOptions { incoming: Some(room.path("state")), ..StartOptions::default() };
    let vm = Machine::start(&spec, room.path("r"), options).await.unwrap();
    vm.resume().await.unwrap();
    vm.power_off().await.unwrap();
}

#[tokio::test]
async fn qemu_a_start_that_is_dropped_halfway_leaves_no_process() {
    let room = Room::new();
    let spec = empty_machine("dropped");
    for wait in [0, 1, 5, 10, 20] {
        let start = Machine::start(&spec, room.path("r"), StartOptions::default());
        let started = tokio::time::timeout(Duration::from_millis(wait), start).await;
        if let Ok(Ok(vm)) = started {
            vm.kill().await.unwrap();
        }
        // No process may hold the directory for long.
        let runtime = qemu::runtime::RuntimeDir::new(room.path("r")).unwrap();
        let gone = async {
            while runtime.is_held().unwrap() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), gone).await.unwrap();
    }
}

#[tokio::test]
async fn qemu_a_tap_is_handed_over_as_a_descriptor() {
    let room = Room::new();
    let mut spec = empty_machine("tap");
    spec.nics = vec![nic("n0", NicModel::Virtio, NicBackend::TapDescriptor)];
    spec.confinement.user = Some(User { uid: 64_126, gid: 64_126 });
    let missing = Machine::start(&spec, room.path("r"), StartOptions::default()).await;
    assert!(matches!(missing, Err(Error::Spec(_))), "{missing:?}");
    let mut options = StartOptions::default();
    options.taps.insert("n0".into(), common::open_tap("esf-qt0"));
    let vm = Machine::start(&spec, room.path("r"), options).await.unwrap();
    let second = nic("n1", NicModel::E1000, NicBackend::TapDescriptor);
    vm.add_nic(&second, Some(common::open_tap("esf-qt1"))).await.unwrap();
    assert!(Path::new("/sys/class/net/esf-qt1").exists());
    vm.power_off().await.unwrap();
    // Not persistent: a tap ends with the process that held it.
    assert!(!Path::new("/sys/class/net/esf-qt0").exists());
}

#[tokio::test]
async fn qemu_the_process_joins_its_cgroup_and_starts_without_one_too() {
    let room = Room::new();
    let mut spec = empty_machine("grouped");
    let unified = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    let mount = unified.lines().find(|line| line.contains(" - cgroup2 ")).expect("cgroup v2 is mounted");
    let root = Path::new(mount.split(' ').nth(4).unwrap());
    let group = root.join(format!("esf-test-{}", std::process::id()));
    std::fs::create_dir(&group).unwrap();
    spec.confinement.cgroup = Some(group.clone());
    let vm = Machine::start(&spec, room.path("r"), StartOptions::default()).await.unwrap();
    let members = std::fs::read_to_string(group.join("cgroup.procs")).unwrap();
    assert_eq!(members.trim(), vm.pid().to_string());
    vm.power_off().await.unwrap();
    std::fs::remove_dir(&group).unwrap();
    let vm = Machine::start(&spec, room.path("r"), StartOptions::default()).await.unwrap();
    vm.power_off().await.unwrap();
}

#[tokio::test]
async fn qemu_a_daemon_that_dies_leaves_its_machine_to_be_adopted() {
    // The daemon is this test program, started again as another process and killed.
    if let Ok(at) = std::env::var("QEMU_TEST_DAEMON") {
        let vm = Machine::start(&empty_machine("left"), &at, StartOptions::default()).await.unwrap();
        vm.resume().await.unwrap();
        println!("started {}", vm.pid());
        std::future::pending::<()>().await;
    }
    let room = Room::new();
    let at = room.path("r");
    let name = "qemu_a_daemon_that_dies_leaves_its_machine_to_be_adopted";
    let mut daemon = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture"])
        .env("QEMU_TEST_DAEMON", &at)
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(daemon.stdout.take().unwrap()));
    let started =
        lines.find_map(|line| line.unwrap().strip_prefix("started ").map(ToOwned::to_owned)).unwrap();
    daemon.kill().unwrap();
    daemon.wait().unwrap();
    let vm = Machine::adopt(&at).await.unwrap();
    assert_eq!(vm.pid().to_string(), started);
    assert_eq!(vm.run_state().await.unwrap(), RunState::Running);
    let mut events = vm.events();
    send(&vm, Signal::KILL);
    let Some(MachineEvent::Exited { reason }) = events.next().await else { panic!("no end") };
    assert!(matches!(reason, ExitReason::Vanished { .. }), "{reason:?}");
    assert!(!vm.runtime_dir().is_held().unwrap());
}

#[tokio::test]
async fn qemu_a_daemon_killed_at_any_moment_of_a_start_leaves_nothing_unknown() {
    if let Ok(at) = std::env::var("QEMU_TEST_DAEMON") {
        println!("starting");
        let _vm = Machine::start(&empty_machine("moment"), &at, StartOptions::default()).await.unwrap();
        std::future::pending::<()>().await;
    }
    let room = Room::new();
    let name = "qemu_a_daemon_killed_at_any_moment_of_a_start_leaves_nothing_unknown";
    let mut found_alive = 0;
    // Later and later, until some starts were interrupted with their process alive.
    for moment in 0..40 {
        if found_alive >= 4 {
            break;
        }
        let at = room.path(&format!("run/{moment}"));
        std::fs::create_dir_all(at.parent().unwrap()).unwrap();
        let mut daemon = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", name, "--nocapture"])
            .env("QEMU_TEST_DAEMON", &at)
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = std::io::BufRead::lines(std::io::BufReader::new(daemon.stdout.take().unwrap()));
        lines.find(|line| line.as_ref().unwrap() == "starting").unwrap().unwrap();
        std::thread::sleep(Duration::from_micros(300 * moment * (moment + 1)));
        daemon.kill().unwrap();
        daemon.wait().unwrap();
        found_alive += machine::reap_orphans(&room.path("run"), |_| false).await.unwrap().len();
        assert!(machine::scan(&room.path("run")).unwrap().is_empty());
        let left = processes_with(at.to_str().unwrap());
        assert!(left.is_empty(), "moment {moment}: {left:?}");
    }
    assert!(found_alive > 0, "no start was interrupted with its process alive");
}

/// Processes launched in this directory, found by the log that they write to.
fn processes_with(dir: &str) -> Vec<i32> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let Ok(pid) = entry.file_name().to_string_lossy().parse::<i32>() else { continue };
        let log = std::fs::read_link(format!("/proc/{pid}/fd/2")).unwrap_or_default();
        if log.starts_with(dir) {
            found.push(pid);
        }
    }
    found
}

#[tokio::test]
async fn qemu_a_tap_is_opened_by_name_for_a_user_who_may_not() {
    let room = Room::new();
    let ip = |arguments: &[&str]| {
        assert!(std::process::Command::new("ip").args(arguments).status().unwrap().success());
    };
    let tap = |id: &str, ifname: &str| nic(id, NicModel::Virtio, NicBackend::Tap { ifname: ifname.into() });
    for name in ["esf-qt2", "esf-qt3"] {
        ip(&["tuntap", "add", "dev", name, "mode", "tap", "vnet_hdr"]);
    }
    let mut spec = empty_machine("named-tap");
    spec.nics = vec![tap("n0", "esf-qt2")];
    spec.confinement.user = Some(User { uid: 64_127, gid: 64_127 });
    let found = async {
        let vm = Machine::start(&spec, room.path("r"), StartOptions::default()).await?;
        let taken = vm.add_nic(&tap("n1", "esf-qt2"), None).await;
        let absent = vm.add_nic(&tap("n1", "esf-qt9"), None).await;
        let added = vm.add_nic(&tap("n1", "esf-qt3"), None).await;
        vm.power_off().await?;
        Ok::<_, Error>((taken, absent, added))
    };
    let found = found.await;
    for name in ["esf-qt2", "esf-qt3"] {
        ip(&["tuntap", "del", "dev", name, "mode", "tap"]);
    }
    let (taken, absent, added) = found.unwrap();
    assert!(matches!(taken, Err(Error::Io { .. })), "{taken:?}");
    assert!(matches!(absent, Err(Error::Io { .. })), "{absent:?}");
    added.unwrap();
}
