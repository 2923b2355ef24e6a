//! Snapshots and the files that they are about: what stays and what goes.

#![allow(clippy::unwrap_used)]

mod common;

use common::{Client, simulated, small};
use datastore::FilePath;
use vim::{MoRef, Object, call, vim};

/// A disk to add: a new one, or with a name one that is there.
fn disk(unit: i32, file: &str) -> Object {
    let fresh = file.is_empty();
    let device = vim!(VirtualDisk {
        key: -2,
        controllerKey: if fresh { -1 } else { 1000 },
        unitNumber: unit,
        capacityInKB: 8192i64,
        backing: VirtualDiskFlatVer2BackingInfo { fileName: file, diskMode: "persistent" },
    });
    if fresh {
        return vim!(VirtualMachineConfigSpec {
            deviceChange: [
                VirtualDeviceConfigSpec {
                    operation: "add",
                    device: ParaVirtualSCSIController { key: -1, busNumber: 0, sharedBus: "noSharing" },
                },
                VirtualDeviceConfigSpec { operation: "add", fileOperation: "create", device: device },
            ],
        })
        .into();
    }
    vim!(VirtualMachineConfigSpec {
        deviceChange: [VirtualDeviceConfigSpec { operation: "add", device: device }],
    })
    .into()
}

/// A machine with one disk.
async fn with_disk(c: &Client, name: &str) -> MoRef {
    let mut spec: Object = small(name).into();
    let changes = vim::field!(VirtualMachineConfigSpec.deviceChange).number();
    spec.put(changes, disk(0, "").at(changes).cloned());
    c.create(spec).await.unwrap()
}

fn images(c: &Client, directory: &str) -> Vec<String> {
    let on = c.host.datastores.by_name("ds").unwrap();
    let entries = on.store.list(&FilePath::parse(directory).unwrap()).unwrap();
    entries.into_iter().map(|entry| entry.name).filter(|name| name.ends_with(".vmdk")).collect()
}

#[tokio::test]
async fn a_disk_attached_after_the_snapshot_is_detached_by_a_revert_and_not_deleted() {
    let c = simulated().await;
    let owner = with_disk(&c, "owner").await;
    let vm = with_disk(&c, "back").await;
    let args = call!(CreateSnapshot_Task { name: "one", memory: false, quiesce: false });
    c.task(&vm, args).await.unwrap();
    let on = c.host.datastores.by_name("ds").unwrap();
    on.store.create_sparse(&FilePath::parse("data.vmdk").unwrap(), 8 << 20).unwrap();
    for (unit, file) in [(1, "[ds] owner/owner.vmdk"), (2, "[ds] data.vmdk")] {
        c.task(&vm, call!(ReconfigVM_Task { spec: disk(unit, file) })).await.unwrap();
    }
    assert_eq!(images(&c, "back"), ["back-000001.vmdk", "back.vmdk"]);
    c.task(&vm, call!(RevertToCurrentSnapshot_Task {})).await.unwrap();
    assert_eq!(images(&c, "owner"), ["owner.vmdk"], "another machine's disk");
    assert_eq!(images(&c, ""), ["data.vmdk"], "a disk that nothing else names");
    assert_eq!(images(&c, "back"), ["back-000002.vmdk", "back.vmdk"], "the layer until then has gone");
    c.power_on(&owner).await.unwrap();
}

/// Registers the VM `kept` anew, with a `.vmx` in which words are replaced; a text without a word before it is added.
async fn edit(c: &Client, vm: &MoRef, edits: &[(&str, &str)]) -> MoRef {
    c.invoke(vm, call!(UnregisterVM {})).await.unwrap();
    let on = c.host.datastores.by_name("ds").unwrap();
    let path = FilePath::parse("kept/kept.vmx").unwrap();
    let mut text = on.store.read_vmx(&path).unwrap().to_string();
    for (from, to) in edits {
        text = if from.is_empty() { format!("{text}{to}") } else { text.replace(from, to) };
    }
    on.store.write(&path, text.as_bytes()).unwrap();
    let path_name = "[ds] kept/kept.vmx";
    let args = call!(RegisterVM_Task { path: path_name, asTemplate: false, pool: host::ids::root_pool() });
    c.task(&host::ids::vm_folder(), args).await.unwrap().unwrap().as_ref().unwrap().clone()
}

#[tokio::test]
async fn a_revert_brings_back_the_keys_that_are_only_kept_and_leaves_the_file_of_the_firmware() {
    let c = simulated().await;
    let vm = with_disk(&c, "kept").await;
    let vm = edit(&c, &vm, &[("", "floppy0.present = \"TRUE\"\nfloppy0.fileName = \"boot.flp\"\n")]).await;
    let args = call!(CreateSnapshot_Task { name: "one", memory: false, quiesce: false });
    c.task(&vm, args).await.unwrap();
    let edits = [("kept.nvram", "other.nvram"), ("floppy0", "floppy1"), ("boot.flp", "later.flp")];
    let vm = edit(&c, &vm, &edits).await;
    let on = c.host.datastores.by_name("ds").unwrap();
    let path = FilePath::parse("kept/kept.vmx").unwrap();
    let text = on.store.read_vmx(&path).unwrap();
    assert_eq!(text.get("floppy1.fileName"), Some("later.flp"));
    c.task(&vm, call!(RevertToCurrentSnapshot_Task {})).await.unwrap();
    let text = on.store.read_vmx(&path).unwrap();
    assert_eq!(text.get("nvram"), Some("other.nvram"));
    assert_eq!(text.get("floppy0.fileName"), Some("boot.flp"));
    assert_eq!(text.get("floppy1.fileName"), None, "the snapshot has no such drive");
}
