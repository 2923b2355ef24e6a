//! Why a call failed.

use vim::Fault;

/// The reason of a failed call.
#[derive(Clone, Debug, thiserror::Error)]
pub enum CallError {
    /// The server understood the call and refused it, or could not do it.
    #[error("{0}")]
    Fault(Fault),
    /// The connection could not be made, or it broke. With `maybe_done` the server may have received the request, and whether it carried it
    /// out is unknown.
    #[error("{peer} cannot be reached: {reason}{}", if *.maybe_done { "; the call may have been carried out" } else { "" })]
    Unreachable { peer: String, reason: String, maybe_done: bool },
    /// The client does not trust the server, or the server does not trust the client.
    #[error("no trusted connection to {peer}: {reason}")]
    Tls { peer: String, reason: String },
    /// The server did not answer in time; it may have carried out the call.
    #[error("{peer} did not answer within {seconds} s")]
    TimedOut { peer: String, seconds: u64 },
    /// An HTTP status without a fault: a file that does not exist, a server of another kind.
    #[error("{peer} answered with status {status}: {message}")]
    Http { peer: String, status: u16, message: String },
    /// The server's answer does not match the schema.
    #[error("{peer} sent an answer that cannot be read: {reason}")]
    Answer { peer: String, reason: String },
    /// The caller's arguments cannot be used.
    #[error("{0}")]
    Usage(String),
}

impl CallError {
    /// The server's fault, if it sent one.
    pub fn fault(&self) -> Option<&Fault> {
        match self {
            Self::Fault(fault) => Some(fault),
            _ => None,
        }
    }

    /// Whether the server says that the session is not logged in, or has ended.
    pub fn is_not_authenticated(&self) -> bool {
        self.fault().is_some_and(|fault| fault.is_a(vim::data_id!(NotAuthenticated)))
    }
}

impl From<Fault> for CallError {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}
