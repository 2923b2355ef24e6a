//! All sessions of the daemon: their begin, their end, and how many there may be.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use parking_lot::RwLock;
use vim::{DateTime, Fault, fault};

use super::{IDLE_TIMEOUT, MAX_ACCOUNT_SESSIONS, MAX_SESSIONS, Peer, Session};
use crate::Account;
use crate::authority::Present;

/// How long sessions may be idle, and how long they may last.
pub struct Times {
    idle_us: AtomicI64,
    lifetime_us: AtomicI64,
}

impl Default for Times {
    fn default() -> Self {
        Self { idle_us: AtomicI64::new(micros(IDLE_TIMEOUT)), lifetime_us: AtomicI64::new(i64::MAX) }
    }
}

impl Times {
    /// Sets both; a lifetime of none has no end.
    pub fn set(&self, idle: Duration, lifetime: Option<Duration>) {
        self.idle_us.store(micros(idle), Ordering::Relaxed);
        self.lifetime_us.store(lifetime.map_or(i64::MAX, micros), Ordering::Relaxed);
    }
}

fn micros(time: Duration) -> i64 {
    i64::try_from(time.as_micros()).unwrap_or(i64::MAX)
}

/// All sessions of the daemon.
#[derive(Default)]
pub struct Sessions {
    times: Arc<Times>,
    by_key: RwLock<HashMap<String, Arc<Session>>>,
    gate: OnceLock<Gate>,
}

/// Decides whether an account may have a session now, though its password is right: a host in lockdown mode refuses most.
pub type Gate = Box<dyn Fn(&Account) -> Result<(), Fault> + Send + Sync>;

impl Sessions {
    /// Sets the daemon's own condition for sessions, once.
    pub fn guard(&self, gate: Gate) {
        let _ = self.gate.set(gate);
    }

    /// Whether the account may use the daemon now.
    ///
    /// # Errors
    /// The fault of the daemon's own condition.
    pub fn admit(&self, account: &Account) -> Result<(), Fault> {
        self.gate.get().map_or(Ok(()), |gate| gate(account))
    }

    /// Begins a session.
    ///
    /// # Errors
    /// `RuntimeFault` when there are too many that have requests under way; that of [`Sessions::admit`].
    pub fn open(&self, account: Account, peer: &Peer, locale: &str) -> Result<Arc<Session>, Fault> {
        self.admit(&account)?;
        let session = Arc::new(Session::new(account, peer, locale));
        let mut sessions = self.by_key.write();
        let gives_way = one_too_many(&sessions, &session.account.name)?;
        sessions.insert(session.key.clone(), session.clone());
        drop(sessions);
        if let Some(idle) = gives_way {
            tracing::warn!(
                user = idle.account.name,
                session = idle.public_id(),
                "too many sessions are open; the longest idle one ended"
            );
            self.close(&idle.key);
        }
        Ok(session)
    }

    /// Ends the sessions of an account, except the one with the key `but`, if given.
    pub fn close_of(&self, account: &str, but: Option<&str>) {
        for session in self.all() {
            if session.account.name == account && but != Some(session.key.as_str()) {
                self.close(&session.key);
            }
        }
    }

    /// Ends the sessions that a token has begun.
    pub fn close_of_token(&self, token: &str) {
        for session in self.all() {
            if session.account.narrowed.as_ref().is_some_and(|narrowed| narrowed.token == token) {
                self.close(&session.key);
            }
        }
    }

    pub fn find(&self, key: &str) -> Option<Arc<Session>> {
        self.by_key.read().get(key).cloned()
    }

    pub fn all(&self) -> Vec<Arc<Session>> {
        self.by_key.read().values().cloned().collect()
    }

    /// Ends a session with everything that belongs to it; false if it has ended already.
    pub fn close(&self, key: &str) -> bool {
        let session = self.by_key.write().remove(key);
        match session {
            Some(session) => {
                session.ended.cancel();
                session.objects.lock().clear();
                session.locals.clear();
                true
            }
            None => false,
        }
    }

    /// How long sessions may be idle and may last.
    pub fn times(&self) -> Arc<Times> {
        self.times.clone()
    }

    /// Ends the sessions that have been idle for too long, those that are too old, and those whose token has ended.
    pub fn close_idle(&self, now: DateTime) {
        let idle_us = self.times.idle_us.load(Ordering::Relaxed);
        let lifetime_us = self.times.lifetime_us.load(Ordering::Relaxed);
        for session in self.all() {
            let age = now.as_micros() - session.login_time.as_micros();
            let token_ended = session.account.narrowed.as_ref().is_some_and(|token| token.ends <= now);
            // A center's session with a host serves many users.
            if token_ended || (age > lifetime_us && !session.account.extension) {
                tracing::info!(
                    user = session.account.name,
                    session = session.public_id(),
                    "session has reached its end"
                );
                self.close(&session.key);
                continue;
            }
            let idle = now.as_micros() - session.last_active().as_micros() > idle_us;
            if idle && session.under_way.load(Ordering::Relaxed) == 0 {
                tracing::info!(
                    user = session.account.name,
                    session = session.public_id(),
                    "idle session ended"
                );
                self.close(&session.key);
            }
        }
    }
}

impl Present for Sessions {
    fn users(&self) -> Vec<String> {
        self.all().iter().map(|session| session.account.name.clone()).collect()
    }

    fn end(&self, user: &str) {
        self.close_of(user, None);
    }
}

/// The session that has to end before this account begins another; none while there is room.
fn one_too_many(
    sessions: &HashMap<String, Arc<Session>>,
    account: &str,
) -> Result<Option<Arc<Session>>, Fault> {
    let mut counts: HashMap<&str, usize> = HashMap::new();
    for session in sessions.values() {
        *counts.entry(&session.account.name).or_default() += 1;
    }
    let count = |name: &str| counts.get(name).copied().unwrap_or_default();
    let longest = if count(account) >= MAX_ACCOUNT_SESSIONS {
        longest_idle(sessions, |name| name == account)
    } else if sessions.len() >= MAX_SESSIONS {
        let most = counts.values().copied().max().unwrap_or_default();
        longest_idle(sessions, |name| count(name) == most).or_else(|| longest_idle(sessions, |_| true))
    } else {
        return Ok(None);
    };
    longest.map(Some).ok_or_else(|| {
        fault!(
            RuntimeFault {},
            "Too many sessions are open ({}), and all of them are at work; end some or wait",
            sessions.len()
        )
    })
}

/// The session without a request that was idle for the longest time, of these accounts.
fn longest_idle(sessions: &HashMap<String, Arc<Session>>, of: impl Fn(&str) -> bool) -> Option<Arc<Session>> {
    let idle = sessions
        .values()
        .filter(|session| of(&session.account.name) && session.under_way.load(Ordering::Relaxed) == 0);
    idle.min_by_key(|session| session.last_active_us.load(Ordering::Relaxed)).cloned()
}
