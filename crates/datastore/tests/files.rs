//! A datastore's operations on files, the same on a local directory and in memory.
#![allow(clippy::unwrap_used)]

use std::ops::ControlFlow;

use datastore::{Datastore, Error, FileKind, FilePath, Pattern, Progress, Search};
use uuid::Uuid;

fn path(text: &str) -> FilePath {
    FilePath::parse(text).unwrap()
}

fn go_on(_: Progress) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

/// Runs a test on each kind of datastore.
fn on_each(test: impl Fn(&Datastore)) {
    let directory = tempfile::tempdir().unwrap();
    test(&Datastore::mount(directory.path()).unwrap());
    test(&Datastore::memory(Uuid::new_v4(), 1 << 40));
}

fn names(datastore: &Datastore, directory: &str) -> Vec<String> {
    datastore.list(&path(directory)).unwrap().into_iter().map(|entry| entry.name).collect()
}

#[test]
fn a_file_is_written_read_in_parts_and_listed() {
    on_each(|ds| {
        ds.make_directory(&path("vm"), false).unwrap();
        let mut upload = ds.upload(&path("vm/a.iso"), false, Some(11)).unwrap();
        upload.write(b"hello ").unwrap();
        assert!(!ds.exists(&path("vm/a.iso")).unwrap(), "a file is seen before it is whole");
        upload.write(b"world").unwrap();
        upload.finish().unwrap();

        let reader = ds.open(&path("vm/a.iso")).unwrap();
        let mut part = [0; 4];
        assert_eq!((reader.len_bytes(), reader.read_at(&mut part, 6).unwrap(), &part), (11, 4, b"worl"));
        assert_eq!(reader.read_at(&mut part, 11).unwrap(), 0);
        assert_eq!(reader.read_at(&mut part, u64::MAX >> 1).unwrap(), 0);
        assert_eq!(ds.read(&path("vm/a.iso"), 11).unwrap(), b"hello world");
        assert!(matches!(ds.read(&path("vm/a.iso"), 10), Err(Error::TooMany { limit: 10, .. })));

        let entry = &ds.list(&path("vm")).unwrap()[0];
        assert_eq!((entry.name.as_str(), entry.kind, entry.size_bytes), ("a.iso", FileKind::Iso, 11));
        assert_eq!(names(ds, ""), ["vm"], "the datastore's own files are not listed");
        assert!(ds.entry(&FilePath::root()).unwrap().is_folder());
    });
}

#[test]
fn an_upload_that_is_given_up_leaves_nothing() {
    on_each(|ds| {
        ds.write(&path("a"), b"old").unwrap();
        let mut upload = ds.upload(&path("a"), true, None).unwrap();
        upload.write(b"new").unwrap();
        drop(upload);
        drop(ds.upload(&path("b"), false, None).unwrap());
        assert_eq!(ds.read(&path("a"), 9).unwrap(), b"old");
        assert_eq!(names(ds, ""), ["a"]);
        if let Some(root) = ds.root_path() {
            assert_eq!(std::fs::read_dir(root.join(".esfera-tmp")).unwrap().count(), 0);
        }
    });
}

#[test]
fn a_name_that_is_taken_is_replaced_only_on_demand() {
    on_each(|ds| {
        ds.write(&path("a"), b"1").unwrap();
        ds.make_directory(&path("d"), false).unwrap();
        assert!(matches!(ds.upload(&path("a"), false, None), Err(Error::AlreadyExists(_))));
        assert!(matches!(ds.upload(&path("d"), true, None), Err(Error::NotAFile(_))));
        assert!(matches!(ds.upload(&path("x/a"), false, None), Err(Error::NotFound(_))));
        assert!(matches!(ds.upload(&path("a/b"), false, None), Err(Error::NotADirectory(_))));
        // Taken while the upload was under way.
        let late = ds.upload(&path("late"), false, None).unwrap();
        ds.write(&path("late"), b"first").unwrap();
        assert!(matches!(late.finish(), Err(Error::AlreadyExists(_))));
        assert_eq!(ds.read(&path("late"), 9).unwrap(), b"first");
        ds.write(&path("a"), b"2").unwrap();
        assert_eq!(ds.read(&path("a"), 9).unwrap(), b"2");
    });
}

#[test]
fn directories_are_made_one_by_one_or_with_their_parents() {
    on_each(|ds| {
        assert!(matches!(ds.make_directory(&path("a/b"), false), Err(Error::NotFound(_))));
        ds.make_directory(&path("a/b/c"), true).unwrap();
        ds.make_directory(&path("a/b/d"), true).unwrap();
        assert!(matches!(ds.make_directory(&path("a/b/c"), true), Err(Error::AlreadyExists(_))));
        assert!(matches!(ds.make_directory(&FilePath::root(), true), Err(Error::AlreadyExists(_))));
        ds.write(&path("f"), b"").unwrap();
        assert!(matches!(ds.make_directory(&path("f/x"), true), Err(Error::NotADirectory(_))));
        assert_eq!(names(ds, "a/b"), ["c", "d"]);
        assert!(matches!(ds.list(&path("f")), Err(Error::NotADirectory(_))));
        assert!(matches!(ds.list(&path("g")), Err(Error::NotFound(_))));
        assert!(matches!(ds.open(&path("a")), Err(Error::NotAFile(_))));
        assert!(matches!(ds.open(&FilePath::root()), Err(Error::NotAFile(_))));
    });
}

#[test]
fn files_and_directories_are_moved() {
    on_each(|ds| {
        ds.make_directory(&path("a/sub"), true).unwrap();
        ds.write(&path("a/sub/f"), b"f").unwrap();
        ds.write(&path("g"), b"g").unwrap();
        ds.rename(&path("a"), &path("b"), false).unwrap();
        assert_eq!(ds.read(&path("b/sub/f"), 9).unwrap(), b"f");
        assert!(!ds.exists(&path("a")).unwrap());
        assert!(matches!(ds.rename(&path("g"), &path("b/sub/f"), false), Err(Error::AlreadyExists(_))));
        ds.rename(&path("g"), &path("b/sub/f"), true).unwrap();
        assert_eq!(ds.read(&path("b/sub/f"), 9).unwrap(), b"g");
        ds.write(&path("h"), b"h").unwrap();
        assert!(matches!(ds.rename(&path("h"), &path("b"), true), Err(Error::AlreadyExists(_))));
        ds.make_directory(&path("empty"), false).unwrap();
        for target in ["empty", "h"] {
            assert!(
                matches!(ds.rename(&path("b"), &path(target), true), Err(Error::AlreadyExists(_))),
                "{target}"
            );
        }
        ds.delete(&path("empty")).unwrap();
        assert!(matches!(ds.rename(&path("b"), &path("b/sub/x"), false), Err(Error::IntoItself { .. })));
        assert!(matches!(ds.rename(&path("h"), &path("h"), true), Err(Error::IntoItself { .. })));
        assert!(matches!(ds.rename(&path("none"), &path("x"), false), Err(Error::NotFound(_))));
        assert!(matches!(ds.rename(&FilePath::root(), &path("x"), false), Err(Error::Root)));
        assert_eq!(names(ds, ""), ["b", "h"]);
    });
}

#[test]
fn deleting_a_directory_takes_all_that_is_in_it() {
    on_each(|ds| {
        ds.make_directory(&path("a/b/c"), true).unwrap();
        ds.write(&path("a/b/f"), b"x").unwrap();
        ds.write(&path("keep"), b"x").unwrap();
        ds.delete(&path("a")).unwrap();
        ds.delete(&path("keep")).unwrap();
        assert!(names(ds, "").is_empty());
        assert!(matches!(ds.delete(&path("a")), Err(Error::NotFound(_))));
        assert!(matches!(ds.delete(&FilePath::root()), Err(Error::Root)));
    });
}

#[test]
fn a_directory_is_copied_within_a_datastore_and_to_another() {
    on_each(|ds| {
        let other = Datastore::memory(Uuid::new_v4(), 1 << 40);
        ds.make_directory(&path("a/b"), true).unwrap();
        ds.write(&path("a/b/f"), &[7; 100_000]).unwrap();
        ds.create_sparse(&path("a/disk.vmdk"), 50 << 20).unwrap();
        for (target, to) in [(ds, "copy"), (&other, "a")] {
            let mut reports = Vec::new();
            let mut report = |progress| {
                reports.push(progress);
                ControlFlow::Continue(())
            };
            ds.copy(&path("a"), target, &path(to), false, &mut report).unwrap();
            let total = (50 << 20) + 100_000;
            assert_eq!(reports.last(), Some(&Progress { done_bytes: total, total_bytes: total }));
            assert!(reports.is_sorted_by_key(|progress| progress.done_bytes));
            assert_eq!(target.read(&path(to).join("b/f").unwrap(), 1 << 20).unwrap(), [7; 100_000]);
            let disk = target.entry(&path(to).join("disk.vmdk").unwrap()).unwrap();
            assert_eq!(disk.size_bytes, 50 << 20);
            assert!(disk.allocated_bytes < 1 << 20, "holes were filled: {}", disk.allocated_bytes);
            let again = ds.copy(&path("a"), target, &path(to), true, &mut go_on);
            assert!(matches!(again, Err(Error::AlreadyExists(_))));
        }
        let into = ds.copy(&path("a"), ds, &path("a/b/x"), false, &mut go_on);
        assert!(matches!(into, Err(Error::IntoItself { .. })));
    });
}

#[test]
fn contents_with_holes_are_copied_byte_by_byte() {
    on_each(|ds| {
        let mut content = vec![0u8; 3 << 20];
        for at in [0, 70_000, (1 << 20) - 1, (2 << 20) + 5, (3 << 20) - 1] {
            content[at] = 0xa5;
        }
        let mut upload = ds.upload(&path("f"), false, None).unwrap();
        upload.write(&content[..100_000]).unwrap();
        upload.skip(800_000).unwrap();
        upload.write(&content[900_000..]).unwrap();
        upload.finish().unwrap();
        let other = Datastore::memory(Uuid::new_v4(), 1 << 40);
        ds.copy(&path("f"), ds, &path("g"), false, &mut go_on).unwrap();
        ds.copy(&path("f"), &other, &path("g"), false, &mut go_on).unwrap();
        other.copy(&path("g"), ds, &path("h"), false, &mut go_on).unwrap();
        for (at, name) in [(ds, "f"), (ds, "g"), (&other, "g"), (ds, "h")] {
            assert!(at.read(&path(name), 4 << 20).unwrap() == content, "{at:?} {name}");
        }
    });
}

#[test]
fn a_copy_that_is_cancelled_leaves_nothing() {
    on_each(|ds| {
        ds.make_directory(&path("a"), false).unwrap();
        ds.write(&path("a/1"), &[1; 1000]).unwrap();
        ds.write(&path("a/2"), &[2; 1000]).unwrap();
        for (from, to) in [("a/1", "x"), ("a", "y")] {
            let mut stop = |progress: Progress| {
                if progress.done_bytes == progress.total_bytes {
                    ControlFlow::Break(())
                } else {
                    go_on(progress)
                }
            };
            let copied = ds.copy(&path(from), ds, &path(to), false, &mut stop);
            assert!(matches!(copied, Err(Error::Cancelled)));
        }
        assert_eq!(names(ds, ""), ["a"]);
    });
}

#[test]
fn moving_to_another_datastore_removes_the_source_only_after_the_copy() {
    on_each(|ds| {
        let small = Datastore::memory(Uuid::new_v4(), 1000);
        let large = Datastore::memory(Uuid::new_v4(), 1 << 30);
        ds.write(&path("f"), &[1; 5000]).unwrap();
        assert!(matches!(
            ds.move_to(&path("f"), &small, &path("f"), false, &mut go_on),
            Err(Error::NoSpace(_))
        ));
        assert!(names(&small, "").is_empty());
        ds.move_to(&path("f"), &large, &path("f"), false, &mut go_on).unwrap();
        assert!(!ds.exists(&path("f")).unwrap());
        assert_eq!(large.entry(&path("f")).unwrap().size_bytes, 5000);
        large.move_to(&path("f"), &large, &path("g"), false, &mut go_on).unwrap();
        assert_eq!(names(&large, ""), ["g"]);
    });
}

#[test]
fn the_browser_finds_by_pattern_kind_and_folder() {
    on_each(|ds| {
        ds.make_directory(&path("vm1/deep"), true).unwrap();
        for file in ["vm1/vm1.vmx", "vm1/vm1.vmdk", "vm1/vm1-000001.vmdk", "vm1/deep/X.VMDK", "a.iso"] {
            ds.write(&path(file), b"x").unwrap();
        }
        let find =
            |folder: &str, patterns: &[&str], kinds: &[FileKind], sub_folders, ignore_case| -> Vec<String> {
                let patterns = patterns.iter().map(|p| Pattern::new(p, ignore_case).unwrap()).collect();
                let search = Search { patterns, kinds: kinds.to_vec(), sub_folders };
                let found = ds.search(&path(folder), &search).unwrap();
                let files =
                    found.iter().flat_map(|f| f.entries.iter().map(|e| f.folder.join(&e.name).unwrap()));
                files.map(|file| file.as_str().to_owned()).collect()
            };
        assert_eq!(find("", &[], &[], false, false), ["a.iso", "vm1"]);
        assert_eq!(find("", &["*.vmdk"], &[], true, false), ["vm1/vm1-000001.vmdk", "vm1/vm1.vmdk"]);
        assert_eq!(find("", &["*.vmdk"], &[], true, true).len(), 3);
        assert_eq!(find("vm1", &["*.vmx", "*1.vmdk"], &[], false, false).len(), 3);
        assert_eq!(
            find("", &[], &[FileKind::Iso, FileKind::VmConfig], true, false),
            ["a.iso", "vm1/vm1.vmx"]
        );
        assert_eq!(find("", &[], &[FileKind::Folder], true, false), ["vm1", "vm1/deep"]);
        assert!(matches!(ds.search(&path("none"), &Search::default()), Err(Error::NotFound(_))));
        let many = Search { patterns: vec![Pattern::new("*", false).unwrap(); 65], ..Search::default() };
        assert!(matches!(ds.search(&FilePath::root(), &many), Err(Error::Pattern)));
    });
}

#[test]
fn a_machine_is_open_once() {
    on_each(|ds| {
        ds.make_directory(&path("vm"), false).unwrap();
        let vmx = path("vm/vm.vmx");
        assert_eq!(ds.vm_lock_owner(&vmx).unwrap(), None);
        let lock = ds.lock_vm(&vmx, "host-a").unwrap();
        match ds.lock_vm(&vmx, "host-b") {
            Err(Error::Locked { owner, .. }) => assert_eq!(owner.host, "host-a"),
            other => panic!("{other:?}"),
        }
        assert_eq!(ds.vm_lock_owner(&vmx).unwrap().unwrap().host, "host-a");
        assert_eq!(ds.vm_lock_owner(&path("vm/other.vmx")).unwrap(), None);
        drop(lock);
        assert_eq!(ds.vm_lock_owner(&vmx).unwrap(), None);
        drop(ds.lock_vm(&vmx, "host-b").unwrap());
        assert!(names(ds, "vm").is_empty(), "a lock file stays behind");
        assert!(matches!(ds.lock_vm(&path("none/vm.vmx"), "host-a"), Err(Error::NotFound(_))));
    });
}

#[test]
fn a_lock_of_a_machine_that_was_cleared_away_leaves_the_next_one_alone() {
    let directory = tempfile::tempdir().unwrap();
    let ds = Datastore::mount(directory.path()).unwrap();
    let old = ds.lock_vm(&path("vm.vmx"), "host-a").unwrap();
    ds.delete(&path("vm.vmx.lck")).unwrap();
    let new = ds.lock_vm(&path("vm.vmx"), "host-b").unwrap();
    drop(old);
    assert_eq!(ds.vm_lock_owner(&path("vm.vmx")).unwrap().unwrap().host, "host-b");
    drop(new);
}

#[test]
fn configuration_and_snapshots_are_read_from_the_datastore() {
    on_each(|ds| {
        ds.write(&path("vm.vmx"), b"memsize = \"64\"\n").unwrap();
        assert_eq!(ds.read_vmx(&path("vm.vmx")).unwrap().get("memSize"), Some("64"));
        ds.write(&path("bad.vmx"), b"memsize").unwrap();
        assert!(matches!(ds.read_vmx(&path("bad.vmx")), Err(Error::Dictionary { .. })));
        assert!(ds.read_vmsd(&path("vm.vmsd")).unwrap().snapshots.is_empty());
        let big = vec![b'#'; datastore::limits::MAX_DICTIONARY_BYTES + 1];
        ds.write(&path("big.vmx"), &big).unwrap();
        assert!(matches!(ds.read_vmx(&path("big.vmx")), Err(Error::TooMany { .. })));
    });
}

#[test]
fn two_mounts_of_one_directory_agree_who_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let uuids: Vec<Uuid> = std::thread::scope(|scope| {
        let mounts: Vec<_> =
            (0..8).map(|_| scope.spawn(|| Datastore::mount(directory.path()).unwrap().uuid())).collect();
        mounts.into_iter().map(|mount| mount.join().unwrap()).collect()
    });
    assert!(uuids.iter().all(|uuid| *uuid == uuids[0]), "{uuids:?}");
    let again = Datastore::mount(directory.path()).unwrap();
    assert_eq!(again.url(), format!("ds:///vmfs/volumes/{}/", uuids[0]));
    assert_ne!(Datastore::mount(tempfile::tempdir().unwrap().path()).unwrap().uuid(), uuids[0]);
}

#[test]
fn a_damaged_marker_is_reported_and_not_replaced() {
    let directory = tempfile::tempdir().unwrap();
    let marker = directory.path().join(".esfera-datastore");
    for content in ["", "{}", "{\"format\":2,\"uuid\":\"5f1c2d3e-0a1b-2c3d-4e5f-001122334455\"}"] {
        std::fs::write(&marker, content).unwrap();
        let refused = Datastore::mount(directory.path());
        assert!(matches!(refused, Err(Error::Marker(_) | Error::NewerMarker(2))), "{content}");
        assert_eq!(std::fs::read_to_string(&marker).unwrap(), content);
    }
}

#[test]
fn ten_thousand_machines_in_memory_take_little() {
    let ds = Datastore::memory(Uuid::new_v4(), 1 << 50);
    for n in 0..10_000 {
        let vm = path(&format!("vm{n}"));
        ds.make_directory(&vm, false).unwrap();
        ds.write(&vm.join("vm.vmx").unwrap(), b"displayName = \"vm\"\n").unwrap();
        ds.create_sparse(&vm.join("vm.vmdk").unwrap(), 40 << 30).unwrap();
    }
    assert_eq!(ds.list(&FilePath::root()).unwrap().len(), 10_000);
    let space = ds.space().unwrap();
    assert_eq!(space.capacity_bytes - space.free_bytes, 10_000 * 19);
    ds.delete(&path("vm77")).unwrap();
    assert_eq!(ds.space().unwrap().free_bytes - space.free_bytes, 19);
}

#[test]
fn a_place_without_the_identity_that_is_known_is_not_made_a_datastore() {
    let directory = tempfile::tempdir().unwrap();
    let (at, away) = (directory.path().join("ds"), directory.path().join("away"));
    std::fs::create_dir(&at).unwrap();
    let store = Datastore::mount(&at).unwrap();
    store.write(&path("file"), b"x").unwrap();
    let uuid = store.uuid();
    std::fs::rename(&at, &away).unwrap();
    let gone = |result: Result<Datastore, Error>| matches!(result, Err(Error::Inaccessible(_)));
    assert!(matches!(store.space(), Err(Error::Inaccessible(_))), "its directory leads elsewhere");
    assert!(gone(Datastore::mount_known(&at, uuid)), "nothing is there");
    assert!(matches!(Datastore::identity_at(&at), Err(Error::Directory { .. })));
    assert_eq!(Datastore::identity_at(&away).unwrap(), Some(uuid));
    std::fs::create_dir(&at).unwrap();
    assert!(gone(Datastore::mount_known(&at, uuid)), "an empty directory is there");
    assert_eq!(Datastore::identity_at(&at).unwrap(), None);
    assert!(std::fs::read_dir(&at).unwrap().next().is_none(), "and stays empty");
    let absent = Datastore::absent(&at, uuid);
    assert!(absent.is_absent() && absent.root_path() == Some(at.as_path()));
    let way_out = absent.read(&path("file"), 9).unwrap_err();
    assert!(matches!(way_out, Error::Inaccessible(_)));
    for words in [at.to_str().unwrap(), "Mount its storage", "unregister its VMs and remove the datastore"] {
        assert!(way_out.to_string().contains(words), "{way_out}");
    }
    assert!(matches!(absent.upload(&path("file"), true, None), Err(Error::Inaccessible(_))));
    Datastore::mount(&at).unwrap();
    assert!(gone(absent.mount_again()), "another datastore is there");
    std::fs::remove_dir_all(&at).unwrap();
    std::fs::rename(&away, &at).unwrap();
    let back = absent.mount_again().unwrap();
    assert_eq!((back.uuid(), back.read(&path("file"), 9).unwrap()), (uuid, b"x".to_vec()));
    store.reach().unwrap();
}
