//! Why a command failed.

use vim::Fault;

/// Why a command did nothing, in words: ESXi's `CLIFault`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct CliFault(pub(crate) String);

impl CliFault {
    /// A fault with these words.
    pub(crate) fn new(words: impl Into<String>) -> Self {
        Self(words.into())
    }

    /// An argument has an invalid value.
    pub(crate) fn invalid(name: &str, value: &str) -> Self {
        Self(format!("Parameter '{name}': {value} is not a valid value"))
    }

    /// An argument is not one of the words that the parameter takes, as ESXi words it.
    pub(crate) fn constraint(parameter: &str) -> Self {
        Self(format!("Invalid data constraint for parameter '{parameter}'."))
    }
}

impl From<Fault> for CliFault {
    fn from(fault: Fault) -> Self {
        Self(fault.message().to_owned())
    }
}

impl From<hostnet::FabricError> for CliFault {
    fn from(error: hostnet::FabricError) -> Self {
        Self(error.to_string())
    }
}
