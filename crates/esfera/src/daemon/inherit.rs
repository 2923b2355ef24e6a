//! Sockets that the parent process has opened.

use std::net::TcpListener;
use std::os::fd::{BorrowedFd, FromRawFd, OwnedFd};

use anyhow::{Context, Result, bail};
use rustix::io::{FdFlags, fcntl_setfd};
use rustix::net::sockopt::socket_acceptconn;

/// Descriptors below are the standard streams.
const FIRST_FD: i32 = 3;

/// The listening socket with this number. Children of this process do not inherit it.
#[allow(unsafe_code)]
pub fn listener(fd: i32) -> Result<TcpListener> {
    if fd < FIRST_FD {
        bail!("descriptor {fd} is a standard stream");
    }
    // SAFETY: the descriptor is only looked at; if it is not open, the call says so.
    let looked_at = unsafe { BorrowedFd::borrow_raw(fd) };
    let listens = socket_acceptconn(looked_at).with_context(|| format!("descriptor {fd} is not a socket"))?;
    if !listens {
        bail!("descriptor {fd} is a socket that does not listen");
    }
    fcntl_setfd(looked_at, FdFlags::CLOEXEC)?;
    // SAFETY: the command line hands the descriptor over to this process, which uses it here and nowhere else.
    Ok(TcpListener::from(unsafe { OwnedFd::from_raw_fd(fd) }))
}
