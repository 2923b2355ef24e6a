//! Slows down guessing of passwords.
//!
//! Failures count three times: for an account from an address, for an address whatever the account, and for an account wherever they come
//! from. After some failures, attempts are tried one after another with a pause before each. A login with the right password clears the
//! first count only, so that a guesser gains nothing by logging in as himself. Strangers who guess
//! elsewhere at an account, or at other accounts from the same address, do not hold up a user who has logged in to it from there before.

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::line::{Full, Line, Turn};
use super::places::network_of;

/// Rules for one kind of count.
#[derive(Clone, Copy)]
struct Rule {
    /// Failures without a pause: people mistype.
    free: u32,
    /// The first pause; it doubles with each further failure.
    first: Duration,
    longest: Duration,
}

const OF_BOTH: Rule = Rule { free: 3, first: Duration::from_millis(250), longest: Duration::from_secs(8) };
const OF_ADDRESS: Rule =
    Rule { free: 20, first: Duration::from_millis(250), longest: Duration::from_secs(2) };
const OF_ACCOUNT: Rule =
    Rule { free: 50, first: Duration::from_millis(250), longest: Duration::from_secs(1) };
/// Failures are forgotten after this time without another one.
const MEMORY: Duration = Duration::from_secs(300);
/// A good login is remembered for this time.
const GOOD_MEMORY: Duration = Duration::from_secs(30 * 24 * 3600);
/// Counts of one kind.
const MAX_COUNTS: usize = 10_000;
/// Passwords of one address that are tried at the same time.
const AT_ONCE: usize = 64;
/// The longest name of an account that is kept.
const MAX_NAME_CHARS: usize = 256;

/// The counts of all accounts and addresses.
#[derive(Default)]
pub(super) struct Throttle {
    both: Counts<(IpAddr, String)>,
    addresses: Counts<IpAddr>,
    accounts: Counts<String>,
}

struct Counts<K>(Mutex<HashMap<K, Arc<Count>>>);

impl<K> Default for Counts<K> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

struct Count {
    state: Mutex<State>,
    line: Line,
    at_once: Arc<Semaphore>,
}

impl Default for Count {
    fn default() -> Self {
        Self { state: Mutex::default(), line: Line::default(), at_once: Arc::new(Semaphore::new(AT_ONCE)) }
    }
}

#[derive(Default)]
struct State {
    failures: u32,
    last: Option<Instant>,
    good: Option<Instant>,
}

/// An attempt to log in, from its permission to its outcome. Dropped without an outcome, it counts for nothing.
pub(super) struct Attempt {
    both: Arc<Count>,
    address: Arc<Count>,
    account: Arc<Count>,
    _turns: Vec<Turn>,
    _one_of_few: Option<OwnedSemaphorePermit>,
}

impl Throttle {
    /// Waits until a password of the account may be tried from this address. `account` is the name as the client sent it.
    ///
    /// # Errors
    /// [`Full`] if too many attempts wait.
    pub(super) async fn begin(&self, address: IpAddr, account: &str) -> Result<Attempt, Full> {
        let (address, account) = (network_of(address), plain(account));
        let now = Instant::now();
        let both = self.both.of((address, account.clone()), now);
        let of_address = self.addresses.of(address, now);
        let of_account = self.accounts.of(account, now);
        loop {
            let mut turns = Vec::new();
            if !both.is_good(now) {
                turns.extend(of_address.wait(OF_ADDRESS, address).await?);
                turns.extend(of_account.wait(OF_ACCOUNT, address).await?);
            }
            turns.extend(both.wait(OF_BOTH, address).await?);
            let one_of_few = of_address.at_once.clone().acquire_owned().await.ok();
            // Others may have failed meanwhile.
            if turns.is_empty() && both.pause(OF_BOTH, Instant::now()).is_some() {
                continue;
            }
            return Ok(Attempt {
                both,
                address: of_address,
                account: of_account,
                _turns: turns,
                _one_of_few: one_of_few,
            });
        }
    }
}

impl Attempt {
    /// Notes the outcome: whether the password was right.
    pub(super) fn end(self, good: bool) {
        self.end_at(good, Instant::now());
    }

    fn end_at(self, good: bool, now: Instant) {
        if good {
            let mut both = self.both.state.lock();
            both.failures = 0;
            both.good = Some(now);
            return;
        }
        for count in [&self.both, &self.address, &self.account] {
            let mut state = count.state.lock();
            state.forget(now);
            state.failures = state.failures.saturating_add(1);
            state.last = Some(now);
        }
    }
}

impl<K: Hash + Eq + Clone> Counts<K> {
    fn of(&self, key: K, now: Instant) -> Arc<Count> {
        let mut counts = self.0.lock();
        if let Some(known) = counts.get(&key) {
            return known.clone();
        }
        if counts.len() >= MAX_COUNTS {
            counts.retain(|_, count| !count.is_forgettable(now));
        }
        if counts.len() >= MAX_COUNTS {
            let least = counts.iter().filter(|(_, count)| Arc::strong_count(count) == 1);
            let least = least.min_by_key(|(_, count)| count.weight()).map(|(key, _)| key.clone());
            least.map(|key| counts.remove(&key));
        }
        counts.entry(key).or_default().clone()
    }
}

impl Count {
    /// Waits for the turn of an attempt, and then for the pause that its failures cost; no turn while they are few.
    async fn wait(&self, rule: Rule, address: IpAddr) -> Result<Option<Turn>, Full> {
        if self.pause(rule, Instant::now()).is_none() {
            return Ok(None);
        }
        let turn = self.line.stand(address).await?;
        let pause = self.pause(rule, Instant::now()).unwrap_or_default();
        if !pause.is_zero() {
            tracing::debug!(%address, ?pause, "a login is delayed after failed ones");
            tokio::time::sleep(pause).await;
        }
        Ok(Some(turn))
    }

    /// The rest of the pause after the last failure; none while attempts need not stand in line.
    fn pause(&self, rule: Rule, now: Instant) -> Option<Duration> {
        let mut state = self.state.lock();
        state.forget(now);
        let whole = rule.pause(state.failures)?;
        let since = state.last.map_or(whole, |last| now.saturating_duration_since(last));
        Some(whole.saturating_sub(since))
    }

    fn is_good(&self, now: Instant) -> bool {
        self.state.lock().good.is_some_and(|at| now.saturating_duration_since(at) <= GOOD_MEMORY)
    }

    fn is_forgettable(self: &Arc<Self>, now: Instant) -> bool {
        let good = self.is_good(now);
        let mut state = self.state.lock();
        state.forget(now);
        !good && state.failures == 0 && Arc::strong_count(self) == 1 && self.line.is_empty()
    }

    /// The higher, the more is lost by forgetting it.
    fn weight(&self) -> (bool, u32, Option<Instant>) {
        let state = self.state.lock();
        (state.good.is_some(), state.failures, state.last)
    }
}

impl State {
    fn forget(&mut self, now: Instant) {
        if self.last.is_some_and(|last| now.saturating_duration_since(last) > MEMORY) {
            self.failures = 0;
            self.last = None;
        }
    }
}

impl Rule {
    fn pause(self, failures: u32) -> Option<Duration> {
        let doubled = failures.checked_sub(self.free)?;
        Some(self.first.saturating_mul(1_u32 << doubled.min(16)).min(self.longest))
    }
}

/// One name for the spellings of an account, with its domain or without.
fn plain(account: &str) -> String {
    let name = account.rsplit('\\').next().unwrap_or_default();
    let name = name.split('@').next().unwrap_or_default();
    name.chars().take(MAX_NAME_CHARS).flat_map(char::to_lowercase).collect()
}
