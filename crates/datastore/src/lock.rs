//! The lock that keeps a virtual machine open on one host only: an open-file-description lock (`fcntl(2)`,
//! `F_OFD_SETLK`) on `<vm>.vmx.lck` beside its configuration, with a record of the owner inside. The kernel releases it
//! when the holder dies; on NFS the server does so when the client restarts.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;
use rustix::fs::{AtFlags, Mode, OFlags};
use serde::{Deserialize, Serialize};

use crate::memory::Memory;
use crate::{Error, FilePath, Result};

/// Largest owner record that is read.
const MAX_RECORD_BYTES: u64 = 4096;
/// How many times a lock file that its last holder removed meanwhile is made anew.
const ATTEMPTS: usize = 16;

/// The holder of a virtual machine's lock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LockOwner {
    /// The host's name for itself; "unknown" if the record cannot be read.
    pub host: String,
    /// Process on that host.
    pub process: u32,
    /// When it was taken, milliseconds since 1970 by that host's clock.
    pub since_ms: u64,
}

impl LockOwner {
    pub(crate) fn new(host: &str) -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let since_ms = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
        Self { host: host.to_owned(), process: std::process::id(), since_ms }
    }
}

/// The lock of a virtual machine, held until dropped.
#[derive(Debug)]
pub struct VmLock(Held);

#[derive(Debug)]
enum Held {
    Local { directory: OwnedFd, name: String, file: File },
    Memory { memory: Arc<Memory>, vmx: FilePath },
}

impl Drop for VmLock {
    fn drop(&mut self) {
        match &self.0 {
            // Removed while still locked, so that it cannot become another host's in between. It may be another host's already if
            // the VM's directory was cleared meanwhile.
            Held::Local { directory, name, file } => {
                if is_still_there(directory, name, file)
                    && let Err(error) = rustix::fs::unlinkat(directory, name.as_str(), AtFlags::empty())
                {
                    tracing::debug!(file = name, %error, "a lock file stays behind; it is no longer locked");
                }
            }
            Held::Memory { memory, vmx } => memory.unlock_vm(vmx),
        }
    }
}

impl VmLock {
    pub(crate) fn in_memory(memory: Arc<Memory>, vmx: FilePath) -> Self {
        Self(Held::Memory { memory, vmx })
    }

    /// Locks `name` in `directory`.
    pub(crate) fn take(directory: OwnedFd, name: &str, vmx: &FilePath, host: &str) -> Result<Self> {
        let fail = |error: std::io::Error| Error::system(vmx, error);
        for _ in 0..ATTEMPTS {
            let mut file = File::from(
                rustix::fs::openat(
                    &directory,
                    name,
                    OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC,
                    Mode::from_raw_mode(0o640),
                )
                .map_err(|e| Error::system(vmx, e))?,
            );
            if !try_lock(&file).map_err(fail)? {
                return Err(Error::Locked { path: vmx.clone(), owner: read_owner(&mut file) });
            }
            if !is_still_there(&directory, name, &file) {
                continue;
            }
            let record = serde_json::to_vec(&LockOwner::new(host)).expect("an owner can be written as JSON");
            file.set_len(0)
                .and_then(|()| file.write_all(&record))
                .and_then(|()| file.sync_data())
                .map_err(fail)?;
            return Ok(Self(Held::Local { directory, name: name.to_owned(), file }));
        }
        Err(Error::Busy(vmx.clone()))
    }

    /// Owner of the lock `name` in `directory`, if it is locked.
    pub(crate) fn owner(directory: &OwnedFd, name: &str, vmx: &FilePath) -> Result<Option<LockOwner>> {
        let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        match rustix::fs::openat(directory, name, flags, Mode::empty()) {
            Ok(fd) => {
                let mut file = File::from(fd);
                let locked = is_locked(&file).map_err(|e| Error::system(vmx, e))?;
                Ok(locked.then(|| read_owner(&mut file)))
            }
            Err(rustix::io::Errno::NOENT) => Ok(None),
            Err(error) => Err(Error::system(vmx, error)),
        }
    }
}

fn read_owner(file: &mut File) -> LockOwner {
    let mut record = Vec::new();
    let read =
        file.seek(SeekFrom::Start(0)).and_then(|_| file.take(MAX_RECORD_BYTES).read_to_end(&mut record));
    // The holder may be between locking and writing its record.
    read.ok().and_then(|_| serde_json::from_slice(&record).ok()).unwrap_or(LockOwner {
        host: "unknown".into(),
        process: 0,
        since_ms: 0,
    })
}

fn whole_file(kind: i32) -> libc::flock {
    let small = |n: i32| i16::try_from(n).expect("lock constants are small");
    libc::flock { l_type: small(kind), l_whence: small(libc::SEEK_SET), l_start: 0, l_len: 0, l_pid: 0 }
}

/// Takes an exclusive lock; false if another process has it.
pub(crate) fn try_lock(file: &File) -> std::io::Result<bool> {
    match fcntl(file, FcntlArg::F_OFD_SETLK(&whole_file(libc::F_WRLCK))) {
        Ok(_) => Ok(true),
        Err(nix::errno::Errno::EAGAIN | nix::errno::Errno::EACCES) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

fn is_locked(file: &File) -> std::io::Result<bool> {
    let mut lock = whole_file(libc::F_WRLCK);
    fcntl(file, FcntlArg::F_OFD_GETLK(&mut lock))?;
    Ok(i32::from(lock.l_type) != libc::F_UNLCK)
}

/// Whether any process, through any open file, holds a lock on some of these bytes.
pub(crate) fn is_range_locked(file: &File, bytes: Range<u64>) -> std::io::Result<bool> {
    let offset = |n: u64| n.try_into().map_err(|_| std::io::Error::from(std::io::ErrorKind::InvalidInput));
    let length = offset(bytes.end.saturating_sub(bytes.start))?;
    let mut lock = libc::flock { l_start: offset(bytes.start)?, l_len: length, ..whole_file(libc::F_WRLCK) };
    fcntl(file, FcntlArg::F_OFD_GETLK(&mut lock))?;
    Ok(i32::from(lock.l_type) != libc::F_UNLCK)
}

/// Whether `name` still names the opened file.
pub(crate) fn is_still_there(directory: &OwnedFd, name: &str, file: &File) -> bool {
    let there = rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW);
    let ours = rustix::fs::fstat(file);
    matches!((there, ours), (Ok(a), Ok(b)) if a.st_ino == b.st_ino && a.st_dev == b.st_dev)
}
