//! The record of the network: the configuration with the number of its format. A daemon that cannot read the record, because a newer
//! daemon wrote it or it is damaged, neither overwrites it nor declares anything, so that the data plane goes on as it is.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use store::{Batch, Collection, Error, Store};

use crate::config::NetworkConfig;

/// The format that is written, and the newest that is read. It rises with everything that an older daemon would not understand or
/// would lose, such as a field or a word. A record without a number has format 0.
const FORMAT: u32 = 1;

/// The whole configuration, under one key.
const RECORDS: Collection<Value> = Collection::new("network");
const KEY: &str = "standard";

#[derive(Serialize, Deserialize)]
struct Record {
    #[serde(default)]
    format: u32,
    #[serde(flatten)]
    config: NetworkConfig,
}

/// The record as it was found.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Kept {
    Nothing,
    Readable(NetworkConfig),
    Unreadable(Unreadable),
}

/// A record that is left alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unreadable {
    /// Why, and what to do.
    pub(super) reason: String,
    /// The readable part of it, to be shown.
    pub(super) shown: NetworkConfig,
}

impl Unreadable {
    fn newer(found: u32, shown: NetworkConfig) -> Self {
        let reason = format!(
            "the host's record of its network has format {found}, this version of Esfera reads up to {FORMAT}. {GOES_ON} Start a \
             version that reads it"
        );
        Self { reason, shown }
    }

    pub(super) fn damaged(error: impl std::fmt::Display) -> Self {
        let reason = format!(
            "the host's record of its network cannot be read ({error}). {GOES_ON} Restore the host's state from a copy"
        );
        Self { reason, shown: NetworkConfig::default() }
    }
}

const GOES_ON: &str = "The network goes on as it is; it cannot be changed, and no port can be connected, until the record can be read.";

/// Reads the record.
///
/// # Errors
/// Those of the store; a record that cannot be read is not an error.
pub(super) fn read(store: &Store) -> Result<Kept, Error> {
    let value = match RECORDS.get(store, KEY) {
        Ok(None) => return Ok(Kept::Nothing),
        Ok(Some(value)) => value,
        Err(error @ Error::Decode { .. }) => return Ok(Kept::Unreadable(Unreadable::damaged(error))),
        Err(error) => return Err(error),
    };
    Ok(of(value))
}

fn of(value: Value) -> Kept {
    let format = match value.get("format") {
        None => Some(0),
        Some(number) => number.as_u64().and_then(|number| u32::try_from(number).ok()),
    };
    let Some(format) = format else {
        return Kept::Unreadable(Unreadable::damaged("its format is not a number"));
    };
    let record = serde_json::from_value::<Record>(value).map(|record| record.config);
    if format > FORMAT {
        return Kept::Unreadable(Unreadable::newer(format, record.unwrap_or_default()));
    }
    match record {
        Ok(config) => Kept::Readable(config),
        Err(error) => Kept::Unreadable(Unreadable::damaged(error)),
    }
}

/// Adds the record to a batch.
///
/// # Errors
/// Those of the store.
pub(super) fn put(batch: &mut Batch, config: &NetworkConfig) -> Result<(), Error> {
    let record = Record { format: FORMAT, config: config.clone() };
    let value = serde_json::to_value(record)
        .map_err(|error| Error::Encode { collection: "network".into(), reason: error.to_string() })?;
    RECORDS.put(batch, KEY, &value)
}

#[cfg(test)]
#[path = "record_tests.rs"]
mod tests;
