//! Network namespaces of TCP/IP stacks: files below `/run/netns`, as `ip netns` makes and shows them. They live on without us.
//!
//! A namespace belongs to threads, so what is to happen in one happens in a thread that is made for it.
//!
//! Unsafe for `unshare(2)`, which is dangerous only for descriptor tables, and those stay shared here.
#![allow(unsafe_code)]

use std::fs::{self, File};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::thread;

use rustix::mount::{
    MountFlags, MountPropagationFlags, UnmountFlags, mount, mount_bind, mount_change, unmount,
};
use rustix::thread::{LinkNameSpaceType, UnshareFlags, move_into_link_name_space, unshare_unsafe};

/// Where namespaces have names.
const DIRECTORY: &str = "/run/netns";

/// An open network namespace.
#[derive(Debug)]
pub(crate) struct Namespace {
    path: PathBuf,
    file: File,
}

/// The file of the namespace with this name.
pub(crate) fn path(name: &str) -> PathBuf {
    Path::new(DIRECTORY).join(name)
}

/// Names that namespaces have.
pub(crate) fn all() -> Vec<String> {
    let entries = fs::read_dir(DIRECTORY).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().into_string().ok()).collect()
}

impl Namespace {
    /// One that has a file.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        Ok(Self { path: path.into(), file: File::open(path)? })
    }

    /// The one with this name, made if it is not there.
    pub(crate) fn ensure(name: &str) -> io::Result<Self> {
        let path = path(name);
        match Self::open(&path) {
            // A name whose namespace was lost is an ordinary file, in which nothing can be done.
            Ok(namespace) if namespace.run(|| ()).is_ok() => return Ok(namespace),
            Ok(_) => fs::remove_file(&path)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        share_directory()?;
        File::create_new(&path)?;
        let made = in_thread(|| {
            // SAFETY: descriptors stay shared (`FILES` is not among the flags).
            unsafe { unshare_unsafe(UnshareFlags::NEWNET)? };
            mount_bind("/proc/thread-self/ns/net", &path)?;
            Ok(())
        });
        if let Err(error) = made.and_then(|made| made) {
            let _ = fs::remove_file(&path);
            return Err(error);
        }
        Self::open(&path)
    }

    /// Takes its name away. It ends when nobody is in it any more.
    pub(crate) fn remove(self) -> io::Result<()> {
        match unmount(&self.path, UnmountFlags::DETACH) {
            Ok(()) | Err(rustix::io::Errno::INVAL) => fs::remove_file(&self.path),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Whether its name still means this one.
    pub(crate) fn is_current(&self) -> bool {
        let (Ok(mine), Ok(named)) = (self.file.metadata(), fs::metadata(&self.path)) else { return false };
        (mine.dev(), mine.ino()) == (named.dev(), named.ino())
    }

    /// Runs something in a thread that is in the namespace, and waits for it.
    pub(crate) fn run<T: Send>(&self, body: impl FnOnce() -> T + Send) -> io::Result<T> {
        in_thread(|| {
            move_into_link_name_space(self.file.as_fd(), Some(LinkNameSpaceType::Network))?;
            Ok(body())
        })?
    }

    pub(crate) fn file(&self) -> &File {
        &self.file
    }
}

fn in_thread<T: Send>(body: impl FnOnce() -> T + Send) -> io::Result<T> {
    thread::scope(|scope| {
        let thread = thread::Builder::new().name("vmkernel".into()).spawn_scoped(scope, body)?;
        thread.join().map_err(|_| io::Error::other("a thread in a network namespace panicked"))
    })
}

/// Makes the directory of names, shared among mount namespaces as `ip netns` does, so that a name that is removed in one is
/// free in all.
fn share_directory() -> io::Result<()> {
    fs::create_dir_all(DIRECTORY)?;
    if mount_change(DIRECTORY, MountPropagationFlags::SHARED).is_err() {
        mount_on_itself()?;
        mount_change(DIRECTORY, MountPropagationFlags::SHARED)?;
    }
    Ok(())
}

/// A directory that is no mount point cannot be shared.
fn mount_on_itself() -> io::Result<()> {
    Ok(mount(DIRECTORY, DIRECTORY, "none", MountFlags::BIND | MountFlags::REC, None)?)
}
