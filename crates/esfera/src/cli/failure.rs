//! How a command fails: a sentence for people, an exit code for programs.

use std::fmt;
use std::process::ExitCode;

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

/// A failed command.
#[derive(Debug)]
pub struct Failure {
    pub reason: Reason,
    pub message: String,
    /// What the user can do about it.
    pub hint: Option<String>,
}

impl Failure {
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self { reason, message: message.into(), hint: None }
    }

    pub fn not_found(what: &str, name: &str) -> Self {
        Self::new(Reason::NotFound, format!("there is no {what} {name:?}"))
    }

    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    pub fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.reason as u8)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {}", self.message)?;
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
