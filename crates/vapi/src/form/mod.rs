//! The three encodings, driven by the table.
//!
//! | value | [`Form::Api`] | [`Form::Rest`] | [`Form::Rpc`] |
//! | --- | --- | --- | --- |
//! | structure | object | object | `{"STRUCTURE": {NAME: object}}` |
//! | optional that is not set | left out | left out | `{"OPTIONAL": null}` |
//! | optional | the value | the value | `{"OPTIONAL": value}` |
//! | map | object | list of `{"key", "value"}` | list of structures `map-entry` |
//! | secret, binary | text | text | `{"SECRET": text}`, `{"BINARY": text}` |

mod read;
mod write;

pub use read::{read, read_text};
pub use write::{write, write_error};

/// An encoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Below `/api`.
    Api,
    /// Below `/rest`.
    Rest,
    /// JSON-RPC.
    Rpc,
}

/// Why a value cannot be read: `spec.name: must be a string`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {text}")]
pub struct Problem {
    /// The field, with its structures before it.
    pub path: String,
    pub text: String,
}

const STRUCTURE: &str = "STRUCTURE";
const OPTIONAL: &str = "OPTIONAL";
const BINARY: &str = "BINARY";
const SECRET: &str = "SECRET";
const ERROR: &str = "ERROR";
const MAP_ENTRY: &str = "map-entry";

#[cfg(test)]
mod tests;
