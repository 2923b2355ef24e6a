//! VMs with a real Linux guest, observed through its agent. `cargo xtask guest` makes the image.
#![allow(clippy::unwrap_used)]

mod common;

use common::{DISK_BYTES, Room, SmallDisk, disk, nic, uuid};
use qemu::agent::{Agent, ShutdownMode};
use qemu::machine::NewLayer;
use qemu::spec::{
    Attachment, Cdrom, Controller, ControllerKind, Disk, ImageFormat, NicBackend, NicModel, ScsiModel,
};
use qemu::{Error, ExitReason, Machine, MachineEvent, MachineSpec, RunState, StartOptions, image};
use std::path::PathBuf;
use std::time::Duration;

/// Under emulation on a busy host a boot may take this long.
const BOOT: Duration = Duration::from_secs(240);
const EXEC: Duration = Duration::from_secs(60);

fn guest_image() -> PathBuf {
    let given = std::env::var_os("ESFERA_GUEST_IMAGE").map(PathBuf::from);
    let path = given.unwrap_or_else(|| {
        let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
        let cache = cache.unwrap_or_else(|| PathBuf::from(std::env::var_os("HOME").unwrap()).join(".cache"));
        cache.join("esfera/guest.qcow2")
    });
    assert!(path.exists(), "{} is missing; make it with `cargo xtask guest`", path.display());
    path
}

/// A VM that boots a throw-away layer over the guest image.
async fn guest(room: &Room, name: &str) -> MachineSpec {
    let (base, root) = (guest_image(), room.path("root.qcow2"));
    let bytes = image::info(&base).await.unwrap().virtual_size;
    image::create_overlay(&root, &base, ImageFormat::Qcow2, bytes).await.unwrap();
    let mut spec = MachineSpec::new(name, uuid(9), 192);
    spec.disks = vec![Disk {
        id: "root".into(),
        path: root,
        format: ImageFormat::Qcow2,
        attach: Attachment::VirtioBlk,
        read_only: false,
        boot_index: Some(0),
        serial: None,
    }];
    spec.serial = Some(qemu::spec::SerialPort { log: Some(room.path("serial.log")) });
    spec.guest_agent = true;
    spec
}

/// Starts it and waits for its agent.
async fn boot(room: &Room, spec: &MachineSpec) -> (Machine, Agent) {
    let vm = Machine::start(spec, room.path("r"), StartOptions::default()).await.unwrap();
    vm.resume().await.unwrap();
    let agent = vm.agent().unwrap();
    wait_for_agent(&agent).await;
    (vm, agent)
}

async fn wait_for_agent(agent: &Agent) {
    let answers = async {
        while agent.ping().await.is_err() {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    tokio::time::timeout(BOOT, answers).await.expect("the guest has not booted");
}

async fn shell(agent: &Agent, script: &str) -> String {
    let output = agent.exec("/bin/sh", &["-c", script], EXEC).await.unwrap();
    assert_eq!(output.exit_code, Some(0), "{script}: {output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// Waits for a script to print exactly this.
async fn until(agent: &Agent, script: &str, wanted: &str) {
    let seen = async {
        while shell(agent, script).await != wanted {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    tokio::time::timeout(EXEC, seen).await.unwrap_or_else(|_| panic!("{script} never printed {wanted}"));
}

#[tokio::test]
async fn qemu_the_guest_sees_what_it_was_given_and_its_agent_tells_about_it() {
    let room = Room::new();
    let mut spec = guest(&room, "given").await;
    spec.cpu.count = 2;
    (spec.balloon, spec.rng) = (true, true);
    spec.controllers = vec![
        Controller { index: 0, kind: ControllerKind::Scsi(ScsiModel::Pvscsi) },
        Controller { index: 1, kind: ControllerKind::Scsi(ScsiModel::Virtio) },
        Controller { index: 0, kind: ControllerKind::Nvme },
    ];
    for (id, attach) in [
        ("paravirtual", Attachment::Scsi { controller: 0, target: 1 }),
        ("virtio", Attachment::Scsi { controller: 1, target: 0 }),
        ("express", Attachment::Nvme { controller: 0, namespace: 1 }),
        ("old", Attachment::Ide { port: 0 }),
    ] {
        spec.disks.push(disk(&room, id, attach).await);
    }
    spec.cdroms = vec![Cdrom {
        id: "cd".into(),
        attach: Attachment::Ide { port: 2 },
        iso: Some(room.iso("disc.iso")),
        boot_index: None,
    }];
    spec.nics = vec![nic("n0", NicModel::Virtio, NicBackend::User)];
    let (vm, agent) = boot(&room, &spec).await;
    assert!(vm.agent_is_open().await.unwrap());
    assert!(agent.info().await.unwrap().commands.iter().any(|c| c == "guest-exec"));
    assert!(!agent.host_name().await.unwrap().is_empty());
    assert_eq!(agent.os_info().await.unwrap().machine, "x86_64");
    assert_eq!(shell(&agent, "grep -c ^processor /proc/cpuinfo").await, "2");
    let sectors = (DISK_BYTES / 512).to_string();
    let sizes = shell(&agent, "cat /sys/block/sd*/size /sys/block/nvme0n1/size").await;
    assert_eq!(sizes.lines().filter(|line| *line == sectors).count(), 4, "{sizes}");
    assert_eq!(shell(&agent, "cat /sys/block/sr0/size").await, (64 << 10 >> 9).to_string());
    let address = async {
        loop {
            let interfaces = agent.interfaces().await.unwrap();
            let own = interfaces.iter().find(|i| i.mac.as_deref() == Some("00:50:56:00:00:01")).unwrap();
            if own.addresses.iter().any(|a| a.ip.to_string() == "10.0.2.15") {
                return;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    tokio::time::timeout(EXEC, address).await.expect("the guest got no address");
    let mut events = vm.events();
    vm.set_balloon(128 << 20).await.unwrap();
    let shrunk = async {
        while let Some(event) = events.next().await {
            if event == (MachineEvent::BalloonChanged { actual_bytes: 128 << 20 }) {
                return;
            }
        }
    };
    tokio::time::timeout(EXEC, shrunk).await.expect("the balloon did not inflate");
    assert!(agent.exec("/bin/false", &[], EXEC).await.unwrap().exit_code == Some(1));
    assert!(matches!(agent.exec("/no/such", &[], EXEC).await, Err(Error::Agent { .. })));
    agent.shutdown(ShutdownMode::PowerDown).await.unwrap();
    let reason = tokio::time::timeout(BOOT, vm.wait_exit()).await.expect("the guest does not shut down");
    assert_eq!(reason, ExitReason::GuestShutdown);
}

#[tokio::test]
async fn qemu_the_guest_lets_go_of_disks_and_nics() {
    let room = Room::new();
    let spec = guest(&room, "plugging").await;
    let (vm, agent) = boot(&room, &spec).await;
    let (disks, nics) = ("ls -d /sys/block/vd* | wc -l", "ls -d /sys/class/net/*/device 2>/dev/null | wc -l");
    let data = disk(&room, "data", Attachment::VirtioBlk).await;
    for _ in 0..2 {
        vm.add_disk(&data).await.unwrap();
        until(&agent, disks, "2").await;
        vm.resize_disk("data", 2 * DISK_BYTES).await.unwrap();
        until(&agent, "cat /sys/block/vdb/size", &(2 * DISK_BYTES / 512).to_string()).await;
        vm.remove_disk("data").await.unwrap();
        until(&agent, disks, "1").await;
        image::resize(&data.path, ImageFormat::Qcow2, DISK_BYTES, true).await.unwrap();
    }
    for model in [NicModel::Virtio, NicModel::Vmxnet3, NicModel::E1000e] {
        vm.add_nic(&nic("n1", model, NicBackend::Unplugged), None).await.unwrap();
        if model != NicModel::E1000e {
            until(&agent, nics, "1").await;
        }
        vm.remove_nic("n1").await.unwrap();
        until(&agent, nics, "0").await;
    }
    vm.press_power_button().await.unwrap();
    let reason = tokio::time::timeout(BOOT, vm.wait_exit()).await.expect("the button does nothing");
    assert_eq!(reason, ExitReason::GuestShutdown);
}

#[tokio::test]
async fn qemu_a_full_datastore_stops_the_guest_and_loses_nothing() {
    let room = Room::new();
    let small = SmallDisk::mount(&room.path("small"), 8);
    let mut spec = guest(&room, "full").await;
    let mut data = disk(&room, "data", Attachment::VirtioBlk).await;
    data.path = small.path().join("data.qcow2");
    image::create(&data.path, ImageFormat::Qcow2, 32 << 20, image::Preallocation::Off).await.unwrap();
    std::fs::write(small.path().join("filler"), vec![1; 5 << 20]).unwrap();
    spec.disks.push(data.clone());
    let (vm, agent) = boot(&room, &spec).await;
    let mut events = vm.events();
    let script = "yes esfera | head -c 5000000 > /tmp/x; dd if=/tmp/x of=/dev/vdb bs=4k conv=fsync 2>&1";
    let writing = tokio::spawn({
        let agent = agent.clone();
        async move { agent.exec("/bin/sh", &["-c", script], BOOT).await }
    });
    let full = async {
        loop {
            if let Some(MachineEvent::BlockIoError { device, no_space, stopped, reason, .. }) =
                events.next().await
            {
                return (device, no_space, stopped, reason);
            }
        }
    };
    let (device, no_space, stopped, reason) =
        tokio::time::timeout(BOOT, full).await.expect("nobody told that the datastore is full");
    assert_eq!(device, "data");
    assert!(no_space && stopped && reason.contains("No space"), "{reason}");
    assert_eq!(vm.run_state().await.unwrap(), RunState::IoError);
    assert!(vm.drives().await.unwrap().iter().any(|d| d.id == "data" && d.no_space));
    std::fs::remove_file(small.path().join("filler")).unwrap();
    vm.resume().await.unwrap();
    // The status may have been queried while the guest stood still: then the result is on the disk.
    if let Ok(output) = writing.await.unwrap() {
        assert_eq!(output.exit_code, Some(0), "{output:?}");
    } else {
        wait_for_agent(&agent).await;
        until(&agent, "pidof dd || echo done", "done").await;
    }
    let compare = "head -c 5000000 /dev/vdb | cmp - /tmp/x && echo same";
    until(&agent, compare, "same").await;
    vm.power_off().await.unwrap();
    let report = image::check(&data.path, ImageFormat::Qcow2, false).await.unwrap();
    assert_eq!(report.corruptions, 0);
}

#[tokio::test]
async fn qemu_a_suspended_guest_goes_on_where_it_was_and_a_snapshot_is_quiesced() {
    let room = Room::new();
    let mut spec = guest(&room, "suspended").await;
    spec.nics = vec![nic("n0", NicModel::Virtio, NicBackend::Unplugged)];
    let (vm, agent) = boot(&room, &spec).await;
    shell(&agent, "echo remembered > /dev/shm/note 2>/dev/null || echo remembered > /tmp/note").await;
    let boot_id = shell(&agent, "cat /proc/sys/kernel/random/boot_id").await;
    let state = room.path("state");
    vm.suspend(&state, |_| {}).await.unwrap();
    let options = StartOptions { incoming: Some(state), ..StartOptions::default() };
    let vm = Machine::start(&spec, room.path("r"), options).await.unwrap();
    vm.resume().await.unwrap();
    let agent = vm.agent().unwrap();
    wait_for_agent(&agent).await;
    assert_eq!(shell(&agent, "cat /proc/sys/kernel/random/boot_id").await, boot_id);
    assert_eq!(shell(&agent, "cat /dev/shm/note /tmp/note 2>/dev/null || true").await, "remembered");
    agent.freeze(qemu::limits::AGENT_FREEZE).await.unwrap();
    assert!(agent.is_frozen().await.unwrap());
    vm.snapshot(&[NewLayer { disk: "root".into(), file: room.path("root-1.qcow2") }]).await.unwrap();
    agent.thaw().await.unwrap();
    assert!(!agent.is_frozen().await.unwrap());
    assert!(
        vm.commit("root", None, &room.path("root.qcow2"), |_| {}).await.unwrap(),
        "it stands still until then"
    );
    vm.resume().await.unwrap();
    assert_eq!(shell(&agent, "cat /proc/sys/kernel/random/boot_id").await, boot_id);
    agent.shutdown(ShutdownMode::Reboot).await.unwrap();
    let again = async {
        loop {
            if let Ok(output) = agent.exec("/bin/cat", &["/proc/sys/kernel/random/boot_id"], EXEC).await
                && String::from_utf8_lossy(&output.stdout).trim() != boot_id
                && !output.stdout.is_empty()
            {
                return;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    tokio::time::timeout(BOOT, again).await.expect("the guest does not reboot");
    vm.power_off().await.unwrap();
}

#[tokio::test]
async fn qemu_a_guest_boots_from_efi_firmware() {
    let room = Room::new();
    let mut spec = guest(&room, "efi").await;
    let vars = room.path("nvram");
    std::fs::copy("/usr/share/OVMF/OVMF_VARS_4M.fd", &vars).unwrap();
    let code = PathBuf::from("/usr/share/OVMF/OVMF_CODE_4M.fd");
    spec.firmware = qemu::spec::Firmware::Efi { code, vars, secure_boot: false };
    let (vm, agent) = boot(&room, &spec).await;
    assert_eq!(shell(&agent, "[ -d /sys/firmware/efi ] && echo efi").await, "efi");
    vm.power_off().await.unwrap();
}

#[tokio::test]
async fn qemu_a_machine_with_secure_boot_starts() {
    let room = Room::new();
    let mut spec = common::empty_machine("secure");
    let vars = room.path("nvram");
    std::fs::copy("/usr/share/OVMF/OVMF_VARS_4M.ms.fd", &vars).unwrap();
    let code = PathBuf::from("/usr/share/OVMF/OVMF_CODE_4M.ms.fd");
    spec.firmware = qemu::spec::Firmware::Efi { code, vars, secure_boot: true };
    let vm = Machine::start(&spec, room.path("r"), StartOptions::default()).await.unwrap();
    vm.resume().await.unwrap();
    assert_eq!(vm.run_state().await.unwrap(), RunState::Running);
    vm.power_off().await.unwrap();
}
