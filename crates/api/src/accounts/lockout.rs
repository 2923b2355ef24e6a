//! Locks an account after wrong passwords, for a time (`Security.AccountLockFailures`, `Security.AccountUnlockTime`).
//!
//! An administrator's account is never locked, lest a stranger lock out whoever could unlock it: there the server's throttle slows down
//! guesses, by their address. The tallies are in memory, one for an account that exists.

use std::collections::HashMap;
use std::time::{Duration, Instant};

/// Accounts with wrong passwords at the same time: as many as there may be accounts.
const MAX_TALLIES: usize = 10_000;

/// The wrong passwords of each account, by its key.
#[derive(Default)]
pub(super) struct Lockouts {
    tallies: HashMap<String, Tally>,
}

struct Tally {
    failures: u32,
    last: Instant,
    until: Option<Instant>,
}

/// How many failures lock an account, and for how long. Failures are forgotten after the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Limit {
    /// 0 locks nothing.
    pub failures: u32,
    pub time: Duration,
}

impl Lockouts {
    pub(super) fn is_locked(&self, key: &str, now: Instant) -> bool {
        self.tallies.get(key).and_then(|tally| tally.until).is_some_and(|until| until > now)
    }

    /// Notes a wrong password; true if it has locked the account.
    pub(super) fn failed(&mut self, key: &str, limit: Limit, now: Instant) -> bool {
        if limit.failures == 0 || self.is_locked(key, now) {
            return false;
        }
        if self.tallies.len() >= MAX_TALLIES {
            self.tallies.retain(|_, tally| {
                tally.until.is_some_and(|until| until > now) || tally.last + limit.time > now
            });
        }
        if self.tallies.len() >= MAX_TALLIES && !self.tallies.contains_key(key) {
            return false;
        }
        let fresh = Tally { failures: 0, last: now, until: None };
        let tally = self.tallies.entry(key.to_owned()).or_insert(fresh);
        if tally.until.is_some() || tally.last + limit.time <= now {
            *tally = Tally { failures: 0, last: now, until: None };
        }
        tally.failures += 1;
        tally.last = now;
        if tally.failures >= limit.failures {
            tally.until = Some(now + limit.time);
        }
        tally.until.is_some()
    }

    /// Forgets the failures of an account; true if it was locked.
    pub(super) fn clear(&mut self, key: &str, now: Instant) -> bool {
        let was = self.is_locked(key, now);
        self.tallies.remove(key);
        was
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_is_locked_after_some_failures_and_for_some_time() {
        let limit = Limit { failures: 3, time: Duration::from_secs(60) };
        let (mut lockouts, start) = (Lockouts::default(), Instant::now());
        let at = |seconds: u64| start + Duration::from_secs(seconds);
        assert!(!lockouts.failed("eve", limit, at(0)) && !lockouts.failed("eve", limit, at(1)));
        assert!(!lockouts.failed("eve", limit, at(70)), "the first two are forgotten");
        assert!(!lockouts.failed("eve", limit, at(71)) && lockouts.failed("eve", limit, at(72)));
        assert!(lockouts.is_locked("eve", at(131)) && !lockouts.is_locked("zoe", at(131)));
        assert!(
            !lockouts.failed("eve", limit, at(130)),
            "a guess at a locked account does not lock it for longer"
        );
        assert!(!lockouts.is_locked("eve", at(132)));
        assert!(!lockouts.failed("eve", limit, at(133)), "it has all its attempts again");
        lockouts.failed("eve", limit, at(133));
        lockouts.failed("eve", limit, at(133));
        assert!(lockouts.clear("eve", at(134)) && !lockouts.is_locked("eve", at(134)));
        assert!(!lockouts.failed("eve", Limit { failures: 0, ..limit }, at(134)), "0 locks nothing");
    }
}
