//! Ring buffers of the kernel that a task can wait for.
//!
//! Unsafe for `AsyncFd::register`, whose caller promises that a descriptor stays the same.
#![allow(unsafe_code)]

use aya::maps::{MapData, RingBuf};
use tokio::io::unix::AsyncFd;

use super::Kernel;
use super::maps::missing;
use crate::{Error, Result};

/// A ring whose entries can be awaited.
pub(crate) type Ring = AsyncFd<RingBuf<MapData>>;

impl Kernel {
    /// The ring of this name, driven by the current runtime; available once.
    ///
    /// # Errors
    /// `Map`.
    pub(crate) fn take_ring(&mut self, name: &'static str) -> Result<Ring> {
        let failed = |reason: String| Error::Map { map: name, reason };
        let map = self.ebpf.take_map(name).ok_or_else(missing(name))?;
        let ring = RingBuf::try_from(map).map_err(|error| failed(error.to_string()))?;
        // SAFETY: a ring owns one descriptor, which it neither changes nor closes while it lives.
        unsafe { AsyncFd::register(ring) }.map_err(|error| failed(error.to_string()))
    }
}
