//! Why a request about tags is refused.

/// A refusal, which says what to change.
#[derive(Debug, thiserror::Error)]
pub enum TagError {
    #[error("The category {0} does not exist")]
    NoCategory(String),
    #[error("The tag {0} does not exist")]
    NoTag(String),
    #[error("The object {0} does not exist")]
    NoObject(String),
    #[error("{0} exists already")]
    Exists(String),
    #[error("{0}")]
    Invalid(String),
    /// A limit is reached.
    #[error("{0}")]
    Full(String),
    #[error("The center's database failed: {0}")]
    Store(#[from] store::Error),
    #[error("The change ended because of an internal error")]
    Internal,
}
