//! Registers a descriptor with the runtime. tokio requires a promise that it cannot check (the descriptor stays open
//! and unchanged as long as the registration lives), hence the one unsafe call.

use std::io;
use std::os::fd::OwnedFd;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Watches a descriptor for becoming readable. Needs a tokio runtime.
pub(crate) fn watch(descriptor: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an `OwnedFd` is open and stays the same descriptor until it is dropped, the `AsyncFd` owns it, and
    // only shared references to it are handed out.
    let registered = unsafe { AsyncFd::register_with_interest(descriptor, Interest::READABLE) };
    registered.map_err(|e| e.into_parts().1)
}
