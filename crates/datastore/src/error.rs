//! The errors of a datastore, each one something that a caller can act on.

use std::path::PathBuf;

use crate::LockOwner;
use crate::dictionary::DictionaryError;
use crate::path::{FilePath, PathError};

/// The result of operations on a datastore.
pub type Result<T> = std::result::Result<T, Error>;

/// Why an operation on a datastore was refused or failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A text is not a path.
    #[error(transparent)]
    Path(#[from] PathError),
    /// The file or directory does not exist.
    #[error("{0} does not exist")]
    NotFound(FilePath),
    /// The file or directory exists already.
    #[error("{0} already exists")]
    AlreadyExists(FilePath),
    /// The directory of the datastore itself cannot be used.
    #[error("the directory {} {reason}", directory.display())]
    Directory {
        /// As it was given.
        directory: PathBuf,
        /// The continuation of the sentence.
        reason: String,
    },
    /// A directory was needed.
    #[error("{0} is not a directory")]
    NotADirectory(FilePath),
    /// A file was needed.
    #[error("{0} is not a file")]
    NotAFile(FilePath),
    /// A symbolic link, or a path that would leave the datastore.
    #[error("{0} leads out of the datastore or through a symbolic link")]
    Escapes(FilePath),
    /// The file system denies access.
    #[error("no permission for {0}")]
    Denied(FilePath),
    /// The file is in use (a directory that is mounted on, a swap file).
    #[error("{0} is in use")]
    Busy(FilePath),
    /// Another host has the virtual machine open.
    #[error("{path} is open on host {}; power it off there or wait until that host releases it", owner.host)]
    Locked {
        /// The `.vmx` file.
        path: FilePath,
        /// The holder of the lock.
        owner: LockOwner,
    },
    /// The datastore is full. No file is left under the final name.
    #[error("no space for {0}; free space on the datastore")]
    NoSpace(FilePath),
    /// A directory with more entries, a search with more results, a file with more bytes than the limit.
    #[error("{path} has more than {limit} {what}")]
    TooMany {
        /// The file or directory.
        path: FilePath,
        /// Unit of the limit.
        what: &'static str,
        /// The limit.
        limit: u64,
    },
    /// The caller cancelled the operation.
    #[error("the operation was cancelled")]
    Cancelled,
    /// A directory cannot be put into itself, nor a file onto itself.
    #[error("{from} cannot be put into {to}, which is part of it")]
    IntoItself {
        /// The source.
        from: FilePath,
        /// The target.
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
    /// The marker file was written by a newer program.
    #[error(
        "the marker .esfera-datastore has format {0}, which is newer than this program; use a newer program"
    )]
    NewerMarker(u32),
    /// Other hosts keep adding and removing the marker file.
    #[error("the marker .esfera-datastore appears and disappears; end the program that removes it")]
    RestlessMarker,
    /// A `.vmx` or `.vmsd` file cannot be read.
    #[error("{path}: {error}")]
    Dictionary {
        /// The file.
        path: FilePath,
        /// Its fault.
        error: DictionaryError,
    },
    /// A disk has a format for which there is another way.
    #[error("{path} is {format}, which VMs do not run on; {remedy}")]
    Unfit {
        /// The disk.
        path: FilePath,
        /// Its format, in words.
        format: &'static str,
        /// The way.
        remedy: &'static str,
    },
    /// The storage of the datastore is not there, or something else is in its place.
    #[error("the datastore is not accessible: {0}")]
    Inaccessible(String),
    /// The storage failed or disappeared.
    #[error("input or output on {path} failed: {reason}")]
    Io {
        /// The file or directory.
        path: FilePath,
        /// The system's words.
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
            // openat2 answers ELOOP to a link and EXDEV to a way out.
            K::CrossesDevices => Self::Escapes(path),
            _ if error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error()) => Self::Escapes(path),
            _ => Self::Io { path, reason: error.to_string() },
        }
    }
}
