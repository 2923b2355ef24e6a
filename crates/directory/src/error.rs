//! Failures of an identity source.

/// The result of a question to a directory.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a directory gave no answer. A wrong password is an answer, not an error.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A field of the source cannot be used.
    #[error("{field}: {reason}")]
    Source {
        /// The field of [`crate::Source`].
        field: &'static str,
        /// The reason.
        reason: String,
    },
    /// No server answers.
    #[error("no server of the identity source {domain} can be used: {reason}")]
    Unreachable {
        /// The source's domain.
        domain: String,
        /// The last server's failure.
        reason: String,
    },
    /// The servers did not answer in time.
    #[error("the identity source {domain} did not answer within {seconds} s")]
    Late {
        /// The source's domain.
        domain: String,
        /// The deadline.
        seconds: u64,
    },
    /// Too many questions wait for the source already.
    #[error("the identity source {0} is busy; try again")]
    Busy(String),
    /// The server does not accept the name and password by which the source reads it.
    #[error("the identity source {domain} does not accept the account {account}: {reason}")]
    Account {
        /// The source's domain.
        domain: String,
        /// Distinguished name of the account.
        account: String,
        /// The server's reason.
        reason: String,
    },
    /// The server refused a question or answered nonsense.
    #[error("the identity source {domain} failed: {reason}")]
    Server {
        /// The source's domain.
        domain: String,
        /// The reason.
        reason: String,
    },
    /// Several entries have the same name.
    #[error(
        "the identity source {domain} has several entries named {name}; their names must be unique below the base"
    )]
    Ambiguous {
        /// The source's domain.
        domain: String,
        /// The name.
        name: String,
    },
}
