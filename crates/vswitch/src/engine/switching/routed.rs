//! Mirrors to an address that the default TCP/IP stack reaches: finding the way, and following it as it changes.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::Switching;
use crate::Mac;
use crate::declare::{Adapter, Encapsulated, MirrorDestination, MirrorSession, MirrorVia};
use crate::vmkernel::{Hop, port_interface};

/// How often a known way is checked.
const KNOWN: Duration = Duration::from_secs(5);
/// How soon an unknown way is looked up again; doubled each time.
const UNKNOWN: Duration = Duration::from_millis(50);

/// The declared sessions, and the ways to their destinations.
#[derive(Debug, Default)]
pub(super) struct Routed {
    declared: Vec<MirrorSession>,
    /// By address; unreachable addresses are absent.
    ways: BTreeMap<Ipv4Addr, Way>,
    /// When to look next; `None` if no address is declared.
    due: Option<Instant>,
    wait: Duration,
}

/// A way through an adapter.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Way {
    port: String,
    source_ip: Ipv4Addr,
    source: Mac,
    next_hop: Mac,
}

impl Routed {
    /// Sets the declared sessions. Known ways stay.
    pub(super) fn declare(&mut self, sessions: &[MirrorSession]) {
        self.declared = sessions.to_vec();
        let wanted: Vec<Ipv4Addr> = self.addresses().collect();
        self.ways.retain(|address, _| wanted.contains(address));
        self.wait = UNKNOWN;
        self.due = (!wanted.is_empty()).then(Instant::now);
    }

    fn addresses(&self) -> impl Iterator<Item = Ipv4Addr> {
        self.declared.iter().filter_map(|session| match session.destination {
            MirrorDestination::Routed { destination_ip, .. } => Some(destination_ip),
            _ => None,
        })
    }

    /// The sessions to plan: with the known ways filled in.
    pub(super) fn sessions(&self) -> Vec<MirrorSession> {
        self.declared.iter().map(|session| self.session(session)).collect()
    }

    fn session(&self, session: &MirrorSession) -> MirrorSession {
        let mut session = session.clone();
        if let MirrorDestination::Routed { encapsulation, destination_ip } = session.destination
            && let Some(way) = self.ways.get(&destination_ip).cloned()
        {
            session.destination = MirrorDestination::Address(Box::new(Encapsulated {
                encapsulation,
                source_ip: way.source_ip,
                destination_ip,
                source: way.source,
                next_hop: way.next_hop,
                via: MirrorVia::Port { interface: way.port },
            }));
        }
        session
    }

    /// Waits until ways are to be looked up.
    pub(super) async fn due(&self) {
        match self.due {
            Some(due) => sleep_until(due).await,
            None => std::future::pending().await,
        }
    }

    /// Sets the ways that were found. True if they changed.
    fn found(&mut self, ways: BTreeMap<Ipv4Addr, Way>) -> bool {
        let all = self.addresses().all(|address| ways.contains_key(&address));
        let changed = self.ways != ways;
        self.wait = match all {
            true => KNOWN,
            false if changed => UNKNOWN,
            false => (self.wait * 2).min(KNOWN),
        };
        self.due = self.due.map(|_| Instant::now() + self.wait);
        self.ways = ways;
        changed
    }
}

impl Switching {
    /// Looks up the ways of mirrors, and applies them if they changed.
    pub(super) async fn follow_routes(&mut self) {
        if self.find_routes().await {
            self.apply_seen().await;
        }
    }

    /// Looks up the ways of mirrors, and puts them into the declaration. True if they changed.
    pub(super) async fn find_routes(&mut self) -> bool {
        let mut ways = BTreeMap::new();
        for address in self.routed.addresses().collect::<Vec<_>>() {
            match self.routing.hop(address).await {
                Ok(hop) => ways.extend(hop.and_then(|hop| Some((address, self.way(hop)?)))),
                Err(error) => {
                    tracing::warn!(%address, error, "cannot look up the way to a mirror's destination")
                }
            }
        }
        let changed = self.routed.found(ways);
        self.declared.mirrors = self.routed.sessions();
        if changed {
            for session in &self.declared.mirrors {
                if let MirrorDestination::Routed { destination_ip: to, .. } = session.destination {
                    tracing::warn!(session = session.number, %to, "no VMkernel adapter reaches a mirror's destination");
                }
            }
        }
        changed
    }

    /// The way of a hop that leaves by an adapter of the default stack.
    fn way(&self, hop: Hop) -> Option<Way> {
        let (device, _) = self.links.iter().find(|(_, link)| link.index == hop.index)?;
        let adapter: &Adapter = self.declared.adapters.iter().find(|it| it.device == *device)?;
        let port = port_interface(device);
        Some(Way { port, source_ip: hop.source, source: adapter.mac, next_hop: hop.mac? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::declare::{Encapsulation, MirrorSource};

    const TO: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 2);

    fn routed() -> Routed {
        let session = MirrorSession {
            number: 3,
            source: MirrorSource::Ports { transmitted: vec!["t1".into()], received: vec![] },
            destination: MirrorDestination::Routed { encapsulation: Encapsulation::Gre, destination_ip: TO },
            every: 1,
            length: None,
            strip_vlan: false,
            normal_traffic: true,
        };
        let mut routed = Routed::default();
        routed.declare(&[session]);
        routed
    }

    fn way(last: u8) -> BTreeMap<Ipv4Addr, Way> {
        let way = Way {
            port: "vmk0-port".into(),
            source_ip: [10, 9, 0, 1].into(),
            source: Mac([2, 0, 0, 0, 0, 1]),
            next_hop: Mac([2, 0, 0, 0, 0, last]),
        };
        [(TO, way)].into()
    }

    #[test]
    fn an_unknown_way_is_looked_for_ever_more_seldom_and_a_known_one_is_followed() {
        let mut routed = routed();
        assert!(matches!(routed.sessions()[0].destination, MirrorDestination::Routed { .. }));
        let mut waits = Vec::new();
        for _ in 0..9 {
            assert!(!routed.found(BTreeMap::new()));
            waits.push(routed.wait);
        }
        assert!(waits.is_sorted() && waits[0] == 2 * UNKNOWN && waits[8] == KNOWN, "{waits:?}");
        assert!(routed.found(way(7)) && !routed.found(way(7)));
        let MirrorDestination::Address(to) = &routed.sessions()[0].destination else { panic!() };
        assert_eq!((to.next_hop.0[5], &to.via), (7, &MirrorVia::Port { interface: "vmk0-port".into() }));
        assert!(routed.found(way(8)), "another router");
        assert!(routed.found(BTreeMap::new()) && routed.wait == UNKNOWN, "it is gone");
        routed.declare(&[]);
        assert!(routed.due.is_none() && routed.sessions().is_empty());
    }
}
