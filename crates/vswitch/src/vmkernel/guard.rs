//! Guarding an IPv4 address of an adapter (RFC 5227), pure: time and packets in, actions out. A new address is probed
//! for and announced; from then on another station's claim is a conflict. The address stays in use, as on ESXi, and the
//! administrator, who is told, decides.

use std::net::Ipv4Addr;
use std::time::Duration;

use super::arp::Arp;
use crate::Mac;

/// The first probes and announcements, and the times between them (`PROBE_NUM`, `ANNOUNCE_NUM`, `ANNOUNCE_INTERVAL` of
/// RFC 5227, 1.1).
const PROBES: u32 = 3;
const ANNOUNCEMENTS: u32 = 2;
const PROBE_INTERVAL: Duration = Duration::from_secs(1);
const ANNOUNCE_INTERVAL: Duration = Duration::from_secs(2);
/// How often the other station is probed for, and after how many unanswered probes it counts as gone.
const ASK_INTERVAL: Duration = Duration::from_secs(30);
const UNANSWERED: u32 = 2;

pub(super) struct Guard {
    mac: Mac,
    address: Ipv4Addr,
    sent: u32,
    next: Duration,
    /// The other station that has the address, and how many probes it has not answered.
    conflict: Option<(Mac, u32)>,
}

impl Guard {
    pub(super) fn new(mac: Mac, address: Ipv4Addr, now: Duration) -> Self {
        Self { mac, address, sent: 0, next: now, conflict: None }
    }

    /// When [`Self::wake`] must be called.
    pub(super) fn due(&self) -> Duration {
        self.next
    }

    pub(super) fn conflict(&self) -> Option<Mac> {
        self.conflict.map(|(mac, _)| mac)
    }

    /// The packet to send now.
    pub(super) fn wake(&mut self, now: Duration) -> Option<Arp> {
        if now < self.next {
            return None;
        }
        let probe = Arp::probe(self.mac, self.address);
        // An address with a conflict is announced only when the other station is silent (2.1.1).
        let is_anothers = self.sent >= PROBES && self.conflict.is_some();
        if self.sent < PROBES + ANNOUNCEMENTS && !is_anothers {
            self.sent += 1;
            let is_probe = self.sent <= PROBES;
            self.next = now + if is_probe { PROBE_INTERVAL } else { ANNOUNCE_INTERVAL };
            return Some(if is_probe { probe } else { Arp::announcement(self.mac, self.address) });
        }
        match &mut self.conflict {
            None => {
                self.next = Duration::MAX;
                None
            }
            Some((_, asked)) if *asked >= UNANSWERED => {
                self.conflict = None;
                self.next = if self.sent < PROBES + ANNOUNCEMENTS { now } else { Duration::MAX };
                None
            }
            Some((_, asked)) => {
                *asked += 1;
                self.next = now + ASK_INTERVAL;
                Some(probe)
            }
        }
    }

    /// Handles a packet.
    pub(super) fn hear(&mut self, now: Duration, packet: &Arp) {
        let Some(other) = packet.claims(self.address, self.mac) else { return };
        match &mut self.conflict {
            // The first other station is reported until it is silent: a flood of claims changes nothing.
            Some((known, asked)) if *known == other => *asked = 0,
            Some(_) => {}
            None => {
                self.conflict = Some((other, 0));
                self.next = self.next.min(now + ASK_INTERVAL);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: Mac = Mac([2, 0, 0, 0, 0, 1]);
    const OTHER: Mac = Mac([2, 0, 0, 0, 0, 2]);
    const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);

    /// The packets sent until nothing is due, each with its second.
    fn run(guard: &mut Guard, until: u64) -> Vec<(u64, bool)> {
        let mut sent = Vec::new();
        while guard.due() <= Duration::from_secs(until) {
            let now = guard.due();
            let packet = guard.wake(now);
            sent.extend(packet.map(|packet| (now.as_secs(), packet == Arp::probe(OWN, ADDRESS))));
        }
        sent
    }

    #[test]
    fn a_new_address_is_probed_for_and_announced() {
        let mut guard = Guard::new(OWN, ADDRESS, Duration::from_secs(7));
        assert_eq!(
            (guard.wake(Duration::from_secs(6)), guard.due()),
            (None, Duration::from_secs(7)),
            "not yet"
        );
        let mut guard = Guard::new(OWN, ADDRESS, Duration::ZERO);
        assert_eq!(run(&mut guard, 1000), [(0, true), (1, true), (2, true), (3, false), (5, false)]);
        assert_eq!((guard.due(), guard.conflict()), (Duration::MAX, None));
    }

    #[test]
    fn an_address_that_probes_find_to_be_anothers_is_announced_when_that_one_is_silent() {
        for (probes, before) in [(1, vec![(0, true)]), (3, vec![(0, true), (1, true), (2, true)])] {
            let mut guard = Guard::new(OWN, ADDRESS, Duration::ZERO);
            assert_eq!(run(&mut guard, probes - 1), before);
            guard.hear(Duration::from_secs(probes - 1), &Arp::announcement(OTHER, ADDRESS));
            let rest = run(&mut guard, 1000);
            let (announced, asked): (Vec<_>, Vec<_>) = rest.iter().partition(|(_, is_probe)| !is_probe);
            assert_eq!(
                (announced.as_slice(), asked.len() as u64),
                (&[&(63, false), &(65, false)][..], 5 - probes)
            );
            assert_eq!((guard.due(), guard.conflict()), (Duration::MAX, None));
        }
        // A conflict found between the announcements.
        let mut guard = Guard::new(OWN, ADDRESS, Duration::ZERO);
        run(&mut guard, 3);
        guard.hear(Duration::from_secs(4), &Arp::announcement(OTHER, ADDRESS));
        assert_eq!(run(&mut guard, 60), [(5, true), (35, true)]);
    }

    #[test]
    fn a_conflict_lasts_until_the_other_is_silent() {
        let mut guard = Guard::new(OWN, ADDRESS, Duration::ZERO);
        run(&mut guard, 1000);
        let hears = |guard: &mut Guard, at, who| {
            guard.hear(Duration::from_secs(at), &Arp::announcement(who, ADDRESS));
            guard.conflict()
        };
        assert_eq!(hears(&mut guard, 1000, OWN), None);
        assert_eq!(hears(&mut guard, 1000, OTHER), Some(OTHER));
        assert_eq!(run(&mut guard, 1040), [(1030, true)]);
        assert_eq!(hears(&mut guard, 1041, Mac([2, 0, 0, 0, 0, 9])), Some(OTHER), "the first");
        assert_eq!(hears(&mut guard, 1041, OTHER), Some(OTHER));
        assert_eq!(run(&mut guard, 5000), [(1060, true), (1090, true)]);
        assert_eq!((guard.due(), guard.conflict()), (Duration::MAX, None));
        assert_eq!(hears(&mut guard, 6000, OTHER), Some(OTHER), "it is back");
    }
}
