//! Errors as operations raise them.

use crate::value::{Record, Value};

/// An error with the messages that people read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{kind:?}: {}", messages.first().map_or("", |message| message.text.as_str()))]
pub struct Error {
    pub kind: ErrorKind,
    pub messages: Vec<Message>,
}

/// A message: an id for programs, a text for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    pub id: String,
    pub text: String,
}

impl Error {
    /// An error with one message.
    pub fn new(kind: ErrorKind, id: &str, text: impl Into<String>) -> Self {
        Self { kind, messages: vec![Message { id: id.into(), text: text.into() }] }
    }

    /// The error as a structure.
    pub fn record(&self) -> Record {
        let messages = self.messages.iter().map(|message| {
            Value::Record(Record::new(
                "vapi.std.localizable_message",
                [
                    ("id", message.id.as_str().into()),
                    ("default_message", message.text.as_str().into()),
                    ("args", Value::List(Vec::new())),
                ],
            ))
        });
        Record::new(
            self.kind.name(),
            [("messages", Value::List(messages.collect())), ("error_type", self.kind.word().into())],
        )
    }
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident = $name:literal, $word:literal, $status:literal;)*) => {
        /// The standard errors (`com.vmware.vapi.std.errors`).
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum ErrorKind {
            $($(#[$doc])* $kind,)*
        }

        impl ErrorKind {
            pub const ALL: &[Self] = &[$(Self::$kind),*];

            /// The structure's name, without `com.vmware.`.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$kind => concat!("vapi.std.errors.", $name),)*
                }
            }

            /// The value of `error_type`.
            pub fn word(self) -> &'static str {
                match self {
                    $(Self::$kind => $word,)*
                }
            }

            /// The HTTP status.
            pub fn status(self) -> u16 {
                match self {
                    $(Self::$kind => $status,)*
                }
            }
        }
    };
}

kinds! {
    AlreadyExists = "already_exists", "ALREADY_EXISTS", 400;
    AlreadyInDesiredState = "already_in_desired_state", "ALREADY_IN_DESIRED_STATE", 400;
    Canceled = "canceled", "CANCELED", 500;
    ConcurrentChange = "concurrent_change", "CONCURRENT_CHANGE", 409;
    /// Any error without a kind of its own.
    Error = "error", "ERROR", 500;
    FeatureInUse = "feature_in_use", "FEATURE_IN_USE", 400;
    InternalServerError = "internal_server_error", "INTERNAL_SERVER_ERROR", 500;
    InvalidArgument = "invalid_argument", "INVALID_ARGUMENT", 400;
    InvalidElementConfiguration = "invalid_element_configuration", "INVALID_ELEMENT_CONFIGURATION", 400;
    InvalidElementType = "invalid_element_type", "INVALID_ELEMENT_TYPE", 400;
    InvalidRequest = "invalid_request", "INVALID_REQUEST", 400;
    NotAllowedInCurrentState = "not_allowed_in_current_state", "NOT_ALLOWED_IN_CURRENT_STATE", 400;
    NotFound = "not_found", "NOT_FOUND", 404;
    OperationNotFound = "operation_not_found", "OPERATION_NOT_FOUND", 404;
    ResourceBusy = "resource_busy", "RESOURCE_BUSY", 500;
    ResourceInUse = "resource_in_use", "RESOURCE_IN_USE", 400;
    ResourceInaccessible = "resource_inaccessible", "RESOURCE_INACCESSIBLE", 500;
    ServiceUnavailable = "service_unavailable", "SERVICE_UNAVAILABLE", 503;
    TimedOut = "timed_out", "TIMED_OUT", 504;
    UnableToAllocateResource = "unable_to_allocate_resource", "UNABLE_TO_ALLOCATE_RESOURCE", 500;
    Unauthenticated = "unauthenticated", "UNAUTHENTICATED", 401;
    Unauthorized = "unauthorized", "UNAUTHORIZED", 403;
    UnexpectedInput = "unexpected_input", "UNEXPECTED_INPUT", 400;
    Unsupported = "unsupported", "UNSUPPORTED", 400;
    UnverifiedPeer = "unverified_peer", "UNVERIFIED_PEER", 400;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::schema;

    #[test]
    fn every_kind_is_an_error_of_the_table() {
        for kind in ErrorKind::ALL {
            let id = schema().structure(kind.name()).unwrap_or_else(|| panic!("{}", kind.name()));
            assert!(schema().structures[id.index()].is_error, "{}", kind.name());
        }
    }
}
