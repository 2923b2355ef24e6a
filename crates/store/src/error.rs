//! What can go wrong, as things that a caller can act on.

use std::path::PathBuf;

use crate::BatchId;

/// The result of everything in this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// Why the store refused or failed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// The disk (or quota) is full. Nothing of the batch was written; the store works on once space is freed.
    #[error("the disk under the store is full; free space and try again")]
    Full,
    /// The file is not a store, or its content is damaged.
    #[error("the store is damaged: {0}; restore it from a backup")]
    Corrupt(String),
    /// The store was closed, or its writer ended after a failed write.
    #[error("the store is closed")]
    Closed,
    /// A limit was exceeded.
    #[error("{what} has {size}, the limit is {limit}")]
    TooLarge {
        /// Which limit.
        what: &'static str,
        /// What was asked for.
        size: usize,
        /// What is allowed.
        limit: usize,
    },
    /// A name of a collection, log or counter that is empty, too long, or has characters other than `a-z 0-9 . _ -`.
    #[error("\"{0}\" is no name of a collection, log or counter: use 1 to 64 of a-z, 0-9, '.', '_', '-'")]
    InvalidName(String),
    /// A batch came with the id of an earlier batch that had other operations.
    #[error("batch {0} was already applied with other operations; use a new id")]
    IdReused(BatchId),
    /// The counter would pass the largest number.
    #[error("counter \"{0}\" has no numbers left")]
    CounterExhausted(String),
    /// The store was written by a newer program.
    #[error("the store has format {found}, this program reads up to {supported}; use a newer program")]
    NewerFormat {
        /// Version in the file.
        found: u32,
        /// Newest version that this program knows.
        supported: u32,
    },
    /// Another process has the store open.
    #[error("{0} is in use by another process")]
    InUse(PathBuf),
    /// A record that cannot be read as the type that its collection holds.
    #[error("record \"{key}\" of \"{collection}\" cannot be decoded: {reason}")]
    Decode {
        /// Collection or log.
        collection: String,
        /// Key or sequence number.
        key: String,
        /// What the decoder said.
        reason: String,
    },
    /// A value that cannot be encoded.
    #[error("a value for \"{collection}\" cannot be encoded: {reason}")]
    Encode {
        /// Collection or log.
        collection: String,
        /// What the encoder said.
        reason: String,
    },
    /// Reading or writing failed. Of a commit the outcome is unknown: open the store again and commit the same batch
    /// again, its id makes that safe.
    #[error("input or output on the store failed: {0}")]
    Io(String),
}

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::ErrorCode::{DatabaseCorrupt, DiskFull, NotADatabase};
        match error.sqlite_error() {
            Some(e) if e.code == DiskFull => Error::Full,
            // The wal-index could not grow: the only cause is a file system without room.
            Some(e) if e.extended_code == rusqlite::ffi::SQLITE_IOERR_SHMSIZE => Error::Full,
            Some(e) if matches!(e.code, DatabaseCorrupt | NotADatabase) => Error::Corrupt(error.to_string()),
            _ => Error::Io(error.to_string()),
        }
    }
}
