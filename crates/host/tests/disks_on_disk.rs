//! Disks and files on a mounted directory, with the real `qemu-img`: chains are flattened, nothing half done is left,
//! nothing that is open is touched, nothing leads out.

#![allow(clippy::unwrap_used)]

mod common;

use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use common::{Client, Site};
use datastore::FilePath;
use host::{ids, managers};
use vim::{Args, Fault, MoRef, Value, call, data_id, field, prop, vim};
use vm::FileRef;

const MIB: usize = 1 << 20;

fn qemu_img(arguments: &[&str]) {
    let ended = Command::new("qemu-img").args(arguments).output().unwrap();
    assert!(ended.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&ended.stderr));
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A qcow2 disk whose first MiB is full of `byte`.
fn disk(site: &Site, name: &str, byte: u8) -> PathBuf {
    let (raw, at) = (site.root.path().join("raw"), site.datastore().join(name));
    let mut content = vec![byte; MIB];
    content.resize(16 * MIB, 0);
    std::fs::write(&raw, content).unwrap();
    qemu_img(&["convert", "-f", "raw", "-O", "qcow2", text(&raw), text(&at)]);
    at
}

fn same(a: &Path, b: &Path) {
    qemu_img(&["compare", "-f", "qcow2", "-F", "qcow2", text(a), text(b)]);
}

fn file(c: &Client, name: &str) -> FileRef {
    let datastore = c.host.datastores.by_name("ds").unwrap().store.uuid();
    FileRef { datastore, path: FilePath::parse(name).unwrap() }
}

async fn on_disks(c: &Client, args: Args) -> Result<Option<Value>, Fault> {
    c.task(&managers::virtual_disk_manager(), args).await
}

/// The number of files that transfers have left, under way or dead.
fn leftovers(site: &Site) -> usize {
    std::fs::read_dir(site.datastore().join(".esfera-tmp")).map_or(0, Iterator::count)
}

/// A program that has an image open as a running machine has.
struct Holder(Child);

impl Holder {
    fn open(image: &Path, read_only: bool) -> Self {
        let mut command = Command::new("qemu-io");
        if read_only {
            command.arg("-r");
        }
        let mut child = command
            .args(["-f", "qcow2", text(image)])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        // It answers when the image is open.
        writeln!(child.stdin.as_mut().unwrap(), "length").unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        assert!(!line.is_empty(), "qemu-io ended");
        Self(child)
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

#[tokio::test]
async fn a_chain_is_copied_into_one_disk() {
    let site = Site::new();
    let c = site.open().await;
    let base = disk(&site, "base.vmdk", 1);
    let layers = c.host.engine.images();
    layers.create_layer(&file(&c, "base-000001.vmdk"), &file(&c, "base.vmdk"), 16 << 20).await.unwrap();
    let top = site.datastore().join("base-000001.vmdk");
    let write = Command::new("qemu-io").args(["-f", "qcow2", "-c", "write -P 9 4M 1M", text(&top)]).output();
    assert!(write.unwrap().status.success());
    let args =
        call!(CopyVirtualDisk_Task { sourceName: "[ds] base-000001.vmdk", destName: "[ds] whole.vmdk" });
    assert_eq!(on_disks(&c, args).await.unwrap(), Some(Value::from("[ds] whole.vmdk")));
    let whole = site.datastore().join("whole.vmdk");
    same(&top, &whole);
    std::fs::remove_file(base).unwrap();
    let facts = datastore::disk_image::facts(
        &c.host.datastores.by_name("ds").unwrap().store,
        &file(&c, "whole.vmdk").path,
    );
    assert_eq!(facts.unwrap().backing, None);
    qemu_img(&["check", text(&whole)]);
    assert_eq!(leftovers(&site), 0);
}

#[tokio::test]
async fn a_layer_is_as_large_as_what_it_is_laid_on_even_if_a_smaller_size_is_remembered() {
    let site = Site::new();
    let c = site.open().await;
    disk(&site, "grown.vmdk", 1);
    let (base, layer) = (file(&c, "grown.vmdk"), file(&c, "grown-000001.vmdk"));
    c.host.engine.images().create_layer(&layer, &base, 4 << 20).await.unwrap();
    let facts = datastore::disk_image::facts(&c.host.datastores.by_name("ds").unwrap().store, &layer.path);
    assert_eq!(facts.unwrap().capacity_bytes, 16 << 20);
}

/// Makes an image that shows a file of the machine that the host runs on.
fn lure(at: &Path) {
    drop(std::fs::remove_file(at));
    qemu_img(&["create", "-q", "-f", "qcow2", "-b", "/etc/passwd", "-F", "raw", text(at), "16M"]);
}

#[tokio::test]
async fn an_image_that_leads_out_of_the_datastore_is_opened_by_no_tool() {
    let site = Site::new();
    let c = site.open().await;
    lure(&site.datastore().join("lure.vmdk"));
    disk(&site, "base.vmdk", 1);
    let (lure, base, new) = (file(&c, "lure.vmdk"), file(&c, "base.vmdk"), file(&c, "new.vmdk"));
    let images = c.host.engine.images();
    for done in [
        images.create_layer(&new, &lure, 16 << 20).await,
        images.grow(&lure, 32 << 20).await,
        images.commit(&lure, &base).await,
        images.rebase(&lure, &base).await,
        images.rebase(&base, &lure).await,
    ] {
        let error = done.unwrap_err().to_string();
        assert!(error.contains("leads to a file outside"), "{error}");
    }
    assert!(!site.datastore().join("new.vmdk").exists());
}

#[tokio::test]
async fn qemu_a_machine_whose_disk_was_exchanged_for_one_that_leads_out_does_not_start() {
    let site = Site::new();
    let c = site.open().await;
    disk(&site, "good.vmdk", 1);
    let controller = vim::Object::from(vim!(VirtualDeviceConfigSpec {
        operation: "add",
        device: ParaVirtualSCSIController { key: -1, busNumber: 0, sharedBus: "noSharing" },
    }));
    let disk = vim::Object::from(vim!(VirtualDeviceConfigSpec {
        operation: "add",
        device: VirtualDisk {
            key: -2,
            controllerKey: -1,
            unitNumber: 0,
            capacityInKB: 16_384i64,
            backing: VirtualDiskFlatVer2BackingInfo { fileName: "[ds] good.vmdk", diskMode: "persistent" },
        },
    }));
    let mut spec = vim::Object::from(common::small("lured"));
    let changes = vim!(VirtualMachineConfigSpec { deviceChange: [controller, disk] });
    let changes = vim::Object::from(changes);
    let number = field!(VirtualMachineConfigSpec.deviceChange).number();
    spec.put(number, changes.at(number).cloned());
    let vm = c.create(spec).await.unwrap();
    lure(&site.datastore().join("good.vmdk"));
    let fault = c.power_on(&vm).await.unwrap_err();
    assert_eq!(fault.type_name(), "CannotAccessFile", "{fault}");
    assert_eq!(c.power(&vm), "poweredOff");
}

#[tokio::test]
async fn a_configuration_whose_disk_leads_out_is_shown_and_does_not_run() {
    let site = Site::new();
    let c = site.open().await;
    let vm = c.create(common::small("lured")).await.unwrap();
    let directory = site.datastore().join("lured");
    let vmx = std::fs::read_to_string(directory.join("lured.vmx")).unwrap();
    let with_disk = |file: &str| {
        format!(
            "{vmx}scsi0.present = \"TRUE\"\nscsi0.virtualDev = \"pvscsi\"\nscsi0:0.present = \"TRUE\"\n\
             scsi0:0.fileName = \"{file}\"\nscsi0:0.deviceType = \"scsi-hardDisk\"\n"
        )
    };
    // Not the disk itself, but what lies under it.
    lure(&directory.join("lure.vmdk"));
    let over = directory.join("over.vmdk");
    qemu_img(&["create", "-q", "-u", "-f", "qcow2", "-b", "lure.vmdk", "-F", "qcow2", text(&over), "16M"]);
    std::fs::write(directory.join("other.vmx"), with_disk("over.vmdk")).unwrap();
    let args = call!(RegisterVM_Task {
        path: "[ds] lured/other.vmx",
        name: "other",
        asTemplate: false,
        pool: ids::root_pool()
    });
    let other = c.task(&ids::vm_folder(), args).await.unwrap().unwrap();
    let other = other.as_ref().unwrap();
    let refused = async |c: &Client, vm: &vim::MoRef| {
        let runtime = c.get(vm, prop!(VirtualMachine.runtime)).unwrap();
        let connection = runtime.get(field!(VirtualMachineRuntimeInfo.connectionState)).unwrap();
        assert_eq!(vim::EnumValue::from(connection).name(), "connected");
        let fault = c.power_on(vm).await.unwrap_err();
        assert_eq!(fault.type_name(), "GenericVmConfigFault", "{fault}");
        for words in ["Hard disk scsi0:0", "[ds] lured/over.vmdk", "leads to a file outside"] {
            assert!(fault.to_string().contains(words), "{fault}");
        }
    };
    refused(&c, other).await;
    c.close().await;
    std::fs::write(directory.join("lured.vmx"), with_disk("over.vmdk")).unwrap();
    let c = site.open().await;
    refused(&c, &vm).await;
    // It can be repaired.
    let gone = vim!(VirtualDeviceConfigSpec { operation: "remove", device: VirtualDisk { key: 2000 } });
    let spec = vim!(VirtualMachineConfigSpec { deviceChange: [gone] });
    c.task(&vm, call!(ReconfigVM_Task { spec: vim::Object::from(spec) })).await.unwrap();
    assert!(over.exists());
    assert_eq!(c.host.vm(&vm).unwrap().config().disks().count(), 0);
}

#[tokio::test]
async fn a_disk_is_written_anew_thick_and_thin_again() {
    let site = Site::new();
    let c = site.open().await;
    let at = disk(&site, "a.vmdk", 3);
    let before = site.root.path().join("before.qcow2");
    std::fs::copy(&at, &before).unwrap();
    let room = || {
        c.host
            .datastores
            .by_name("ds")
            .unwrap()
            .store
            .entry(&file(&c, "a.vmdk").path)
            .unwrap()
            .allocated_bytes
    };
    assert!(room() < 8 << 20);
    on_disks(&c, call!(EagerZeroVirtualDisk_Task { name: "[ds] a.vmdk" })).await.unwrap();
    assert!(room() >= 16 << 20);
    same(&before, &at);
    on_disks(&c, call!(ShrinkVirtualDisk_Task { name: "[ds] a.vmdk" })).await.unwrap();
    assert!(room() < 8 << 20);
    on_disks(&c, call!(InflateVirtualDisk_Task { name: "[ds] a.vmdk" })).await.unwrap();
    assert!(room() >= 16 << 20);
    same(&before, &at);
    on_disks(&c, call!(ExtendVirtualDisk_Task { name: "[ds] a.vmdk", newCapacityKb: 32 << 10 }))
        .await
        .unwrap();
    assert_eq!(leftovers(&site), 0);
}

#[tokio::test]
async fn a_disk_that_is_open_is_neither_copied_nor_changed() {
    let site = Site::new();
    let c = site.open().await;
    let at = disk(&site, "a.vmdk", 3);
    let copy =
        || call!(CopyVirtualDisk_Task { sourceName: "[ds] a.vmdk", destName: "[ds] b.vmdk", force: true });
    let changes = || {
        [
            call!(DeleteVirtualDisk_Task { name: "[ds] a.vmdk" }),
            call!(MoveVirtualDisk_Task { sourceName: "[ds] a.vmdk", destName: "[ds] c.vmdk" }),
            call!(ExtendVirtualDisk_Task { name: "[ds] a.vmdk", newCapacityKb: 32 << 10 }),
            call!(InflateVirtualDisk_Task { name: "[ds] a.vmdk" }),
        ]
    };
    let held = Holder::open(&at, false);
    for args in changes().into_iter().chain([copy()]) {
        let method = args.method_name();
        assert_eq!(on_disks(&c, args).await.expect_err(method).type_name(), "FileLocked", "{method}");
    }
    drop(held);
    let reading = Holder::open(&at, true);
    on_disks(&c, copy()).await.expect("reading does not disturb reading");
    for args in changes() {
        let method = args.method_name();
        assert_eq!(on_disks(&c, args).await.expect_err(method).type_name(), "FileLocked", "{method}");
    }
    drop(reading);
    on_disks(&c, call!(DeleteVirtualDisk_Task { name: "[ds] a.vmdk" })).await.unwrap();
}

#[tokio::test]
async fn a_copy_that_is_cancelled_leaves_nothing() {
    let site = Site::new();
    let c = site.open().await;
    disk(&site, "a.vmdk", 3);
    let big = site.datastore().join("a.vmdk");
    qemu_img(&["resize", text(&big), "4G"]);
    let args = call!(CopyVirtualDisk_Task {
        sourceName: "[ds] a.vmdk",
        destName: "[ds] b.vmdk",
        destSpec: VirtualDiskSpec { diskType: "eagerZeroedThick", adapterType: "lsiLogic" },
    });
    let task = c.invoke(&managers::virtual_disk_manager(), args).await.unwrap().unwrap();
    let task: MoRef = task.as_ref().unwrap().clone();
    let under_way = async {
        while leftovers(&site) < 2 {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(60), under_way).await.unwrap();
    c.host.core.tasks.cancel(&task).unwrap();
    assert_eq!(c.wait(&task).await.unwrap_err().type_name(), "RequestCanceled");
    assert!(!site.datastore().join("b.vmdk").exists());
    assert_eq!(leftovers(&site), 0);
}

#[tokio::test]
async fn a_full_datastore_keeps_what_was_there() {
    let site = Site::new();
    let mounted = Small::mount(&site.datastore());
    let c = site.open().await;
    disk(&site, "a.vmdk", 3);
    std::fs::write(site.datastore().join("b.vmdk"), "old").unwrap();
    for args in [
        call!(CopyVirtualDisk_Task {
            sourceName: "[ds] a.vmdk",
            destName: "[ds] b.vmdk",
            destSpec: VirtualDiskSpec { diskType: "preallocated", adapterType: "lsiLogic" },
            force: true,
        }),
        call!(CreateVirtualDisk_Task {
            name: "[ds] c.vmdk",
            spec: FileBackedVirtualDiskSpec {
                diskType: "eagerZeroedThick",
                adapterType: "lsiLogic",
                capacityKb: 16 << 10
            },
        }),
    ] {
        let full = on_disks(&c, args).await.unwrap_err();
        assert_eq!(full.type_name(), "NoDiskSpace", "{full}");
    }
    assert_eq!(std::fs::read(site.datastore().join("b.vmdk")).unwrap(), b"old");
    assert!(!site.datastore().join("c.vmdk").exists());
    // Thin, so that it fails on the way and not at the look at the room.
    std::fs::write(site.datastore().join("filler"), vec![1; 5 * MIB + MIB / 2]).unwrap();
    let args = call!(CopyVirtualDisk_Task { sourceName: "[ds] a.vmdk", destName: "[ds] d.vmdk" });
    assert_eq!(on_disks(&c, args).await.unwrap_err().type_name(), "NoDiskSpace");
    assert!(!site.datastore().join("d.vmdk").exists());
    assert_eq!(leftovers(&site), 0);
    drop((c, mounted));
}

/// A file system of 8 MiB.
struct Small(PathBuf);

impl Small {
    fn mount(at: &Path) -> Self {
        let status = Command::new("mount").args(["-t", "tmpfs", "-o", "size=8m", "tmpfs"]).arg(at).status();
        assert!(status.unwrap().success(), "mounting a tmpfs needs root");
        Self(at.to_owned())
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

#[tokio::test]
async fn no_image_and_no_link_leads_out_of_a_datastore() {
    let site = Site::new();
    let c = site.open().await;
    let secret = site.root.path().join("secret");
    std::fs::write(&secret, vec![b's'; MIB]).unwrap();
    let at = |name: &str| site.datastore().join(name);
    let (up, data) = (at("up.vmdk"), at("data.vmdk"));
    qemu_img(&["create", "-f", "qcow2", "-u", "-b", "../secret", "-F", "raw", text(&up), "1M"]);
    let option = format!("data_file={}", text(&site.root.path().join("outer")));
    qemu_img(&["create", "-f", "qcow2", "-o", &option, text(&data), "1M"]);
    // A text that QEMU would follow, under an image that leaves it to QEMU what it is.
    let extents = format!(
        "# Disk DescriptorFile\nversion=1\nCID=fffffffe\nparentCID=ffffffff\ncreateType=\"monolithicFlat\"\nRW 2048 FLAT \"{}\" 0\n",
        text(&secret)
    );
    std::fs::write(at("text.vmdk"), extents).unwrap();
    let over = at("over.vmdk");
    qemu_img(&["create", "-f", "qcow2", "-b", text(&at("text.vmdk")), "-F", "vmdk", text(&over)]);
    symlink(&secret, at("link.vmdk")).unwrap();
    symlink(site.root.path(), at("out")).unwrap();
    for source in ["up.vmdk", "data.vmdk", "text.vmdk", "over.vmdk", "link.vmdk", "out/secret.vmdk"] {
        let args = call!(CopyVirtualDisk_Task {
            sourceName: format!("[ds] {source}"),
            destName: "[ds] stolen.vmdk"
        });
        let fault = on_disks(&c, args).await.expect_err(source);
        assert!(fault.is_a(data_id!(CannotAccessFile)), "{source}: {fault}");
        assert!(!fault.message().contains(text(site.root.path())), "{source}: {fault}");
        assert!(!at("stolen.vmdk").exists(), "{source}");
    }
    for args in [
        call!(CopyDatastoreFile_Task { sourceName: "[ds] link.vmdk", destinationName: "[ds] stolen.vmdk" }),
        call!(MoveDatastoreFile_Task { sourceName: "[ds] text.vmdk", destinationName: "[ds] out/x" }),
    ] {
        let fault = c.task(&managers::file_manager(), args).await.unwrap_err();
        assert_eq!(fault.type_name(), "CannotAccessFile", "{fault}");
    }
}

#[tokio::test]
async fn what_a_dead_host_left_half_done_goes_and_what_a_living_one_makes_stays() {
    let site = Site::new();
    let c = site.open().await;
    let ds = c.host.datastores.by_name("ds").unwrap().store;
    let path = FilePath::parse("new.vmdk").unwrap();
    let living = ds.stage(&path, false, None).unwrap().unwrap();
    std::fs::write(living.host_path(), "half").unwrap();
    let slots = site.datastore().join(".esfera-tmp");
    let dead = "5b0e3a1c-7d6f-4d3e-9a51-0c2b7d9e4f10";
    std::fs::write(slots.join(format!("{dead}.lock")), "").unwrap();
    std::fs::write(slots.join(format!("{dead}.content")), "half").unwrap();
    let again = datastore::Datastore::mount(site.datastore()).unwrap();
    assert!(!slots.join(format!("{dead}.content")).exists());
    assert_eq!(leftovers(&site), 2, "the copy that is under way has its lock and its content");
    living.finish().unwrap();
    assert_eq!(again.read(&path, 99).unwrap(), b"half");
    assert_eq!(leftovers(&site), 0);
}

#[tokio::test]
async fn a_directory_becomes_a_datastore_for_good() {
    let site = Site::new();
    let c = site.open().await;
    let at = site.root.path().join("more");
    let create = |name: &str, path: &Path| call!(CreateLocalDatastore { name: name, path: text(path) });
    let system = managers::datastore_system();
    let refused = async |c: &Client, args: Args| c.invoke(&system, args).await.unwrap_err().type_name();
    assert_eq!(refused(&c, create("more", &at)).await, "FileNotFound");
    std::fs::create_dir(&at).unwrap();
    std::fs::write(at.join("mine"), "mine").unwrap();
    assert_eq!(refused(&c, create("more", &at)).await, "HostConfigFault", "it has files");
    std::fs::remove_file(at.join("mine")).unwrap();
    assert_eq!(refused(&c, create("ds", &at)).await, "DuplicateName");
    assert_eq!(refused(&c, create("in", &site.datastore())).await, "HostConfigFault", "it is one already");
    let me = c.invoke(&system, create("more", &at)).await.unwrap().unwrap().as_ref().unwrap().clone();
    let info = c.get(&me, prop!(Datastore.summary)).unwrap();
    assert_eq!(info.get(field!(DatastoreSummary.name)), Some("more"));
    c.invoke(&managers::file_manager(), call!(MakeDirectory { name: "[more] d" })).await.unwrap();
    c.invoke(&me, call!(RenameDatastore { newName: "most" })).await.unwrap();
    c.close().await;
    let c = site.open().await;
    assert_eq!(c.get(&me, prop!(Datastore.name)).as_deref(), Some("most"));
    assert!(at.join("d").is_dir());
    c.invoke(&system, call!(RemoveDatastore { datastore: &me })).await.unwrap();
    c.close().await;
    let c = site.open().await;
    assert!(c.host.datastores.by_name("most").is_none());
    assert!(at.join("d").is_dir(), "the files stay");
    c.invoke(&system, create("back", &at)).await.expect("it was a datastore before");
}

#[tokio::test]
async fn a_disk_keeps_its_identity_when_it_moves_and_a_copy_has_its_own() {
    let (site, simulated) = (Site::new(), common::simulated().await);
    let real = site.open().await;
    for c in [&real, &simulated] {
        let spec =
            vim!(FileBackedVirtualDiskSpec { diskType: "thin", adapterType: "lsiLogic", capacityKb: 4096 });
        on_disks(c, call!(CreateVirtualDisk_Task { name: "[ds] a.vmdk", spec: spec })).await.unwrap();
        let ask = async |name: &str| {
            let args = call!(QueryVirtualDiskUuid { name: format!("[ds] {name}") });
            let uuid = c.invoke(&managers::virtual_disk_manager(), args).await.unwrap().unwrap();
            uuid.as_str().unwrap().to_owned()
        };
        assert_eq!(ask("a.vmdk").await, ask("a.vmdk").await);
        let wanted = "60 00 c2 9c 46 48 8b 11-2d 3a 49 7d 7a 8b a2 c3";
        let set = |uuid: &str| call!(SetVirtualDiskUuid { name: "[ds] a.vmdk", uuid: uuid });
        c.invoke(&managers::virtual_disk_manager(), set(wanted)).await.unwrap();
        let wrong = c.invoke(&managers::virtual_disk_manager(), set("60 00")).await.unwrap_err();
        assert_eq!(wrong.type_name(), "InvalidArgument");
        on_disks(c, call!(InflateVirtualDisk_Task { name: "[ds] a.vmdk" })).await.unwrap();
        let copy = call!(CopyVirtualDisk_Task { sourceName: "[ds] a.vmdk", destName: "[ds] b.vmdk" });
        on_disks(c, copy).await.unwrap();
        let moved = call!(MoveVirtualDisk_Task { sourceName: "[ds] a.vmdk", destName: "[ds] c.vmdk" });
        on_disks(c, moved).await.unwrap();
        assert_eq!(ask("c.vmdk").await, wanted);
        assert_ne!(ask("b.vmdk").await, wanted);
    }
}

#[tokio::test]
async fn a_specification_that_cannot_be_met_is_refused() {
    let site = Site::new();
    let c = site.open().await;
    let spec = |kind: &str, kib: i64| {
        vim!(FileBackedVirtualDiskSpec { diskType: kind, adapterType: "lsiLogic", capacityKb: kib })
    };
    for (kind, kib, fault) in [
        ("rdm", 1024, "InvalidArgument"),
        ("thin", 0, "InvalidArgument"),
        ("thin", -1, "InvalidArgument"),
        ("thin", i64::MAX, "InvalidArgument"),
    ] {
        let args = call!(CreateVirtualDisk_Task { name: "[ds] a.vmdk", spec: spec(kind, kib) });
        assert_eq!(on_disks(&c, args).await.unwrap_err().type_name(), fault, "{kind} {kib}");
    }
    let args = call!(CreateVirtualDisk_Task { name: "[ds] no/a.vmdk", spec: spec("thin", 1024) });
    assert_eq!(on_disks(&c, args).await.unwrap_err().type_name(), "FileNotFound");
    let args = call!(QueryVirtualDiskFragmentation { name: "[ds] a.vmdk" });
    assert_eq!(on_disks(&c, args).await.unwrap_err().type_name(), "NotSupported");
}
