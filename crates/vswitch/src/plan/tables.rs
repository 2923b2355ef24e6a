//! Ports, stations and groups of a declaration.

use std::collections::{BTreeMap, BTreeSet};

use super::learning;
use super::mirrors::mirroring;
use super::shaping::{Queues, queue, shaper};
use super::{Links, Members, Numbers, Own, Placements, Tables};
use crate::declare::{
    self, AtLimit, Balancing, Declaration, MulticastFiltering, Policy, PortGroup, Shaping, Switch,
};
use crate::kernel::layout::{
    HASH_IP, HASH_PORT, HASH_SOURCE_MAC, LEARNER_DROPS, Learner, PORT_BLOCKED, PORT_DEAF, PORT_FORGED,
    PORT_LEARNED, PORT_LEARNS, PORT_LISTENED, PORT_MIRRORED, PORT_RANGES, PORT_SHAPED, PORT_SNOOPED,
    PORT_TEAMED, PORT_UPLINK, PORT_WATCHED, Port, StationKey, TEAM_SLOTS, Target, Trunk, VLAN_ANY,
    VLAN_TRUNK, WATCH_INTERNAL, WAY_FROM, WAY_TO, Watch, WayKey,
};
use crate::limits::{LEARNED, STORM_FRAMES};
use crate::{Mac, Vlan, VlanRanges};

/// A port whose interface is there, with what decides about it.
pub(super) struct Connected<'a> {
    pub index: u32,
    pub number: u32,
    pub declared: &'a declare::Port,
    pub switch: &'a Switch,
    pub group: &'a PortGroup,
    policy: Policy,
    /// The slot that its load has brought it to.
    placed: Option<u8>,
    /// More flags of its entry and of its target, from what is declared of it elsewhere.
    more: (u32, u32),
}

/// The declared ports whose interfaces and port groups are there.
fn connected<'a>(declared: &'a Declaration, links: &Links, numbers: &Numbers) -> Vec<Connected<'a>> {
    let connect = |port: &'a declare::Port| {
        let (index, number) = place(&port.interface, links, numbers)?;
        let (switch, group) = declared.port_group(port.port_group)?;
        let policy = switch.policy_of(group);
        Some(Connected { index, number, declared: port, switch, group, policy, placed: None, more: (0, 0) })
    };
    declared.ports.iter().filter_map(connect).collect()
}

fn place(interface: &str, links: &Links, numbers: &Numbers) -> Option<(u32, u32)> {
    let index = links.get(interface)?.index;
    Some((index, *numbers.get(&index)?))
}

/// The queues that traffic shaping needs.
pub fn queues(declared: &Declaration, links: &Links, numbers: &Numbers) -> Queues {
    let of = |port: &Connected<'_>| {
        let number = port.number;
        port.shaped().map(move |(way, shaping)| (WayKey { number, way }, queue(shaping))).collect::<Vec<_>>()
    };
    connected(declared, links, numbers).iter().flat_map(of).collect()
}

/// Everything but the teams. `numbers` has a place for each interface that is declared and there.
pub fn tables(
    declared: &Declaration,
    links: &Links,
    numbers: &Numbers,
    own: Own,
    placements: &Placements,
) -> Tables {
    let mut ports = connected(declared, links, numbers);
    for port in &mut ports {
        port.placed = placements.get(&port.index).copied();
    }
    let mirroring = mirroring(declared, &ports, links, numbers, own);
    for port in &mut ports {
        let mute = flag(mirroring.mute.contains(&port.index), PORT_BLOCKED);
        let mirrored = |way| flag(mirroring.has(port.number, way), PORT_MIRRORED);
        port.more = (mute | mirrored(WAY_FROM), mute | mirrored(WAY_TO));
    }
    let queue = own.queue.unwrap_or(0);
    let mut tables = Tables::default();
    // Networks and VLANs that some port listens to in promiscuous mode.
    let snooped: BTreeSet<(u32, u16)> =
        ports.iter().filter(|port| port.policy.security.promiscuous).map(Connected::place).collect();
    let is_snooped = |network: u32, vlan: u16| {
        snooped.contains(&(network, vlan)) || snooped.contains(&(network, VLAN_ANY)) || {
            vlan == VLAN_ANY && snooped.range((network, 0)..=(network, u16::MAX)).next().is_some()
        }
    };
    tables.extras.learners = learners(&ports);
    let networks: BTreeSet<u32> = tables.extras.learners.values().map(|learner| learner.network).collect();
    let learned = |network: u32| flag(networks.contains(&network), PORT_LEARNED);
    for port in &ports {
        let (network, vlan) = port.place();
        let snooped = if is_snooped(network, vlan) { PORT_SNOOPED } else { 0 };
        tables.ports.insert(port.index, port.entry(snooped | learned(network)));
        tables.stations.insert(StationKey { network, vlan, mac: port.station().0 }, port.target());
        if let Vlan::Ranges(ranges) = &port.group.vlan {
            tables.extras.trunks.insert(port.number, trunk(ranges));
        }
        if let Some(watch) = port.watch() {
            tables.extras.watches.insert(port.number, watch);
        }
        for (way, shaping) in port.shaped() {
            let shaper = shaper(shaping, port.index, queue);
            tables.extras.shapers.insert(WayKey { number: port.number, way }, shaper);
        }
    }
    groups(&mut tables, &ports);
    for switch in &declared.switches {
        for (index, number) in switch.uplinks.iter().filter_map(|uplink| place(uplink, links, numbers)) {
            let snooped = if is_snooped(switch.number, VLAN_ANY) { PORT_SNOOPED } else { 0 };
            let teamed = if switch.uplinks.len() > 1 { PORT_TEAMED } else { 0 };
            let mirrored = flag(mirroring.has_vlan(switch.number), PORT_MIRRORED);
            let flags = PORT_UPLINK | snooped | teamed | mirrored | listened(switch) | learned(switch.number);
            let uplink = Port {
                number,
                network: switch.number,
                flags,
                mtu: switch.mtu,
                vlan: VLAN_TRUNK,
                ..Port::default()
            };
            tables.ports.insert(index, uplink);
        }
    }
    (tables.extras.mirrors, tables.extras.sources) = (mirroring.mirrors, mirroring.sources);
    tables
}

/// The ports that learn, by number.
fn learners(ports: &[Connected<'_>]) -> BTreeMap<u32, Learner> {
    let ports = || ports.iter().filter(|port| port.policy.security.learns());
    let asked = ports().map(|port| (port.number, port.policy.security.learning.limit)).collect();
    let limits = learning::limits(&asked, LEARNED);
    let learner = |port: &Connected<'_>| Learner {
        target: port.target(),
        network: port.switch.number,
        limit: limits[&port.number],
        flags: flag(port.policy.security.learning.at_limit == AtLimit::Drop, LEARNER_DROPS),
    };
    ports().map(|port| (port.number, learner(port))).collect()
}

/// Who gets broadcasts, who listens, and who gets what nobody is known to have, for each VLAN that a port has.
fn groups(tables: &mut Tables, ports: &[Connected<'_>]) {
    let mut by_vlan: BTreeMap<(u32, u16), Vec<&Connected<'_>>> = BTreeMap::new();
    for port in ports {
        by_vlan.entry(port.place()).or_default().push(port);
    }
    for (&(network, vlan), own) in &by_vlan {
        // Ports that take all tags hear every VLAN of their network.
        let trunks = by_vlan.get(&(network, VLAN_ANY)).into_iter().flatten();
        let mut everyone = Members::default();
        let mut listeners = Members::default();
        let mut flooded = Members::default();
        let access: &[&Connected<'_>] = if vlan == VLAN_ANY { &[] } else { own };
        for port in access {
            everyone.untagged.push(port.target());
            if port.policy.security.promiscuous {
                listeners.untagged.push(port.target());
            } else if port.policy.security.is_flooded() {
                flooded.untagged.push(port.target());
            }
        }
        for port in trunks {
            everyone.tagged.push(port.target());
            if port.policy.security.promiscuous {
                listeners.tagged.push(port.target());
            } else if port.policy.security.is_flooded() {
                flooded.tagged.push(port.target());
            }
        }
        let key = |mac: Mac| StationKey { network, vlan, mac: mac.0 };
        for (mac, members) in [(Mac::ZERO, listeners), (Mac::NOBODY, flooded)] {
            if !members.untagged.is_empty() || !members.tagged.is_empty() {
                tables.groups.insert(key(mac), members);
            }
        }
        tables.groups.insert(key(Mac::BROADCAST), everyone);
    }
}

impl Connected<'_> {
    /// Network and VLAN, as keys have them.
    fn place(&self) -> (u32, u16) {
        let vlan = self.group.vlan.number();
        (self.switch.number, if vlan == VLAN_TRUNK { VLAN_ANY } else { vlan })
    }

    /// The guest has taken another MAC and may not.
    fn is_deaf(&self) -> bool {
        !self.policy.security.mac_changes
            && self.declared.guest_mac.is_some_and(|mac| mac != self.declared.mac)
    }

    /// The MAC that it is reached by, and sends from.
    fn station(&self) -> Mac {
        match self.declared.guest_mac {
            Some(mac) if self.policy.security.mac_changes && !mac.is_group() => mac,
            _ => self.declared.mac,
        }
    }

    fn flags(&self) -> u32 {
        flag(self.declared.blocked, PORT_BLOCKED)
            | flag(self.policy.security.forged_transmits, PORT_FORGED)
            | flag(self.is_deaf(), PORT_DEAF)
            | flag(matches!(self.group.vlan, Vlan::Ranges(_)), PORT_RANGES)
            | flag(self.watch().is_some(), PORT_WATCHED)
            | flag(self.policy.security.learns(), PORT_LEARNS)
            | flag(self.policy.security.learns() && self.switch.uplinks.len() > 1, PORT_TEAMED)
    }

    /// How its flows are watched, if they are.
    fn watch(&self) -> Option<Watch> {
        let ipfix = self.switch.ipfix.as_ref().filter(|_| self.policy.ipfix)?;
        Some(Watch { every: ipfix.one_of.max(1), flags: flag(ipfix.internal_only, WATCH_INTERNAL) })
    }

    /// The ways that are shaped.
    fn shaped(&self) -> impl Iterator<Item = (u32, &Shaping)> {
        let ways = [(WAY_FROM, &self.policy.outbound), (WAY_TO, &self.policy.inbound)];
        ways.into_iter().filter(|(_, shaping)| shaping.enabled)
    }

    /// What is about the frames that it gets.
    fn target_flags(&self) -> u32 {
        self.flags() & (PORT_BLOCKED | PORT_DEAF | PORT_RANGES | PORT_WATCHED)
            | flag(self.policy.inbound.enabled, PORT_SHAPED)
            | self.more.1
    }

    fn hashing(&self) -> u8 {
        match self.policy.teaming.balancing {
            Balancing::Port | Balancing::Load | Balancing::Explicit => HASH_PORT,
            Balancing::SourceMac => HASH_SOURCE_MAC,
            Balancing::IpHash => HASH_IP,
        }
    }

    /// Its slot in the team: also for a hash of the source MAC, which for a port that may not forge is always the same.
    pub fn slot(&self) -> u8 {
        let slot = match (self.policy.teaming.balancing, self.placed) {
            (Balancing::SourceMac, _) => slot_of_mac(self.station()),
            (Balancing::Load, Some(slot)) => usize::from(slot) % TEAM_SLOTS,
            _ => self.number as usize % TEAM_SLOTS,
        };
        u8::try_from(slot).expect("there are 32 slots")
    }

    fn entry(&self, more: u32) -> Port {
        Port {
            number: self.number,
            network: self.switch.number,
            team: self.group.number,
            flags: self.flags()
                | more
                | self.more.0
                | flag(self.policy.outbound.enabled, PORT_SHAPED)
                | listened(self.switch),
            mtu: self.switch.mtu,
            vlan: self.group.vlan.number(),
            mac: self.station().0,
            hashing: self.hashing(),
            slot: self.slot(),
            storm_limit: STORM_FRAMES,
        }
    }

    fn target(&self) -> Target {
        Target {
            ifindex: self.index,
            number: self.number,
            flags: self.target_flags(),
            team: self.group.number,
            vlan: self.group.vlan.number(),
            slot: self.slot(),
            hashing: self.hashing(),
        }
    }
}

fn listened(switch: &Switch) -> u32 {
    flag(switch.multicast == MulticastFiltering::Snooping, PORT_LISTENED)
}

fn trunk(ranges: &VlanRanges) -> Trunk {
    let mut trunk = Trunk::default();
    for vlan in ranges.ranges().iter().flat_map(|(first, last)| *first..=*last) {
        trunk.vlans[usize::from(vlan) / 64] |= 1 << (vlan % 64);
    }
    trunk
}

fn flag(on: bool, flag: u32) -> u32 {
    if on { flag } else { 0 }
}

/// As `hash_mac` in `bpf/team.h`.
pub(crate) fn slot_of_mac(mac: Mac) -> usize {
    const GOLDEN: u32 = 0x9e37_79b1;
    let [a, b, c, d, e, f] = mac.0;
    let folded = u32::from_ne_bytes([c, d, e, f]) ^ u32::from(u16::from_ne_bytes([a, b]));
    (folded.wrapping_mul(GOLDEN) >> 27) as usize
}

#[cfg(test)]
#[path = "tables_tests.rs"]
mod tests;
