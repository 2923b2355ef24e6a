//! Discovery protocols at work: remembering neighbours, and announcing the host to them at intervals.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use tokio::sync::watch;

use super::ears::Speech;
use crate::declare::{self, Declaration, DiscoveryProtocol};
use crate::discovery::{Announcement, Neighbour, Neighbours, System, cdp, lldp};
use crate::limits::{CDP_INTERVAL, CDP_TTL_S, LLDP_INTERVAL, LLDP_TTL_S};
use crate::packet::PacketSocket;
use crate::plan::Links;

pub(super) struct Discovery {
    system: System,
    /// Uplinks with a link whose switch uses a protocol.
    uplinks: BTreeMap<String, Uplink>,
    publish: watch::Sender<Neighbours>,
}

struct Uplink {
    index: u32,
    speaks: declare::Discovery,
    /// The name under which the uplink is announced.
    announced: String,
    switch: String,
    mtu: u32,
    /// When the next announcement is due.
    due: Duration,
}

impl Discovery {
    pub(super) fn new(system: System, publish: watch::Sender<Neighbours>) -> Self {
        Self { system, uplinks: BTreeMap::new(), publish }
    }

    /// Sets the protocols. A new link gets an announcement at once; neighbours behind a lost link, or of a protocol
    /// that was replaced, are forgotten.
    pub(super) fn see(&mut self, now: Duration, declared: &Declaration, links: &Links) {
        let mut before = std::mem::take(&mut self.uplinks);
        let mut stays = BTreeSet::new();
        for switch in &declared.switches {
            let Some(speaks) = switch.discovery else { continue };
            for name in &switch.uplinks {
                let Some(link) = links.get(name).filter(|link| link.running) else { continue };
                let same = |known: &Uplink| (known.index, known.speaks) == (link.index, speaks);
                let known = before.remove(name).filter(same);
                if known.is_some() && speaks.operation.listens() {
                    stays.insert(name.as_str());
                }
                let announced = declared.names.get(name).unwrap_or(name).clone();
                // A new name is announced at once.
                let due = known.filter(|known| known.announced == announced).map_or(now, |known| known.due);
                let (index, switch, mtu) = (link.index, switch.name.clone(), switch.mtu);
                self.uplinks.insert(name.clone(), Uplink { index, speaks, announced, switch, mtu, due });
            }
        }
        self.publish.send_if_modified(|neighbours| {
            let gone: Vec<String> =
                neighbours.uplinks().filter(|name| !stays.contains(name)).map(str::to_owned).collect();
            gone.iter().for_each(|name| neighbours.forget(name));
            !gone.is_empty()
        });
    }

    /// The frames to receive, by ifindex.
    pub(super) fn ears(&self) -> impl Iterator<Item = (u32, Speech)> {
        let listening = self.uplinks.values().filter(|uplink| uplink.speaks.operation.listens());
        listening.map(|uplink| match uplink.speaks.protocol {
            DiscoveryProtocol::Cdp => (uplink.index, Speech::Cdp),
            DiscoveryProtocol::Lldp => (uplink.index, Speech::Lldp),
        })
    }

    /// Records a frame, unless it was still in flight when listening ended.
    pub(super) fn hear(&self, now: Duration, index: u32, frame: &[u8]) {
        let Some((name, uplink)) = self.uplinks.iter().find(|(_, uplink)| uplink.index == index) else {
            return;
        };
        let Some(neighbour) = Neighbour::read(frame) else { return };
        let protocol = match neighbour {
            Neighbour::Lldp(_) => DiscoveryProtocol::Lldp,
            Neighbour::Cdp(_) => DiscoveryProtocol::Cdp,
        };
        if uplink.speaks.operation.listens() && uplink.speaks.protocol == protocol {
            self.publish.send_modify(|neighbours| neighbours.hear(now, name, neighbour));
        }
    }

    /// When [`Self::tick`] must be called next.
    pub(super) fn next(&self) -> Option<Duration> {
        let told = self.uplinks.values().filter(|uplink| uplink.speaks.operation.advertises());
        told.map(|uplink| uplink.due).chain(self.publish.borrow().next_expiry()).min()
    }

    /// Sends due announcements. `management` is the host's management address.
    pub(super) fn tick(&mut self, now: Duration, packets: &PacketSocket, management: Option<IpAddr>) {
        if self.publish.borrow().next_expiry().is_some_and(|expiry| expiry <= now) {
            self.publish.send_modify(|neighbours| neighbours.expire(now));
        }
        for (name, uplink) in &mut self.uplinks {
            if uplink.due > now || !uplink.speaks.operation.advertises() {
                continue;
            }
            uplink.due = now
                + match uplink.speaks.protocol {
                    DiscoveryProtocol::Cdp => CDP_INTERVAL,
                    DiscoveryProtocol::Lldp => LLDP_INTERVAL,
                };
            let sent = PacketSocket::mac_of(uplink.index).and_then(|mac| {
                let announcement = Announcement {
                    mac,
                    interface: uplink.announced.clone(),
                    port_description: format!("Uplink of {}", uplink.switch),
                    system_name: self.system.name.clone(),
                    system_description: self.system.description.clone(),
                    platform: self.system.platform.clone(),
                    management,
                    native_vlan: None,
                    mtu: uplink.mtu,
                    ttl_s: 0,
                };
                packets.send(uplink.index, &frame(uplink.speaks.protocol, announcement))
            });
            if let Err(error) = sent {
                tracing::warn!(uplink = name, %error, "cannot announce the host");
            }
        }
    }
}

fn frame(protocol: DiscoveryProtocol, announcement: Announcement) -> Vec<u8> {
    match protocol {
        DiscoveryProtocol::Cdp => cdp::build(&Announcement { ttl_s: CDP_TTL_S, ..announcement }),
        DiscoveryProtocol::Lldp => lldp::build(&Announcement { ttl_s: LLDP_TTL_S, ..announcement }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::declare::{DiscoveryOperation, Policy, Switch};
    use crate::plan::Link;

    fn declared(protocol: DiscoveryProtocol, operation: DiscoveryOperation) -> Declaration {
        let switch = Switch {
            number: 1,
            name: "vSwitch0".into(),
            mtu: 1500,
            uplinks: vec!["up0".into()],
            policy: Policy::default(),
            discovery: Some(declare::Discovery { protocol, operation }),
            multicast: Default::default(),
            ipfix: None,
            port_groups: Vec::new(),
        };
        Declaration { switches: vec![switch], ..Declaration::default() }
    }

    #[test]
    fn a_neighbour_is_known_only_as_long_as_its_protocol_is_listened_to() {
        use DiscoveryOperation::{Advertise, Both, Listen};
        use DiscoveryProtocol::{Cdp, Lldp};
        let (publish, seen) = watch::channel(Neighbours::default());
        let mut discovery = Discovery::new(System::default(), publish);
        let (now, announcement) = (Duration::ZERO, crate::discovery::tests::announcement());
        let (lldp, cdp) = (lldp::build(&announcement), cdp::build(&announcement));
        let known = || seen.borrow().uplinks().count();
        let links = |running| [("up0".to_owned(), Link { index: 5, running })].into();
        discovery.see(now, &declared(Lldp, Listen), &links(true));
        discovery.hear(now, 5, &cdp);
        discovery.hear(now, 6, &lldp);
        assert_eq!(known(), 0);
        discovery.hear(now, 5, &lldp);
        discovery.see(now, &declared(Lldp, Listen), &links(true));
        assert_eq!((known(), discovery.next()), (1, Some(Duration::from_secs(120))));
        for (declared, running) in [
            (declared(Cdp, Listen), true),
            (declared(Lldp, Advertise), true),
            (declared(Lldp, Listen), false),
            (Declaration::default(), true),
        ] {
            discovery.see(now, &self::declared(Lldp, Both), &links(true));
            discovery.hear(now, 5, &lldp);
            assert_eq!(known(), 1);
            discovery.see(now, &declared, &links(running));
            discovery.hear(now, 5, &lldp);
            assert_eq!(known(), 0, "{declared:?}");
        }
    }
}
