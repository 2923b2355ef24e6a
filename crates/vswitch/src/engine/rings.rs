//! Reading the kernel's ring buffers in portions, so that a full ring never keeps the engine from fail-over.

use aya::maps::{MapData, RingBuf};

use crate::kernel::Ring;

/// Waits until the ring holds an entry; for ever if `is_active` is false.
pub(super) async fn filled(ring: &Ring, is_active: bool) {
    if !is_active || ring.readable().await.map(|mut guard| guard.retain_ready()).is_err() {
        std::future::pending::<()>().await;
    }
}

/// Takes up to `most` entries of the ring. True if the ring is empty afterwards.
pub(super) fn portion(ring: &mut RingBuf<MapData>, most: usize, mut take: impl FnMut(&[u8])) -> bool {
    for _ in 0..most {
        match ring.next() {
            Some(entry) => take(&entry),
            None => return true,
        }
    }
    false
}
