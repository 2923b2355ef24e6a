//! Disks that other products made: each is known by what it is, refused where no VM can run on it, and converted by a copy.
//! A raw disk stays one whatever its guest writes.

#![allow(clippy::unwrap_used)]

mod common;

use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;

use common::{Client, Site, added};
use host::{ids, managers};
use vim::{Args, Fault, MoRef, Object, Value, call, field, prop, vim};

const MIB: usize = 1 << 20;

/// VMware's formats as `qemu-img` makes them, and the files that each consists of.
const FOREIGN: [(&str, &[&str]); 5] = [
    ("streamOptimized", &[]),
    ("monolithicSparse", &[]),
    ("twoGbMaxExtentSparse", &["-s001.vmdk"]),
    ("monolithicFlat", &["-flat.vmdk"]),
    ("twoGbMaxExtentFlat", &["-f001.vmdk"]),
];

fn qemu_img(arguments: &[&str]) {
    let ended = Command::new("qemu-img").args(arguments).output().unwrap();
    assert!(ended.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&ended.stderr));
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A disk of 16 MiB whose first one is full of `byte`.
fn raw(site: &Site, name: &str, byte: u8) -> std::path::PathBuf {
    let at = site.root.path().join(name);
    let mut content = vec![byte; MIB];
    content.resize(16 * MIB, 0);
    std::fs::write(&at, content).unwrap();
    at
}

/// One disk in each of VMware's formats, all with the same content, which is given.
fn foreign(site: &Site) -> std::path::PathBuf {
    let raw = raw(site, "raw", 7);
    for (subformat, _) in FOREIGN {
        let (at, option) =
            (site.datastore().join(format!("{subformat}.vmdk")), format!("subformat={subformat}"));
        qemu_img(&["convert", "-f", "raw", "-O", "vmdk", "-o", &option, text(&raw), text(&at)]);
    }
    raw
}

async fn on_disks(c: &Client, args: Args) -> Result<Option<Value>, Fault> {
    c.task(&managers::virtual_disk_manager(), args).await
}

/// The changes that add an existing disk.
fn existing(name: &str) -> Vec<Object> {
    let backing = vim!(VirtualDiskFlatVer2BackingInfo { fileName: name, diskMode: "persistent" });
    let disk =
        vim!(VirtualDisk { key: -2, controllerKey: -1, unitNumber: 0, capacityInKB: 0i64, backing: backing });
    let controller = vim!(ParaVirtualSCSIController { key: -1, busNumber: 0, sharedBus: "noSharing" });
    vec![added(controller), added(disk)]
}

fn refused(fault: &Fault, name: &str, words: &str) {
    assert_eq!(fault.type_name(), "IncorrectFileType", "{fault}");
    assert_eq!(fault.object().get(field!(FileFault.file)), Some(name), "{fault}");
    assert!(fault.message().contains(words) && fault.message().contains("CopyVirtualDisk"), "{fault}");
}

fn capacity(c: &Client, vm: &MoRef) -> i64 {
    let config = c.get(vm, prop!(VirtualMachine.config)).unwrap();
    let devices = config.get(field!(VirtualMachineConfigInfo.hardware)).unwrap();
    let devices = devices.get(field!(VirtualHardware.device)).unwrap();
    let mut disks = devices.iter().filter(|device| device.is_a(vim::data_id!(VirtualDisk)));
    disks.find_map(|device| device.get(field!(VirtualDisk.capacityInBytes))).unwrap()
}

#[tokio::test]
async fn a_disk_of_vmwares_is_refused_as_what_it_is_and_its_copy_is_a_disk_for_vms() {
    let site = Site::new();
    let c = site.open().await;
    let raw = foreign(&site);
    let words = ["stream-optimised", "sparse", "extents", "flat", "flat"];
    for ((subformat, extents), words) in FOREIGN.into_iter().zip(words) {
        let name = format!("[ds] {subformat}.vmdk");
        let fault = c.create(common::small_with("vm", existing(&name))).await.unwrap_err();
        refused(&fault, &name, words);
        let vm = c.create(common::small("vm")).await.unwrap();
        let changes = common::small_with("vm", existing(&name));
        let fault = c.task(&vm, call!(ReconfigVM_Task { spec: changes })).await.unwrap_err();
        refused(&fault, &name, words);
        let args = call!(ExtendVirtualDisk_Task { name: &*name, newCapacityKb: 32i64 << 10 });
        refused(&on_disks(&c, args).await.unwrap_err(), &name, words);
        c.destroy(&vm).await.unwrap();

        let copy = format!("[ds] {subformat}-copy.vmdk");
        let args = call!(CopyVirtualDisk_Task { sourceName: &*name, destName: &*copy });
        on_disks(&c, args).await.unwrap_or_else(|fault| panic!("{subformat}: {fault}"));
        let at = site.datastore().join(format!("{subformat}-copy.vmdk"));
        qemu_img(&["compare", "-f", "raw", "-F", "qcow2", text(&raw), text(&at)]);
        let vm = c.create(common::small_with("vm", existing(&copy))).await.unwrap();
        assert_eq!(capacity(&c, &vm), 16 << 20, "{subformat}");
        c.destroy(&vm).await.unwrap();

        let there = |ending: &str| site.datastore().join(format!("{subformat}{ending}")).exists();
        assert!(extents.iter().all(|ending| there(ending)), "{subformat}");
        on_disks(&c, call!(DeleteVirtualDisk_Task { name: &*name })).await.unwrap();
        assert!(!there(".vmdk") && !extents.iter().any(|ending| there(ending)), "{subformat}");
    }
}

#[tokio::test]
async fn a_disk_of_vmwares_is_moved_with_its_extents_and_no_copy_lands_on_one() {
    let site = Site::new();
    let c = site.open().await;
    let raw = foreign(&site);
    let (from, onto) = ("[ds] monolithicFlat.vmdk", "[ds] monolithicFlat-flat.vmdk");
    let args = call!(MoveVirtualDisk_Task { sourceName: from, destName: onto, force: true });
    assert_eq!(on_disks(&c, args).await.unwrap_err().type_name(), "CannotAccessFile");
    let args = call!(MoveVirtualDisk_Task { sourceName: from, destName: "[ds] moved.vmdk" });
    on_disks(&c, args).await.unwrap();
    let at = site.datastore().join("moved.vmdk");
    qemu_img(&["compare", "-f", "raw", "-F", "qcow2", text(&raw), text(&at)]);
    assert!(!site.datastore().join("monolithicFlat-flat.vmdk").exists());
    // In its place.
    let sparse = "twoGbMaxExtentSparse";
    on_disks(&c, call!(InflateVirtualDisk_Task { name: format!("[ds] {sparse}.vmdk") })).await.unwrap();
    let at = site.datastore().join(format!("{sparse}.vmdk"));
    qemu_img(&["compare", "-f", "raw", "-F", "qcow2", text(&raw), text(&at)]);
    assert!(!site.datastore().join(format!("{sparse}-s001.vmdk")).exists());
}

#[tokio::test]
async fn the_browser_and_the_identity_of_a_disk_are_those_of_its_descriptor() {
    let site = Site::new();
    let c = site.open().await;
    foreign(&site);
    let at = site.datastore().join("monolithicFlat.vmdk");
    let mut descriptor = std::fs::read_to_string(&at).unwrap();
    descriptor.push_str("ddb.uuid = \"60 00 C2 9d 26 5f 7d 0a-5b 39 1d 36 d8 4a 3f 1c\"\n");
    std::fs::write(&at, descriptor).unwrap();
    let args = call!(QueryVirtualDiskUuid { name: "[ds] monolithicFlat.vmdk" });
    let uuid = c.invoke(&managers::virtual_disk_manager(), args).await.unwrap();
    assert_eq!(uuid, Some(Value::from("60 00 c2 9d 26 5f 7d 0a-5b 39 1d 36 d8 4a 3f 1c")));
    let details = vim!(VmDiskFileQueryFlags {
        diskType: true,
        capacityKb: true,
        hardwareVersion: false,
        diskExtents: true,
    });
    let spec = vim!(HostDatastoreBrowserSearchSpec {
        query: [VmDiskFileQuery { details: details }],
        details: FileQueryFlags { fileType: true, fileSize: false, modification: false, fileOwner: false },
    });
    let datastore = c.host.datastores.by_name("ds").unwrap().me();
    let args = call!(SearchDatastore_Task { datastorePath: "[ds]", searchSpec: spec });
    let found = c.task(&ids::browser_of(&datastore), args).await.unwrap().unwrap();
    let found = found.as_object().unwrap().clone();
    for (subformat, extents) in FOREIGN {
        let name = format!("{subformat}.vmdk");
        let files = found.get(field!(HostDatastoreBrowserSearchResults.file)).unwrap();
        let file = files.iter().find(|file| file.get(field!(FileInfo.path)) == Some(&*name)).unwrap();
        assert_eq!(file.get(field!(VmDiskFileInfo.capacityKb)), Some(16 << 10), "{name}");
        let listed = file.get(field!(VmDiskFileInfo.diskExtents)).unwrap().iter().count();
        assert_eq!(listed, 1 + extents.len(), "{name}");
    }
}

#[tokio::test]
async fn qemu_a_vm_whose_disk_was_exchanged_for_one_of_vmwares_is_shown_with_its_size_and_does_not_start() {
    let site = Site::new();
    let c = site.open().await;
    foreign(&site);
    std::fs::copy(raw(&site, "good", 1), site.datastore().join("vm.vmdk")).unwrap();
    let vm = c.create(common::small_with("old", existing("[ds] vm.vmdk"))).await.unwrap();
    c.invoke(&vm, call!(UnregisterVM {})).await.unwrap();
    std::fs::copy(site.datastore().join("streamOptimized.vmdk"), site.datastore().join("vm.vmdk")).unwrap();
    let args = call!(RegisterVM_Task { path: "[ds] old/old.vmx", asTemplate: false, pool: ids::root_pool() });
    let vm = c.task(&ids::vm_folder(), args).await.unwrap().unwrap();
    let vm = vm.as_ref().unwrap();
    assert_eq!(capacity(&c, vm), 16 << 20);
    refused(&c.power_on(vm).await.unwrap_err(), "[ds] vm.vmdk", "stream-optimised");
    assert_eq!(c.power(vm), "poweredOff");
}

#[tokio::test]
async fn qemu_a_raw_disk_is_opened_as_raw_for_ever_though_its_guest_writes_the_header_of_another_format() {
    let site = Site::new();
    let c = site.open().await;
    let at = site.datastore().join("disk.vmdk");
    std::fs::copy(raw(&site, "good", 1), &at).unwrap();
    let secret = site.datastore().join("secret.vmdk");
    std::fs::write(&secret, vec![b's'; MIB]).unwrap();
    let vm = c.create(common::small_with("sly", existing("[ds] disk.vmdk"))).await.unwrap();
    c.power_on(&vm).await.unwrap();
    c.power_off(&vm).await.unwrap();
    // As the guest does: in place, behind the host's back.
    let lure = site.root.path().join("lure");
    qemu_img(&["create", "-q", "-u", "-f", "qcow2", "-b", "secret.vmdk", "-F", "raw", text(&lure), "1M"]);
    let disk = std::fs::OpenOptions::new().write(true).open(&at).unwrap();
    for header in
        [std::fs::read(&lure).unwrap(), b"# Disk DescriptorFile\nRW 2048 FLAT \"secret.vmdk\" 0\n".to_vec()]
    {
        disk.write_all_at(&header, 0).unwrap();
        c.power_on(&vm).await.unwrap();
        let launch = site.root.path().join("run").join(vm.id()).join("launch.json");
        let launch: serde_json::Value = serde_json::from_slice(&std::fs::read(launch).unwrap()).unwrap();
        assert_eq!(launch["spec"]["disks"][0]["format"], "raw");
        c.power_off(&vm).await.unwrap();
        // Neither does a copy read what the header names.
        let args = call!(CopyVirtualDisk_Task {
            sourceName: "[ds] disk.vmdk",
            destName: "[ds] copy.vmdk",
            force: true
        });
        on_disks(&c, args).await.unwrap();
        let copy = site.datastore().join("copy.vmdk");
        qemu_img(&["compare", "-f", "raw", "-F", "qcow2", text(&at), text(&copy)]);
        // Written anew in its place, it is as raw as before.
        on_disks(&c, call!(ShrinkVirtualDisk_Task { name: "[ds] disk.vmdk" })).await.unwrap();
        assert_eq!(capacity(&c, &vm), 16 << 20);
    }
}
