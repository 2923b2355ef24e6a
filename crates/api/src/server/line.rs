//! A line of clients of whom one at a time may try a password.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use tokio::sync::OwnedMutexGuard;
use tokio_util::sync::CancellationToken;

/// Clients that wait in one line.
pub(super) const MAX_WAITING: usize = 32;

/// First come, first served. A client that hangs up leaves the line.
#[derive(Default)]
pub(super) struct Line {
    turn: Arc<tokio::sync::Mutex<()>>,
    waiting: Mutex<Vec<Waiting>>,
    next: AtomicU64,
}

struct Waiting {
    id: u64,
    address: IpAddr,
    sent_away: CancellationToken,
}

/// The turn of the client that holds it.
pub(super) type Turn = OwnedMutexGuard<()>;

/// The line is full.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Full;

/// A client's place in the line, free when it is dropped.
struct Standing<'a>(&'a Line, u64);

impl Drop for Standing<'_> {
    fn drop(&mut self) {
        self.0.waiting.lock().retain(|waiting| waiting.id != self.1);
    }
}

impl Line {
    /// Waits for the turn of a client with this address.
    ///
    /// # Errors
    /// [`Full`] if more than [`MAX_WAITING`] wait: the last one of the address from which most of them come is sent away.
    pub(super) async fn stand(&self, address: IpAddr) -> Result<Turn, Full> {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let sent_away = CancellationToken::new();
        {
            let mut waiting = self.waiting.lock();
            waiting.push(Waiting { id, address, sent_away: sent_away.clone() });
            if waiting.len() > MAX_WAITING {
                send_one_away(&mut waiting);
            }
        }
        let _standing = Standing(self, id);
        tokio::select! {
            biased;
            () = sent_away.cancelled() => Err(Full),
            turn = self.turn.clone().lock_owned() => Ok(turn),
        }
    }

    /// Whether nobody waits or has the turn.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.lock().is_empty() && self.turn.try_lock().is_ok()
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.waiting.lock().len()
    }
}

fn send_one_away(waiting: &mut Vec<Waiting>) {
    let count = |address: IpAddr| waiting.iter().filter(|one| one.address == address).count();
    let last_of_most =
        waiting.iter().enumerate().max_by_key(|(at, one)| (count(one.address), *at)).map(|(at, _)| at);
    if let Some(at) = last_of_most {
        waiting.remove(at).sent_away.cancel();
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    fn address(n: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, n])
    }

    #[tokio::test]
    async fn clients_that_hang_up_leave_the_line() {
        let line = Line::default();
        let turn = line.stand(address(1)).await.expect("nobody else is there");
        let mut waiting: Vec<_> = (0..20).map(|_| Box::pin(line.stand(address(1)))).collect();
        for one in &mut waiting {
            assert!(one.now_or_never().is_none());
        }
        let mut last = Box::pin(line.stand(address(1)));
        assert!((&mut last).now_or_never().is_none());
        assert_eq!(line.len(), 21);
        drop(waiting);
        assert_eq!(line.len(), 1);
        drop(turn);
        assert!(last.await.is_ok());
        assert!(line.is_empty());
    }

    #[tokio::test]
    async fn the_address_that_crowds_the_line_loses_its_last_client() {
        let line = Line::default();
        let turn = line.stand(address(1)).await.expect("nobody else is there");
        let mut crowd: Vec<_> = (0..MAX_WAITING).map(|_| Box::pin(line.stand(address(1)))).collect();
        for one in &mut crowd {
            assert!(one.now_or_never().is_none());
        }
        let mut other = Box::pin(line.stand(address(2)));
        assert!((&mut other).now_or_never().is_none(), "it stands in line");
        assert_eq!(crowd.pop().expect("a crowd").await.err(), Some(Full));
        assert_eq!(line.stand(address(1)).now_or_never().map(|stood| stood.err()), Some(Some(Full)));
        drop(crowd);
        drop(turn);
        assert!(other.await.is_ok());
    }
}
