//! The errors of a store, each one something that a caller can act on.

use std::path::PathBuf;

use crate::BatchId;

/// The result of everything in this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why the store refused or failed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// The disk (or quota) is full. Nothing of the batch was written; the store works on once space is freed.
    #[error("the disk under the store is full; free space and try again")]
    Full,
    /// The content of the file is damaged.
    #[error("the store is damaged: {0}; restore it from a backup")]
    Corrupt(String),
    /// The file is a database of another program.
    #[error("the file is a database of another program; choose another path for the store")]
    Foreign,
    /// The writer's thread cannot be started.
    #[error("the store cannot start its writer: {0}; free memory or raise the limit of threads")]
    Writer(String),
    /// The store was closed, or its writer's thread ended.
    #[error("the store is closed")]
    Closed,
    /// A write failed earlier for this reason, and the state of the file is unknown since: the store takes no more writes. Open it again.
    #[error(
        "the store takes no more writes since one failed ({0}); start the program again, and restore the store from a backup if that \
         does not help"
    )]
    Stopped(String),
    /// The database does not answer. Nothing of the batch was applied; the store works on once the database is back.
    #[error("the database is away ({0}); nothing was changed, try again when it is back")]
    Unavailable(String),
    /// The database cannot be used as it is: it cannot be reached, or refuses the user, or does not exist.
    #[error("the database {database} cannot be used: {reason}")]
    Refused {
        /// The database, without the password.
        database: String,
        /// The server's words, or the network's.
        reason: String,
    },
    /// The name of a database cannot be understood.
    #[error("the name of the database is not understood: {0}")]
    Target(String),
    /// Another center works with the database.
    #[error("the database {database} is in use by {by}; end it first")]
    Held {
        /// The database, without the password.
        database: String,
        /// Program, process and computer.
        by: String,
    },
    /// An import needs an empty store.
    #[error("the store has content already (batch {position}); import into an empty one")]
    NotEmpty {
        /// Its latest batch.
        position: u64,
    },
    /// A file is not a whole export.
    #[error("the export cannot be read: {0}")]
    Export(String),
    /// A limit was exceeded.
    #[error("{what}: {size} is more than the limit of {limit}")]
    TooLarge {
        /// The limit's name.
        what: &'static str,
        /// The size asked for.
        size: usize,
        /// The size allowed.
        limit: usize,
    },
    /// A name of a collection, log or counter is empty, too long, or has characters other than `a-z 0-9 . _ -`.
    #[error("\"{0}\" cannot name a collection, log or counter: use 1 to 64 of a-z, 0-9, '.', '_', '-'")]
    InvalidName(String),
    /// A batch reuses the id of an earlier batch with other operations.
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
    #[error("{0} is in use by another process; end that process first")]
    InUse(PathBuf),
    /// A record does not decode as the type of its collection.
    #[error("record \"{key}\" of \"{collection}\" cannot be decoded: {reason}")]
    Decode {
        /// Collection or log.
        collection: String,
        /// Key or sequence number.
        key: String,
        /// The decoder's words.
        reason: String,
    },
    /// A value cannot be encoded.
    #[error("a value for \"{collection}\" cannot be encoded: {reason}")]
    Encode {
        /// Collection or log.
        collection: String,
        /// The encoder's words.
        reason: String,
    },
    /// Reading or writing failed. The outcome of a commit is then unknown: open the store again and commit the same batch
    /// again; its id makes that safe.
    #[error("input or output on the store failed: {0}")]
    Io(String),
}

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::ErrorCode::{DatabaseCorrupt, DiskFull, NotADatabase};
        match error.sqlite_error() {
            Some(e) if e.code == DiskFull => Error::Full,
            // SQLite could not grow the wal-index, which only happens on a full file system.
            Some(e) if e.extended_code == rusqlite::ffi::SQLITE_IOERR_SHMSIZE => Error::Full,
            Some(e) if matches!(e.code, DatabaseCorrupt | NotADatabase) => Error::Corrupt(error.to_string()),
            _ => Error::Io(error.to_string()),
        }
    }
}
