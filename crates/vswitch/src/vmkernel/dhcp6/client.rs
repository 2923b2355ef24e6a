//! The client's state machine (RFC 8415 section 18.2), pure: time and messages in, actions out. Times count from when the caller
//! likes.

use std::net::Ipv6Addr;
use std::time::Duration;

use super::message::{Association, Given, Kind, Message, Outcome, duid, is_station};
use super::timing::{Pace, Random};
use crate::Mac;

const SOLICIT: Pace = Pace::new(1, 3600);
const REQUEST: Pace = Pace::new(1, 30);
const RENEW: Pace = Pace::new(10, 600);
const REBIND: Pace = Pace::new(10, 600);
const DECLINE: Pace = Pace::new(1, 60);
/// How often something is said at most (section 7.6); the rest ends with a time.
const REQUESTS: u32 = 10;
const DECLINES: u32 = 4;
/// Requests for an address that was had before, until servers are looked for as if there were none. (It is used until it ends.)
const REBOOTS: u32 = 3;
/// Hosts that start together do not speak together (SOL_MAX_DELAY).
const SOLICIT_DELAY: Duration = Duration::from_secs(1);
/// A server may ask for solicitations that are so rare (section 21.24), in seconds.
const SOLICIT_MOST: std::ops::RangeInclusive<u32> = 60..=86_400;
/// A server that is to be preferred to all others (section 18.2.1).
const FIRST_CHOICE: u8 = 255;
/// After an address that is somebody else's.
const DECLINE_WAIT: Duration = Duration::from_secs(10);
/// After refusals in a row.
const REFUSED_WAIT: Duration = Duration::from_secs(4);
const LONGEST_REFUSED_WAIT: Duration = Duration::from_secs(64);
/// Time without end. The interface is told so many seconds less one, so that it can be told from an address without a lease.
const ENDLESS: u32 = u32::MAX;
const NEARLY_ENDLESS: u32 = u32::MAX - 1;

/// What a server gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    pub address: Ipv6Addr,
    /// DUID of the server.
    pub server: Vec<u8>,
    /// For how long it is valid, from when it was given.
    pub seconds: u32,
    /// For how long of that new connections use it.
    pub preferred: u32,
    pub dns: Vec<Ipv6Addr>,
    /// Domains that names are looked for in.
    pub search: Vec<String>,
}

/// What the caller is to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Action {
    /// To all servers of the link.
    Send(Message),
    /// Use it; it was given at this time.
    Have(Lease, Duration),
    /// The address that the client had is not its own any more.
    Lose,
    /// This address was given, but another station has it.
    Taken(Ipv6Addr),
}

#[derive(Debug)]
enum State {
    /// Nothing is under way; begins at `next`.
    Init,
    Soliciting {
        best: Option<Offer>,
    },
    Requesting(Offer),
    /// Asks for an address that was found. Who gave it, and T1 and T2, are not known any more; that is a rebinding.
    Rebooting(Ipv6Addr),
    Bound,
    Renewing,
    Rebinding,
    Declining(Offer),
}

/// What a server would give, or has given.
#[derive(Debug, Clone)]
struct Offer {
    server: Vec<u8>,
    preference: u8,
    address: Ipv6Addr,
}

/// A lease, and when its parts end.
#[derive(Debug)]
struct Held {
    lease: Lease,
    renew: Duration,
    rebind: Duration,
    end: Duration,
}

pub(super) struct Machine {
    duid: Vec<u8>,
    /// Of the identity association (IAID).
    id: u32,
    state: State,
    transaction: u32,
    /// When the transaction began.
    began: Duration,
    /// What was sent in this state, and the wait after the last of it.
    tries: u32,
    wait: Duration,
    /// Refusals in a row.
    refused: u32,
    next: Duration,
    held: Option<Held>,
    /// An address from before this client, and when it ends; in use until something better is known.
    inherited: Option<(Ipv6Addr, Duration)>,
    solicit: Pace,
    random: Random,
}

impl Machine {
    /// Begins soon; at once with an address that was found, and for how long it still is ours, by asking for it.
    pub(super) fn new(
        mac: Mac,
        id: u32,
        found: Option<(Ipv6Addr, Duration)>,
        seed: u64,
        now: Duration,
    ) -> Self {
        let inherited = found.map(|(address, left)| (address, now.saturating_add(left)));
        let mut machine = Self {
            duid: duid(mac),
            id,
            state: State::Init,
            transaction: 0,
            began: now,
            tries: 0,
            wait: Duration::ZERO,
            refused: 0,
            next: now,
            held: None,
            inherited,
            solicit: SOLICIT,
            random: Random(seed),
        };
        match found {
            Some((address, _)) => machine.begin(now, State::Rebooting(address)),
            None => machine.restart(now, Duration::ZERO),
        }
        machine
    }

    /// When [`Self::wake`] is to be called.
    pub(super) fn due(&self) -> Duration {
        let mut due = self.inherited.map_or(self.next, |(_, end)| self.next.min(end));
        if let Some(held) = &self.held {
            due = due.min(held.end);
            if matches!(self.state, State::Renewing) {
                due = due.min(held.rebind);
            }
        }
        due
    }

    /// Time has passed.
    pub(super) fn wake(&mut self, now: Duration) -> Vec<Action> {
        let mut actions = Vec::new();
        if self.inherited.is_some_and(|(_, end)| end <= now) {
            self.inherited = None;
            actions.push(Action::Lose);
            if matches!(self.state, State::Rebooting(_)) {
                self.restart(now, Duration::ZERO);
            }
        }
        if let Some(held) = &self.held {
            let rebinds = held.rebind <= now;
            if held.end <= now {
                actions.push(Action::Lose);
                self.held = None;
                self.restart(now, Duration::ZERO);
            } else if rebinds && matches!(self.state, State::Bound | State::Renewing) {
                self.begin(now, State::Rebinding);
            }
        }
        if now < self.next {
            return actions;
        }
        let is_over = match self.state {
            State::Requesting(_) => self.tries >= REQUESTS,
            State::Rebooting(_) => self.tries >= REBOOTS,
            State::Declining(_) => self.tries >= DECLINES,
            _ => false,
        };
        if is_over {
            let declined = matches!(self.state, State::Declining(_));
            self.restart(now, if declined { DECLINE_WAIT } else { Duration::ZERO });
            return actions;
        }
        match &mut self.state {
            State::Init => self.begin(now, State::Soliciting { best: None }),
            State::Bound => self.begin(now, State::Renewing),
            State::Soliciting { best } => {
                if let Some(best) = best.take() {
                    self.begin(now, State::Requesting(best));
                }
            }
            _ => {}
        }
        actions.extend(self.send(now));
        actions
    }

    /// A server has said something. What is not for this client, or not expected, is not heard.
    pub(super) fn hear(&mut self, now: Duration, message: &Message) -> Vec<Action> {
        let Some(server) = &message.server else { return Vec::new() };
        if message.client != self.duid || message.transaction != self.transaction {
            return Vec::new();
        }
        let is_reply = message.kind == Kind::Reply;
        match &self.state {
            State::Soliciting { .. } if message.kind == Kind::Advertise => self.advertised(now, message),
            State::Requesting(offer) if is_reply && offer.server == *server => self.replied(now, message),
            State::Rebooting(_) | State::Renewing | State::Rebinding if is_reply => {
                self.replied(now, message)
            }
            State::Declining(_) if is_reply => {
                self.restart(now, DECLINE_WAIT);
                Vec::new()
            }
            _ => Vec::new(),
        }
    }

    /// Another station has an address: if it is the client's, its server is told, and asked for another one after a while.
    pub(super) fn conflict(&mut self, now: Duration, address: Ipv6Addr) -> Vec<Action> {
        if let Some(held) = self.held.take_if(|held| held.lease.address == address) {
            let offer = Offer { server: held.lease.server, preference: 0, address };
            self.begin(now, State::Declining(offer));
            let decline = self.send(now);
            return [Action::Lose, Action::Taken(address)].into_iter().chain(decline).collect();
        }
        if self.inherited.take_if(|(own, _)| *own == address).is_some() {
            self.restart(now, DECLINE_WAIT);
            return vec![Action::Lose, Action::Taken(address)];
        }
        Vec::new()
    }

    /// Gives the lease back: the adapter goes.
    pub(super) fn release(&mut self, now: Duration) -> Option<Message> {
        let lease = self.held.take()?.lease;
        self.begin(now, State::Init);
        self.next = Duration::MAX;
        let mut message = self.message(now, Kind::Release, Some(lease.address));
        message.server = Some(lease.server);
        Some(message)
    }

    /// Whether a message answers the last one of the client.
    pub(super) fn is_answer(&self, message: &Message) -> bool {
        (message.kind, message.transaction) == (Kind::Reply, self.transaction) && message.client == self.duid
    }

    fn advertised(&mut self, now: Duration, message: &Message) -> Vec<Action> {
        if let Some(most) = message.solicit_most.filter(|most| SOLICIT_MOST.contains(most)) {
            self.solicit = Pace { most: Duration::from_secs(most.into()), ..SOLICIT };
        }
        let given = (message.outcome == Outcome::Success).then(|| self.usable(message, None)).flatten();
        let (Some((_, given)), Some(server)) = (given, message.server.clone()) else { return Vec::new() };
        let offer = Offer { server, preference: message.preference, address: given.address };
        let State::Soliciting { best } = &mut self.state else { return Vec::new() };
        // Those that come while the first wait lasts are compared; after it, the first is taken.
        if message.preference == FIRST_CHOICE || self.tries > 1 {
            self.begin(now, State::Requesting(offer));
            return self.send(now).into_iter().collect();
        }
        if best.as_ref().is_none_or(|best| best.preference < offer.preference) {
            *best = Some(offer);
        }
        Vec::new()
    }

    fn replied(&mut self, now: Duration, message: &Message) -> Vec<Action> {
        let part = message.association.as_ref().filter(|part| part.id == self.id);
        let outcome = match message.outcome {
            Outcome::Success => part.map(|part| part.outcome).unwrap_or_default(),
            whole => whole,
        };
        let requesting = matches!(self.state, State::Requesting(_));
        match outcome {
            Outcome::Success => {}
            // Known there are neither the address nor the association: that server is asked to make them.
            Outcome::NoBinding if !requesting => {
                let (Some(server), Some(address)) = (message.server.clone(), self.own()) else {
                    return Vec::new();
                };
                self.begin(now, State::Requesting(Offer { server, preference: 0, address }));
                return self.send(now).into_iter().collect();
            }
            Outcome::NotOnLink => return self.refused(now),
            Outcome::NoBinding | Outcome::NoAddresses if requesting => return self.refused(now),
            // It may have ended the address, too.
            Outcome::NoAddresses => {}
            // It is asked again in time.
            Outcome::NoBinding | Outcome::Other(_) => return Vec::new(),
        }
        let own = self.own();
        let usable = self.usable(message, own).filter(|_| outcome == Outcome::Success);
        if let (Some((part, given)), Some(server)) = (usable, &message.server) {
            return vec![self.bind(now, part, given, server.clone(), message)];
        }
        let is_ended = |given: &Given| Some(given.address) == own && given.valid == 0;
        match part.is_some_and(|part| part.addresses.iter().any(is_ended)) {
            true => self.refused(now),
            false => Vec::new(),
        }
    }

    /// The address that is asked for or used.
    fn own(&self) -> Option<Ipv6Addr> {
        match &self.state {
            State::Requesting(offer) => Some(offer.address),
            State::Rebooting(address) => Some(*address),
            _ => self.held.as_ref().map(|held| held.lease.address),
        }
    }

    /// What of a message can be used: the address that is the client's own, or else the first.
    fn usable<'a>(&self, message: &'a Message, own: Option<Ipv6Addr>) -> Option<(&'a Association, Given)> {
        let part = message.association.as_ref().filter(|part| part.id == self.id)?;
        let makes_sense = part.renew == 0 || part.rebind == 0 || part.renew <= part.rebind;
        let is_usable = |given: &&Given| {
            let has_time = given.valid > 0 && given.preferred <= given.valid;
            given.outcome == Outcome::Success && has_time && is_station(&given.address)
        };
        let all = || part.addresses.iter().filter(is_usable);
        let found = all().find(|given| Some(given.address) == own).or(all().next());
        found.filter(|_| part.outcome == Outcome::Success && makes_sense).map(|given| (part, *given))
    }

    fn bind(
        &mut self,
        now: Duration,
        part: &Association,
        given: Given,
        server: Vec<u8>,
        message: &Message,
    ) -> Action {
        let lease = Lease {
            address: given.address,
            server,
            seconds: given.valid.min(NEARLY_ENDLESS),
            preferred: given.preferred.min(NEARLY_ENDLESS),
            dns: message.dns.clone(),
            search: message.domains.clone(),
        };
        // What the server leaves to the client is what section 21.4 advises servers to say.
        let lasts = if given.preferred == 0 { given.valid } else { given.preferred };
        let parts = |own: u32, of_ten: u32| match (own, lasts) {
            (0, ENDLESS) => ENDLESS,
            (0, lasts) => lasts / 10 * of_ten + lasts % 10 * of_ten / 10,
            (own, _) => own,
        };
        let rebind = parts(part.rebind, 8).min(given.valid).max(1);
        let renew = parts(part.renew, 5).min(rebind).max(1);
        let after = |seconds: u32| match seconds {
            ENDLESS => Duration::MAX,
            seconds => now + Duration::from_secs(seconds.into()),
        };
        let held = Held {
            lease: lease.clone(),
            renew: after(renew),
            rebind: after(rebind),
            end: after(given.valid),
        };
        (self.state, self.inherited, self.refused, self.next) = (State::Bound, None, 0, held.renew);
        self.held = Some(held);
        Action::Have(lease, now)
    }

    /// A server does not give what it was asked for; it must not be asked without end.
    fn refused(&mut self, now: Duration) -> Vec<Action> {
        let had = self.held.take().is_some() | self.inherited.take().is_some();
        let wait = REFUSED_WAIT.saturating_mul(1 << self.refused.min(4)).min(LONGEST_REFUSED_WAIT);
        let wait = if self.refused == 0 { Duration::ZERO } else { wait };
        self.refused += 1;
        self.restart(now, wait);
        if had { vec![Action::Lose] } else { Vec::new() }
    }

    /// Looks for servers, after a while.
    fn restart(&mut self, now: Duration, wait: Duration) {
        let more = self.random.up_to(SOLICIT_DELAY);
        self.begin(now, State::Init);
        self.next = now.saturating_add(wait + more);
    }

    /// A new transaction.
    fn begin(&mut self, now: Duration, state: State) {
        self.transaction = self.random.number() >> 8;
        (self.state, self.began, self.next) = (state, now, now);
        (self.tries, self.wait) = (0, Duration::ZERO);
    }

    fn message(&self, now: Duration, kind: Kind, address: Option<Ipv6Addr>) -> Message {
        let mut message = Message::new(kind, self.transaction, self.duid.clone());
        let elapsed = now.saturating_sub(self.began).as_millis() / 10;
        message.elapsed = u16::try_from(elapsed).unwrap_or(u16::MAX);
        let addresses = address.into_iter().map(Given::asked).collect();
        message.association = Some(Association { id: self.id, addresses, ..Association::default() });
        message
    }

    /// What this state sends, and when it is due again.
    fn send(&mut self, now: Duration) -> Option<Action> {
        let held = self.held.as_ref().map(|held| &held.lease);
        let (kind, pace, server, address) = match &self.state {
            State::Init | State::Bound => return None,
            State::Soliciting { .. } => {
                (Kind::Solicit, self.solicit, None, self.inherited.map(|(address, _)| address))
            }
            State::Requesting(offer) => (Kind::Request, REQUEST, Some(&offer.server), Some(offer.address)),
            State::Rebooting(address) => (Kind::Rebind, REBIND, None, Some(*address)),
            State::Renewing => (Kind::Renew, RENEW, Some(&held?.server), Some(held?.address)),
            State::Rebinding => (Kind::Rebind, REBIND, None, Some(held?.address)),
            State::Declining(offer) => (Kind::Decline, DECLINE, Some(&offer.server), Some(offer.address)),
        };
        let server = server.cloned();
        let mut message = self.message(now, kind, address);
        message.server = server;
        // The first solicitation is waited for longer, never shorter, so that all servers are heard.
        self.wait = match (self.tries, kind) {
            (0, Kind::Solicit) => pace.first + self.random.up_to(pace.first / 10),
            _ => pace.after(self.wait, &mut self.random),
        };
        self.next = now.saturating_add(self.wait);
        self.tries = self.tries.saturating_add(1);
        Some(Action::Send(message))
    }
}

#[cfg(test)]
#[path = "client_tests.rs"]
mod tests;
