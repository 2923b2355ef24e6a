//! Ports, stations and groups of a declaration.

use std::collections::{BTreeMap, BTreeSet};

use super::connected::{Connected, connected, flag, listened, locate};
use super::learning;
use super::mirrors::mirroring;
use super::shaping::{Queues, queue, shaper};
use super::{Links, Members, Numbers, Own, Placements, Tables};
use crate::declare::{AtLimit, Declaration};
use crate::layout::{
    LEARNER_DROPS, Learner, PORT_BLOCKED, PORT_LEARNED, PORT_MIRRORED, PORT_SNOOPED, PORT_TEAMED,
    PORT_UPLINK, Port, StationKey, Trunk, VLAN_ANY, VLAN_TRUNK, WAY_FROM, WAY_TO, WayKey,
};
use crate::limits::LEARNED;
use crate::{Mac, Vlan, VlanRanges};

/// The queues that traffic shaping needs.
pub fn queues(declared: &Declaration, links: &Links, numbers: &Numbers) -> Queues {
    let of = |port: &Connected<'_>| {
        let number = port.number;
        port.shaped().map(move |(way, shaping)| (WayKey { number, way }, queue(shaping))).collect::<Vec<_>>()
    };
    connected(declared, links, numbers).iter().flat_map(of).collect()
}

/// All tables but the teams. `numbers` has an index for each declared interface that exists.
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
    // Networks and VLANs with a promiscuous port.
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
        for (index, number) in switch.uplinks.iter().filter_map(|uplink| locate(uplink, links, numbers)) {
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

/// The receivers of broadcasts, of all traffic (promiscuous ports) and of unknown destinations, for each VLAN that a
/// port has.
fn groups(tables: &mut Tables, ports: &[Connected<'_>]) {
    let mut by_vlan: BTreeMap<(u32, u16), Vec<&Connected<'_>>> = BTreeMap::new();
    for port in ports {
        by_vlan.entry(port.place()).or_default().push(port);
    }
    for (&(network, vlan), own) in &by_vlan {
        // Trunk ports receive every VLAN of their network.
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

fn trunk(ranges: &VlanRanges) -> Trunk {
    let mut trunk = Trunk::default();
    for vlan in ranges.ranges().iter().flat_map(|(first, last)| *first..=*last) {
        trunk.vlans[usize::from(vlan) / 64] |= 1 << (vlan % 64);
    }
    trunk
}

#[cfg(test)]
#[path = "tables_tests.rs"]
mod tests;
