//! Files and directories on the datastores of a simulated host: the browser, the managers, the datastores themselves.

#![allow(clippy::unwrap_used)]

mod common;

use std::sync::Arc;

use common::{Client, simulated, small};
use datastore::{Datastore, FilePath};
use host::{Host, SimulatedOptions, ids, managers};
use vim::{Args, Fault, MoRef, Object, Value, call, data_id, field, managed_id, prop, vim};

fn path(text: &str) -> FilePath {
    FilePath::parse(text).unwrap()
}

fn store(c: &Client, name: &str) -> Arc<Datastore> {
    c.host.datastores.by_name(name).unwrap().store
}

/// A host with the datastores `ds` and `other`.
async fn two_datastores() -> Client {
    let memory = || Arc::new(Datastore::memory(uuid::Uuid::new_v4(), 64 << 30));
    let datastores = vec![("ds".into(), memory()), ("other".into(), memory())];
    Client::of(Host::simulated(SimulatedOptions::new("sim.test", datastores)).await.unwrap())
}

fn browser(c: &Client, name: &str) -> MoRef {
    ids::browser_of(&c.host.datastores.by_name(name).unwrap().me())
}

async fn search(c: &Client, at: &str, spec: Option<Object>) -> Result<Arc<Object>, Fault> {
    let args = call!(SearchDatastore_Task { datastorePath: at, searchSpec: spec });
    let found = c.task(&browser(c, "ds"), args).await?;
    Ok(found.unwrap().as_object().unwrap().clone())
}

fn files(results: &Object) -> Vec<Arc<Object>> {
    let files = results.get(field!(HostDatastoreBrowserSearchResults.file));
    files.into_iter().flatten().cloned().collect()
}

fn names(results: &Object) -> Vec<String> {
    files(results).iter().map(|file| file.get(field!(FileInfo.path)).unwrap().to_owned()).collect()
}

#[tokio::test]
async fn clients_find_the_managers_of_files() {
    let c = simulated().await;
    let instance = MoRef::new(managed_id!(ServiceInstance), "ServiceInstance");
    let content = c.get(&instance, prop!(ServiceInstance.content)).unwrap();
    assert_eq!(content.get(field!(ServiceContent.fileManager)), Some(&managers::file_manager()));
    assert_eq!(
        content.get(field!(ServiceContent.virtualDiskManager)),
        Some(&managers::virtual_disk_manager())
    );
    let managers = c.get(&ids::host(), prop!(HostSystem.configManager)).unwrap();
    assert_eq!(managers.get(field!(HostConfigManager.datastoreSystem)), Some(&managers::datastore_system()));
    for me in [
        managers::file_manager(),
        managers::virtual_disk_manager(),
        managers::datastore_system(),
        browser(&c, "ds"),
    ] {
        assert!(c.host.core.tree.snapshot().find(&me).is_some(), "{me}");
    }
}

#[tokio::test]
async fn a_directory_is_made_once_and_its_parents_only_if_asked() {
    let c = simulated().await;
    let make = async |name: &str, parents: bool| {
        let args = call!(MakeDirectory { name: name, createParentDirectories: parents });
        c.invoke(&managers::file_manager(), args).await
    };
    make("[ds] a", false).await.unwrap();
    assert_eq!(make("[ds] a", true).await.unwrap_err().type_name(), "FileAlreadyExists");
    assert_eq!(make("[ds] b/c", false).await.unwrap_err().type_name(), "FileNotFound");
    make("[ds] b/c", true).await.unwrap();
    make(&format!("{}u", store(&c, "ds").url()), false).await.unwrap();
    for name in ["b/c", "u"] {
        assert!(store(&c, "ds").entry(&path(name)).unwrap().is_folder());
    }
}

#[tokio::test]
async fn a_search_gives_each_file_the_type_of_its_kind() {
    let c = simulated().await;
    let ds = store(&c, "ds");
    let kinds = [
        ("a.vmx", data_id!(VmConfigFileInfo)),
        ("b.vmdk", data_id!(VmDiskFileInfo)),
        ("c.iso", data_id!(IsoImageFileInfo)),
        ("d.log", data_id!(VmLogFileInfo)),
        ("e.nvram", data_id!(VmNvramFileInfo)),
        ("f.vmsn", data_id!(VmSnapshotFileInfo)),
        ("g.flp", data_id!(FloppyImageFileInfo)),
        ("h.txt", data_id!(FileInfo)),
        ("i.vmtx", data_id!(TemplateConfigFileInfo)),
        ("z", data_id!(FolderFileInfo)),
    ];
    ds.make_directory(&path("z"), false).unwrap();
    for (name, _) in &kinds[..kinds.len() - 1] {
        ds.write(&path(name), b"four").unwrap();
    }
    let details =
        || vim!(FileQueryFlags { fileType: true, fileSize: true, modification: true, fileOwner: true });
    let spec = vim!(HostDatastoreBrowserSearchSpec { details: details(), sortFoldersFirst: true });
    let found = search(&c, "[ds]", Some(spec.into())).await.unwrap();
    assert_eq!(found.get(field!(HostDatastoreBrowserSearchResults.folderPath)), Some("[ds] "));
    assert_eq!(names(&found)[..2], ["z", "a.vmx"], "folders come first");
    for file in files(&found) {
        let name = file.get(field!(FileInfo.path)).unwrap();
        assert_eq!(file.ty(), kinds.iter().find(|kind| kind.0 == name).unwrap().1, "{name}");
        let size = if name == "z" { 0 } else { 4 };
        assert_eq!(file.get(field!(FileInfo.fileSize)), Some(size), "{name}");
        assert!(file.get(field!(FileInfo.modification)).is_some());
        assert_eq!(file.get(field!(FileInfo.owner)), Some("root"));
    }
    let plain = search(&c, "[ds]", None).await.unwrap();
    assert!(files(&plain).iter().all(|file| file.ty() == data_id!(FileInfo) && file.fields().len() == 1));
}

#[tokio::test]
async fn a_search_finds_what_fits_its_queries_and_patterns() {
    let c = simulated().await;
    let ds = store(&c, "ds");
    ds.make_directory(&path("vm"), false).unwrap();
    ds.make_directory(&path("empty"), false).unwrap();
    ds.create_sparse(&path("vm/vm.vmdk"), 3 << 20).unwrap();
    for name in ["vm/vm.vmx", "vm/Vm.LOG", "top.vmx"] {
        ds.write(&path(name), b"x").unwrap();
    }
    let spec = vim!(HostDatastoreBrowserSearchSpec { matchPattern: ["vm.*"], searchCaseInsensitive: true });
    assert_eq!(
        names(&search(&c, "[ds] vm", Some(spec.into())).await.unwrap()),
        ["Vm.LOG", "vm.vmdk", "vm.vmx"]
    );
    let spec = vim!(HostDatastoreBrowserSearchSpec {
        query: [VmDiskFileQuery {
            details: VmDiskFileQueryFlags { diskType: true, capacityKb: true, hardwareVersion: false }
        },]
    });
    let found = search(&c, "[ds] vm/", Some(spec.into())).await.unwrap();
    assert_eq!(names(&found), ["vm.vmdk"]);
    assert_eq!(files(&found)[0].get(field!(VmDiskFileInfo.capacityKb)), Some(3 << 10));
    let spec = vim!(HostDatastoreBrowserSearchSpec { query: [VmConfigFileQuery {}] });
    let args = call!(SearchDatastoreSubFolders_Task { datastorePath: "[ds]", searchSpec: spec });
    let found = c.task(&ids::datastore_browser(), args).await.unwrap().unwrap();
    let found: Vec<_> = found.items().iter().map(|one| one.as_object().unwrap().clone()).collect();
    let folders: Vec<_> =
        found.iter().map(|f| f.get(field!(HostDatastoreBrowserSearchResults.folderPath)).unwrap()).collect();
    assert_eq!(folders, ["[ds] ", "[ds] vm/"], "folders without a hit are left out, the first one never");
    assert_eq!(names(&found[1]), ["vm.vmx"]);
}

#[tokio::test]
async fn a_search_says_what_is_not_there() {
    let c = two_datastores().await;
    assert_eq!(search(&c, "[ds] nowhere", None).await.unwrap_err().type_name(), "FileNotFound");
    assert_eq!(search(&c, "[none] x", None).await.unwrap_err().type_name(), "InvalidDatastorePath");
    assert_eq!(search(&c, "[other]", None).await.unwrap_err().type_name(), "InvalidDatastore");
    let args = call!(SearchDatastore_Task { datastorePath: "[other]" });
    c.task(&ids::datastore_browser(), args).await.expect("the host's browser is for all");
    let long = "*".repeat(1 << 12);
    let spec = vim!(HostDatastoreBrowserSearchSpec { matchPattern: [long] });
    assert_eq!(search(&c, "[ds]", Some(spec.into())).await.unwrap_err().type_name(), "InvalidArgument");
}

#[tokio::test]
async fn ten_thousand_files_are_listed_and_more_than_the_limit_are_refused() {
    let c = simulated().await;
    let ds = store(&c, "ds");
    ds.make_directory(&path("many"), false).unwrap();
    for n in 0..10_000 {
        ds.write(&path(&format!("many/{n:05}")), b"").unwrap();
    }
    let found = search(&c, "[ds] many", None).await.unwrap();
    assert_eq!(names(&found).len(), 10_000);
    for n in 10_000..=datastore::limits::MAX_LISTED {
        ds.write(&path(&format!("many/{n:05}")), b"").unwrap();
    }
    assert_eq!(search(&c, "[ds] many", None).await.unwrap_err().type_name(), "CannotAccessFile");
}

/// Every method that takes a path, with this one.
fn calls(name: &str) -> Vec<(MoRef, Args)> {
    let (files, disks, browser) =
        (managers::file_manager(), managers::virtual_disk_manager(), ids::datastore_browser());
    let spec =
        || vim!(FileBackedVirtualDiskSpec { diskType: "thin", adapterType: "lsiLogic", capacityKb: 1024 });
    vec![
        (files.clone(), call!(MakeDirectory { name: name })),
        (files.clone(), call!(DeleteDatastoreFile_Task { name: name })),
        (files.clone(), call!(MoveDatastoreFile_Task { sourceName: name, destinationName: "[ds] y" })),
        (files.clone(), call!(MoveDatastoreFile_Task { sourceName: "[ds] x", destinationName: name })),
        (files, call!(CopyDatastoreFile_Task { sourceName: "[ds] x", destinationName: name })),
        (disks.clone(), call!(CreateVirtualDisk_Task { name: name, spec: spec() })),
        (disks.clone(), call!(CopyVirtualDisk_Task { sourceName: "[ds] x.vmdk", destName: name })),
        (disks.clone(), call!(CopyVirtualDisk_Task { sourceName: name, destName: "[ds] y.vmdk" })),
        (disks.clone(), call!(MoveVirtualDisk_Task { sourceName: "[ds] x.vmdk", destName: name })),
        (disks.clone(), call!(DeleteVirtualDisk_Task { name: name })),
        (disks, call!(ExtendVirtualDisk_Task { name: name, newCapacityKb: 4096 })),
        (browser.clone(), call!(SearchDatastore_Task { datastorePath: name })),
        (browser, call!(DeleteFile { datastorePath: name })),
    ]
}

#[tokio::test]
async fn no_path_leads_out_of_a_datastore() {
    let c = simulated().await;
    let ds = store(&c, "ds");
    ds.write(&path("x"), b"x").unwrap();
    ds.create_sparse(&path("x.vmdk"), 1 << 20).unwrap();
    let before = ds.list(&FilePath::root()).unwrap();
    for name in [
        "[ds] ../x",
        "[ds] a/../../x.vmdk",
        "[ds] /etc/passwd",
        "[ds] a//b",
        "[ds] ./x",
        "[ds] a\\..\\x",
        "[ds] a\0b",
        "[ds] .esfera-tmp/x.vmdk",
        "[ds",
        "x.vmdk",
        "/etc/passwd",
        "[../ds] x",
        "ds:///vmfs/volumes/../x",
        "https://host/folder/x?dsName=ds",
    ] {
        for (me, args) in calls(name) {
            let method = args.method_name();
            let fault = match c.invoke(&me, args).await {
                Ok(Some(task)) => c.wait(task.as_ref().unwrap()).await.expect_err(method),
                Ok(None) => panic!("{method} took {name}"),
                Err(fault) => fault,
            };
            assert_eq!(fault.type_name(), "InvalidDatastorePath", "{method} of {name}: {fault}");
        }
    }
    assert_eq!(ds.list(&FilePath::root()).unwrap(), before);
}

#[tokio::test]
async fn the_root_of_a_datastore_stays() {
    let c = simulated().await;
    for (me, args) in calls("[ds]") {
        let method = args.method_name();
        if method == "SearchDatastore_Task" {
            continue;
        }
        let failed = match c.invoke(&me, args).await {
            Ok(Some(task)) => c.wait(task.as_ref().unwrap()).await.is_err(),
            other => other.is_err(),
        };
        assert!(failed, "{method}");
    }
}

#[tokio::test]
async fn files_move_and_are_copied_between_datastores() {
    let c = two_datastores().await;
    let (ds, other) = (store(&c, "ds"), store(&c, "other"));
    ds.make_directory(&path("d"), false).unwrap();
    ds.write(&path("d/f"), b"content").unwrap();
    let copy = |force: bool| {
        call!(CopyDatastoreFile_Task { sourceName: "[ds] d/f", destinationName: "[other] f", force: force })
    };
    c.task(&managers::file_manager(), copy(false)).await.unwrap();
    assert_eq!(other.read(&path("f"), 99).unwrap(), b"content");
    ds.write(&path("d/f"), b"newer").unwrap();
    let there = c.task(&managers::file_manager(), copy(false)).await.unwrap_err();
    assert_eq!(there.type_name(), "FileAlreadyExists");
    assert_eq!(there.object().get(field!(FileFault.file)), Some("[other] f"));
    c.task(&managers::file_manager(), copy(true)).await.unwrap();
    assert_eq!(other.read(&path("f"), 99).unwrap(), b"newer");
    let args = call!(MoveDatastoreFile_Task { sourceName: "[ds] d", destinationName: "[other] moved" });
    c.task(&managers::file_manager(), args).await.unwrap();
    assert_eq!(other.read(&path("moved/f"), 99).unwrap(), b"newer");
    assert!(!ds.exists(&path("d")).unwrap());
    let args = call!(CopyDatastoreFile_Task { sourceName: "[ds] gone", destinationName: "[other] x" });
    let gone = c.task(&managers::file_manager(), args).await.unwrap_err();
    assert_eq!(gone.object().get(field!(FileFault.file)), Some("[ds] gone"));
    let args = call!(DeleteDatastoreFile_Task { name: "[other] moved" });
    c.task(&managers::file_manager(), args).await.unwrap();
    assert!(!other.exists(&path("moved")).unwrap());
}

#[tokio::test]
async fn what_a_machine_that_is_on_has_open_is_not_taken_away() {
    let c = simulated().await;
    let vm = c.create(small("web")).await.unwrap();
    let changes = || {
        vec![
            call!(DeleteDatastoreFile_Task { name: "[ds] web" }),
            call!(DeleteDatastoreFile_Task { name: "[ds] web/web.vmx" }),
            call!(MoveDatastoreFile_Task { sourceName: "[ds] web", destinationName: "[ds] elsewhere" }),
            call!(CopyDatastoreFile_Task {
                sourceName: "[ds] f",
                destinationName: "[ds] web/web.vmx",
                force: true
            }),
        ]
    };
    store(&c, "ds").write(&path("f"), b"f").unwrap();
    c.power_on(&vm).await.unwrap();
    for args in changes() {
        let method = args.method_name();
        let fault = c.task(&managers::file_manager(), args).await.expect_err(method);
        assert_eq!(fault.type_name(), "FileLocked", "{method}: {fault}");
    }
    let fault =
        c.invoke(&browser(&c, "ds"), call!(DeleteFile { datastorePath: "[ds] web" })).await.unwrap_err();
    assert_eq!(fault.type_name(), "FileLocked");
    c.power_off(&vm).await.unwrap();
    c.task(&managers::file_manager(), changes().remove(2)).await.unwrap();
    assert!(store(&c, "ds").exists(&path("elsewhere/web.vmx")).unwrap());
}

#[tokio::test]
async fn a_simulated_disk_is_made_copied_grown_moved_and_deleted() {
    let c = two_datastores().await;
    let disks = managers::virtual_disk_manager();
    let spec =
        vim!(FileBackedVirtualDiskSpec { diskType: "thin", adapterType: "lsiLogic", capacityKb: 1 << 20 });
    let made =
        c.task(&disks, call!(CreateVirtualDisk_Task { name: "[ds] a.vmdk", spec: spec })).await.unwrap();
    assert_eq!(made, Some(Value::from("[ds] a.vmdk")));
    let args = call!(CopyVirtualDisk_Task { sourceName: "[ds] a.vmdk", destName: "[other] b.vmdk" });
    assert_eq!(c.task(&disks, args.clone()).await.unwrap(), Some(Value::from("[other] b.vmdk")));
    assert_eq!(c.task(&disks, args).await.unwrap_err().type_name(), "FileAlreadyExists");
    c.task(&disks, call!(ExtendVirtualDisk_Task { name: "[other] b.vmdk", newCapacityKb: 2 << 20 }))
        .await
        .unwrap();
    assert_eq!(store(&c, "other").entry(&path("b.vmdk")).unwrap().size_bytes, 2 << 30);
    let shrink = call!(ExtendVirtualDisk_Task { name: "[other] b.vmdk", newCapacityKb: 1 << 20 });
    assert_eq!(c.task(&disks, shrink).await.unwrap_err().type_name(), "InvalidArgument");
    let args = call!(MoveVirtualDisk_Task { sourceName: "[other] b.vmdk", destName: "[ds] c.vmdk" });
    c.task(&disks, args).await.unwrap();
    assert_eq!(store(&c, "ds").entry(&path("c.vmdk")).unwrap().size_bytes, 2 << 30);
    assert!(!store(&c, "other").exists(&path("b.vmdk")).unwrap());
    c.task(&disks, call!(DeleteVirtualDisk_Task { name: "[ds] c.vmdk" })).await.unwrap();
    let gone = c.task(&disks, call!(DeleteVirtualDisk_Task { name: "[ds] c.vmdk" })).await.unwrap_err();
    assert_eq!(gone.type_name(), "FileNotFound");
    let args = call!(CopyVirtualDisk_Task { sourceName: "[ds] a.vmdk", destName: "[ds] a.txt" });
    assert_eq!(c.task(&disks, args).await.unwrap_err().type_name(), "InvalidDatastorePath");
}

#[tokio::test]
async fn free_space_follows_what_is_written() {
    let c = simulated().await;
    let me = c.host.datastores.by_name("ds").unwrap().me();
    let free = |c: &Client| {
        c.get(&me, prop!(Datastore.summary)).unwrap().get(field!(DatastoreSummary.freeSpace)).unwrap()
    };
    store(&c, "ds").write(&path("f"), &vec![7; 1 << 20]).unwrap();
    let before = free(&c);
    c.invoke(&me, call!(RefreshDatastore {})).await.unwrap();
    assert_eq!(before - free(&c), 1 << 20);
    c.task(&managers::file_manager(), call!(DeleteDatastoreFile_Task { name: "[ds] f" })).await.unwrap();
    assert_eq!(free(&c), before);
}

#[tokio::test]
async fn a_datastore_is_renamed_with_the_paths_on_it() {
    let c = two_datastores().await;
    let vm = c.create(small("web")).await.unwrap();
    let me = c.host.datastores.by_name("ds").unwrap().me();
    let taken = c.invoke(&me, call!(RenameDatastore { newName: "other" })).await.unwrap_err();
    assert_eq!(taken.type_name(), "DuplicateName");
    assert_eq!(
        c.invoke(&me, call!(RenameDatastore { newName: "a[b" })).await.unwrap_err().type_name(),
        "InvalidName"
    );
    c.task(&me, call!(Rename_Task { newName: "fast" })).await.unwrap();
    assert_eq!(c.get(&me, prop!(Datastore.name)).as_deref(), Some("fast"));
    let config = c.get(&vm, prop!(VirtualMachine.config)).unwrap();
    let files = config.get(field!(VirtualMachineConfigInfo.files)).unwrap();
    assert_eq!(files.get(field!(VirtualMachineFileInfo.vmPathName)), Some("[fast] web/web.vmx"));
    c.power_on(&vm).await.unwrap();
}

#[tokio::test]
async fn a_datastore_goes_when_no_machine_is_on_it() {
    let c = two_datastores().await;
    let vm = c.create(small("web")).await.unwrap();
    let me = c.host.datastores.by_name("ds").unwrap().me();
    let remove = || call!(RemoveDatastore { datastore: &me });
    let used = c.invoke(&managers::datastore_system(), remove()).await.unwrap_err();
    assert_eq!(used.type_name(), "ResourceInUse");
    c.destroy(&vm).await.unwrap();
    c.invoke(&managers::datastore_system(), remove()).await.unwrap();
    let state = c.host.core.tree.snapshot();
    assert!(state.find(&me).is_none() && state.find(&ids::browser_of(&me)).is_none());
    for node in state.iter() {
        for (_, value) in node.properties() {
            assert!(!value.items().iter().any(|item| item.as_ref() == Some(&me)), "{} lists it", node.me());
        }
    }
    let args = call!(SearchDatastore_Task { datastorePath: "[ds]" });
    let gone = c.task(&ids::datastore_browser(), args).await.unwrap_err();
    assert_eq!(gone.type_name(), "InvalidDatastorePath");
}
