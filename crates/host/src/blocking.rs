//! Work that may block (files, images), on threads that may wait.

use vim::Fault;

use crate::error::internal;

/// Runs blocking work where it blocks no other task.
///
/// # Errors
/// Those of the work; `SystemError` if it was interrupted.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Fault> + Send + 'static,
) -> Result<T, Fault> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(internal("the work was interrupted", &error)),
    }
}
