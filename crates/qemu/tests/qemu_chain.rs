//! Snapshots, merging and saved state of real QEMU processes. The VM writes with its own block layer, as a
//! guest would.
#![allow(clippy::unwrap_used)]

mod common;

use common::{Room, disk, empty_machine, fill, image_is_filled, is_filled};
use qemu::machine::NewLayer;
use qemu::spec::Attachment;
use qemu::{Error, Machine, RunState, StartOptions, image};

fn layer(room: &Room, disk: &str, file: &str) -> NewLayer {
    NewLayer { disk: disk.into(), file: room.path(file) }
}

async fn two_disks(room: &Room, name: &str) -> Machine {
    let mut spec = empty_machine(name);
    spec.disks = vec![
        disk(room, "a", Attachment::VirtioBlk).await,
        disk(room, "b", Attachment::Ide { port: 0 }).await,
    ];
    Machine::start(&spec, room.path("r"), StartOptions::default()).await.unwrap()
}

#[tokio::test]
async fn qemu_a_snapshot_keeps_the_old_data_of_every_disk() {
    let room = Room::new();
    let vm = two_disks(&room, "snap").await;
    fill(&vm, "a", 1).await;
    fill(&vm, "b", 1).await;
    vm.snapshot(&[layer(&room, "a", "a-1.qcow2"), layer(&room, "b", "b-1.qcow2")]).await.unwrap();
    fill(&vm, "a", 2).await;
    fill(&vm, "b", 2).await;
    assert!(is_filled(&vm, "a", 2).await && !is_filled(&vm, "a", 1).await);
    assert_eq!(vm.chain("a").await.unwrap(), [room.path("a-1.qcow2"), room.path("a.qcow2")]);
    vm.power_off().await.unwrap();
    for disk in ["a", "b"] {
        assert!(image_is_filled(&room.path(&format!("{disk}.qcow2")), 1));
        assert!(image_is_filled(&room.path(&format!("{disk}-1.qcow2")), 2));
    }
    let info = image::info(&room.path("a-1.qcow2")).await.unwrap();
    assert_eq!(info.backing.as_deref(), Some("a.qcow2"));
    assert_eq!(image::chain(&room.path("a-1.qcow2")).await.unwrap().len(), 2);
}

#[tokio::test]
async fn qemu_a_snapshot_that_fails_on_one_disk_changes_none() {
    let room = Room::new();
    let vm = two_disks(&room, "all-or-none").await;
    std::fs::write(room.path("taken"), "mine").unwrap();
    let failed = vm.snapshot(&[layer(&room, "a", "a-1.qcow2"), layer(&room, "b", "taken")]).await;
    assert!(matches!(failed, Err(Error::Io { .. })), "{failed:?}");
    assert_eq!(vm.chain("a").await.unwrap(), [room.path("a.qcow2")]);
    assert!(!room.path("a-1.qcow2").exists());
    assert_eq!(std::fs::read(room.path("taken")).unwrap(), b"mine");
    assert!(vm.snapshot(&[layer(&room, "nobody", "n.qcow2")]).await.is_err());
    vm.power_off().await.unwrap();
}

#[tokio::test]
async fn qemu_layers_are_merged_down_live_also_after_adoption() {
    let room = Room::new();
    let vm = two_disks(&room, "commit").await;
    for (byte, file) in [(1, "a-1.qcow2"), (2, "a-2.qcow2"), (3, "a-3.qcow2")] {
        fill(&vm, "a", byte).await;
        vm.snapshot(&[layer(&room, "a", file)]).await.unwrap();
    }
    fill(&vm, "a", 4).await;
    // A middle layer into the one below it.
    let (first, second) = (room.path("a-1.qcow2"), room.path("a-2.qcow2"));
    assert!(!vm.commit("a", Some(&second), &first, |_| {}).await.unwrap(), "nothing stands still for it");
    assert_eq!(vm.chain("a").await.unwrap(), [room.path("a-3.qcow2"), first.clone(), room.path("a.qcow2")]);
    assert!(is_filled(&vm, "a", 4).await);
    assert!(!common::has_open(&vm, &second));
    drop(vm);
    // All of it into the oldest, by a client that made none of the layers.
    let vm = Machine::adopt(room.path("r")).await.unwrap();
    let mut told = 0;
    vm.commit("a", None, &room.path("a.qcow2"), |_| told += 1).await.unwrap();
    assert!(told > 0);
    assert_eq!(vm.chain("a").await.unwrap(), [room.path("a.qcow2")]);
    assert!(is_filled(&vm, "a", 4).await);
    let upwards = vm.commit("a", None, &room.path("a.qcow2"), |_| {}).await;
    assert!(matches!(upwards, Err(Error::NotBelow { .. })), "{upwards:?}");
    assert!(vm.jobs().await.unwrap().is_empty());
    vm.power_off().await.unwrap();
    assert!(image_is_filled(&room.path("a.qcow2"), 4));
}

#[tokio::test]
async fn qemu_a_chain_that_was_opened_at_power_on_is_merged_live() {
    let room = Room::new();
    let vm = two_disks(&room, "before").await;
    fill(&vm, "a", 1).await;
    vm.snapshot(&[layer(&room, "a", "a-1.qcow2")]).await.unwrap();
    fill(&vm, "a", 2).await;
    let mut spec = vm.spec().clone();
    vm.power_off().await.unwrap();
    spec.disks[0].path = room.path("a-1.qcow2");
    let vm = Machine::start(&spec, room.path("r"), StartOptions::default()).await.unwrap();
    assert_eq!(vm.chain("a").await.unwrap(), [room.path("a-1.qcow2"), room.path("a.qcow2")]);
    vm.commit("a", None, &room.path("a.qcow2"), |_| {}).await.unwrap();
    assert!(is_filled(&vm, "a", 2).await);
    // The merged file is closed: it can be removed, and the disk can get layers again.
    assert!(!common::has_open(&vm, &room.path("a-1.qcow2")));
    std::fs::remove_file(room.path("a-1.qcow2")).unwrap();
    vm.snapshot(&[layer(&room, "a", "a-1.qcow2")]).await.unwrap();
    vm.power_off().await.unwrap();
}

#[tokio::test]
async fn qemu_a_disk_is_made_to_stand_alone_live() {
    let room = Room::new();
    let vm = two_disks(&room, "stream").await;
    fill(&vm, "a", 7).await;
    vm.snapshot(&[layer(&room, "a", "a-1.qcow2")]).await.unwrap();
    vm.stream("a", None, |_| {}).await.unwrap();
    assert_eq!(vm.chain("a").await.unwrap(), [room.path("a-1.qcow2")]);
    vm.power_off().await.unwrap();
    std::fs::remove_file(room.path("a.qcow2")).unwrap();
    assert!(image_is_filled(&room.path("a-1.qcow2"), 7));
}

#[tokio::test]
async fn qemu_layers_are_merged_and_moved_while_it_is_off() {
    let room = Room::new();
    let vm = two_disks(&room, "offline").await;
    fill(&vm, "a", 5).await;
    vm.snapshot(&[layer(&room, "a", "a-1.qcow2")]).await.unwrap();
    fill(&vm, "a", 6).await;
    vm.power_off().await.unwrap();
    let (top, base) = (room.path("a-1.qcow2"), room.path("a.qcow2"));
    let flat = room.path("flat.raw");
    let mut percent = 0.0;
    let qcow2 = qemu::spec::ImageFormat::Qcow2;
    let raw = qemu::spec::ImageFormat::Raw;
    image::convert((&top, qcow2.into()), (&flat, raw), image::Preallocation::Off, |p| percent = p)
        .await
        .unwrap();
    assert!(percent > 99.0);
    assert_eq!(std::fs::read(&flat).unwrap()[..4], [6; 4]);
    image::commit(&top, Some(&base)).await.unwrap();
    assert!(image_is_filled(&base, 6));
    image::rebase(&top, None, false).await.unwrap();
    assert_eq!(image::info(&top).await.unwrap().backing, None);
    assert_eq!(image::check(&top, qcow2, false).await.unwrap(), image::CheckReport::default());
    assert!(matches!(image::info(&room.path("absent")).await, Err(Error::Image { .. })));
    let again = image::create(&base, qcow2, 1 << 20, image::Preallocation::Off).await;
    assert!(matches!(again, Err(Error::Io { .. })), "an existing image is not overwritten");
    assert!(image_is_filled(&base, 6));
}

#[tokio::test]
async fn qemu_saved_state_comes_back_as_it_was() {
    let room = Room::new();
    let vm = two_disks(&room, "suspend").await;
    vm.resume().await.unwrap();
    let spec = vm.spec().clone();
    let state = room.path("saved.state");
    let mut told = 0;
    vm.suspend(&state, |_| told += 1).await.unwrap();
    assert!(told > 0 && state.exists());
    let options = StartOptions { incoming: Some(state.clone()), ..StartOptions::default() };
    let vm = Machine::start(&spec, room.path("r"), options).await.unwrap();
    assert_eq!(vm.run_state().await.unwrap(), RunState::Paused);
    vm.resume().await.unwrap();
    assert_eq!(vm.run_state().await.unwrap(), RunState::Running);
    vm.power_off().await.unwrap();
}

#[tokio::test]
async fn qemu_damaged_state_is_refused_and_leaves_no_process() {
    let room = Room::new();
    let vm = two_disks(&room, "damaged").await;
    let spec = vm.spec().clone();
    vm.power_off().await.unwrap();
    let state = room.path("saved.state");
    std::fs::write(&state, vec![0x55; 4096]).unwrap();
    let options = StartOptions { incoming: Some(state), ..StartOptions::default() };
    let failed = Machine::start(&spec, room.path("r"), options).await;
    assert!(matches!(failed, Err(Error::JobFailed { .. } | Error::StartFailed { .. })), "{failed:?}");
    let vm = Machine::start(&spec, room.path("r"), StartOptions::default()).await.unwrap();
    vm.power_off().await.unwrap();
}

#[tokio::test]
async fn qemu_a_machine_whose_state_cannot_be_saved_goes_on() {
    let room = Room::new();
    let vm = two_disks(&room, "goes-on").await;
    vm.resume().await.unwrap();
    assert!(vm.suspend(&room.path("no/such/dir/state"), |_| {}).await.is_err());
    assert_eq!(vm.run_state().await.unwrap(), RunState::Running);
    vm.power_off().await.unwrap();
}

#[tokio::test]
async fn qemu_a_merge_whose_daemon_died_is_followed_by_the_next() {
    let room = Room::new();
    let vm = two_disks(&room, "handed-on").await;
    vm.snapshot(&[layer(&room, "a", "a-1.qcow2")]).await.unwrap();
    fill(&vm, "a", 3).await;
    let node = vm.drives().await.unwrap().into_iter().find(|d| d.id == "a").unwrap().node_name;
    let slow = serde_json::json!({"job-id": "commit-a", "device": node, "speed": 1, "auto-dismiss": false});
    vm.monitor().raw("block-commit", slow, qemu::limits::QMP_CALL).await.unwrap();
    drop(vm);
    let vm = Machine::adopt(room.path("r")).await.unwrap();
    assert_eq!(vm.jobs().await.unwrap(), ["commit-a"]);
    // Meanwhile the VM refuses another change of that disk, but not of the other disk.
    assert!(vm.commit("a", None, &room.path("a.qcow2"), |_| {}).await.is_err());
    vm.snapshot(&[layer(&room, "b", "b-1.qcow2")]).await.unwrap();
    let fast = serde_json::json!({"device": "commit-a", "speed": 0});
    vm.monitor().raw("block-job-set-speed", fast, qemu::limits::QMP_CALL).await.unwrap();
    vm.wait_job("commit-a", |_| {}).await.unwrap();
    assert_eq!(vm.chain("a").await.unwrap(), [room.path("a.qcow2")]);
    assert!(is_filled(&vm, "a", 3).await);
    assert!(!common::has_open(&vm, &room.path("a-1.qcow2")) && common::has_open(&vm, &room.path("a.qcow2")));
    vm.power_off().await.unwrap();
}

#[tokio::test]
async fn qemu_a_merge_that_is_given_up_leaves_the_chain() {
    let room = Room::new();
    let vm = two_disks(&room, "given-up").await;
    vm.snapshot(&[layer(&room, "a", "a-1.qcow2")]).await.unwrap();
    fill(&vm, "a", 3).await;
    let node = vm.drives().await.unwrap().into_iter().find(|d| d.id == "a").unwrap().node_name;
    let slow = serde_json::json!({"job-id": "commit-a", "device": node, "speed": 1, "auto-dismiss": false});
    vm.monitor().raw("block-commit", slow, qemu::limits::QMP_CALL).await.unwrap();
    vm.cancel_job("commit-a").await.unwrap();
    assert!(matches!(vm.wait_job("commit-a", |_| {}).await, Err(Error::JobFailed { .. })));
    assert_eq!(vm.chain("a").await.unwrap(), [room.path("a-1.qcow2"), room.path("a.qcow2")]);
    assert!(is_filled(&vm, "a", 3).await);
    vm.power_off().await.unwrap();
}

#[tokio::test]
async fn qemu_a_machine_whose_newest_layer_was_merged_stands_still_until_it_is_resumed() {
    let room = Room::new();
    let vm = two_disks(&room, "stand").await;
    vm.snapshot(&[layer(&room, "a", "a-1.qcow2")]).await.unwrap();
    vm.resume().await.unwrap();
    fill(&vm, "a", 3).await;
    assert!(vm.commit("a", None, &room.path("a.qcow2"), |_| {}).await.unwrap());
    assert_eq!(vm.run_state().await.unwrap(), RunState::Paused);
    assert_eq!(vm.chain("a").await.unwrap(), [room.path("a.qcow2")]);
    // A VM started with either file would see the same.
    vm.kill().await.unwrap();
    assert!(image_is_filled(&room.path("a.qcow2"), 3) && image_is_filled(&room.path("a-1.qcow2"), 3));
}

#[tokio::test]
async fn qemu_a_merge_that_nobody_follows_is_given_up_and_can_be_begun_anew() {
    let room = Room::new();
    let vm = two_disks(&room, "left").await;
    fill(&vm, "a", 1).await;
    vm.snapshot(&[layer(&room, "a", "a-1.qcow2")]).await.unwrap();
    fill(&vm, "a", 2).await;
    vm.resume().await.unwrap();
    let device = vm.drives().await.unwrap().into_iter().find(|drive| drive.id == "a").unwrap().node_name;
    let job = serde_json::json!({"job-id": "commit-a", "device": device, "speed": 1, "auto-dismiss": false});
    vm.monitor().raw("block-commit", job, qemu::limits::QMP_CALL).await.unwrap();
    drop(vm);
    let vm = Machine::adopt(room.path("r")).await.unwrap();
    assert_eq!(vm.end_jobs().await.unwrap(), ["commit-a"]);
    assert!(vm.jobs().await.unwrap().is_empty());
    let chain = [room.path("a-1.qcow2"), room.path("a.qcow2")];
    assert_eq!(vm.chain("a").await.unwrap(), chain);
    assert_eq!(vm.run_state().await.unwrap(), RunState::Running);
    vm.commit("a", None, &chain[1], |_| {}).await.unwrap();
    assert!(is_filled(&vm, "a", 2).await);
    vm.power_off().await.unwrap();
}
