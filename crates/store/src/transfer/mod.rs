//! A store as one file, which either database can be made of: lines of JSON, compressed with gzip. `FORMAT.md` describes it.

mod export;
mod import;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::{Deserialize, Serialize};

pub(crate) use export::export;
pub(crate) use import::import;

use crate::{Error, Result};

/// Version of the lines.
const VERSION: u32 = 1;

/// The content of an export in numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Totals {
    /// Position of the last batch.
    pub position: u64,
    /// Records of all collections.
    pub records: u64,
    /// Entries of all logs.
    pub entries: u64,
    /// Remembered batches.
    pub batches: u64,
}

/// A line of an export: `begin`, then rows, then `end`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Line {
    Begin { version: u32, format: u32 },
    Record { collection: String, key: String, value: Bytes },
    Log { name: String, last: u64 },
    Entry { log: String, sequence: u64, time_ms: i64, value: Bytes },
    Counter { name: String, next: u64 },
    Batch { position: u64, id: uuid::Uuid, digest: i64, outcome: String },
    End { totals: Totals, sha256: String },
}

/// A value: a text where it is one, so that people can read it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged)]
enum Bytes {
    Text(String),
    Other { base64: String },
}

impl Bytes {
    fn of(value: Vec<u8>) -> Self {
        String::from_utf8(value)
            .map_or_else(|e| Bytes::Other { base64: BASE64_STANDARD.encode(e.as_bytes()) }, Bytes::Text)
    }

    fn read(self) -> Result<Vec<u8>> {
        match self {
            Bytes::Text(text) => Ok(text.into_bytes()),
            Bytes::Other { base64 } => BASE64_STANDARD
                .decode(base64)
                .map_err(|error| Error::Export(format!("a value is not base64: {error}"))),
        }
    }
}

fn hex(digest: &[u8]) -> String {
    use std::fmt::Write;
    digest.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
