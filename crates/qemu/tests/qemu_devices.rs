//! Hot-plug, media and resizing on real QEMU processes.
#![allow(clippy::unwrap_used)]

mod common;

use common::{Room, disk, empty_machine, nic, uuid};
use qemu::spec::{
    Attachment, Cdrom, Controller, ControllerKind, ImageFormat, NicBackend, NicModel, ScsiModel, Sound, Video,
};
use qemu::{Error, Machine, MachineSpec, StartOptions, image};

/// A VM with one device of each kind.
async fn full_machine(room: &Room) -> MachineSpec {
    let mut spec = MachineSpec::new("all, of=it", uuid(2), 128);
    spec.controllers = vec![
        Controller { index: 0, kind: ControllerKind::Scsi(ScsiModel::Pvscsi) },
        Controller { index: 1, kind: ControllerKind::Scsi(ScsiModel::LsiLogic) },
        Controller { index: 2, kind: ControllerKind::Scsi(ScsiModel::LsiLogicSas) },
        Controller { index: 3, kind: ControllerKind::Scsi(ScsiModel::Virtio) },
        Controller { index: 0, kind: ControllerKind::Sata },
        Controller { index: 0, kind: ControllerKind::Nvme },
    ];
    let places = [
        Attachment::Scsi { controller: 0, target: 0 },
        Attachment::Scsi { controller: 1, target: 0 },
        Attachment::Scsi { controller: 2, target: 0 },
        Attachment::Scsi { controller: 3, target: 0 },
        Attachment::Sata { controller: 0, port: 1 },
        Attachment::Ide { port: 0 },
        Attachment::Nvme { controller: 0, namespace: 1 },
        Attachment::VirtioBlk,
    ];
    for (n, place) in places.into_iter().enumerate() {
        spec.disks.push(disk(room, &format!("disk{n}"), place).await);
    }
    spec.cdroms = vec![
        Cdrom { id: "cd0".into(), attach: Attachment::Ide { port: 1 }, iso: None, boot_index: Some(1) },
        Cdrom {
            id: "cd1".into(),
            attach: Attachment::Scsi { controller: 3, target: 1 },
            iso: Some(room.iso("a, b=c.iso")),
            boot_index: None,
        },
    ];
    let models = [NicModel::E1000, NicModel::E1000e, NicModel::Vmxnet3, NicModel::Virtio];
    for (n, model) in models.into_iter().enumerate() {
        spec.nics.push(nic(&format!("nic{n}"), model, NicBackend::Unplugged));
    }
    spec.nics[1].link_up = false;
    spec.nics[2].port = Some(0);
    spec.serial = Some(qemu::spec::SerialPort { log: Some(room.path("serial, log")) });
    (spec.guest_agent, spec.vnc, spec.tablet, spec.balloon, spec.rng) = (true, true, true, true, true);
    spec.video = Video::Vga { memory_mib: 16 };
    spec.sound = Some(Sound { connected: true });
    spec.max_memory_mib = Some(1024);
    spec
}

#[tokio::test]
async fn qemu_a_machine_with_one_of_everything_starts() {
    let room = Room::new();
    let spec = full_machine(&room).await;
    let vm = Machine::start(&spec, room.path("r"), StartOptions::default()).await.unwrap();
    vm.resume().await.unwrap();
    let drives = vm.drives().await.unwrap();
    assert_eq!(drives.len(), spec.disks.len() + spec.cdroms.len());
    for wanted in &spec.disks {
        let found = drives.iter().find(|d| d.id == wanted.id).unwrap_or_else(|| panic!("{drives:?}"));
        assert_eq!(found.file, wanted.path.to_str().unwrap());
        assert_eq!(found.virtual_bytes, common::DISK_BYTES);
    }
    assert!(vm.vnc_socket().unwrap().exists());
    let picture = vm.screenshot().await.unwrap();
    assert_eq!(&picture[1..4], b"PNG");
    assert_eq!(vm.balloon().await.unwrap(), 128 << 20);
    assert!(!vm.agent_is_open().await.unwrap());
    vm.power_off().await.unwrap();
}

#[tokio::test]
async fn qemu_scsi_and_virtio_disks_come_and_scsi_disks_go_while_it_runs() {
    let room = Room::new();
    let mut spec = empty_machine("plug");
    spec.controllers = vec![Controller { index: 0, kind: ControllerKind::Scsi(ScsiModel::Virtio) }];
    let vm = Machine::start(&spec, room.path("r"), StartOptions::default()).await.unwrap();
    let scsi = disk(&room, "data", Attachment::Scsi { controller: 0, target: 3 }).await;
    for _ in 0..2 {
        vm.add_disk(&scsi).await.unwrap();
        assert_eq!(vm.drives().await.unwrap().len(), 1);
        vm.resize_disk("data", 2 * common::DISK_BYTES).await.unwrap();
        assert_eq!(vm.drives().await.unwrap()[0].virtual_bytes, 2 * common::DISK_BYTES);
        vm.remove_disk("data").await.unwrap();
        assert!(vm.drives().await.unwrap().is_empty());
        // Nothing holds the file any more.
        image::resize(&scsi.path, ImageFormat::Qcow2, common::DISK_BYTES, true).await.unwrap();
    }
    assert!(matches!(vm.remove_disk("data").await, Err(Error::NoSuchDevice(_))));
    for n in 0..spec.spare_ports {
        vm.add_disk(&disk(&room, &format!("v{n}"), Attachment::VirtioBlk).await).await.unwrap();
    }
    let last = vm.add_disk(&disk(&room, "last", Attachment::VirtioBlk).await).await;
    assert!(matches!(last, Err(Error::NoFreePort { .. })), "{last:?}");
    vm.power_off().await.unwrap();
}

#[tokio::test]
async fn qemu_a_disk_that_cannot_be_added_leaves_nothing_behind() {
    let room = Room::new();
    let vm = Machine::start(&empty_machine("refuse"), room.path("r"), StartOptions::default()).await.unwrap();
    let mut gone = disk(&room, "d", Attachment::VirtioBlk).await;
    let real = std::mem::replace(&mut gone.path, room.path("absent"));
    assert!(matches!(vm.add_disk(&gone).await, Err(Error::Qmp { .. })));
    gone.path = real;
    gone.attach = Attachment::Scsi { controller: 0, target: 0 };
    assert!(matches!(vm.add_disk(&gone).await, Err(Error::Spec(_))));
    gone.attach = Attachment::VirtioBlk;
    vm.add_disk(&gone).await.unwrap();
    vm.power_off().await.unwrap();
}

#[tokio::test]
async fn qemu_a_nic_is_added_and_its_link_goes_down_and_up() {
    let room = Room::new();
    let vm = Machine::start(&empty_machine("nic"), room.path("r"), StartOptions::default()).await.unwrap();
    let port = vm.add_nic(&nic("n0", NicModel::E1000, NicBackend::Unplugged), None).await.unwrap();
    let second = vm.add_nic(&nic("n1", NicModel::Vmxnet3, NicBackend::Unplugged), None).await.unwrap();
    assert_ne!(port, second);
    vm.set_link("n0", false).await.unwrap();
    vm.set_link("n0", true).await.unwrap();
    assert!(matches!(vm.set_link("n7", true).await, Err(Error::NoSuchDevice(_))));
    let twice = vm.add_nic(&nic("n0", NicModel::Virtio, NicBackend::Unplugged), None).await;
    assert!(matches!(twice, Err(Error::DeviceExists(_))), "{twice:?}");
    vm.set_link("n0", true).await.unwrap();
    assert!(matches!(vm.remove_nic("n7").await, Err(Error::NoSuchDevice(_))));
    let mut broken = nic("n2", NicModel::Virtio, NicBackend::Unplugged);
    broken.mac = "no mac".into();
    assert!(matches!(vm.add_nic(&broken, None).await, Err(Error::Spec(_))));
    vm.power_off().await.unwrap();
}

#[tokio::test]
async fn qemu_discs_are_changed_and_ejected() {
    let room = Room::new();
    let mut spec = empty_machine("media");
    let (first, second) = (room.iso("1.iso"), room.iso("2.iso"));
    let attach = Attachment::Ide { port: 0 };
    spec.cdroms = vec![Cdrom { id: "cd0".into(), attach, iso: Some(first.clone()), boot_index: None }];
    let vm = Machine::start(&spec, room.path("r"), StartOptions::default()).await.unwrap();
    let inside = async || vm.drives().await.unwrap()[0].file.clone();
    assert_eq!(inside().await, first.to_str().unwrap());
    vm.change_medium("cd0", Some(&second), false).await.unwrap();
    assert_eq!(inside().await, second.to_str().unwrap());
    vm.change_medium("cd0", None, false).await.unwrap();
    assert_eq!(inside().await, "");
    assert!(vm.change_medium("cd0", Some(&room.path("absent.iso")), false).await.is_err());
    vm.change_medium("cd0", Some(&first), false).await.unwrap();
    assert_eq!(inside().await, first.to_str().unwrap());
    assert!(matches!(vm.change_medium("cd9", None, false).await, Err(Error::NoSuchDevice(_))));
    vm.power_off().await.unwrap();
}

#[tokio::test]
async fn qemu_memory_is_added_up_to_its_ceiling() {
    let room = Room::new();
    let mut spec = empty_machine("memory");
    spec.memory_mib = 128;
    spec.max_memory_mib = Some(384);
    let vm = Machine::start(&spec, room.path("r"), StartOptions::default()).await.unwrap();
    vm.add_memory(128).await.unwrap();
    vm.add_memory(128).await.unwrap();
    assert!(matches!(vm.add_memory(128).await, Err(Error::Qmp { .. })));
    vm.power_off().await.unwrap();
}

#[tokio::test]
async fn qemu_processors_are_added_up_to_the_ceiling() {
    let room = Room::new();
    let mut spec = empty_machine("processors");
    spec.cpu = qemu::spec::Cpu { count: 2, cores_per_socket: 2, max_count: Some(6), model: None };
    let vm = Machine::start(&spec, room.path("r"), StartOptions::default()).await.unwrap();
    let added = vm.add_processors(2).await;
    assert!(added.is_ok(), "{added:?} {:?} {}", vm.exit_reason(), vm.runtime_dir().log_tail());
    assert!(
        matches!(vm.add_processors(4).await, Err(Error::NoFreeProcessor { .. })),
        "only two places are left"
    );
    vm.add_processors(2).await.unwrap();
    vm.power_off().await.unwrap();
}

#[tokio::test]
async fn qemu_a_disk_that_another_machine_has_is_refused_as_locked() {
    let room = Room::new();
    let mut spec = empty_machine("first");
    spec.disks = vec![disk(&room, "d", Attachment::VirtioBlk).await];
    let vm = Machine::start(&spec, room.path("r1"), StartOptions::default()).await.unwrap();
    let second = Machine::start(&spec, room.path("r2"), StartOptions::default()).await.unwrap_err();
    assert!(second.is_lock_conflict(), "{second}");
    let other =
        Machine::start(&empty_machine("other"), room.path("r2"), StartOptions::default()).await.unwrap();
    let added = other.add_disk(&spec.disks[0]).await.unwrap_err();
    assert!(added.is_lock_conflict(), "{added}");
    let resized = image::resize(&spec.disks[0].path, ImageFormat::Qcow2, 64 << 20, false).await.unwrap_err();
    assert!(resized.is_lock_conflict(), "{resized}");
    other.power_off().await.unwrap();
    vm.power_off().await.unwrap();
}
