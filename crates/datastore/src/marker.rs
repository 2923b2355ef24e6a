//! The marker file `.esfera-datastore` in a datastore's root holds its identity, the same for every host that mounts it.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{Error, Result};

/// Name of the marker file.
pub(crate) const MARKER: &str = ".esfera-datastore";
/// Largest marker that is read.
pub(crate) const MAX_MARKER_BYTES: u64 = 64 << 10;
const FORMAT: u32 = 1;

#[derive(Serialize, Deserialize)]
struct Marker {
    format: u32,
    uuid: Uuid,
}

/// A marker for a new datastore.
pub(crate) fn new_marker() -> Vec<u8> {
    let marker = Marker { format: FORMAT, uuid: Uuid::new_v4() };
    serde_json::to_vec(&marker).expect("a marker can be written as JSON")
}

/// The identity in a marker.
pub(crate) fn read_marker(text: &[u8]) -> Result<Uuid> {
    let marker: Marker = serde_json::from_slice(text).map_err(|e| Error::Marker(e.to_string()))?;
    if marker.format > FORMAT {
        return Err(Error::NewerMarker(marker.format));
    }
    Ok(marker.uuid)
}
