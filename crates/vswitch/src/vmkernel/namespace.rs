//! Network namespaces of TCP/IP stacks: files below `/run/netns`, as `ip netns` makes and shows them. They outlive the
//! daemon.
//!
//! A namespace belongs to threads, so work inside one runs in a thread made for it.
//!
//! Unsafe for `unshare(2)`, which is dangerous only for descriptor tables, and those stay shared here.
#![allow(unsafe_code)]

use std::fs::{self, File, Permissions};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::thread;

use rustix::mount::{
    MountFlags, MountPropagationFlags, UnmountFlags, mount, mount_bind, mount_change, unmount,
};
use rustix::thread::{LinkNameSpaceType, UnshareFlags, move_into_link_name_space, unshare_unsafe};

/// The directory of named namespaces.
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

/// The names of all named namespaces.
pub(crate) fn all() -> Vec<String> {
    let entries = fs::read_dir(DIRECTORY).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().into_string().ok()).collect()
}

impl Namespace {
    /// Opens a namespace by its file.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        Ok(Self { path: path.into(), file: File::open(path)? })
    }

    /// Opens the namespace with this name, and makes it if it does not exist.
    pub(crate) fn ensure(name: &str) -> io::Result<Self> {
        let path = path(name);
        match Self::open(&path) {
            // If a namespace was lost, its name is an ordinary file, which no thread can enter.
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

    /// Removes its name. The namespace ends when nothing uses it any more.
    pub(crate) fn remove(self) -> io::Result<()> {
        match unmount(&self.path, UnmountFlags::DETACH) {
            Ok(()) | Err(rustix::io::Errno::INVAL) => fs::remove_file(&self.path),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Whether its name still refers to this namespace.
    pub(crate) fn is_current(&self) -> bool {
        let (Ok(mine), Ok(named)) = (self.file.metadata(), fs::metadata(&self.path)) else { return false };
        (mine.dev(), mine.ino()) == (named.dev(), named.ino())
    }

    /// Runs `body` in a thread inside the namespace, and waits for it.
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

/// Makes the directory of names, shared among mount namespaces as `ip netns` does, so that a name removed in one is
/// free in all.
fn share_directory() -> io::Result<()> {
    if !Path::new(DIRECTORY).exists() {
        fs::create_dir_all(DIRECTORY)?;
        // Every program of the machine looks names up in it, whatever the daemon's umask is.
        fs::set_permissions(DIRECTORY, Permissions::from_mode(0o755))?;
    }
    if mount_change(DIRECTORY, MountPropagationFlags::SHARED).is_err() {
        mount_on_itself()?;
        mount_change(DIRECTORY, MountPropagationFlags::SHARED)?;
    }
    Ok(())
}

/// Only a mount point can be shared.
fn mount_on_itself() -> io::Result<()> {
    Ok(mount(DIRECTORY, DIRECTORY, "none", MountFlags::BIND | MountFlags::REC, None)?)
}
