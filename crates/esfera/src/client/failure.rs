//! Failures of commands: a sentence for people, an exit code for programs.

use std::fmt;
use std::process::ExitCode;

use api::client::CallError;
use vim::{Fault, data_id};

use super::escape::escape;

/// The kind of a failure, as far as scripts tell kinds apart. The numbers are the exit codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The server refused or failed the operation.
    Failed = 1,
    /// The command line is wrong. clap uses the same code.
    Usage = 2,
    /// A named object does not exist.
    NotFound = 3,
    /// No session, a wrong password, or a missing privilege.
    Denied = 4,
    /// The server does not answer, or its certificate is not trusted.
    Unreachable = 5,
    /// The reader of the output is gone, as `head` is after its lines. The shell shows the same number for a program that SIGPIPE ended.
    Closed = 141,
}

impl std::error::Error for Failure {}

/// A failed command.
#[derive(Debug)]
pub struct Failure {
    pub reason: Reason,
    pub message: String,
    /// Advice to the user.
    pub hint: Option<String>,
    fault: Option<Fault>,
}

impl Failure {
    /// A failure with this message, which begins in lower case.
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self { reason, message: message.into(), hint: None, fault: None }
    }

    /// No object of this kind has the name.
    pub fn not_found(kind: &str, name: &str) -> Self {
        Self::new(Reason::NotFound, format!("no {kind} is named {name:?}"))
    }

    /// Adds advice.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The API's fault behind it, if it has one.
    pub fn fault(&self) -> Option<&Fault> {
        self.fault.as_ref()
    }

    /// The exit code of the process.
    pub fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.reason as u8)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match &self.hint {
            Some(hint) => write!(f, "\n  {hint}"),
            None => Ok(()),
        }
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        match error.downcast::<Self>() {
            Ok(failure) => failure,
            Err(error) => Self::new(Reason::Failed, chain(&error)),
        }
    }
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        let hint = if fault.is_a(data_id!(NotAuthenticated)) {
            Some("the session has ended; log in again: esfera login https://HOST --user USER".to_owned())
        } else if fault.is_a(data_id!(InvalidPowerState)) {
            Some("esfera vm info shows the power state".to_owned())
        } else {
            None
        };
        let denied = [data_id!(NotAuthenticated), data_id!(NoPermission), data_id!(InvalidLogin)];
        let missing = [
            data_id!(ManagedObjectNotFound),
            data_id!(FileNotFound),
            data_id!(NotFound),
            data_id!(UserNotFound),
        ];
        let reason = if denied.iter().any(|ty| fault.is_a(*ty)) {
            Reason::Denied
        } else if missing.iter().any(|ty| fault.is_a(*ty)) {
            Reason::NotFound
        } else {
            Reason::Failed
        };
        // A server's message is one line: what it quotes may have line breaks.
        Self { reason, message: escape(&fault.to_string()).into_owned(), hint, fault: Some(fault) }
    }
}

impl From<CallError> for Failure {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Fault(fault) => fault.into(),
            other => Self::new(Reason::Unreachable, other.to_string()),
        }
    }
}

/// An error and its causes in one line. A cause that an outer error has said already is not repeated.
pub fn chain(error: &anyhow::Error) -> String {
    error.chain().map(ToString::to_string).fold(String::new(), |said, cause| {
        if said.is_empty() {
            cause
        } else if said.contains(&cause) {
            said
        } else {
            format!("{said}: {cause}")
        }
    })
}

#[cfg(test)]
mod tests {
    use anyhow::Context;

    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("write /x: {source}")]
    struct Io {
        source: std::io::Error,
    }

    #[test]
    fn a_cause_is_said_once() {
        let source = std::io::Error::other("the disk is full");
        let error = anyhow::Result::<()>::Err(Io { source }.into()).context("cannot start").unwrap_err();
        assert_eq!(chain(&error), "cannot start: write /x: the disk is full");
        let source = std::io::Error::other("the disk is full");
        let advised = anyhow::Error::new(source).context("cannot start (the disk is full); free space");
        assert_eq!(chain(&advised), "cannot start (the disk is full); free space");
    }
}
