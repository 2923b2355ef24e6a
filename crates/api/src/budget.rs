//! The memory that one session's requests and answers may take at a time.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Bytes of a session's requests that have not been read whole, and the same for its answers that the client has not read. A single
/// request or answer that is larger has the budget for itself.
pub const MAX_SESSION_BYTES: usize = 64 << 20;
/// The unit in which bytes are counted.
const SHARE_BYTES: usize = 1024;

/// A part of a budget, given back when it is dropped.
pub(crate) type Share = OwnedSemaphorePermit;

/// The budget of one session. A request or an answer for which it has no room waits until earlier ones are done.
pub(crate) struct Budget {
    incoming: Arc<Semaphore>,
    outgoing: Arc<Semaphore>,
    turn: Arc<Semaphore>,
}

impl Default for Budget {
    fn default() -> Self {
        let whole = || Arc::new(Semaphore::new(MAX_SESSION_BYTES / SHARE_BYTES));
        Self { incoming: whole(), outgoing: whole(), turn: Arc::new(Semaphore::new(1)) }
    }
}

impl Budget {
    /// Waits for room to receive this many bytes.
    pub async fn receive(&self, bytes: usize) -> Share {
        take(&self.incoming, shares(bytes)).await
    }

    /// Waits for room for an answer of this many bytes.
    pub async fn send(&self, bytes: usize) -> Share {
        take(&self.outgoing, shares(bytes)).await
    }

    /// Waits until no other large answer is being put together: its size is known only afterwards.
    pub async fn turn(&self) -> Share {
        take(&self.turn, 1).await
    }

    /// The bytes of answers that the client has not read.
    pub fn unread_bytes(&self) -> usize {
        MAX_SESSION_BYTES - self.outgoing.available_permits() * SHARE_BYTES
    }
}

async fn take(from: &Arc<Semaphore>, shares: u32) -> Share {
    from.clone().acquire_many_owned(shares).await.expect("the semaphore is never closed")
}

fn shares(bytes: usize) -> u32 {
    let shares = bytes.div_ceil(SHARE_BYTES).clamp(1, MAX_SESSION_BYTES / SHARE_BYTES);
    u32::try_from(shares).expect("a budget has few shares")
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn answers_that_nobody_reads_hold_up_the_next_one_and_a_huge_one_has_it_all() {
        let budget = Budget::default();
        let first = budget.send(MAX_SESSION_BYTES / 2).await;
        let second = budget.send(MAX_SESSION_BYTES / 2).await;
        assert_eq!(budget.unread_bytes(), MAX_SESSION_BYTES);
        assert!(budget.send(1).now_or_never().is_none());
        drop(first);
        drop(second);
        let huge = budget.send(10 * MAX_SESSION_BYTES).now_or_never().expect("it has the budget for itself");
        assert!(budget.send(1).now_or_never().is_none());
        drop(huge);
        assert_eq!(budget.unread_bytes(), 0);
    }
}
