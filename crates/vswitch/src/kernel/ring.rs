//! Rings, as something to wait for.
//!
//! Unsafe for `AsyncFd::register`, which must be told that a descriptor stays what it is.
#![allow(unsafe_code)]

use aya::maps::{MapData, RingBuf};
use tokio::io::unix::AsyncFd;

use super::Kernel;
use crate::{Error, Result};

/// Entries as they come.
pub(crate) type Ring = AsyncFd<RingBuf<MapData>>;

impl Kernel {
    /// The ring of this name, for the runtime that this is called in. It is given out once.
    ///
    /// # Errors
    /// `Map`.
    pub(crate) fn take_ring(&mut self, name: &'static str) -> Result<Ring> {
        let failed = |reason: String| Error::Map { map: name, reason };
        let map = self.ebpf.take_map(name).ok_or_else(|| failed("is not there".into()))?;
        let ring = RingBuf::try_from(map).map_err(|error| failed(error.to_string()))?;
        // SAFETY: a ring owns one descriptor, which it neither changes nor closes while it lives.
        unsafe { AsyncFd::register(ring) }.map_err(|error| failed(error.to_string()))
    }
}
