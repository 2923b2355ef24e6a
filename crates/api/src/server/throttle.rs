//! Slows down guessing of passwords, by address.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};

use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// Failed logins without a delay: people mistype.
const FREE_FAILURES: u32 = 3;
/// The first delay; it doubles with each further failure.
const FIRST_DELAY: Duration = Duration::from_millis(250);
const MAX_DELAY: Duration = Duration::from_secs(8);
/// An address is forgotten after this time without a failure.
const MEMORY: Duration = Duration::from_secs(300);
/// Remembered addresses.
const MAX_ADDRESSES: usize = 10_000;

/// Failed logins by address.
#[derive(Default)]
pub(super) struct Throttle {
    failures: Mutex<HashMap<IpAddr, Failures>>,
}

struct Failures {
    count: u32,
    last: Instant,
    /// When the next attempt may begin.
    next: Instant,
}

impl Throttle {
    /// Waits until this address may try a password.
    pub(super) async fn wait(&self, address: IpAddr) {
        let delay = self.reserve(address, Instant::now());
        if !delay.is_zero() {
            tracing::debug!(%address, ?delay, "a login is delayed after failed ones");
            tokio::time::sleep(delay).await;
        }
    }

    /// How long an attempt must wait; simultaneous attempts queue up.
    fn reserve(&self, address: IpAddr, now: Instant) -> Duration {
        let mut failures = self.failures.lock();
        let Some(known) = failures.get_mut(&key(address)) else { return Duration::ZERO };
        if now.saturating_duration_since(known.last) > MEMORY {
            failures.remove(&key(address));
            return Duration::ZERO;
        }
        let at = known.next.max(now);
        known.next = at + delay(known.count);
        at - now
    }

    /// Records whether an attempt was successful.
    pub(super) fn note(&self, address: IpAddr, good: bool) {
        self.note_at(address, good, Instant::now());
    }

    fn note_at(&self, address: IpAddr, good: bool, now: Instant) {
        let mut failures = self.failures.lock();
        if good {
            failures.remove(&key(address));
            return;
        }
        if failures.len() >= MAX_ADDRESSES {
            failures.retain(|_, known| now.saturating_duration_since(known.last) <= MEMORY);
        }
        if failures.len() >= MAX_ADDRESSES && !failures.contains_key(&key(address)) {
            let oldest = failures.iter().min_by_key(|(_, known)| known.last).map(|(address, _)| *address);
            oldest.map(|oldest| failures.remove(&oldest));
        }
        let known = failures.entry(key(address)).or_insert(Failures { count: 0, last: now, next: now });
        known.count += 1;
        known.last = now;
        known.next = known.next.max(now + delay(known.count));
    }
}

fn delay(failures: u32) -> Duration {
    match failures.checked_sub(FREE_FAILURES) {
        None => Duration::ZERO,
        Some(doubled) => FIRST_DELAY.saturating_mul(1_u32 << doubled.min(16)).min(MAX_DELAY),
    }
}

/// One IPv6 network counts as one address.
fn key(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let network = u128::from(address) & !u128::from(u64::MAX);
            IpAddr::V6(Ipv6Addr::from(network))
        }
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guessing_becomes_slow_and_a_good_login_makes_it_quick_again() {
        let throttle = Throttle::default();
        let (guesser, other) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2]));
        let now = Instant::now();
        for _ in 0..FREE_FAILURES - 1 {
            throttle.note_at(guesser, false, now);
        }
        assert_eq!(throttle.reserve(guesser, now), Duration::ZERO);
        throttle.note_at(guesser, false, now);
        let first = throttle.reserve(guesser, now);
        let second = throttle.reserve(guesser, now);
        assert!(first >= FIRST_DELAY && second >= first + FIRST_DELAY, "attempts at once queue up");
        for _ in 0..50 {
            throttle.note_at(guesser, false, now);
        }
        assert!(throttle.reserve(guesser, now) <= MAX_DELAY + second, "it stays bounded");
        assert_eq!(throttle.reserve(other, now), Duration::ZERO);
        throttle.note_at(guesser, true, now);
        assert_eq!(throttle.reserve(guesser, now), Duration::ZERO);
    }

    #[test]
    fn failures_are_forgotten() {
        let throttle = Throttle::default();
        let address = IpAddr::from([10, 0, 0, 1]);
        let now = Instant::now();
        for _ in 0..20 {
            throttle.note_at(address, false, now);
        }
        assert_eq!(throttle.reserve(address, now + MEMORY + Duration::from_secs(1)), Duration::ZERO);
    }
}
