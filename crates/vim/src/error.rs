//! Why a message could not be read, and the fault that tells the client.

use crate::{Fault, MoRef, fault};

/// A message that contradicts the schema. `place` names the element, from the method or type down:
/// `ReconfigVM_Task.spec.numCPUs`.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ReadError {
    #[error("the message is not UTF-8 from byte {at} on")]
    Encoding { at: usize },
    #[error("the message is malformed at byte {at}: {problem}")]
    Malformed { at: usize, problem: String },
    #[error("the message has more than {limit} {what}")]
    TooMuch { what: &'static str, limit: usize },
    #[error("expected {expected}, found {found}")]
    Envelope { expected: &'static str, found: String },
    #[error("the API has no method {name}")]
    UnknownMethod { name: String, receiver: Option<MoRef> },
    #[error("{place}: the API has no type {name}")]
    UnknownType { place: String, name: String },
    #[error("{place}: expected {expected}, found {given}")]
    WrongType { place: String, expected: String, given: String },
    #[error("{place} has no member {name}")]
    Unexpected { place: String, name: String },
    #[error("{place} is given twice")]
    Duplicate { place: String },
    #[error("{place}: {text:?} is not a valid {expected}")]
    BadValue { place: String, expected: String, text: String },
    #[error("the required parameter {name} of {method} is missing")]
    MissingParameter { method: &'static str, name: &'static str },
}

/// Bytes of a wrong value that an error repeats.
const QUOTED_BYTES: usize = 80;

impl ReadError {
    pub(crate) fn bad_value(place: String, expected: impl Into<String>, text: &str) -> Self {
        Self::BadValue { place, expected: expected.into(), text: shortened(text) }
    }

    /// The fault for the client that sent such a message.
    pub fn to_fault(&self) -> Fault {
        match self {
            Self::UnknownMethod { name, receiver: Some(receiver) } => {
                fault!(MethodNotFound { receiver: receiver, method: name }, "{self}")
            }
            Self::UnknownType { place, .. } => fault!(InvalidType { argument: place }, "{self}"),
            Self::WrongType { place, .. } | Self::BadValue { place, .. } => {
                fault!(InvalidArgument { invalidProperty: place }, "{self}")
            }
            Self::MissingParameter { name, .. } => {
                fault!(InvalidArgument { invalidProperty: *name }, "{self}")
            }
            _ => fault!(InvalidRequest {}, "{self}"),
        }
    }
}

/// The beginning of a possibly long text.
pub(crate) fn shortened(text: &str) -> String {
    if text.len() <= QUOTED_BYTES {
        return text.to_owned();
    }
    let end = (0..=QUOTED_BYTES).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    format!("{}…", &text[..end])
}
