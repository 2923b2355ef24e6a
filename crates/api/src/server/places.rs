//! Places for connections: the connections of strangers, by address, and of those who have logged in, by account.
//!
//! A connection begins as a stranger's. It becomes an account's with the first request of a session, a password or a ticket. When the
//! places are full, a stranger gives way to the newest connection, so that nobody who is slow to log in keeps others out.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use super::limits::{MAX_ACCOUNT_CONNECTIONS, MAX_ADDRESS_STRANGERS, MAX_CONNECTIONS, MAX_STRANGERS};

/// How many places there are.
#[derive(Clone, Copy)]
struct Limits {
    all: usize,
    strangers: usize,
    strangers_of_address: usize,
    of_account: usize,
}

/// All places of a server.
pub(super) struct Places {
    limits: Limits,
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    connections: HashMap<u64, Connection>,
    strangers: HashMap<IpAddr, usize>,
    accounts: HashMap<Arc<str>, usize>,
    /// Rises with each use of a connection.
    clock: u64,
}

struct Connection {
    address: IpAddr,
    /// None for a stranger's.
    account: Option<Arc<str>>,
    /// The clock at its begin, and at its last request.
    begun: u64,
    used: u64,
    requests: usize,
    give_way: CancellationToken,
}

/// The place of one connection; free when it is dropped.
pub(super) struct Place {
    places: Arc<Places>,
    id: u64,
    give_way: CancellationToken,
}

impl Default for Places {
    fn default() -> Self {
        Self::with(Limits {
            all: MAX_CONNECTIONS,
            strangers: MAX_STRANGERS,
            strangers_of_address: MAX_ADDRESS_STRANGERS,
            of_account: MAX_ACCOUNT_CONNECTIONS,
        })
    }
}

impl Places {
    fn with(limits: Limits) -> Self {
        Self { limits, held: Mutex::default() }
    }

    /// A place for a new connection; another connection may have to give way. None if all places are taken by clients with requests
    /// under way.
    pub(super) fn enter(self: &Arc<Self>, address: IpAddr) -> Option<Place> {
        let address = network_of(address);
        let mut held = self.held.lock();
        if held.strangers.get(&address).is_some_and(|count| *count >= self.limits.strangers_of_address) {
            held.evict(|one| one.account.is_none() && one.address == address);
        } else if held.strangers.values().sum::<usize>() >= self.limits.strangers {
            held.evict_a_stranger();
        }
        if held.connections.len() >= self.limits.all && !held.evict_a_stranger() && !held.evict_an_idle_one()
        {
            return None;
        }
        held.clock += 1;
        let (id, give_way) = (held.clock, CancellationToken::new());
        let connection = Connection {
            address,
            account: None,
            begun: id,
            used: id,
            requests: 0,
            give_way: give_way.clone(),
        };
        held.connections.insert(id, connection);
        *held.strangers.entry(address).or_default() += 1;
        Some(Place { places: self.clone(), id, give_way })
    }
}

impl Held {
    /// Ends one of these connections: one without a request rather than another, the oldest rather than a newer one.
    fn evict(&mut self, which: impl Fn(&Connection) -> bool) -> bool {
        let which = self.connections.iter().filter(|(_, one)| which(one));
        let chosen = which.min_by_key(|(_, one)| (one.requests > 0, one.begun)).map(|(id, _)| *id);
        chosen.is_some_and(|id| {
            self.remove(id);
            true
        })
    }

    /// Ends a connection of the address that has the most strangers.
    fn evict_a_stranger(&mut self) -> bool {
        let heaviest = self.strangers.iter().max_by_key(|(_, count)| **count).map(|(address, _)| *address);
        heaviest.is_some_and(|address| self.evict(|one| one.account.is_none() && one.address == address))
    }

    /// Ends the connection without a request that was not used for the longest time, of the account that has the most connections.
    fn evict_an_idle_one(&mut self) -> bool {
        let idle = self.connections.iter().filter(|(_, one)| one.requests == 0);
        let chosen = idle.max_by_key(|(_, one)| {
            let of_account = one.account.as_ref().and_then(|account| self.accounts.get(account));
            (of_account.copied().unwrap_or_default(), u64::MAX - one.used)
        });
        let Some(id) = chosen.map(|(id, _)| *id) else { return false };
        self.remove(id);
        true
    }

    fn remove(&mut self, id: u64) {
        let Some(connection) = self.connections.remove(&id) else { return };
        connection.give_way.cancel();
        match &connection.account {
            None => count_down(&mut self.strangers, &connection.address),
            Some(account) => count_down(&mut self.accounts, account),
        }
    }
}

fn count_down<K: std::hash::Hash + Eq + Clone>(counts: &mut HashMap<K, usize>, key: &K) {
    if let Some(count) = counts.get_mut(key) {
        *count -= 1;
        if *count == 0 {
            counts.remove(key);
        }
    }
}

impl Place {
    /// Completes when the connection has to end in favour of another.
    pub(super) fn give_way(&self) -> &CancellationToken {
        &self.give_way
    }

    /// The connection is this account's from now on. An account with too many connections gets none more: the connection stays a
    /// stranger's.
    pub(super) fn admit(&self, account: &str) {
        let mut held = self.places.held.lock();
        let held = &mut *held;
        let Some(connection) = held.connections.get_mut(&self.id) else { return };
        if connection.account.as_deref() == Some(account) {
            return;
        }
        if held.accounts.get(account).is_some_and(|count| *count >= self.places.limits.of_account) {
            return;
        }
        let account: Arc<str> = account.into();
        match connection.account.replace(account.clone()) {
            None => count_down(&mut held.strangers, &connection.address),
            Some(before) => count_down(&mut held.accounts, &before),
        }
        *held.accounts.entry(account).or_default() += 1;
    }

    /// Whether the connection is a stranger's.
    pub(super) fn is_strange(&self) -> bool {
        let held = self.places.held.lock();
        held.connections.get(&self.id).is_none_or(|connection| connection.account.is_none())
    }

    pub(super) fn request_begins(&self) {
        self.change_requests(|requests| requests + 1);
    }

    pub(super) fn request_ends(&self) {
        self.change_requests(|requests| requests.saturating_sub(1));
    }

    fn change_requests(&self, change: impl Fn(usize) -> usize) {
        let mut held = self.places.held.lock();
        held.clock += 1;
        let now = held.clock;
        if let Some(connection) = held.connections.get_mut(&self.id) {
            connection.requests = change(connection.requests);
            connection.used = now;
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.held.lock().remove(self.id);
    }
}

impl std::fmt::Debug for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "place {}", self.id)
    }
}

/// One IPv6 network counts as one address.
pub(super) fn network_of(address: IpAddr) -> IpAddr {
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

    const SMALL: Limits = Limits { all: 10, strangers: 6, strangers_of_address: 4, of_account: 3 };

    fn address(n: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, n])
    }

    fn enter(places: &Arc<Places>, n: u8) -> Place {
        places.enter(address(n)).expect("a place")
    }

    fn gone(places: &[Place]) -> Vec<usize> {
        (0..places.len()).filter(|at| places[*at].give_way().is_cancelled()).collect()
    }

    #[test]
    fn the_oldest_stranger_of_an_address_gives_way_to_its_next_one() {
        let places = Arc::new(Places::with(SMALL));
        let mut crowd: Vec<Place> = (0..4).map(|_| enter(&places, 1)).collect();
        crowd[0].request_begins();
        let other = enter(&places, 2);
        crowd.push(enter(&places, 1));
        assert_eq!(gone(&crowd), [1], "one without a request gives way before one with a request");
        assert!(!other.give_way().is_cancelled());
    }

    #[test]
    fn a_crowd_of_strangers_makes_room_for_an_address_that_has_few() {
        let places = Arc::new(Places::with(SMALL));
        let crowd: Vec<Place> = (0..4).map(|_| enter(&places, 1)).collect();
        let others: Vec<Place> = (2..4).map(|n| enter(&places, n)).collect();
        let admin = enter(&places, 9);
        assert_eq!(gone(&crowd), [0]);
        assert!(gone(&others).is_empty());
        admin.admit("root");
        assert!(!admin.is_strange() && crowd[1].is_strange());
        let more: Vec<Place> = (0..20).map(|_| enter(&places, 1)).collect();
        assert_eq!(gone(&more).len(), 16);
        assert!(!admin.give_way().is_cancelled(), "strangers never displace one who has logged in");
    }

    #[test]
    fn an_account_has_its_share_and_the_longest_unused_of_the_largest_gives_way() {
        let places = Arc::new(Places::with(SMALL));
        let enter_as = |n: u8, account: &str| {
            let place = enter(&places, n);
            place.admit(account);
            place
        };
        let mine: Vec<Place> = (0..4).map(|n| enter_as(n, "script")).collect();
        assert_eq!(mine.iter().filter(|place| place.is_strange()).count(), 1, "beyond its share");
        drop(mine);
        assert!(places.held.lock().connections.is_empty());
        let crowd: Vec<Place> =
            (0..10).map(|n| enter_as(n, ["a", "b", "c", "d"][usize::from(n) % 4])).collect();
        crowd[0].request_begins();
        crowd[4].request_begins();
        crowd[4].request_ends();
        let admin = enter_as(20, "root");
        assert_eq!(
            gone(&crowd),
            [1],
            "a's and b's are the most; the first of a's is busy, and another was used"
        );
        for place in &crowd {
            place.request_begins();
        }
        admin.request_begins();
        assert!(places.enter(address(21)).is_none(), "all are at work");
    }
}
