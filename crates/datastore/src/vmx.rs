//! `.vmx`: the configuration of a virtual machine as VMware's text format.

pub use crate::dictionary::{Dictionary, DictionaryError};

/// Reads a `.vmx` file, keeping every line and its order.
///
/// # Errors
/// [`DictionaryError`].
pub fn parse(text: &[u8]) -> Result<Dictionary, DictionaryError> {
    Dictionary::parse(text)
}
