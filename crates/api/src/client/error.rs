//! Why a call did not give what was asked for.

use vim::Fault;

/// What became of a call that failed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum CallError {
    /// The server understood and said no.
    #[error("{0}")]
    Fault(Fault),
    /// There is no connection, or it broke. `maybe_done` says that the server had the request already: whether it
    /// carried it out is unknown.
    #[error("{peer} cannot be reached: {reason}{}", if *.maybe_done { "; what was asked may have been done" } else { "" })]
    Unreachable { peer: String, reason: String, maybe_done: bool },
    /// The server is there but not believed, or does not believe the client.
    #[error("no trusted connection to {peer}: {reason}")]
    Tls { peer: String, reason: String },
    /// The server did not answer in time; what was asked may have been done.
    #[error("{peer} did not answer within {seconds} s")]
    TimedOut { peer: String, seconds: u64 },
    /// An answer of HTTP that is no fault: a file that is not there, a server that is no vSphere server.
    #[error("{peer} answered with status {status}: {message}")]
    Http { peer: String, status: u16, message: String },
    /// The server's answer is not what the schema says.
    #[error("{peer} sent an answer that cannot be read: {reason}")]
    Answer { peer: String, reason: String },
    /// What the caller gave cannot be used.
    #[error("{0}")]
    Usage(String),
}

impl CallError {
    /// The fault, if the server understood and said no.
    pub fn fault(&self) -> Option<&Fault> {
        match self {
            Self::Fault(fault) => Some(fault),
            _ => None,
        }
    }

    /// Whether the session is not, or no longer, logged in.
    pub fn is_not_authenticated(&self) -> bool {
        self.fault().is_some_and(|fault| fault.is_a(vim::data_id!(NotAuthenticated)))
    }
}

impl From<Fault> for CallError {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}
