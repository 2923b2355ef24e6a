//! The health of a switch's uplinks, by the beacons that they received from each other: a pure state machine.
//!
//! Two uplinks are *paired* while each receives the other's beacons. An uplink that is paired with none for
//! [`BEACON_LOST`], while others are paired with each other, has failed, and stays so until it is paired again. Where
//! the fault cannot be located (two uplinks that do not hear each other, all alone, or two islands) no uplink has
//! failed.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::Beacon;
use crate::limits::{BEACON_INTERVAL, BEACON_LOST, UPLINKS};

/// The health of an uplink.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    Well,
    /// Its link is down.
    Down,
    /// Its link is up, yet beacons between it and the others are lost.
    Isolated,
}

impl Health {
    /// Whether it may carry traffic.
    pub fn is_usable(self) -> bool {
        self == Self::Well
    }
}

/// Fewer uplinks cannot locate a fault.
const ENOUGH: usize = 3;

/// The uplinks of one switch. Times count from a fixed moment and never go back.
#[derive(Debug, Clone)]
pub struct Probe {
    switch: u32,
    uplinks: BTreeMap<u8, Uplink>,
    /// The sequence of the last beacons sent.
    sequence: u64,
    /// When recent sequences were sent, the newest last.
    sent: BTreeMap<u64, Duration>,
    next: Duration,
    /// Since when, without a break, some uplinks are paired.
    paired_since: Option<Duration>,
}

#[derive(Debug, Clone, Default)]
struct Uplink {
    is_up: bool,
    is_failed: bool,
    /// When it last received a beacon from each other uplink.
    heard: BTreeMap<u8, Duration>,
}

impl Probe {
    /// For the switch with this number; beacons are due at once.
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

    /// Sets the uplinks, by position, and whether their links are up. Uplinks beyond [`UPLINKS`] are left out.
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

    /// If beacons are due, the sequence for all uplinks whose link is up to send now.
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

    /// Records a beacon of this host that arrived at an uplink. False if it does not count: from another switch or from
    /// the uplink itself, or not sent recently.
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

    /// The present health of all uplinks. The caller must ask after every change and at least once per
    /// [`BEACON_INTERVAL`], since each call sees only the present.
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
        // If all remaining uplinks have failed, none is declared failed: a doubtful uplink is better than none.
        if self.uplinks.values().all(|uplink| !uplink.is_up || uplink.is_failed) {
            self.uplinks
                .values_mut()
                .filter(|uplink| uplink.is_up)
                .for_each(|uplink| uplink.is_failed = false);
        }
        self.uplinks.iter().map(|(number, uplink)| (*number, uplink.health())).collect()
    }

    /// Uplinks that receive beacons of an uplink that receives theirs.
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
