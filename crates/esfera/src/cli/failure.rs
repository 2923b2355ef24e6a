//! How a command fails: a sentence for people, an exit code for programs.

use std::fmt;
use std::process::ExitCode;

use api::client::CallError;
use vim::{Fault, data_id};

/// What went wrong, as far as a script may want to tell cases apart. The numbers are the exit codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The server refused or failed the operation.
    Failed = 1,
    /// The command line is wrong. The parser of the command line uses the same code.
    Usage = 2,
    /// An object that was named does not exist.
    NotFound = 3,
    /// No session, a wrong password, or a missing privilege.
    Denied = 4,
    /// The server does not answer, or its certificate is not trusted.
    Unreachable = 5,
}

impl std::error::Error for Failure {}

/// A failed command.
#[derive(Debug)]
pub struct Failure {
    pub reason: Reason,
    pub message: String,
    /// What the user can do about it.
    pub hint: Option<String>,
    fault: Option<Fault>,
}

impl Failure {
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self { reason, message: message.into(), hint: None, fault: None }
    }

    pub fn not_found(what: &str, name: &str) -> Self {
        Self::new(Reason::NotFound, format!("there is no {what} {name:?}"))
    }

    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The fault of the API behind it, if there is one.
    pub fn fault(&self) -> Option<&Fault> {
        self.fault.as_ref()
    }

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
        Self::new(Reason::Failed, format!("{error:#}"))
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
        let missing = [data_id!(ManagedObjectNotFound), data_id!(FileNotFound), data_id!(NotFound)];
        let reason = if denied.iter().any(|ty| fault.is_a(*ty)) {
            Reason::Denied
        } else if missing.iter().any(|ty| fault.is_a(*ty)) {
            Reason::NotFound
        } else {
            Reason::Failed
        };
        Self { reason, message: fault.to_string(), hint, fault: Some(fault) }
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
