//! `.vmx`: the configuration of a VM, in VMware's text format: its lines, its UUIDs and its names of files. Crate `vm` knows
//! what the keys mean.

mod file_name;
mod uuids;

use crate::dictionary::{Dictionary, DictionaryError};

pub use file_name::FileName;
pub use uuids::{format_uuid, parse_uuid};

/// Reads a `.vmx` file, keeping every line and its order.
///
/// # Errors
/// [`DictionaryError`].
pub fn parse(text: &[u8]) -> Result<Dictionary, DictionaryError> {
    Dictionary::parse(text)
}
