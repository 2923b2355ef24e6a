//! What can go wrong with a datastore, as things that a caller can act on.

use crate::LockOwner;
use crate::dictionary::DictionaryError;
use crate::path::{FilePath, PathError};

/// The result of operations on a datastore.
pub type Result<T> = std::result::Result<T, Error>;

/// Why an operation on a datastore was refused or failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A path that cannot be one.
    #[error(transparent)]
    Path(#[from] PathError),
    /// There is no such file or directory.
    #[error("{0} does not exist")]
    NotFound(FilePath),
    /// There is such a file or directory already.
    #[error("{0} exists already")]
    AlreadyExists(FilePath),
    /// A directory was needed.
    #[error("{0} is not a directory")]
    NotADirectory(FilePath),
    /// A file was needed.
    #[error("{0} is not a file")]
    NotAFile(FilePath),
    /// A symbolic link, or a path that would leave the datastore.
    #[error("{0} leads out of the datastore or through a symbolic link")]
    Escapes(FilePath),
    /// The file system refused.
    #[error("no permission for {0}")]
    Denied(FilePath),
    /// The file is in use (a directory that is mounted on, a swap file).
    #[error("{0} is in use")]
    Busy(FilePath),
    /// Another host has the virtual machine open.
    #[error("{path} is open on host {}; power it off there or wait until that host lets go", owner.host)]
    Locked {
        /// The `.vmx` file.
        path: FilePath,
        /// Who holds it.
        owner: LockOwner,
    },
    /// The datastore is full. Nothing is left under the final name.
    #[error("no room for {0}; free space on the datastore")]
    NoSpace(FilePath),
    /// A directory with more entries, a search with more results, a file with more bytes than the limit.
    #[error("{path}: more than {limit} {what}")]
    TooMany {
        /// What was looked at.
        path: FilePath,
        /// Unit of the limit.
        what: &'static str,
        /// The limit.
        limit: u64,
    },
    /// The caller asked to stop.
    #[error("cancelled")]
    Cancelled,
    /// A directory cannot go into itself, nor a file onto itself.
    #[error("{from} cannot be put into {to}, which is part of it")]
    IntoItself {
        /// What was to be moved or copied.
        from: FilePath,
        /// Where to.
        to: FilePath,
    },
    /// The root of a datastore cannot be moved, replaced or deleted.
    #[error("the root of a datastore cannot be moved, replaced or deleted")]
    Root,
    /// A search pattern over its limits.
    #[error(
        "a search takes up to {} patterns of up to {} bytes",
        crate::limits::MAX_PATTERNS,
        crate::limits::MAX_PATTERN_BYTES
    )]
    Pattern,
    /// The marker file that identifies a datastore cannot be read.
    #[error(
        "the marker .esfera-datastore is damaged: {0}; restore it, or remove it to give the datastore a new identity"
    )]
    Marker(String),
    /// A `.vmx` or `.vmsd` file that cannot be read.
    #[error("{path}: {error}")]
    Dictionary {
        /// The file.
        path: FilePath,
        /// What is wrong in it.
        error: DictionaryError,
    },
    /// The storage failed or went away.
    #[error("input or output on {path} failed: {reason}")]
    Io {
        /// What was accessed.
        path: FilePath,
        /// What the system said.
        reason: String,
    },
}

impl Error {
    /// The meaning of a system error at `path`.
    pub(crate) fn system(path: &FilePath, error: impl Into<std::io::Error>) -> Self {
        use std::io::ErrorKind as K;
        let error = error.into();
        let path = path.clone();
        match error.kind() {
            K::NotFound => Self::NotFound(path),
            K::AlreadyExists | K::DirectoryNotEmpty => Self::AlreadyExists(path),
            K::NotADirectory => Self::NotADirectory(path),
            K::IsADirectory => Self::NotAFile(path),
            K::PermissionDenied => Self::Denied(path),
            K::StorageFull | K::QuotaExceeded | K::FileTooLarge => Self::NoSpace(path),
            K::ResourceBusy | K::ExecutableFileBusy => Self::Busy(path),
            // What openat2 answers to a link (ELOOP) and to a way out (EXDEV).
            K::CrossesDevices => Self::Escapes(path),
            _ if error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error()) => Self::Escapes(path),
            _ => Self::Io { path, reason: error.to_string() },
        }
    }
}
