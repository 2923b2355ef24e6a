//! The runtime directory of one VM: its launch record, its lock and its sockets.
//!
//! QEMU inherits the lock (flock(2) on `lock`) and holds it as long as it lives, so no crash can falsify the answer to
//! "is it alive". A launch takes the lock, writes `launch.json` and forks; the child writes `pid` before it becomes
//! QEMU. If the daemon dies in between, either nothing runs, or the lock is held and `pid` names the holder. The
//! directory belongs to the daemon; only `display/` belongs to the VM.

use crate::{Error, MachineSpec, Result, limits};
use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};
use std::fmt::Display;
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

/// Version of the launch record's format.
const RECORD_VERSION: u32 = 1;

/// The file with the text that the owner of the VM keeps here.
const CONFIGURATION: &str = "configuration";

/// How a VM was launched; written before the launch.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LaunchRecord {
    /// Format version.
    pub version: u32,
    /// The specification at launch. Devices added or removed since are not in it.
    pub spec: MachineSpec,
    /// Program and arguments, by which the process is recognised.
    pub command: Vec<String>,
    /// Saved state that the VM was resumed from, if any.
    pub incoming: Option<PathBuf>,
}

/// Start time of a process in clock ticks since boot; tells it from a later process with the same number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Birth {
    pub(crate) pid: i32,
    pub(crate) start_ticks: u64,
}

/// A runtime directory.
#[derive(Debug, Clone)]
pub struct RuntimeDir {
    root: PathBuf,
}

fn record_error(path: &Path, reason: &dyn Display) -> Error {
    Error::Record { path: path.to_owned(), reason: reason.to_string() }
}

impl RuntimeDir {
    /// Names a directory without touching it. Its path must leave room for the names of sockets.
    pub fn new(root: impl Into<PathBuf>) -> Result<Self> {
        let dir = RuntimeDir { root: root.into() };
        let longest = dir.vnc();
        if longest.as_os_str().len() > limits::SOCKET_PATH_BYTES {
            return Err(Error::RuntimePath { path: longest, most: limits::SOCKET_PATH_BYTES });
        }
        Ok(dir)
    }

    /// The directory itself.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.root
    }

    /// Monitor socket.
    #[must_use]
    pub fn qmp(&self) -> PathBuf {
        self.root.join("qmp.sock")
    }

    /// Socket of the guest agent channel.
    #[must_use]
    pub fn agent(&self) -> PathBuf {
        self.root.join("agent.sock")
    }

    /// Socket of the serial port.
    #[must_use]
    pub fn serial(&self) -> PathBuf {
        self.root.join("serial.sock")
    }

    /// VNC socket, made by QEMU itself.
    #[must_use]
    pub fn vnc(&self) -> PathBuf {
        self.root.join("display/vnc.sock")
    }

    /// Directory that the VM's user may write to.
    #[must_use]
    pub fn display(&self) -> PathBuf {
        self.root.join("display")
    }

    /// The log of QEMU's standard output and error.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.root.join("qemu.log")
    }

    fn file(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// Makes the directory and takes its lock; [`Error::AlreadyRunning`] if a VM holds it.
    pub(crate) fn create(&self) -> Result<OwnedFd> {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o711)
            .create(&self.root)
            // The VM's user enters it, whatever the daemon's umask is.
            .and_then(|()| fs::set_permissions(&self.root, fs::Permissions::from_mode(0o711)))
            .map_err(Error::io(format!("create {}", self.root.display())))?;
        let lock =
            self.open("lock", OpenOptions::new().read(true).write(true).create(true).truncate(false))?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(lock.into()),
            Err(rustix::io::Errno::WOULDBLOCK) => Err(Error::AlreadyRunning(self.root.clone())),
            Err(e) => Err(Error::io(format!("lock {}", self.root.display()))(e.into())),
        }
    }

    /// Whether a process holds the lock.
    pub fn is_held(&self) -> Result<bool> {
        let lock = match File::open(self.file("lock")) {
            Ok(lock) => lock,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(false),
            Err(e) => return Err(Error::io(format!("open the lock of {}", self.root.display()))(e)),
        };
        match flock(&lock, FlockOperation::NonBlockingLockShared) {
            Ok(()) => Ok(false),
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(true),
            Err(e) => Err(Error::io(format!("lock {}", self.root.display()))(e.into())),
        }
    }

    /// Removes everything that an earlier VM left, except its log. Needs the lock.
    pub(crate) fn clear(&self) -> Result<()> {
        for name in
            [CONFIGURATION, "pid", "birth.json", "launch.json", "qmp.sock", "agent.sock", "serial.sock"]
        {
            remove(&self.file(name))?;
        }
        match fs::remove_dir_all(self.display()) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                Err(Error::io(format!("clear {}", self.display().display()))(e))
            }
            _ => Ok(()),
        }
    }

    /// Removes the whole directory; [`Error::AlreadyRunning`] if a VM holds it.
    pub fn remove(&self) -> Result<()> {
        if self.is_held()? {
            return Err(Error::AlreadyRunning(self.root.clone()));
        }
        fs::remove_dir_all(&self.root).map_err(Error::io(format!("remove {}", self.root.display())))
    }

    pub(crate) fn listen(&self, path: &Path) -> Result<OwnedFd> {
        let listener =
            UnixListener::bind(path).map_err(Error::io(format!("listen on {}", path.display())))?;
        Ok(listener.into())
    }

    pub(crate) fn create_pid_file(&self) -> Result<OwnedFd> {
        self.open("pid", OpenOptions::new().write(true).create(true).truncate(true)).map(Into::into)
    }

    pub(crate) fn open_log(&self) -> Result<OwnedFd> {
        // Emptied at each start, so that the log explains the VM that wrote it.
        let log = self.open("qemu.log", OpenOptions::new().append(true).create(true))?;
        log.set_len(0).map_err(Error::io("empty the log"))?;
        Ok(log.into())
    }

    fn open(&self, name: &str, options: &mut OpenOptions) -> Result<File> {
        let path = self.file(name);
        options.mode(0o600).open(&path).map_err(Error::io(format!("open {}", path.display())))
    }

    pub(crate) fn write_record(&self, record: &LaunchRecord) -> Result<()> {
        self.write_json("launch.json", record)
    }

    pub(crate) fn write_birth(&self, birth: Birth) -> Result<()> {
        self.write_json("birth.json", &birth)
    }

    /// Keeps a text of the VM's owner for as long as the VM runs; the bytes mean nothing here.
    ///
    /// # Errors
    /// If it cannot be written; the text before is still there.
    pub fn keep_configuration(&self, text: &[u8]) -> Result<()> {
        self.write(CONFIGURATION, text)
    }

    /// The text that was kept; none if there is none that can be read.
    #[must_use]
    pub fn configuration(&self) -> Option<Vec<u8>> {
        let mut text = Vec::new();
        let file = File::open(self.file(CONFIGURATION)).ok()?;
        file.take(limits::CONFIGURATION_BYTES).read_to_end(&mut text).ok()?;
        Some(text)
    }

    fn write_json(&self, name: &str, value: &impl Serialize) -> Result<()> {
        let text = serde_json::to_vec(value).map_err(|e| record_error(&self.file(name), &e))?;
        self.write(name, &text)
    }

    /// Writes a file, whole or not at all.
    fn write(&self, name: &str, text: &[u8]) -> Result<()> {
        let (path, fresh) = (self.file(name), self.file(&format!("{name}.new")));
        let write = || {
            let mut options = OpenOptions::new();
            let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&fresh)?;
            file.write_all(text)?;
            fs::rename(&fresh, &path)
        };
        write().map_err(Error::io(format!("write {}", path.display())))
    }

    /// The launch record; [`Error::NotRunning`] if none exists.
    pub fn record(&self) -> Result<LaunchRecord> {
        let text = self.read("launch.json")?.ok_or_else(|| Error::NotRunning(self.root.clone()))?;
        let failed = |reason: &dyn Display| record_error(&self.file("launch.json"), reason);
        let record: LaunchRecord = serde_json::from_str(&text).map_err(|e| failed(&e))?;
        if record.version != RECORD_VERSION {
            return Err(failed(&format_args!("version {} is not {RECORD_VERSION}", record.version)));
        }
        Ok(record)
    }

    pub(crate) fn pid(&self) -> Result<Option<i32>> {
        Ok(self.read("pid")?.and_then(|text| text.trim().parse().ok()).filter(|pid| *pid > 1))
    }

    pub(crate) fn birth(&self) -> Result<Option<Birth>> {
        Ok(self.read("birth.json")?.and_then(|text| serde_json::from_str(&text).ok()))
    }

    fn read(&self, name: &str) -> Result<Option<String>> {
        let path = self.file(name);
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(Error::io(format!("open {}", path.display()))(e)),
        };
        let mut text = String::new();
        file.take(limits::RECORD_BYTES)
            .read_to_string(&mut text)
            .map_err(Error::io(format!("read {}", path.display())))?;
        Ok(Some(text))
    }

    /// The end of QEMU's log, for people. Empty if the log is.
    #[must_use]
    pub fn log_tail(&self) -> String {
        let read = || -> std::io::Result<Vec<u8>> {
            let mut file = File::open(self.log())?;
            let length = file.metadata()?.len();
            file.seek(SeekFrom::Start(length.saturating_sub(limits::LOG_TAIL_BYTES)))?;
            let mut tail = Vec::new();
            file.take(limits::LOG_TAIL_BYTES).read_to_end(&mut tail)?;
            Ok(tail)
        };
        String::from_utf8_lossy(&read().unwrap_or_default()).trim().to_owned()
    }
}

impl LaunchRecord {
    pub(crate) fn new(spec: MachineSpec, command: Vec<String>, incoming: Option<PathBuf>) -> Self {
        LaunchRecord { version: RECORD_VERSION, spec, command, incoming }
    }
}

fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::io(format!("remove {}", path.display()))(e))
        }
        _ => Ok(()),
    }
}
