//! Reasons why the center stops following a host.

use vim::Fault;

use crate::link::LinkError;

#[derive(Debug, thiserror::Error)]
pub(crate) enum FollowError {
    #[error(transparent)]
    Link(#[from] LinkError),
    /// The center could not store the host's changes.
    #[error("{0}")]
    Center(Fault),
    /// Another host answers at the address.
    #[error("{0}")]
    WrongHost(Fault),
}

impl From<FollowError> for Fault {
    fn from(error: FollowError) -> Self {
        match error {
            FollowError::Link(error) => error.into_fault(),
            FollowError::Center(fault) | FollowError::WrongHost(fault) => fault,
        }
    }
}
