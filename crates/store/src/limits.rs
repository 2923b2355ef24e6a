//! The limits of a store, in one place. Reaching one is a typed error ([`crate::Error::TooLarge`] or
//! [`crate::Error::InvalidName`]), never a truncation.

use std::time::Duration;

/// Longest name of a collection, log or counter, in bytes.
pub const MAX_NAME_BYTES: usize = 64;
/// Longest key of a record, in bytes.
pub const MAX_KEY_BYTES: usize = 1024;
/// Longest value of a record or log entry, in bytes.
pub const MAX_VALUE_BYTES: usize = 8 << 20;
/// Most operations in one batch.
pub const MAX_BATCH_OPS: usize = 100_000;
/// Most bytes (names, keys and values) in one batch.
pub const MAX_BATCH_BYTES: usize = 32 << 20;
/// Most batches that wait for the writer; more callers wait in `commit`.
pub const MAX_QUEUED_BATCHES: usize = 1024;
/// Most bytes that wait for the writer; more callers wait in `commit`.
pub const MAX_QUEUED_BYTES: usize = 64 << 20;
/// Most batches in one transaction.
pub const MAX_GROUP_BATCHES: usize = 512;
/// Bytes after which a transaction takes no further batch.
pub const MAX_GROUP_BYTES: usize = 8 << 20;
/// Number of latest batches that are remembered, so that one that is sent twice gets its first result.
pub const REMEMBERED_BATCHES: u64 = 65_536;
/// Most idle read-only connections that are kept open.
pub const MAX_IDLE_READERS: usize = 8;
/// How long batches wait while a database is away; then they are refused until it is back.
pub const PATIENCE: Duration = Duration::from_secs(15);
/// How long one answer of a database may take; then the connection counts as lost.
pub const ANSWER_LIMIT: Duration = Duration::from_secs(10);
/// How long opening looks for a database that does not answer or that another center has not let go yet.
pub const OPENING_LIMIT: Duration = Duration::from_secs(8);
/// The longest pause between two attempts to reach a database.
pub const LONGEST_PAUSE: Duration = Duration::from_secs(3);
/// After this time without a batch, the writer asks the database whether it is there.
pub const IDLE_CHECK: Duration = Duration::from_secs(5);
/// Longest line of an export, in bytes.
pub const MAX_EXPORT_LINE: usize = 64 << 20;
/// Most records or entries that one `scan`, `tail` or `range` returns.
pub const MAX_PAGE: usize = 100_000;
