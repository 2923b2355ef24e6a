//! Failures that are wanted: a simulator lets calls end with faults before their methods see them.

use vim::Fault;

use super::Call;

/// Decides about each call that the caller may make and the daemon has a method for.
pub trait Gate: Send + Sync {
    /// The fault that the call ends with instead of being done; a method that begins a task begins one that fails with it.
    fn refuse(&self, call: &Call) -> Option<Fault>;
}
