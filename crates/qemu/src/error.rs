//! The one error type of the crate: each variant is something that a caller can act on.

use std::path::PathBuf;

/// Result with [`enum@Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A failure of an operation on a VM or an image.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// QEMU refused a command and said why.
    #[error("QEMU refused {command}: {desc} ({class})")]
    Qmp {
        /// The command that was refused.
        command: String,
        /// QMP error class, such as `GenericError` or `DeviceNotFound`.
        class: String,
        /// QEMU's own words.
        desc: String,
    },
    /// No answer arrived in time. The command may still take effect: look before asking again.
    #[error("{command} got no answer in time; it may still take effect")]
    Timeout {
        /// The unanswered command.
        command: String,
    },
    /// The other end closed the connection, usually because the process ended.
    #[error("QEMU closed the connection")]
    Closed,
    /// The other end broke the protocol.
    #[error("protocol violation: {0}")]
    Protocol(String),
    /// The specification cannot be built; correct it and try again.
    #[error("VM specification: {0}")]
    Spec(String),
    /// The daemon is ending or the work panicked. The request may have taken effect: look before asking again.
    #[error("{what} was interrupted; look at the VM before trying again")]
    Interrupted {
        /// The interrupted work.
        what: String,
        /// How it ended.
        #[source]
        source: tokio::task::JoinError,
    },
    /// A file that an operation needs cannot be reached.
    #[error("{file} is not available: {reason}")]
    Unavailable {
        /// The file, or the datastore that holds it.
        file: String,
        /// The reason, and what would help.
        reason: String,
    },
    /// `qemu-img` needs paths from the root on.
    #[error("{0} is not an absolute path; give the image's full path")]
    NotAbsolute(PathBuf),
    /// The paths of sockets are bounded by the kernel.
    #[error(
        "the runtime directory is too deep: {path} is longer than the {most} bytes of a unix socket's path"
    )]
    RuntimePath {
        /// The longest path in the directory.
        path: PathBuf,
        /// Bytes that a path may have.
        most: usize,
    },
    /// The record of a launch cannot be written or read.
    #[error("launch record {path}: {reason}")]
    Record {
        /// The record's file.
        path: PathBuf,
        /// The reason.
        reason: String,
    },
    /// A QEMU of this runtime directory is alive: adopt it instead of starting another.
    #[error("a VM is already running in {0}")]
    AlreadyRunning(PathBuf),
    /// No QEMU of this runtime directory is alive.
    #[error("no VM is running in {0}")]
    NotRunning(PathBuf),
    /// A process holds the runtime directory, but it is not the QEMU that was launched there.
    #[error("process {pid} holds {dir} but is not the QEMU that was launched there")]
    NotOurs {
        /// The process.
        pid: i32,
        /// The runtime directory.
        dir: PathBuf,
    },
    /// A process holds the runtime directory, and its record does not say which.
    #[error("an unknown process holds {0}; find and end it, or remove the directory once it has ended")]
    UnknownHolder(PathBuf),
    /// QEMU ended before its monitor answered.
    #[error("QEMU did not start: {reason}")]
    StartFailed {
        /// Exit status and the tail of QEMU's log.
        reason: String,
    },
    /// The guest has not let go of a device. The request stays pending in QEMU.
    #[error("the guest did not release device {device} in time")]
    UnplugTimeout {
        /// The device.
        device: String,
    },
    /// The guest refused to let go of a device.
    #[error("the guest refused to release device {device}")]
    UnplugRefused {
        /// The device.
        device: String,
    },
    /// All root ports made at power-on are taken.
    #[error("no free hot-plug port is left; power the VM off to add {device}")]
    NoFreePort {
        /// The device that needs a port.
        device: String,
    },
    /// The guest has locked the tray.
    #[error("the guest has locked the tray of {device}; eject it in the guest, or force it")]
    TrayLocked {
        /// The drive.
        device: String,
    },
    /// No such device or disk in the running VM.
    #[error("the VM has no device {0}")]
    NoSuchDevice(String),
    /// The VM already has a device of this id.
    #[error("the VM already has a device {0}; remove it or choose another id")]
    DeviceExists(String),
    /// The VM has fewer free places for processors than asked for.
    #[error("cannot add {asked} processors: the VM has room for {free}")]
    NoFreeProcessor {
        /// Processors asked for.
        asked: usize,
        /// Free places.
        free: usize,
    },
    /// The chain of a disk has no such layer.
    #[error("disk {disk} has no layer {layer}")]
    NoSuchLayer {
        /// The disk.
        disk: String,
        /// The layer's file.
        layer: String,
    },
    /// A merge was asked for in the wrong direction.
    #[error("disk {disk}: a layer can only be merged into one below it")]
    NotBelow {
        /// The disk.
        disk: String,
    },
    /// A block job or a saving of state failed.
    #[error("{job} failed: {reason}")]
    JobFailed {
        /// The operation that failed.
        job: String,
        /// QEMU's own words.
        reason: String,
    },
    /// `qemu-img` failed.
    #[error("qemu-img {operation} {path}: {reason}")]
    Image {
        /// The sub-command.
        operation: String,
        /// The file.
        path: PathBuf,
        /// The text from its standard error.
        reason: String,
    },
    /// The storage is full.
    #[error("no space left for {path}")]
    NoSpace {
        /// The file that could not be written.
        path: PathBuf,
    },
    /// The guest agent answered with an error.
    #[error("guest agent refused {command}: {desc} ({class})")]
    Agent {
        /// The agent command.
        command: String,
        /// Error class.
        class: String,
        /// The agent's own words.
        desc: String,
    },
    /// No agent is listening in the guest, or it does not answer.
    #[error("the guest agent does not answer {command}")]
    AgentSilent {
        /// The agent command.
        command: String,
    },
    /// The operating system refused something.
    #[error("{what}: {source}")]
    Io {
        /// The attempted operation, with its path.
        what: String,
        /// The system's error.
        #[source]
        source: std::io::Error,
    },
}

impl Error {
    /// Wraps an I/O error with a description of the attempted operation.
    pub(crate) fn io(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> Error {
        let what = what.into();
        move |source| Error::Io { what, source }
    }

    /// Whether QEMU refused with this error class.
    #[must_use]
    pub fn is_class(&self, wanted: &str) -> bool {
        matches!(self, Error::Qmp { class, .. } if class == wanted)
    }

    /// Whether the request may have taken effect, or may still do so, although no answer confirmed it.
    #[must_use]
    pub fn is_undecided(&self) -> bool {
        matches!(self, Error::Timeout { .. } | Error::Closed | Error::Protocol(_) | Error::Interrupted { .. })
    }

    /// Whether another process has an image open, on this host or, where the datastore carries locks, on another.
    #[must_use]
    pub fn is_lock_conflict(&self) -> bool {
        let words = match self {
            Error::Qmp { desc, .. } => desc,
            Error::StartFailed { reason } | Error::Image { reason, .. } | Error::JobFailed { reason, .. } => {
                reason
            }
            _ => return false,
        };
        words.contains("Failed to get") && words.contains("lock")
    }
}
