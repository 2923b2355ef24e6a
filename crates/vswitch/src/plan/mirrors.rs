//! From mirroring sessions to mirrors, each one destination of a session, and their sources. A destination that does
//! not exist gets no mirror, so nothing is copied for it.

use std::collections::{BTreeMap, BTreeSet};

use super::connected::Connected;
use super::{Links, Numbers, Own};
use crate::declare::{
    Declaration, Encapsulated, Encapsulation, MirrorDestination, MirrorSession, MirrorSource, MirrorVia,
};
use crate::layout::{
    Copies, ENCAPSULATE_ERSPAN2, ENCAPSULATE_ERSPAN3, ENCAPSULATE_GRE, MAX_COPIES, MIRROR_ENTER,
    MIRROR_FINE_TIME, MIRROR_STRIP, MIRROR_TEAMED, Mirror, SourceKey, WAY_FROM, WAY_TO, WAY_VLAN,
};
use crate::limits::{MIRROR_DESTINATIONS, MIRROR_LENGTH, MIRRORS};
use crate::{Error, Result, VlanId};

/// IPv4 and GRE.
const GRE_BYTES: u32 = 20 + 4;
const ERSPAN2_BYTES: u32 = GRE_BYTES + 12;
const ERSPAN3_BYTES: u32 = GRE_BYTES + 16;
/// The tag that a copy may keep inside.
const TAG_BYTES: u32 = 4;

/// The entries of the maps.
#[derive(Debug, Default)]
pub(super) struct Mirroring {
    pub mirrors: BTreeMap<u32, Mirror>,
    pub sources: BTreeMap<SourceKey, Copies>,
    /// Ports that receive copies and nothing else, by ifindex.
    pub mute: BTreeSet<u32>,
}

impl Mirroring {
    /// Whether a port's traffic in a direction is mirrored.
    pub fn has(&self, number: u32, way: u32) -> bool {
        self.sources.contains_key(&key(number, 0, way))
    }

    /// Whether frames that arrive at a network's uplinks are mirrored in some VLAN.
    pub fn has_vlan(&self, network: u32) -> bool {
        self.sources.keys().any(|key| u32::from(key.way) == WAY_VLAN && key.of == network)
    }
}

fn key(of: u32, vlan: u16, way: u32) -> SourceKey {
    SourceKey { of, vlan, way: u16::try_from(way).expect("there are three ways") }
}

/// The inputs of planning a session.
struct Scene<'a> {
    declared: &'a Declaration,
    ports: &'a [Connected<'a>],
    links: &'a Links,
    numbers: &'a Numbers,
}

pub(super) fn mirroring(
    declared: &Declaration,
    ports: &[Connected<'_>],
    links: &Links,
    numbers: &Numbers,
    own: Own,
) -> Mirroring {
    let mut all = Mirroring::default();
    let Some(near) = own.mirror else { return all };
    let scene = Scene { declared, ports, links, numbers };
    for session in &declared.mirrors {
        if let (MirrorDestination::Ports { interfaces, .. }, false) =
            (&session.destination, session.normal_traffic)
        {
            all.mute.extend(interfaces.iter().filter_map(|name| scene.port(name)).map(|port| port.index));
        }
        let sources = scene.sources(&session.source);
        if sources.is_empty() {
            continue;
        }
        for (at, mirror) in scene.destinations(session).into_iter().enumerate() {
            let Some(number) = number(session.number, at) else { continue };
            all.mirrors.insert(number, mirror);
            for source in &sources {
                let copies = all.sources.entry(*source).or_default();
                copies.ifindex = near;
                // Validation has refused sources with too many mirrors.
                if let Some(free) = copies.mirror.get_mut(copies.count as usize) {
                    *free = number;
                    copies.count += 1;
                }
            }
        }
    }
    all
}

fn number(session: u32, at: usize) -> Option<u32> {
    let at = u32::try_from(at).ok().filter(|_| at < MIRROR_DESTINATIONS)?;
    (session < u32::try_from(MIRRORS).expect("is small"))
        .then(|| session * u32::try_from(MIRROR_DESTINATIONS).expect("is small") + at)
}

impl Scene<'_> {
    fn port(&self, interface: &str) -> Option<&Connected<'_>> {
        self.ports.iter().find(|port| port.declared.interface == interface)
    }

    fn sources(&self, source: &MirrorSource) -> BTreeSet<SourceKey> {
        match source {
            MirrorSource::Ports { transmitted, received } => {
                let of = |names: &'_ [String], way| -> Vec<SourceKey> {
                    let ports = names.iter().filter_map(|name| self.port(name));
                    ports.map(|port| key(port.number, 0, way)).collect()
                };
                of(transmitted, WAY_FROM).into_iter().chain(of(received, WAY_TO)).collect()
            }
            MirrorSource::Vlans { switch, vlans } => {
                vlans.iter().map(|vlan| key(*switch, u16::from(*vlan), WAY_VLAN)).collect()
            }
        }
    }

    /// The destinations that exist.
    fn destinations(&self, session: &MirrorSession) -> Vec<Mirror> {
        let plain = Mirror {
            flags: if session.strip_vlan { MIRROR_STRIP } else { 0 },
            every: session.every.max(1),
            snap: session.length.map_or(0, |length| length.max(MIRROR_LENGTH)),
            ..Mirror::default()
        };
        match &session.destination {
            MirrorDestination::Ports { interfaces, vlan } => {
                let plain = Mirror { vlan: tag(*vlan), ..plain };
                let ports = interfaces.iter().filter_map(|name| self.port(name));
                ports.map(|port| self.to_port(port, &session.source, plain)).collect()
            }
            MirrorDestination::Uplink { interfaces, vlan } => {
                let uplink = interfaces.iter().find_map(|name| self.uplink(name));
                uplink
                    .map(|(index, _)| Mirror { ifindex: index, vlan: (*vlan).into(), ..plain })
                    .into_iter()
                    .collect()
            }
            MirrorDestination::Address(to) => self.to_address(to, plain).into_iter().collect(),
            // The engine replaces a routed destination once it knows the way.
            MirrorDestination::Routed { .. } => Vec::new(),
        }
    }

    fn to_port(&self, port: &Connected<'_>, source: &MirrorSource, plain: Mirror) -> Mirror {
        // A frame that is flooded on a segment arrives at each uplink that reaches it.
        let teamed = matches!(source, MirrorSource::Vlans { .. }) && port.switch.uplinks.len() > 1;
        Mirror {
            ifindex: port.index,
            flags: plain.flags | if teamed { MIRROR_TEAMED } else { 0 },
            team: port.group.number,
            slot: port.slot(),
            ..plain
        }
    }

    /// The number of an uplink that has a link, and the MTU of its switch.
    fn uplink(&self, interface: &str) -> Option<(u32, u32)> {
        let link = self.links.get(interface).filter(|link| link.running)?;
        self.numbers.get(&link.index)?;
        let is_own = |name: &String| name == interface;
        let switch = self.declared.switches.iter().find(|switch| switch.uplinks.iter().any(is_own))?;
        Some((link.index, switch.mtu))
    }

    fn to_address(&self, to: &Encapsulated, plain: Mirror) -> Option<Mirror> {
        let (ifindex, mtu, vlan, enter) = match &to.via {
            MirrorVia::Uplink { interface, vlan } => {
                let (index, mtu) = self.uplink(interface)?;
                (index, mtu, tag(*vlan), 0)
            }
            MirrorVia::Port { interface } => {
                let port = self.port(interface)?;
                (port.index, port.switch.mtu, 0, MIRROR_ENTER)
            }
        };
        let (encapsulation, bytes, session, class_of_service, time) = match to.encapsulation {
            Encapsulation::Gre => (ENCAPSULATE_GRE, GRE_BYTES, 0, 0, 0),
            Encapsulation::Erspan2 { session, class_of_service } => {
                (ENCAPSULATE_ERSPAN2, ERSPAN2_BYTES, session, class_of_service, 0)
            }
            Encapsulation::Erspan3 { session, class_of_service, fine_time } => {
                let time = if fine_time { MIRROR_FINE_TIME } else { 0 };
                (ENCAPSULATE_ERSPAN3, ERSPAN3_BYTES, session, class_of_service, time)
            }
        };
        let kept_tag = if plain.flags & MIRROR_STRIP == 0 { TAG_BYTES } else { 0 };
        let most = mtu.saturating_sub(bytes + kept_tag).max(MIRROR_LENGTH);
        Some(Mirror {
            ifindex,
            flags: plain.flags | enter | time,
            snap: if plain.snap == 0 { most } else { plain.snap.min(most) },
            vlan,
            encapsulation,
            session,
            class_of_service,
            source_ip: to.source_ip.octets(),
            destination_ip: to.destination_ip.octets(),
            source: to.source.0,
            next_hop: to.next_hop.0,
            ..plain
        })
    }
}

fn tag(vlan: Option<VlanId>) -> u16 {
    vlan.map_or(0, u16::from)
}

/// Refuses more than the maps can hold.
///
/// # Errors
/// `Limit`.
pub fn check_mirrors(declared: &Declaration) -> Result<()> {
    let limit = |what, asked: usize, most: usize| {
        if asked > most { Err(Error::Limit { what, asked, most }) } else { Ok(()) }
    };
    let mut of: BTreeMap<(&str, u32, u16), usize> = BTreeMap::new();
    for session in &declared.mirrors {
        limit("number of a mirroring session", session.number as usize, MIRRORS - 1)?;
        let destinations = match &session.destination {
            MirrorDestination::Ports { interfaces, .. } => interfaces.len(),
            _ => 1,
        };
        limit("destinations of a mirroring session", destinations, MIRROR_DESTINATIONS)?;
        let sources: BTreeSet<(&str, u32, u16)> = match &session.source {
            MirrorSource::Ports { transmitted, received } => {
                let sent = transmitted.iter().map(|name| (name.as_str(), WAY_FROM, 0));
                sent.chain(received.iter().map(|name| (name.as_str(), WAY_TO, 0))).collect()
            }
            MirrorSource::Vlans { switch, vlans } => {
                vlans.iter().map(|vlan| ("", WAY_VLAN + switch, u16::from(*vlan))).collect()
            }
        };
        for source in sources {
            let copies = of.entry(source).or_default();
            *copies += destinations;
            limit("mirrors of a port and direction", *copies, MAX_COPIES)?;
        }
    }
    Ok(())
}

#[cfg(test)]
#[path = "mirrors_tests.rs"]
mod tests;
