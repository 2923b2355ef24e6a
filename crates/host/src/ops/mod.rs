//! What the host does with virtual machines. The order of steps in each file is such that a daemon that dies anywhere
//! leaves a state that [`recover`] finds and repairs.

mod create;
mod destroy;
#[cfg(test)]
mod fault_tests;
#[cfg(test)]
mod faulty;
mod files;
mod macs;
pub(crate) mod merge;
mod power;
mod publish;
mod reconfigure;
pub(crate) mod recover;
mod register;
mod silent;
mod snapshot;
mod watch;

pub(crate) use files::sibling;
pub(crate) use snapshot::Wanted;
use vim::{Fault, Value};

use crate::error::internal;

/// What the work of a task gives.
pub(crate) type Outcome = Result<Option<Value>, Fault>;

/// Runs what may block (files, images) where it blocks nobody.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Fault> + Send + 'static,
) -> Result<T, Fault> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(internal("the work was interrupted", &error)),
    }
}
