//! Why the fabric refused.

/// The subject of an error that concerns no interface or adapter more than another.
const ALL: &str = "*";

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

    /// An error of a look at all interfaces, which the switch takes again. No interface or adapter has failed.
    pub fn passing(words: impl Into<String>) -> Self {
        Self::about(ALL, words)
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

impl From<vswitch::Error> for FabricError {
    fn from(error: vswitch::Error) -> Self {
        use vswitch::Error as E;
        let words = error.to_string();
        match &error {
            E::Attach { interface: about, .. }
            | E::Link { interface: about, .. }
            | E::Adapter { device: about, .. }
            | E::Stack { name: about, .. } => Self::about(about, words),
            // The kernel was late with its list.
            E::Links { .. } => Self::passing(words),
            E::Kernel { .. }
            | E::Pins { .. }
            | E::Map { .. }
            | E::Program { .. }
            | E::Socket { .. }
            | E::Thread { .. }
            | E::Random { .. }
            | E::Enter { .. }
            | E::Prefix { .. }
            | E::Limit { .. }
            | E::Ended => Self::new(words),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_of_the_switch_concerns_what_it_names() {
        use vswitch::Error as E;
        let reason = || "late".to_owned();
        for (error, about) in [
            (E::Attach { interface: "vm1n0".into(), reason: reason() }, Some("vm1n0")),
            (E::Link { interface: "eth0".into(), what: "set its MTU", reason: reason() }, Some("eth0")),
            (E::Adapter { device: "vmk1".into(), reason: reason() }, Some("vmk1")),
            (E::Stack { name: "vmotion".into(), reason: reason() }, Some("vmotion")),
            (E::Links { reason: reason() }, Some("*")),
            (E::Map { map: "ports", reason: reason() }, None),
            (E::Ended, None),
        ] {
            let words = error.to_string();
            let error = FabricError::from(error);
            assert_eq!((error.subject(), error.to_string()), (about, words));
        }
    }
}
