//! The unit of change: a [`Batch`] of [`Op`]s under an id. A batch is plain data without clock or randomness, so
//! applying the same batches in the same order to two stores gives the same contents.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::limits::{MAX_BATCH_BYTES, MAX_BATCH_OPS, MAX_KEY_BYTES, MAX_NAME_BYTES, MAX_VALUE_BYTES};
use crate::{Error, Result};

/// Identity of a batch, chosen by the caller; a batch that is sent again keeps it.
pub type BatchId = uuid::Uuid;

/// One operation of a batch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Op {
    /// Writes a record, replacing the one with the same key.
    Put {
        /// Collection of the record.
        collection: String,
        /// Key within the collection.
        key: String,
        /// New value.
        value: Vec<u8>,
    },
    /// Removes a record; succeeds if it does not exist.
    Delete {
        /// Collection of the record.
        collection: String,
        /// Key within the collection.
        key: String,
    },
    /// Removes all records of a collection.
    Clear {
        /// Collection to empty.
        collection: String,
    },
    /// Adds an entry at the end of a log; its sequence number follows the last ever given in that log.
    Append {
        /// Log to append to.
        log: String,
        /// Time of the entry, milliseconds since 1970, set by the caller.
        time_ms: i64,
        /// The entry.
        value: Vec<u8>,
    },
    /// Drops entries from the front of a log: all but the newest `keep`, and those before the first entry that is at least
    /// as new as `before_ms`. Sequence numbers are never reused.
    Trim {
        /// Log to shorten.
        log: String,
        /// Entries to keep at most.
        keep: Option<u64>,
        /// Entries at the front older than this are dropped, milliseconds since 1970.
        before_ms: Option<i64>,
    },
    /// Takes `n` numbers from a counter that starts at 1; they are never given again.
    Reserve {
        /// Counter to take from.
        counter: String,
        /// How many numbers.
        n: u64,
    },
}

/// Operations that are applied together or not at all.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Batch {
    /// If its id was already applied, a batch is not applied again; the store returns its first result.
    pub id: BatchId,
    /// Applied in this order.
    pub ops: Vec<Op>,
}

/// The result of a durable batch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Committed {
    /// Position of the batch among all batches of this store, from 1.
    pub position: u64,
    /// Sequence numbers of the `Append` operations, in order.
    pub appended: Vec<u64>,
    /// Numbers of the `Reserve` operations, in order.
    pub reserved: Vec<Range<u64>>,
    /// Whether the batch had been applied before and this is its first result.
    pub replayed: bool,
}

impl Batch {
    /// An empty batch with a new random id.
    #[allow(clippy::new_without_default)]
    pub fn new() -> Self {
        Self::with_id(BatchId::new_v4())
    }

    /// An empty batch with the caller's id.
    pub fn with_id(id: BatchId) -> Self {
        Self { id, ops: Vec::new() }
    }

    /// True if it has no operations.
    pub fn is_empty(&self) -> bool {
        self.ops.is_empty()
    }

    /// Adds [`Op::Put`].
    pub fn put(
        &mut self,
        collection: impl Into<String>,
        key: impl Into<String>,
        value: impl Into<Vec<u8>>,
    ) -> &mut Self {
        self.push(Op::Put { collection: collection.into(), key: key.into(), value: value.into() })
    }

    /// Adds [`Op::Delete`].
    pub fn delete(&mut self, collection: impl Into<String>, key: impl Into<String>) -> &mut Self {
        self.push(Op::Delete { collection: collection.into(), key: key.into() })
    }

    /// Adds [`Op::Clear`].
    pub fn clear(&mut self, collection: impl Into<String>) -> &mut Self {
        self.push(Op::Clear { collection: collection.into() })
    }

    /// Adds [`Op::Append`].
    pub fn append(&mut self, log: impl Into<String>, time_ms: i64, value: impl Into<Vec<u8>>) -> &mut Self {
        self.push(Op::Append { log: log.into(), time_ms, value: value.into() })
    }

    /// Adds [`Op::Trim`].
    pub fn trim(&mut self, log: impl Into<String>, keep: Option<u64>, before_ms: Option<i64>) -> &mut Self {
        self.push(Op::Trim { log: log.into(), keep, before_ms })
    }

    /// Adds [`Op::Reserve`].
    pub fn reserve(&mut self, counter: impl Into<String>, n: u64) -> &mut Self {
        self.push(Op::Reserve { counter: counter.into(), n })
    }

    /// Adds any operation.
    pub fn push(&mut self, op: Op) -> &mut Self {
        self.ops.push(op);
        self
    }

    /// Checks names and limits, and returns the batch's size in bytes.
    pub(crate) fn check(&self) -> Result<usize> {
        within("a batch (operations)", self.ops.len(), MAX_BATCH_OPS)?;
        let mut bytes = 0;
        for op in &self.ops {
            bytes += op.check()?;
        }
        within("a batch (bytes)", bytes, MAX_BATCH_BYTES)?;
        Ok(bytes)
    }
}

impl Op {
    fn check(&self) -> Result<usize> {
        let (name, key, value) = match self {
            Op::Put { collection, key, value } => (collection, key.as_str(), value.as_slice()),
            Op::Delete { collection, key } => (collection, key.as_str(), &[][..]),
            Op::Clear { collection } => (collection, "", &[][..]),
            Op::Append { log, value, .. } => (log, "", value.as_slice()),
            Op::Trim { log, .. } => (log, "", &[][..]),
            Op::Reserve { counter, .. } => (counter, "", &[][..]),
        };
        check_row(name, key, value)?;
        Ok(name.len() + key.len() + value.len() + 32)
    }
}

/// Checks the name, key and value of a row.
pub(crate) fn check_row(name: &str, key: &str, value: &[u8]) -> Result<()> {
    check_name(name)?;
    within("a key (bytes)", key.len(), MAX_KEY_BYTES)?;
    within("a value (bytes)", value.len(), MAX_VALUE_BYTES)
}

fn within(what: &'static str, size: usize, limit: usize) -> Result<()> {
    if size > limit { Err(Error::TooLarge { what, size, limit }) } else { Ok(()) }
}

fn check_name(name: &str) -> Result<()> {
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'_' | b'-');
    if name.is_empty() || name.len() > MAX_NAME_BYTES || !name.bytes().all(allowed) {
        return Err(Error::InvalidName(name.chars().take(MAX_NAME_BYTES).collect()));
    }
    Ok(())
}
