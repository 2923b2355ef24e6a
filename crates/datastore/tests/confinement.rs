//! Nothing leads out of a datastore: no path, no symbolic link, no link swapped in between.
#![allow(clippy::unwrap_used)]

use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use datastore::{Datastore, Error, FilePath};
use rustix::fs::{CWD, Mode, RenameFlags};

struct Place {
    datastore: Datastore,
    inside: PathBuf,
    outside: PathBuf,
    _directory: tempfile::TempDir,
}

fn place() -> Place {
    let directory = tempfile::tempdir().unwrap();
    let (inside, outside) = (directory.path().join("in"), directory.path().join("out"));
    std::fs::create_dir(&inside).unwrap();
    std::fs::create_dir(&outside).unwrap();
    std::fs::write(outside.join("secret"), "secret").unwrap();
    Place { datastore: Datastore::mount(&inside).unwrap(), inside, outside, _directory: directory }
}

fn path(text: &str) -> FilePath {
    FilePath::parse(text).unwrap()
}

fn untouched(place: &Place) {
    assert_eq!(std::fs::read_to_string(place.outside.join("secret")).unwrap(), "secret");
    assert_eq!(std::fs::read_dir(&place.outside).unwrap().count(), 1, "something appeared outside");
}

#[test]
fn a_link_to_a_directory_outside_is_not_followed() {
    let place = place();
    symlink(&place.outside, place.inside.join("link")).unwrap();
    symlink("..", place.inside.join("up")).unwrap();
    std::fs::write(place.inside.join("f"), "f").unwrap();
    let ds = &place.datastore;
    let escapes = |result: Result<(), Error>| assert!(matches!(result, Err(Error::Escapes(_))), "{result:?}");
    for file in ["link/secret", "up/out/secret"] {
        let file = path(file);
        escapes(ds.open(&file).map(drop));
        escapes(ds.entry(&file).map(drop));
        escapes(ds.upload(&file, true, None).map(drop));
        escapes(ds.delete(&file));
        escapes(ds.host_path(&file).map(drop));
        escapes(ds.rename(&file, &path("stolen"), false));
        escapes(ds.rename(&path("f"), &file, true));
        escapes(ds.lock_vm(&file, "host").map(drop));
        escapes(ds.vm_lock_owner(&file).map(drop));
    }
    escapes(ds.make_directory(&path("link/new"), false));
    escapes(ds.make_directory(&path("link/new/newer"), true));
    for link in ["link", "up"] {
        escapes(ds.list(&path(link)).map(drop).map_err(|error| match error {
            // The call asks for a directory, and the link itself is not a directory.
            Error::NotADirectory(path) => Error::Escapes(path),
            error => error,
        }));
        escapes(ds.entry(&path(link)).map(drop));
        escapes(ds.host_path(&path(link)).map(drop));
    }
    untouched(&place);
}

#[test]
fn a_link_to_a_file_outside_is_neither_read_nor_written_nor_listed() {
    let place = place();
    symlink(place.outside.join("secret"), place.inside.join("vm.vmx")).unwrap();
    symlink(place.outside.join("secret"), place.inside.join("vm.vmx.lck")).unwrap();
    let ds = &place.datastore;
    assert!(matches!(ds.open(&path("vm.vmx")), Err(Error::Escapes(_))));
    assert!(matches!(ds.write(&path("vm.vmx"), b"x"), Err(Error::Escapes(_))));
    assert!(matches!(ds.lock_vm(&path("vm.vmx"), "host"), Err(Error::Escapes(_))));
    assert!(ds.list(&FilePath::root()).unwrap().is_empty());
    untouched(&place);
}

#[test]
fn deleting_a_directory_removes_the_links_in_it_and_not_what_they_point_to() {
    let place = place();
    std::fs::create_dir_all(place.inside.join("vm/sub")).unwrap();
    symlink(&place.outside, place.inside.join("vm/sub/link")).unwrap();
    symlink(place.outside.join("secret"), place.inside.join("vm/file")).unwrap();
    place.datastore.delete(&path("vm")).unwrap();
    assert!(!place.inside.join("vm").exists());
    untouched(&place);
}

#[test]
fn copying_a_directory_leaves_links_and_pipes_behind() {
    let place = place();
    std::fs::create_dir(place.inside.join("vm")).unwrap();
    symlink(place.outside.join("secret"), place.inside.join("vm/link")).unwrap();
    rustix::fs::mkfifoat(CWD, place.inside.join("vm/pipe"), Mode::from_raw_mode(0o600)).unwrap();
    std::fs::write(place.inside.join("vm/f"), "f").unwrap();
    let ds = &place.datastore;
    let mut report = |_| std::ops::ControlFlow::Continue(());
    ds.copy(&path("vm"), ds, &path("copy"), false, &mut report).unwrap();
    assert_eq!(std::fs::read_dir(place.inside.join("copy")).unwrap().count(), 1);
    assert!(matches!(ds.open(&path("vm/pipe")), Err(Error::NotAFile(_))), "opening a pipe waits or reads");
    untouched(&place);
}

#[test]
fn a_directory_that_is_swapped_with_a_link_meanwhile_never_leads_out() {
    let place = place();
    std::fs::create_dir(place.inside.join("d")).unwrap();
    std::fs::write(place.inside.join("d/secret"), "public").unwrap();
    symlink(&place.outside, place.inside.join("e")).unwrap();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        // Also when an assertion fails, because the scope waits for the thread.
        let _stopping = StopAtEnd(&stop);
        let swapper = scope.spawn(|| {
            let mut swaps = 0u32;
            while !stop.load(Ordering::Relaxed) {
                let (d, e) = (place.inside.join("d"), place.inside.join("e"));
                rustix::fs::renameat_with(CWD, d, CWD, e, RenameFlags::EXCHANGE).unwrap();
                swaps += 1;
            }
            swaps
        });
        let ds = &place.datastore;
        let (mut read, mut refused) = (0, 0);
        // Until both sides of the race have occurred often.
        for _ in 0..200_000 {
            match ds.read(&path("d/secret"), 100) {
                Ok(content) => {
                    assert_eq!(content, b"public");
                    read += 1;
                }
                Err(Error::Escapes(_) | Error::NotFound(_) | Error::NotADirectory(_)) => refused += 1,
                Err(error) => assert!(matches!(error, Error::Io { .. }), "{error:?}"),
            }
            let _ = ds.write(&path("d/secret"), b"public");
            let _ = ds.make_directory(&path("d/new"), false);
            let _ = ds.delete(&path("d/new"));
            if read > 200 && refused > 200 {
                break;
            }
        }
        stop.store(true, Ordering::Relaxed);
        assert!(
            swapper.join().unwrap() > 0 && read > 0 && refused > 0,
            "the race did not happen: {read} {refused}"
        );
    });
    untouched(&place);
}

struct StopAtEnd<'a>(&'a AtomicBool);

impl Drop for StopAtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
