//! Why the network of a host could not be opened or changed.

use vim::{Fault, fault};

use crate::FabricError;

/// Result with [`enum@Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why the network of a host could not be opened or changed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The host's record of its network cannot be read or written.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// The virtual switch refused, or a card is missing.
    #[error(transparent)]
    Fabric(#[from] FabricError),
    /// The client asked for something that the network cannot be.
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// `InvalidArgument` for this property or parameter.
pub fn invalid(property: &str, message: impl std::fmt::Display) -> Fault {
    fault!(InvalidArgument { invalidProperty: property }, "{message}")
}
