//! Why the fabric refused.

/// Why the fabric refused something, in words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{words}")]
pub struct FabricError {
    words: String,
    /// The interface or adapter that the error concerns, if it concerns a single one.
    about: Option<String>,
}

impl FabricError {
    /// An error of the whole network.
    pub fn new(words: impl Into<String>) -> Self {
        Self { words: words.into(), about: None }
    }

    /// An error of one interface or adapter.
    pub fn about(interface: &str, words: impl Into<String>) -> Self {
        Self { words: words.into(), about: Some(interface.into()) }
    }

    /// The interface or adapter that the error concerns, if it concerns a single one.
    pub(crate) fn subject(&self) -> Option<&str> {
        self.about.as_deref()
    }

    /// Whether the error concerns another interface than this one, whose request succeeded all the same.
    pub fn is_of_another(&self, interface: &str) -> bool {
        self.about.as_ref().is_some_and(|about| about != interface)
    }
}
