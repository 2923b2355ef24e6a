//! The limits of a store, in one place. Reaching one is a typed error ([`crate::Error::TooLarge`] or
//! [`crate::Error::InvalidName`]), never a truncation.

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
/// Most records or entries that one `scan`, `tail` or `range` returns.
pub const MAX_PAGE: usize = 100_000;
