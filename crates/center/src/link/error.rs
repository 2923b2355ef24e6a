//! Failed requests to hosts.

use vim::{Fault, fault};

/// A failed request to a host. Every variant but [`LinkError::Unknown`] says that the host did not carry it out.
#[derive(Clone, Debug, thiserror::Error)]
pub enum LinkError {
    /// The host refused the request.
    #[error("{0}")]
    Fault(Fault),
    #[error("host {host} cannot be reached: {reason}; check its address, its network and its daemon")]
    Unreachable { host: String, reason: String },
    #[error(
        "the connection to host {host} is not trusted: {reason}; reconnect the host to confirm its certificate"
    )]
    NotTrusted { host: String, reason: String },
    /// The session of the center on the host has ended.
    #[error("host {host} has ended the center's session; the center logs in again, so try again")]
    SessionEnded { host: String },
    /// The stream of the host's changes has ended.
    #[error("the connection to host {host} was lost: {reason}")]
    Lost { host: String, reason: String },
    /// The center could not express the request.
    #[error("the request to host {host} could not be sent: {reason}")]
    NotSent { host: String, reason: String },
    /// The connection broke after the request was sent: the host may have carried it out.
    #[error(
        "the connection to host {host} was lost during the request ({reason}); the host may have carried it out, which \
         will show when it is connected again"
    )]
    Unknown { host: String, reason: String },
}

impl LinkError {
    /// The fault that a client of the center receives.
    pub fn into_fault(self) -> Fault {
        let message = self.to_string();
        match self {
            Self::Fault(fault) => fault,
            Self::Unreachable { .. }
            | Self::NotTrusted { .. }
            | Self::SessionEnded { .. }
            | Self::Lost { .. }
            | Self::NotSent { .. } => fault!(HostNotConnected {}, "{message}"),
            Self::Unknown { .. } => fault!(HostCommunication {}, "{message}"),
        }
    }
}

impl From<Fault> for LinkError {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl From<LinkError> for Fault {
    fn from(error: LinkError) -> Self {
        error.into_fault()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_that_did_not_reach_the_host_says_that_the_host_is_not_connected() {
        let (host, reason) = ("h".to_owned(), "a test".to_owned());
        let sent = LinkError::Unknown { host: host.clone(), reason: reason.clone() };
        let not_sent = LinkError::NotSent { host, reason };
        assert_eq!(not_sent.into_fault().type_name(), "HostNotConnected");
        assert_eq!(sent.into_fault().type_name(), "HostCommunication");
    }
}
