//! Why a `.vmx` cannot be read.

use datastore::DictionaryError;
use vim::Fault;

/// Why a `.vmx` cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// A key has a value that it does not allow.
    #[error(transparent)]
    Text(#[from] DictionaryError),
    /// The text is in order, but this host cannot have such a VM.
    #[error("{0}")]
    Fault(#[from] Fault),
}

impl ReadError {
    /// The reason, for people.
    pub(crate) fn reason(&self) -> String {
        match self {
            Self::Text(error) => error.to_string(),
            Self::Fault(fault) => fault.message().to_owned(),
        }
    }
}
