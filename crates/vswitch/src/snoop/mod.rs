//! Multicast snooping: reading the IGMP and MLD messages of hosts and routers ([`read`]), and keeping the memberships
//! ([`Memberships`]), of which only certain ones are used. Follows RFC 4541 (*Considerations for IGMP and MLD Snooping
//! Switches*).

mod igmp;
mod members;
mod mld;
mod queriers;

use std::net::IpAddr;
use std::time::Duration;

use crate::Mac;
use crate::frame::{ETHER_IPV4, ETHER_IPV6, Ethernet, Reader};
use crate::limits::SNOOP_RECORDS;

pub use members::{Effect, Memberships, Origin};
pub use queriers::Place;

/// Internet protocols.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    V4,
    V6,
}

/// An IGMP or MLD message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// A querier (a router, or a switch in its stead) asks for members.
    Query {
        family: Family,
        /// The querier; unspecified for a switch that does not take part in the querier election (RFC 4541, 2.1.1).
        source: IpAddr,
        /// The group asked for; `None` for all.
        group: Option<IpAddr>,
        /// How long hosts may take to answer.
        response: Duration,
    },
    /// A host reports the groups that it joins and leaves, at most [`SNOOP_RECORDS`].
    Report(Vec<Membership>),
}

/// A group that a host joins or leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Membership {
    pub group: IpAddr,
    pub is_member: bool,
}

/// The message in a frame without a tag. `None` if it has none, is damaged, or breaks a rule of its protocol.
pub fn read(frame: &[u8]) -> Option<Message> {
    let ethernet = Ethernet::read(frame)?;
    match ethernet.ether_type {
        ETHER_IPV4 => igmp::read(ethernet.payload),
        ETHER_IPV6 => mld::read(ethernet.payload),
        _ => None,
    }
}

/// The MAC of a group's frames (RFC 1112, 6.4; RFC 2464, 7). Several groups share one.
pub fn mac_of(group: IpAddr) -> Mac {
    match group {
        IpAddr::V4(group) => {
            let [_, b, c, d] = group.octets();
            Mac([0x01, 0x00, 0x5e, b & 0x7f, c, d])
        }
        IpAddr::V6(group) => {
            let [.., c, d, e, f] = group.octets();
            Mac([0x33, 0x33, c, d, e, f])
        }
    }
}

/// Whether frames to a group's MAC go to all ports, regardless of membership: all groups that share a MAC with
/// 224.0.0.0/24, which hosts do not report (RFC 4541, 2.1.2), ff02::1, likewise (3), the other well-known groups of
/// ff02::/16, and solicited nodes (RFC 4291, 2.7.1), without which neighbours would not be found.
pub fn is_always_flooded(mac: Mac) -> bool {
    matches!(
        mac.0,
        [0x01, 0x00, 0x5e, 0, 0, _]
            | [0x33, 0x33, 0, 0, 0, _]
            | [0x33, 0x33, 0, 1, 0, _]
            | [0x33, 0x33, 0xff, _, _, _]
    )
}

/// Whether the address is a group that hosts report.
fn is_reported(group: IpAddr) -> bool {
    match group {
        IpAddr::V4(group) => group.is_multicast() && group.octets()[..3] != [224, 0, 0],
        // Scopes 0 and 1 do not leave a host (RFC 3810, 6).
        IpAddr::V6(group) => group.is_multicast() && group.octets()[1] & 0xf > 1 && group != ALL_NODES,
    }
}

const ALL_NODES: std::net::Ipv6Addr = std::net::Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);

/// Kinds of group records, the same for IGMPv3 (RFC 3376, 4.2.12) and MLDv2 (RFC 3810, 5.2.12).
const IS_INCLUDE: u8 = 1;
const IS_EXCLUDE: u8 = 2;
const TO_INCLUDE: u8 = 3;
const TO_EXCLUDE: u8 = 4;
const ALLOW: u8 = 5;
const BLOCK: u8 = 6;

/// The records of an IGMPv3 or MLDv2 report, from their count on. The switch ignores sources: a host that wants any
/// source of a group is a member of it.
fn records(
    mut report: Reader<'_>,
    address_bytes: usize,
    address: impl Fn(&mut Reader<'_>) -> Option<IpAddr>,
) -> Option<Message> {
    let count = usize::from(report.u16()?).min(SNOOP_RECORDS);
    let mut memberships = Vec::new();
    for _ in 0..count {
        let (kind, auxiliary, sources) = (report.u8()?, report.u8()?, usize::from(report.u16()?));
        let group = address(&mut report)?;
        report.take(sources * address_bytes + usize::from(auxiliary) * 4)?;
        let is_member = match (kind, sources) {
            (IS_EXCLUDE | TO_EXCLUDE, _) => true,
            (IS_INCLUDE | TO_INCLUDE, sources) => sources > 0,
            (ALLOW, 1..) => true,
            // Fewer sources, or a kind to ignore.
            (ALLOW | BLOCK, _) | (_, _) => continue,
        };
        if is_reported(group) {
            memberships.push(Membership { group, is_member });
        }
    }
    Some(Message::Report(memberships))
}

/// The only membership of an older report.
fn one(group: IpAddr, is_member: bool) -> Option<Message> {
    let known = if is_reported(group) { vec![Membership { group, is_member }] } else { Vec::new() };
    (group.is_multicast()).then_some(Message::Report(known))
}

/// The group of a query: unspecified for all.
fn asked(group: IpAddr) -> Option<Option<IpAddr>> {
    if group.is_unspecified() { Some(None) } else { group.is_multicast().then_some(Some(group)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_have_macs() {
        for (group, mac) in [
            ("239.129.2.3", "01:00:5e:01:02:03"),
            ("224.1.2.3", "01:00:5e:01:02:03"),
            ("ff3e::1:ffee:1", "33:33:ff:ee:00:01"),
        ] {
            assert_eq!(mac_of(group.parse().unwrap()).to_string(), mac);
        }
    }

    #[test]
    fn what_the_link_itself_needs_is_always_flooded() {
        let flooded = |group: &str| is_always_flooded(mac_of(group.parse().unwrap()));
        for group in
            ["224.0.0.1", "224.0.0.251", "239.128.0.5", "ff02::1", "ff02::fb", "ff02::1:2", "ff02::1:ff00:7"]
        {
            assert!(flooded(group), "{group}");
        }
        for group in ["239.1.1.1", "224.0.1.129", "ff0e::1234:1"] {
            assert!(!flooded(group), "{group}");
        }
    }
}
