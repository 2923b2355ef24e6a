//! A declared port whose interface exists, joined with the switch, port group and policy that govern it, and the entries of
//! the maps that follow.

use super::{Links, Numbers};
use crate::declare::{self, Balancing, Declaration, MulticastFiltering, Policy, PortGroup, Shaping, Switch};
use crate::layout::{
    HASH_IP, HASH_PORT, HASH_SOURCE_MAC, PORT_BLOCKED, PORT_DEAF, PORT_FORGED, PORT_LEARNS, PORT_LISTENED,
    PORT_RANGES, PORT_SHAPED, PORT_TEAMED, PORT_WATCHED, Port, TEAM_SLOTS, Target, VLAN_ANY, VLAN_TRUNK,
    WATCH_INTERNAL, WAY_FROM, WAY_TO, Watch,
};
use crate::limits::STORM_FRAMES;
use crate::{Mac, Vlan};

/// A declared port whose interface exists, with everything that governs it.
pub(super) struct Connected<'a> {
    pub index: u32,
    pub number: u32,
    pub declared: &'a declare::Port,
    pub switch: &'a Switch,
    pub group: &'a PortGroup,
    pub policy: Policy,
    /// The slot that balancing by load moved it to.
    pub placed: Option<u8>,
    /// Further flags of its entry and of its target, which other declarations (mirrors) set.
    pub more: (u32, u32),
}

/// The declared ports whose interfaces and port groups exist.
pub(super) fn connected<'a>(
    declared: &'a Declaration,
    links: &Links,
    numbers: &Numbers,
) -> Vec<Connected<'a>> {
    let connect = |port: &'a declare::Port| {
        let (index, number) = locate(&port.interface, links, numbers)?;
        let (switch, group) = declared.port_group(port.port_group)?;
        let policy = switch.policy_of(group);
        Some(Connected { index, number, declared: port, switch, group, policy, placed: None, more: (0, 0) })
    };
    declared.ports.iter().filter_map(connect).collect()
}

/// Index and number of an interface that exists.
pub(super) fn locate(interface: &str, links: &Links, numbers: &Numbers) -> Option<(u32, u32)> {
    let index = links.get(interface)?.index;
    Some((index, *numbers.get(&index)?))
}

impl Connected<'_> {
    /// Network and VLAN in the form of the map keys.
    pub fn place(&self) -> (u32, u16) {
        let vlan = self.group.vlan.number();
        (self.switch.number, if vlan == VLAN_TRUNK { VLAN_ANY } else { vlan })
    }

    /// The guest uses another MAC although the policy rejects MAC changes.
    fn is_deaf(&self) -> bool {
        !self.policy.security.mac_changes
            && self.declared.guest_mac.is_some_and(|mac| mac != self.declared.mac)
    }

    /// The MAC that the port receives at and sends from.
    pub fn station(&self) -> Mac {
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

    /// How the programs sample its flows, if IPFIX is on.
    pub fn watch(&self) -> Option<Watch> {
        let ipfix = self.switch.ipfix.as_ref().filter(|_| self.policy.ipfix)?;
        Some(Watch { every: ipfix.one_of.max(1), flags: flag(ipfix.internal_only, WATCH_INTERNAL) })
    }

    /// The directions that are shaped.
    pub fn shaped(&self) -> impl Iterator<Item = (u32, &Shaping)> {
        let ways = [(WAY_FROM, &self.policy.outbound), (WAY_TO, &self.policy.inbound)];
        ways.into_iter().filter(|(_, shaping)| shaping.enabled)
    }

    /// The flags that concern frames towards the port.
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

    /// Its slot in the team. A port that may not forge always hashes its source MAC to the same slot.
    pub fn slot(&self) -> u8 {
        let slot = match (self.policy.teaming.balancing, self.placed) {
            (Balancing::SourceMac, _) => slot_of_mac(self.station()),
            (Balancing::Load, Some(slot)) => usize::from(slot) % TEAM_SLOTS,
            _ => self.number as usize % TEAM_SLOTS,
        };
        u8::try_from(slot).expect("there are 32 slots")
    }

    pub fn entry(&self, more: u32) -> Port {
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

    pub fn target(&self) -> Target {
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

pub(super) fn listened(switch: &Switch) -> u32 {
    flag(switch.multicast == MulticastFiltering::Snooping, PORT_LISTENED)
}

pub(super) fn flag(on: bool, flag: u32) -> u32 {
    if on { flag } else { 0 }
}

/// As `hash_mac` in `bpf/team.h`.
pub(crate) fn slot_of_mac(mac: Mac) -> usize {
    const GOLDEN: u32 = 0x9e37_79b1;
    let [a, b, c, d, e, f] = mac.0;
    let folded = u32::from_ne_bytes([c, d, e, f]) ^ u32::from(u16::from_ne_bytes([a, b]));
    (folded.wrapping_mul(GOLDEN) >> 27) as usize
}
