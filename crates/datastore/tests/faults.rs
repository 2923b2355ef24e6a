//! Real faults: full disks, killed processes, huge directories. The tests mount small tmpfs as disks, so they run as
//! root.
#![allow(clippy::unwrap_used)]

use std::io::{BufRead, BufReader, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use datastore::{Datastore, Error, FilePath};

const CHILD: &str = "DATASTORE_TEST_CHILD";

fn path(text: &str) -> FilePath {
    FilePath::parse(text).unwrap()
}

/// Runs an ignored test of this file as another process, until it says that it is ready.
fn spawn(test: &str, directory: &Path) -> (Child, BufReader<ChildStdout>) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--ignored", "--nocapture"])
        .env(CHILD, directory)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    while line.trim_end() != "ready" {
        line.clear();
        assert!(output.read_line(&mut line).unwrap() > 0, "the child ended without being killed");
    }
    (child, output)
}

fn kill(mut child: Child) {
    child.kill().unwrap();
    child.wait().unwrap();
}

fn mount_of_parent() -> Datastore {
    Datastore::mount(std::env::var_os(CHILD).expect("the parent names the datastore")).unwrap()
}

fn say_ready_and_wait() {
    std::io::stdout().write_all(b"ready\n").unwrap();
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).unwrap();
}

#[test]
#[ignore = "started by an_upload_whose_process_is_killed_leaves_nothing"]
fn child_that_uploads() {
    let ds = mount_of_parent();
    let mut new = ds.upload(&path("new.iso"), false, None).unwrap();
    let mut old = ds.upload(&path("old.iso"), true, None).unwrap();
    new.write(&[1; 1 << 20]).unwrap();
    old.write(&[1; 1 << 20]).unwrap();
    say_ready_and_wait();
    drop((new, old));
}

#[test]
fn an_upload_whose_process_is_killed_leaves_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let transfers = || std::fs::read_dir(directory.path().join(".esfera-tmp")).unwrap().count();
    let ds = Datastore::mount(directory.path()).unwrap();
    ds.write(&path("old.iso"), b"old").unwrap();
    let (child, _output) = spawn("child_that_uploads", directory.path());
    assert_eq!(transfers(), 4);
    // Another host that mounts meanwhile leaves transfers in progress alone.
    drop(Datastore::mount(directory.path()).unwrap());
    assert_eq!(transfers(), 4);
    kill(child);
    let names = || ds.list(&FilePath::root()).unwrap().into_iter().map(|e| e.name).collect::<Vec<_>>();
    assert_eq!(names(), ["old.iso"]);
    assert_eq!(ds.read(&path("old.iso"), 100).unwrap(), b"old");
    let mut own = ds.upload(&path("own.iso"), false, None).unwrap();
    own.write(b"own").unwrap();
    drop(Datastore::mount(directory.path()).unwrap());
    assert_eq!(transfers(), 2, "the dead transfers stay, or one under way went");
    own.finish().unwrap();
    assert_eq!(transfers(), 0);
    assert_eq!(names(), ["old.iso", "own.iso"]);
}

#[test]
#[ignore = "started by a_lock_ends_with_the_process_that_held_it"]
fn child_that_locks() {
    let ds = mount_of_parent();
    let lock = ds.lock_vm(&path("vm/vm.vmx"), "host-child").unwrap();
    say_ready_and_wait();
    drop(lock);
}

#[test]
fn a_lock_ends_with_the_process_that_held_it() {
    let directory = tempfile::tempdir().unwrap();
    let ds = Datastore::mount(directory.path()).unwrap();
    ds.make_directory(&path("vm"), false).unwrap();
    let vmx = path("vm/vm.vmx");
    let (child, _output) = spawn("child_that_locks", directory.path());
    let process = child.id();
    match ds.lock_vm(&vmx, "host-parent") {
        Err(Error::Locked { owner, .. }) => {
            assert_eq!((owner.host.as_str(), owner.process), ("host-child", process));
        }
        other => panic!("{other:?}"),
    }
    kill(child);
    assert_eq!(ds.vm_lock_owner(&vmx).unwrap(), None);
    let lock = ds.lock_vm(&vmx, "host-parent").unwrap();
    assert_eq!(ds.vm_lock_owner(&vmx).unwrap().unwrap().host, "host-parent");
    drop(lock);
}

#[test]
fn of_many_that_lock_at_once_one_at_a_time_has_it() {
    let directory = tempfile::tempdir().unwrap();
    let inside = std::sync::atomic::AtomicU32::new(0);
    let taken = std::sync::atomic::AtomicU32::new(0);
    std::thread::scope(|scope| {
        for n in 0..8 {
            let (inside, taken, directory) = (&inside, &taken, directory.path());
            scope.spawn(move || {
                let ds = Datastore::mount(directory).unwrap();
                for _ in 0..200 {
                    match ds.lock_vm(&path("vm.vmx"), &format!("host-{n}")) {
                        Ok(lock) => {
                            let before = inside.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                            assert_eq!(before, 0, "two hold the lock");
                            taken.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                            (0..20).for_each(|_| std::thread::yield_now());
                            inside.fetch_sub(1, std::sync::atomic::Ordering::SeqCst);
                            drop(lock);
                        }
                        Err(Error::Locked { .. } | Error::Busy(_)) => {}
                        Err(error) => panic!("{error}"),
                    }
                }
            });
        }
    });
    assert!(taken.into_inner() > 0);
}

/// A small file system, unmounted when dropped.
struct SmallDisk {
    at: PathBuf,
    _directory: tempfile::TempDir,
}

impl SmallDisk {
    fn mount(size: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let at = directory.path().join("disk");
        std::fs::create_dir(&at).unwrap();
        let options = format!("size={size}");
        let status = Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(&at).status();
        assert!(status.unwrap().success(), "mounting a tmpfs needs root");
        Self { at, _directory: directory }
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.at).status();
    }
}

#[test]
fn a_full_disk_is_said_and_leaves_no_half_file() {
    let disk = SmallDisk::mount("4m");
    let ds = Datastore::mount(&disk.at).unwrap();
    let full = |result: Result<(), Error>| assert!(matches!(result, Err(Error::NoSpace(_))), "{result:?}");
    ds.write(&path("a.vmx"), b"old").unwrap();

    // Known to be too large before a byte is written.
    full(ds.upload(&path("big"), false, Some(5 << 20)).map(drop));
    // Discovered on the way, with a new name and with an existing one.
    for (name, overwrite) in [("big", false), ("a.vmx", true)] {
        let mut upload = ds.upload(&path(name), overwrite, None).unwrap();
        full((0..100).try_for_each(|_| upload.write(&[1; 64 << 10])));
    }
    assert_eq!(ds.read(&path("a.vmx"), 9).unwrap(), b"old");

    // A copy that does not fit, refused in advance, and one whose space is taken while it runs.
    ds.write(&path("half"), &[2; 1 << 20]).unwrap();
    ds.write(&path("more"), &[2; 1200 << 10]).unwrap();
    let mut go_on = |_| ControlFlow::Continue(());
    full(
        ds.copy(&path("more"), &ds, &path("copy"), false, &mut go_on)
            .and_then(|()| ds.copy(&path("more"), &ds, &path("copy2"), false, &mut go_on)),
    );
    let names: Vec<_> = ds.list(&FilePath::root()).unwrap().into_iter().map(|entry| entry.name).collect();
    assert_eq!(names, ["a.vmx", "copy", "half", "more"]);
    assert_eq!(std::fs::read_dir(disk.at.join(".esfera-tmp")).unwrap().count(), 0);

    // It continues once there is space.
    ds.delete(&path("more")).unwrap();
    ds.write(&path("a.vmx"), b"new").unwrap();
    assert_eq!(ds.read(&path("a.vmx"), 9).unwrap(), b"new");
}

#[test]
fn a_copy_whose_room_goes_meanwhile_leaves_no_half_directory() {
    let disk = SmallDisk::mount("4m");
    let ds = Datastore::mount(&disk.at).unwrap();
    ds.make_directory(&path("vm"), false).unwrap();
    ds.write(&path("vm/1"), &[1; 600 << 10]).unwrap();
    ds.write(&path("vm/2"), &[2; 600 << 10]).unwrap();
    let mut fill = |_| {
        let ballast = disk.at.join("ballast");
        if !ballast.exists() {
            let mut file = std::fs::File::create(ballast).unwrap();
            while file.write(&[3; 4096]).is_ok_and(|n| n > 0) {}
        }
        ControlFlow::Continue(())
    };
    let copied = ds.copy(&path("vm"), &ds, &path("copy"), false, &mut fill);
    assert!(matches!(copied, Err(Error::NoSpace(_))), "{copied:?}");
    assert!(!ds.exists(&path("copy")).unwrap());
    assert_eq!(ds.entry(&path("vm/2")).unwrap().size_bytes, 600 << 10);
}

#[test]
fn huge_directories_are_listed_up_to_the_limit() {
    let disk = SmallDisk::mount("1g");
    let ds = Datastore::mount(&disk.at).unwrap();
    std::fs::create_dir(disk.at.join("many")).unwrap();
    for n in 0..10_000 {
        std::fs::File::create(disk.at.join(format!("many/{n:06}.log"))).unwrap();
    }
    let entries = ds.list(&path("many")).unwrap();
    assert_eq!((entries.len(), entries[9_999].name.as_str()), (10_000, "009999.log"));
    for n in 10_000..=datastore::limits::MAX_LISTED {
        std::fs::File::create(disk.at.join(format!("many/{n:06}.log"))).unwrap();
    }
    assert!(matches!(ds.list(&path("many")), Err(Error::TooMany { .. })));
    let all = datastore::Search { sub_folders: true, ..Default::default() };
    assert!(matches!(ds.search(&FilePath::root(), &all), Err(Error::TooMany { .. })));
    // It can still be removed.
    ds.delete(&path("many")).unwrap();
    assert!(ds.list(&FilePath::root()).unwrap().is_empty());
}

#[test]
fn directories_deeper_than_paths_can_be_do_no_harm() {
    let directory = tempfile::tempdir().unwrap();
    let ds = Datastore::mount(directory.path()).unwrap();
    std::fs::create_dir_all(directory.path().join("d/".repeat(60))).unwrap();
    let all = datastore::Search { sub_folders: true, ..Default::default() };
    assert!(ds.search(&FilePath::root(), &all).unwrap().len() <= datastore::limits::MAX_DEPTH + 1);
    let mut go_on = |_| ControlFlow::Continue(());
    assert!(matches!(ds.copy(&path("d"), &ds, &path("copy"), false, &mut go_on), Err(Error::Path(_))));
    ds.delete(&path("d")).unwrap();
}

#[test]
fn a_raw_disk_goes_to_no_guest_where_its_format_cannot_be_kept() {
    let at = tempfile::tempdir().unwrap();
    let mounted = Command::new("mount").args(["-t", "ramfs", "ramfs"]).arg(at.path()).status();
    assert!(mounted.unwrap().success(), "mounting a ramfs needs root");
    let disk = SmallDisk { at: at.path().to_owned(), _directory: at };
    let ds = Datastore::mount(&disk.at).unwrap();
    ds.write(&path("raw.vmdk"), &[0; 512]).unwrap();
    let kept = datastore::disk_image::keep_raw(&ds, &path("raw.vmdk"));
    assert!(matches!(kept, Err(Error::Unfit { .. })), "{kept:?}");
}
