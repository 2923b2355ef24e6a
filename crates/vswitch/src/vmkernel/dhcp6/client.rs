//! The client's state machine (RFC 8415 section 18.2), pure: time and messages in, actions out. Times count from a
//! fixed moment of the caller's choice.

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
/// Most repetitions (section 7.6); messages not listed here stop after a time.
const REQUESTS: u32 = 10;
const DECLINES: u32 = 4;
/// Requests for an earlier address before the client solicits servers. (The address stays in use until it ends.)
const REBOOTS: u32 = 3;
/// Random delay, so that hosts that start together do not send together (SOL_MAX_DELAY).
const SOLICIT_DELAY: Duration = Duration::from_secs(1);
/// Bounds of the interval between solicitations that a server may ask for (section 21.24), in seconds.
const SOLICIT_MOST: std::ops::RangeInclusive<u32> = 60..=86_400;
/// The preference of a server that is chosen at once (section 18.2.1).
const FIRST_CHOICE: u8 = 255;
/// The wait after an address that another station has.
const DECLINE_WAIT: Duration = Duration::from_secs(10);
/// The wait after refusals in a row.
const REFUSED_WAIT: Duration = Duration::from_secs(4);
const LONGEST_REFUSED_WAIT: Duration = Duration::from_secs(64);
/// Time without end. The interface gets one second less, which distinguishes it from an address without a lease.
const ENDLESS: u32 = u32::MAX;
const NEARLY_ENDLESS: u32 = u32::MAX - 1;

/// A lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    pub address: Ipv6Addr,
    /// DUID of the server.
    pub server: Vec<u8>,
    /// How long it is valid, from when it was given.
    pub seconds: u32,
    /// How long of that new connections use it.
    pub preferred: u32,
    pub dns: Vec<Ipv6Addr>,
    /// The search list for names.
    pub search: Vec<String>,
}

/// An action for the caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Action {
    /// Send to all servers of the link.
    Send(Message),
    /// Use the lease, which was given at this time.
    Have(Lease, Duration),
    /// Stop using the address.
    Lose,
    /// Another station has the address that was given.
    Taken(Ipv6Addr),
}

#[derive(Debug)]
enum State {
    /// Idle until `next`.
    Init,
    Soliciting {
        best: Option<Offer>,
    },
    Requesting(Offer),
    /// Requests an address that was found. Its server, T1 and T2 are unknown, so this is a rebinding.
    Rebooting(Ipv6Addr),
    Bound,
    Renewing,
    Rebinding,
    Declining(Offer),
}

/// A server's offer or answer.
#[derive(Debug, Clone)]
struct Offer {
    server: Vec<u8>,
    preference: u8,
    address: Ipv6Addr,
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
    duid: Vec<u8>,
    /// Of the identity association (IAID).
    id: u32,
    state: State,
    transaction: u32,
    /// When the transaction began.
    began: Duration,
    /// Messages sent in this state, and the wait after the last one.
    tries: u32,
    wait: Duration,
    /// Refusals in a row.
    refused: u32,
    next: Duration,
    held: Option<Held>,
    /// An address from before this client, and when it ends; in use until a server says otherwise.
    inherited: Option<(Ipv6Addr, Duration)>,
    solicit: Pace,
    random: Random,
}

impl Machine {
    /// Begins soon; with an address found on the interface, and its remaining time, at once by requesting it.
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

    /// When [`Self::wake`] must be called.
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

    /// Handles the passing of time.
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

    /// Handles a server's message, and ignores it if it is for another client or unexpected.
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

    /// Handles another station's claim of an address: if it is the client's, declines it, and starts over after a
    /// while.
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

    /// Releases the lease, since the adapter is being removed.
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
        // Offers during the first wait are compared; after it, the first is taken.
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
            // The server knows neither the address nor the association: request them from it.
            Outcome::NoBinding if !requesting => {
                let (Some(server), Some(address)) = (message.server.clone(), self.own()) else {
                    return Vec::new();
                };
                self.begin(now, State::Requesting(Offer { server, preference: 0, address }));
                return self.send(now).into_iter().collect();
            }
            Outcome::NotOnLink => return self.refused(now),
            Outcome::NoBinding | Outcome::NoAddresses if requesting => return self.refused(now),
            // The server may have ended the address, too.
            Outcome::NoAddresses => {}
            // The request is repeated in time.
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

    /// The address being requested or used.
    fn own(&self) -> Option<Ipv6Addr> {
        match &self.state {
            State::Requesting(offer) => Some(offer.address),
            State::Rebooting(address) => Some(*address),
            _ => self.held.as_ref().map(|held| held.lease.address),
        }
    }

    /// The usable part of a message: the client's own address, or else the first.
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
        // Where the server leaves the times to the client, these are the ones that section 21.4 recommends.
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

    /// Handles a refusal; a server that refuses must not be asked for ever.
    fn refused(&mut self, now: Duration) -> Vec<Action> {
        let had = self.held.take().is_some() | self.inherited.take().is_some();
        let wait = REFUSED_WAIT.saturating_mul(1 << self.refused.min(4)).min(LONGEST_REFUSED_WAIT);
        let wait = if self.refused == 0 { Duration::ZERO } else { wait };
        self.refused += 1;
        self.restart(now, wait);
        if had { vec![Action::Lose] } else { Vec::new() }
    }

    /// Solicits servers after a while.
    fn restart(&mut self, now: Duration, wait: Duration) {
        let more = self.random.up_to(SOLICIT_DELAY);
        self.begin(now, State::Init);
        self.next = now.saturating_add(wait + more);
    }

    /// Begins a new transaction.
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

    /// Sends this state's message, and sets when it is due again.
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
        // The first wait for solicitations may be longer, never shorter, so that all servers can answer.
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
