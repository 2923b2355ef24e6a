//! Which uplinks of one switch are well, by the beacons that they heard of each other: a pure state machine.
//!
//! Two uplinks are *paired* while each hears the other. One that is paired with none for [`BEACON_LOST`] while others are
//! paired with each other has failed, and stays so until it is paired again. Where it cannot be known who is at fault (two
//! uplinks that do not hear each other, all alone, or two islands) nobody is.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::Beacon;
use crate::limits::{BEACON_INTERVAL, BEACON_LOST, UPLINKS};

/// How an uplink is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    Well,
    /// Its link is down.
    Down,
    /// Its link is up, yet the others do not hear it or it does not hear them.
    Isolated,
}

impl Health {
    /// Whether it may carry traffic.
    pub fn is_usable(self) -> bool {
        self == Self::Well
    }
}

/// Fewer say nothing about who is at fault.
const ENOUGH: usize = 3;

/// The uplinks of one switch. Times count from any one moment that stays the same, and never go back.
#[derive(Debug, Clone)]
pub struct Probe {
    switch: u32,
    uplinks: BTreeMap<u8, Uplink>,
    /// That of the last beacons sent.
    sequence: u64,
    /// When those that are kept in mind were sent, the newest last.
    sent: BTreeMap<u64, Duration>,
    next: Duration,
    /// Since when without a break some uplinks are paired.
    paired_since: Option<Duration>,
}

#[derive(Debug, Clone, Default)]
struct Uplink {
    is_up: bool,
    is_failed: bool,
    /// When it last heard each other one.
    heard: BTreeMap<u8, Duration>,
}

impl Probe {
    /// Of the switch with this number; beacons are due at once.
    pub fn new(switch: u32) -> Self {
        Self {
            switch,
            uplinks: BTreeMap::new(),
            sequence: 0,
            sent: BTreeMap::new(),
            next: Duration::ZERO,
            paired_since: None,
        }
    }

    /// Says what uplinks there are, by position, and whether their links are up. Those beyond [`UPLINKS`] are left out.
    pub fn set_links(&mut self, links: &BTreeMap<u8, bool>) {
        let links: BTreeMap<u8, bool> =
            links.iter().take(UPLINKS).map(|(uplink, up)| (*uplink, *up)).collect();
        self.uplinks.retain(|uplink, _| links.contains_key(uplink));
        for (uplink, is_up) in &links {
            let known = self.uplinks.entry(*uplink).or_default();
            known.is_up = *is_up;
            known.heard.retain(|sender, _| *is_up && links.get(sender) == Some(&true));
        }
    }

    /// If beacons are due: the sequence that all uplinks whose link is up are to send now.
    pub fn send(&mut self, now: Duration) -> Option<u64> {
        if now < self.next {
            return None;
        }
        self.next = now + BEACON_INTERVAL;
        self.sequence += 1;
        self.sent.retain(|_, at| now.saturating_sub(*at) < BEACON_LOST);
        self.sent.insert(self.sequence, now);
        Some(self.sequence)
    }

    /// When beacons are due.
    pub fn next(&self) -> Duration {
        self.next
    }

    /// Takes note of a beacon of this host that came in at an uplink. False if it says nothing: another switch's, the uplink's
    /// own, or one that was not sent lately.
    pub fn hear(&mut self, now: Duration, receiver: u8, beacon: &Beacon) -> bool {
        let lately = self.sent.get(&beacon.sequence).is_some_and(|at| now.saturating_sub(*at) < BEACON_LOST);
        let is_up = |uplink: &u8| self.uplinks.get(uplink).is_some_and(|uplink| uplink.is_up);
        if !lately || beacon.switch != self.switch || beacon.uplink == receiver || !is_up(&beacon.uplink) {
            return false;
        }
        let Some(receiver) = self.uplinks.get_mut(&receiver).filter(|uplink| uplink.is_up) else {
            return false;
        };
        receiver.heard.insert(beacon.uplink, now);
        true
    }

    /// How all uplinks are now. To be asked after every change and at least once per [`BEACON_INTERVAL`], since what is known
    /// about the past is only what was asked then.
    pub fn judge(&mut self, now: Duration) -> BTreeMap<u8, Health> {
        for uplink in self.uplinks.values_mut() {
            uplink.heard.retain(|_, at| now.saturating_sub(*at) < BEACON_LOST);
        }
        let paired = self.paired();
        self.paired_since = if paired.is_empty() { None } else { self.paired_since.or(Some(now)) };
        let is_long = self.paired_since.is_some_and(|since| now.saturating_sub(since) >= BEACON_LOST);
        let is_enough = self.uplinks.values().filter(|uplink| uplink.is_up).count() >= ENOUGH;
        for (number, uplink) in self.uplinks.iter_mut().filter(|(_, uplink)| uplink.is_up) {
            if paired.contains(number) {
                uplink.is_failed = false;
            } else if is_long && is_enough {
                uplink.is_failed = true;
            }
        }
        // What is left over is better than nothing, and about it nothing is known.
        if self.uplinks.values().all(|uplink| !uplink.is_up || uplink.is_failed) {
            self.uplinks
                .values_mut()
                .filter(|uplink| uplink.is_up)
                .for_each(|uplink| uplink.is_failed = false);
        }
        self.uplinks.iter().map(|(number, uplink)| (*number, uplink.health())).collect()
    }

    /// Uplinks that hear another one by which they are heard.
    fn paired(&self) -> BTreeSet<u8> {
        let hears =
            |one: &u8, other: &u8| self.uplinks.get(one).is_some_and(|one| one.heard.contains_key(other));
        let is_paired = |one: &u8| self.uplinks.keys().any(|other| hears(one, other) && hears(other, one));
        self.uplinks.keys().copied().filter(is_paired).collect()
    }
}

impl Uplink {
    fn health(&self) -> Health {
        match (self.is_up, self.is_failed) {
            (false, _) => Health::Down,
            (true, true) => Health::Isolated,
            (true, false) => Health::Well,
        }
    }
}

#[cfg(test)]
#[path = "probe_tests.rs"]
mod tests;
