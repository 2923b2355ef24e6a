//! The one error type of the crate: each variant is something that a caller can act on.

use std::path::PathBuf;

/// Result with [`enum@Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What can go wrong with a machine.
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
    /// No answer in time. The command may still take effect: look before asking again.
    #[error("{command} got no answer in time; it may still take effect")]
    Timeout {
        /// The command that was not answered.
        command: String,
    },
    /// The other end closed the connection, mostly because the process ended.
    #[error("the connection to the virtual machine is closed")]
    Closed,
    /// The other end sent something that is not the protocol.
    #[error("protocol violated: {0}")]
    Protocol(String),
    /// The specification cannot be built; correct it and try again.
    #[error("machine specification: {0}")]
    Spec(String),
    /// A QEMU of this runtime directory is alive: adopt it instead of starting another.
    #[error("a machine is already running in {0}")]
    AlreadyRunning(PathBuf),
    /// No QEMU of this runtime directory is alive.
    #[error("no machine is running in {0}")]
    NotRunning(PathBuf),
    /// A process holds the runtime directory, but it is not the QEMU that was launched there.
    #[error("process {pid} holds {dir} but is not the QEMU that was launched there")]
    NotOurs {
        /// The process.
        pid: i32,
        /// The runtime directory.
        dir: PathBuf,
    },
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
    #[error("no free hot-plug port is left; power the machine off to add {device}")]
    NoFreePort {
        /// What was to be added.
        device: String,
    },
    /// The guest holds the tray shut.
    #[error("the guest has locked the tray of {device}; eject it in the guest, or force it")]
    TrayLocked {
        /// The drive.
        device: String,
    },
    /// No such device or disk in the running machine.
    #[error("the machine has no device {0}")]
    NoSuchDevice(String),
    /// A block job or a saving of state failed.
    #[error("{job} failed: {reason}")]
    JobFailed {
        /// What was being done.
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
        /// What it wrote on its standard error.
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
        /// What was being done, with the path.
        what: String,
        /// Its reason.
        #[source]
        source: std::io::Error,
    },
}

impl Error {
    /// Wraps an I/O error with what was being done.
    pub(crate) fn io(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> Error {
        let what = what.into();
        move |source| Error::Io { what, source }
    }

    /// Whether QEMU refused with this error class.
    #[must_use]
    pub fn is_class(&self, wanted: &str) -> bool {
        matches!(self, Error::Qmp { class, .. } if class == wanted)
    }

    /// Whether what was asked may have happened, or may still happen, although nobody said so.
    #[must_use]
    pub fn is_undecided(&self) -> bool {
        matches!(self, Error::Timeout { .. } | Error::Closed | Error::Protocol(_))
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
