//! Captures: the ring is emptied in portions, so that fail-over does not wait for a capture.

use futures_util::FutureExt;
use tokio::task::yield_now;

use super::Switching;
use crate::Result;
use crate::capture::{Captures, Filter, interfaces};
use crate::engine::clock::monotonic;
use crate::engine::rings::portion;
use crate::limits::CAPTURE_BATCH;
use crate::plan::Looks;

impl Switching {
    pub(super) async fn capture(&mut self, filter: Filter) -> Result<Captures> {
        // A capture that reuses the bit of an ended one must not get its frames: the kernel forgets the old one first,
        // and frames from before the start are skipped. The ring is read in portions, as always.
        if self.capturing.forget_ended() {
            self.reconcile().await?;
        }
        let captures = self.capturing.add(filter)?;
        self.reconcile().await?;
        self.capturing.start(monotonic(), |bit| self.kernel.captures_lost(bit))?;
        Ok(captures)
    }

    /// Ends captures whose reader is gone.
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

    /// Hands out a portion of the ring.
    pub(super) async fn hand_out(&mut self) {
        let Some(Ok(mut guard)) = self.ring.readable_mut().now_or_never() else { return };
        let lost = |bit| self.kernel.captures_lost(bit).unwrap_or(0);
        let ring = guard.get_inner_mut();
        let interfaces = interfaces(&self.actual.ports, &self.links);
        if portion(ring, CAPTURE_BATCH, |entry| self.capturing.hand_out(entry, &interfaces, lost)) {
            // A frame that arrives after the guard was taken makes it ready again.
            guard.clear_ready();
            self.capturing.emptied();
        }
        drop(guard);
        self.end_captures().await;
        // Otherwise a ring that is never empty would starve all other work.
        yield_now().await;
    }
}
