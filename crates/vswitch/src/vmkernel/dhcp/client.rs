//! The client's state machine (RFC 2131 section 4.4, figure 5), pure: time and messages in, actions out. Times count
//! from a fixed moment of the caller's choice.

use std::net::Ipv4Addr;
use std::time::Duration;

use super::message::{Kind, Message, is_station};
use crate::Mac;

/// First wait for an answer; it doubles up to the longest (section 4.1).
const FIRST_WAIT: Duration = Duration::from_secs(4);
const LONGEST_WAIT: Duration = Duration::from_secs(64);
/// Requests for an earlier address before the client discovers servers.
const REBOOTS: u32 = 3;
/// Requests for an offer (section 3.1.5 suggests four).
const REQUESTS: u32 = 4;
/// Longest wait between requests that extend a lease (section 4.4.5).
const PROLONG_WAIT: Duration = Duration::from_secs(60);
const SHORTEST_WAIT: Duration = Duration::from_secs(1);
/// Probes for an offered address, the time between two, and the time after the last. RFC 5227 has longer times, for
/// hosts that choose an address; here a server has chosen it, and has probed itself.
const PROBES: u32 = 3;
const PROBE_WAIT: Duration = Duration::from_millis(300);
/// The wait after an address that another station has (section 3.1.5), and after that many in a row (`MAX_CONFLICTS`
/// and `RATE_LIMIT_INTERVAL` of RFC 5227, 2.1.1): a station that claims all addresses would otherwise empty the
/// server's pool.
const DECLINE_WAIT: Duration = Duration::from_secs(10);
const DECLINES: u32 = 10;
const DECLINES_WAIT: Duration = Duration::from_secs(60);
/// A lease without end. The interface gets one second less, which distinguishes it from an address without a lease.
const ENDLESS: u32 = u32::MAX;
const NEARLY_ENDLESS: u32 = u32::MAX - 1;

/// A lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    pub address: Ipv4Addr,
    pub prefix: u8,
    pub server: Ipv4Addr,
    /// Its duration, from when it was given.
    pub seconds: u32,
    pub router: Option<Ipv4Addr>,
    pub dns: Vec<Ipv4Addr>,
    pub domain: Option<String>,
    pub mtu: Option<u16>,
}

/// An action for the caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Action {
    /// Broadcast from the client's address, or from none.
    Broadcast(Ipv4Addr, Message),
    /// Send to a server, from the client's address.
    Unicast(Ipv4Addr, Message),
    /// Use the lease, which was given at this time.
    Have(Lease, Duration),
    /// Stop using the address.
    Lose,
    /// Probe for this address; the answer goes to [`Machine::conflict`].
    Probe(Ipv4Addr),
    /// This station has the address that was offered. Reported for the first such station until there is a lease.
    Taken(Ipv4Addr, Mac),
}

#[derive(Debug)]
enum State {
    /// Idle until `next`.
    Init,
    Selecting,
    Requesting {
        offer: Ipv4Addr,
        server: Ipv4Addr,
    },
    Rebooting {
        address: Ipv4Addr,
    },
    /// Probing for an offered address before using it (section 3.1.5).
    Probing {
        held: Box<Held>,
        /// When it was requested.
        asked: Duration,
    },
    Bound,
    Renewing,
    Rebinding,
}

/// A lease, and its times.
#[derive(Debug)]
struct Held {
    lease: Lease,
    renew: Duration,
    rebind: Duration,
    end: Duration,
}

pub(super) struct Machine {
    mac: Mac,
    host_name: String,
    state: State,
    transaction: u32,
    /// When the transaction began, and when it last sent a request.
    began: Duration,
    asked: Duration,
    /// Messages sent in this state.
    tries: u32,
    /// Refusals in a row, and addresses in a row that other stations had.
    refused: u32,
    declined: u32,
    next: Duration,
    held: Option<Held>,
    /// An address from before this client, and when it ends; in use until a server says otherwise.
    inherited: Option<(Ipv4Addr, Duration)>,
    random: u64,
}

impl Machine {
    /// Begins at once; with an address found on the interface, and its remaining time, by requesting it.
    pub(super) fn new(
        mac: Mac,
        host_name: &str,
        found: Option<(Ipv4Addr, Duration)>,
        seed: u64,
        now: Duration,
    ) -> Self {
        let inherited = found.map(|(address, left)| (address, now + left));
        let state = match found {
            Some((address, _)) => State::Rebooting { address },
            None => State::Init,
        };
        let mut machine = Self {
            mac,
            host_name: host_name.into(),
            state,
            transaction: 0,
            began: now,
            asked: now,
            tries: 0,
            refused: 0,
            declined: 0,
            next: now,
            held: None,
            inherited,
            random: seed,
        };
        machine.begin(now);
        machine
    }

    /// When [`Self::wake`] must be called.
    pub(super) fn due(&self) -> Duration {
        self.inherited.map_or(self.next, |(_, end)| self.next.min(end))
    }

    /// Handles the passing of time.
    pub(super) fn wake(&mut self, now: Duration) -> Vec<Action> {
        let mut actions = Vec::new();
        if self.inherited.is_some_and(|(_, end)| end <= now) {
            self.inherited = None;
            actions.push(Action::Lose);
            if matches!(self.state, State::Rebooting { .. }) {
                self.restart(now, Duration::ZERO);
            }
        }
        if now < self.next {
            return actions;
        }
        if let Some(held) = &self.held {
            let (renew, rebind, end) = (held.renew, held.rebind, held.end);
            if end <= now {
                actions.push(Action::Lose);
                self.held = None;
                self.restart(now, Duration::ZERO);
            } else if rebind <= now && !matches!(self.state, State::Rebinding) {
                self.state = State::Rebinding;
                self.begin(now);
            } else if renew <= now && matches!(self.state, State::Bound) {
                self.state = State::Renewing;
                self.begin(now);
            }
        }
        if matches!(self.state, State::Probing { .. }) {
            actions.extend(self.probe(now));
            return actions;
        }
        let limit = match self.state {
            State::Rebooting { .. } => REBOOTS,
            State::Requesting { .. } => REQUESTS,
            _ => u32::MAX,
        };
        if self.tries >= limit {
            self.restart(now, Duration::ZERO);
        }
        if matches!(self.state, State::Init) {
            self.state = State::Selecting;
            self.begin(now);
        }
        actions.extend(self.send(now));
        actions
    }

    /// Handles a server's message, and ignores it if it is for another client or unexpected.
    pub(super) fn hear(&mut self, now: Duration, message: &Message) -> Vec<Action> {
        if message.mac != self.mac || message.transaction != self.transaction {
            return Vec::new();
        }
        match (&self.state, message.kind) {
            (State::Selecting, Kind::Offer) => {
                let (Some(server), true) = (message.server, is_station(&message.yours)) else {
                    return Vec::new();
                };
                self.state = State::Requesting { offer: message.yours, server };
                self.tries = 0;
                self.send(now).into_iter().collect()
            }
            (
                State::Requesting { .. } | State::Rebooting { .. } | State::Renewing | State::Rebinding,
                Kind::Ack,
            ) => self.acknowledged(now, message),
            (State::Requesting { server, .. }, Kind::Nak)
                if message.server.is_some_and(|from| from != *server) =>
            {
                Vec::new()
            }
            (
                State::Requesting { .. } | State::Rebooting { .. } | State::Renewing | State::Rebinding,
                Kind::Nak,
            ) => {
                let had = self.held.take().is_some() | self.inherited.take().is_some();
                // A server that offers and refuses must not be asked for ever.
                let wait = FIRST_WAIT.saturating_mul(1 << self.refused.min(4)).min(LONGEST_WAIT);
                let wait = if self.refused == 0 { Duration::ZERO } else { wait };
                self.refused += 1;
                self.restart(now, wait);
                if had { vec![Action::Lose] } else { Vec::new() }
            }
            _ => Vec::new(),
        }
    }

    /// The next probe, or the lease if no probe was answered.
    fn probe(&mut self, now: Duration) -> Option<Action> {
        let State::Probing { held, asked } = &self.state else { return None };
        if self.tries < PROBES {
            let action = Action::Probe(held.lease.address);
            self.tries += 1;
            self.next = now + PROBE_WAIT;
            return Some(action);
        }
        let asked = *asked;
        let State::Probing { held, .. } = std::mem::replace(&mut self.state, State::Bound) else {
            return None;
        };
        Some(self.bind(*held, asked))
    }

    /// Handles another station's claim of the probed address: declines it, and starts over after a while.
    pub(super) fn conflict(&mut self, now: Duration, address: Ipv4Addr, other: Mac) -> Vec<Action> {
        let State::Probing { held, .. } = &self.state else { return Vec::new() };
        if held.lease.address != address {
            return Vec::new();
        }
        let mut message = Message::new(Kind::Decline, self.transaction, self.mac);
        (message.requested, message.server) = (Some(address), Some(held.lease.server));
        self.declined = self.declined.saturating_add(1);
        self.restart(now, if self.declined < DECLINES { DECLINE_WAIT } else { DECLINES_WAIT });
        let mut actions = vec![Action::Broadcast(Ipv4Addr::UNSPECIFIED, message)];
        if self.declined == 1 {
            actions.push(Action::Taken(address, other));
        }
        actions
    }

    /// The address being probed for.
    pub(super) fn probed(&self) -> Option<Ipv4Addr> {
        match &self.state {
            State::Probing { held, .. } => Some(held.lease.address),
            _ => None,
        }
    }

    /// Uses a lease.
    fn bind(&mut self, held: Held, asked: Duration) -> Action {
        let lease = held.lease.clone();
        (self.state, self.inherited, self.next) = (State::Bound, None, held.renew);
        (self.refused, self.declined) = (0, 0);
        self.held = Some(held);
        Action::Have(lease, asked)
    }

    /// Releases the lease, since the adapter is being removed.
    pub(super) fn release(&mut self) -> Option<Action> {
        let held = self.held.take()?;
        let mut message = Message::new(Kind::Release, self.random(), self.mac);
        message.client = held.lease.address;
        message.server = Some(held.lease.server);
        Some(Action::Unicast(held.lease.server, message))
    }

    fn acknowledged(&mut self, now: Duration, message: &Message) -> Vec<Action> {
        let expected = match &self.state {
            State::Requesting { offer, .. } => Some(*offer),
            State::Rebooting { address } => Some(*address),
            _ => self.held.as_ref().map(|held| held.lease.address),
        };
        let before = self.held.as_ref().map(|held| &held.lease);
        let server = message.server.or(before.map(|lease| lease.server)).or(match &self.state {
            State::Requesting { server, .. } => Some(*server),
            _ => None,
        });
        let (Some(server), Some(seconds)) = (server, message.lease.filter(|seconds| *seconds > 0)) else {
            return Vec::new();
        };
        if Some(message.yours) != expected || !is_station(&message.yours) {
            return Vec::new();
        }
        let lease = Lease {
            address: message.yours,
            prefix: message.prefix.unwrap_or_else(|| class(message.yours)),
            server,
            seconds: seconds.min(NEARLY_ENDLESS),
            router: message.router,
            dns: message.dns.clone(),
            domain: message.domain.clone(),
            mtu: message.mtu,
        };
        // The lease counts from the request (section 4.4.1).
        let after = |seconds: u32| self.asked + Duration::from_secs(seconds.into());
        let (end, renew, rebind) = if seconds == ENDLESS {
            (Duration::MAX, Duration::MAX, Duration::MAX)
        } else {
            let rebind = message.rebind.filter(|rebind| *rebind < seconds).unwrap_or(seconds - seconds / 8);
            let renew = message.renew.filter(|renew| *renew < rebind).unwrap_or((seconds / 2).min(rebind));
            (after(seconds), after(renew), after(rebind))
        };
        let (asked, address) = (self.asked, lease.address);
        let held = Held { lease, renew, rebind, end };
        let is_new = self.inherited.is_none_or(|(inherited, _)| inherited != address);
        if matches!(self.state, State::Requesting { .. }) && is_new {
            self.state = State::Probing { held: Box::new(held), asked };
            (self.tries, self.next) = (0, now);
            return self.probe(now).into_iter().collect();
        }
        vec![self.bind(held, asked)]
    }

    /// Starts over after a while.
    fn restart(&mut self, now: Duration, wait: Duration) {
        self.state = State::Init;
        self.tries = 0;
        self.next = now + wait;
    }

    /// Begins a new transaction.
    fn begin(&mut self, now: Duration) {
        self.transaction = self.random();
        self.began = now;
        self.tries = 0;
        self.next = now;
    }

    /// Sends this state's message, and sets when it is due again.
    fn send(&mut self, now: Duration) -> Option<Action> {
        let mut message = Message::new(Kind::Request, self.transaction, self.mac);
        message.host_name.clone_from(&self.host_name);
        message.elapsed = u16::try_from((now - self.began).as_secs()).unwrap_or(u16::MAX);
        let nobody = Ipv4Addr::UNSPECIFIED;
        let action = match &self.state {
            State::Init | State::Probing { .. } | State::Bound => return None,
            State::Selecting => {
                message.kind = Kind::Discover;
                message.requested = self.inherited.map(|(address, _)| address);
                Action::Broadcast(nobody, message)
            }
            State::Requesting { offer, server } => {
                (message.requested, message.server) = (Some(*offer), Some(*server));
                Action::Broadcast(nobody, message)
            }
            State::Rebooting { address } => {
                message.requested = Some(*address);
                Action::Broadcast(nobody, message)
            }
            State::Renewing | State::Rebinding => {
                let lease = &self.held.as_ref()?.lease;
                message.client = lease.address;
                match self.state {
                    State::Renewing => Action::Unicast(lease.server, message),
                    _ => Action::Broadcast(lease.address, message),
                }
            }
        };
        self.next = match (&self.state, &self.held) {
            (State::Renewing, Some(held)) => prolong(now, held.rebind),
            (State::Rebinding, Some(held)) => prolong(now, held.end),
            _ => now + self.wait(),
        };
        self.tries = self.tries.saturating_add(1);
        self.asked = now;
        Some(action)
    }

    /// The doubled wait, varied by up to a second, so that hosts that start together do not send together.
    fn wait(&mut self) -> Duration {
        let wait = FIRST_WAIT.saturating_mul(1 << self.tries.min(4)).min(LONGEST_WAIT);
        wait - SHORTEST_WAIT + Duration::from_millis((self.random() % 2000).into())
    }

    /// Not for secrets: SplitMix64.
    fn random(&mut self) -> u32 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.random;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        u32::try_from((mixed ^ (mixed >> 31)) >> 32).expect("is 32 bits")
    }
}

/// Half of the time until `end`, but not too soon (section 4.4.5).
fn prolong(now: Duration, end: Duration) -> Duration {
    let left = end.saturating_sub(now);
    now.saturating_add((left / 2).max(PROLONG_WAIT).min(left).max(SHORTEST_WAIT))
}

/// The prefix of an address's class, for servers that send no mask.
fn class(address: Ipv4Addr) -> u8 {
    match address.octets()[0] {
        0..=127 => 8,
        128..=191 => 16,
        _ => 24,
    }
}

#[cfg(test)]
#[path = "client_tests.rs"]
mod tests;
