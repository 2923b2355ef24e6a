//! Captures: the kernel's ring, emptied in portions, so that fail-over does not wait for someone who looks at frames.

use aya::maps::{MapData, RingBuf};
use futures_util::FutureExt;
use tokio::task::yield_now;

use super::monotonic;
use super::run::Switching;
use crate::Result;
use crate::capture::{Captures, Filter, interfaces};
use crate::kernel::Ring;
use crate::limits::CAPTURE_BATCH;
use crate::plan::Looks;

/// Waits until the ring holds something, or for ever if nobody looks.
pub(super) async fn filled(ring: &Ring, is_active: bool) {
    if !is_active || ring.readable().await.map(|mut guard| guard.retain_ready()).is_err() {
        std::future::pending::<()>().await;
    }
}

impl Switching {
    pub(super) async fn capture(&mut self, filter: Filter) -> Result<Captures> {
        // One that gets the bit of a capture that has ended sees nothing of what that one saw: the kernel forgets it first, and what was
        // seen before the new one is started is not its own. The ring is read as ever, in portions.
        if self.capturing.forget_ended() {
            self.reconcile().await?;
        }
        let captures = self.capturing.add(filter)?;
        self.reconcile().await?;
        self.capturing.start(monotonic(), |bit| self.kernel.captures_lost(bit))?;
        Ok(captures)
    }

    /// Ends captures that nobody reads any more.
    pub(super) async fn end_captures(&mut self) {
        if self.capturing.forget_ended() {
            self.apply_seen().await;
        }
    }

    pub(super) fn looks(&self) -> Looks {
        let is_uplink = |name: &str| {
            self.declared.switches.iter().any(|switch| switch.uplinks.iter().any(|up| up == name))
        };
        self.capturing.looks(&self.links, &self.numbers, is_uplink)
    }

    /// Hands out a portion of what the ring holds.
    pub(super) async fn hand_out(&mut self) {
        let Some(Ok(mut guard)) = self.ring.readable_mut().now_or_never() else { return };
        let lost = |bit| self.kernel.captures_lost(bit).unwrap_or(0);
        let ring = guard.get_inner_mut();
        let interfaces = interfaces(&self.actual.ports, &self.links);
        if portion(ring, CAPTURE_BATCH, |entry| self.capturing.hand_out(entry, &interfaces, lost)) {
            // Ready again at the next frame, also at one that came after the guard.
            guard.clear_ready();
            self.capturing.emptied();
        }
        drop(guard);
        self.end_captures().await;
        // A ring that is never empty would be all that the thread sees.
        yield_now().await;
    }
}

/// Takes entries of the ring, but not too many at a time; whether it is empty.
pub(super) fn portion(ring: &mut RingBuf<MapData>, most: usize, mut take: impl FnMut(&[u8])) -> bool {
    for _ in 0..most {
        match ring.next() {
            Some(entry) => take(&entry),
            None => return true,
        }
    }
    false
}
