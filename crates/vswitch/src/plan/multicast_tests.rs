use std::time::Duration;

use super::*;
use crate::layout::{Port, Target, VLAN_TRUNK};
use crate::snoop::{Membership, Message, Origin, mac_of};

const NETWORK: u32 = 7;
const PLACE: Place = Place { network: NETWORK, vlan: 10 };
/// A VLAN that only the trunk port has.
const TRUNKED: Place = Place { network: NETWORK, vlan: 30 };
const UPLINK: u32 = 90;

const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn target(number: u32, vlan: u16) -> Target {
    Target { ifindex: number + 100, number, vlan, ..Target::default() }
}

/// Ports 1, 2 and 3 in VLAN 10, of which 3 is promiscuous, 4 a trunk, and 5 in VLAN 20.
fn tables(flags: u32) -> Tables {
    let mut tables = Tables::default();
    for number in [1, 2, 3, 4, 5, UPLINK] {
        tables.ports.insert(number + 100, Port { number, network: NETWORK, flags, ..Port::default() });
    }
    let key = |vlan, mac: Mac| StationKey { network: NETWORK, vlan, mac: mac.0 };
    let trunk = || vec![target(4, VLAN_TRUNK)];
    let untagged = |numbers: &[u32], vlan| numbers.iter().map(|number| target(*number, vlan)).collect();
    let list = |numbers: &[u32], vlan| Members { untagged: untagged(numbers, vlan), tagged: trunk() };
    tables.groups.insert(key(10, Mac::BROADCAST), list(&[1, 2, 3], 10));
    tables.groups.insert(key(20, Mac::BROADCAST), list(&[5], 20));
    tables.groups.insert(key(VLAN_ANY, Mac::BROADCAST), Members { untagged: vec![], tagged: trunk() });
    tables.groups.insert(key(10, Mac::ZERO), Members { untagged: vec![target(3, 10)], tagged: vec![] });
    tables
}

fn query(family: Family) -> Message {
    let source = match family {
        Family::V4 => [10, 0, 0, 1].into(),
        Family::V6 => std::net::Ipv6Addr::LOCALHOST.into(),
    };
    Message::Query { family, source, group: None, response: s(10) }
}

fn join(group: &str) -> Message {
    Message::Report(vec![Membership { group: group.parse().unwrap(), is_member: true }])
}

/// Memberships at 200 s: all ports since 0 s, a query of each family and place at 100 s.
fn known(asked: &[(Place, Family)], members: &[(u32, Place, &str)]) -> Memberships {
    let mut known = Memberships::default();
    let ports = [1, 2, 3].map(|number| (number, PLACE)).into_iter();
    let others = [(4, Place { vlan: VLAN_ANY, ..PLACE }), (5, Place { vlan: 20, ..PLACE })];
    known.know_ports(s(0), &ports.chain(others).collect());
    for (place, family) in asked {
        known.hear(s(100), *place, Origin::Uplink(UPLINK), &query(*family));
    }
    for (number, place, group) in members {
        known.hear(s(101), *place, Origin::Port(*number), &join(group));
    }
    known.expire(s(200));
    known
}

/// Numbers of the ports that receive frames to a MAC in a VLAN, found as the programs do.
fn audience(tables: &Tables, vlan: u16, mac: Mac) -> Vec<u32> {
    let key = |vlan, mac: Mac| tables.groups.get(&StationKey { network: NETWORK, vlan, mac: mac.0 });
    let filtered = || key(vlan, mac).or_else(|| key(vlan, others(family(mac))));
    let found = if is_always_flooded(mac) { None } else { filtered() };
    let found = found.or_else(|| key(vlan, Mac::BROADCAST)).or_else(|| key(VLAN_ANY, Mac::BROADCAST));
    found.into_iter().flat_map(Members::numbers).collect()
}

#[test]
fn groups_reach_members_where_somebody_asks_for_them() {
    let (v4, v6) = ((PLACE, Family::V4), (PLACE, Family::V6));
    let (one, two) = ("239.1.1.1", "239.1.1.2");
    let six = "ff3e::1234:5";
    let at_10 = |number, group| (number, PLACE, group);
    /// Name, queriers, members, VLAN and group of a frame, and its receivers.
    type Case<'a> = (&'a str, Vec<(Place, Family)>, Vec<(u32, Place, &'a str)>, u16, &'a str, &'a [u32]);
    let cases: Vec<Case<'_>> = vec![
        ("nobody asks", vec![], vec![at_10(1, one)], 10, one, &[1, 2, 3, 4]),
        ("a member", vec![v4], vec![at_10(1, one)], 10, one, &[1, 3]),
        ("another group", vec![v4], vec![at_10(1, one)], 10, two, &[3]),
        ("no member at all", vec![v4], vec![], 10, one, &[3]),
        ("another group with the same MAC", vec![v4], vec![at_10(1, "238.129.1.1")], 10, one, &[1, 3]),
        ("one that takes tags", vec![v4], vec![at_10(4, one), at_10(2, one)], 10, one, &[2, 3, 4]),
        ("another protocol", vec![v4], vec![at_10(1, one)], 10, six, &[1, 2, 3, 4]),
        ("IPv6", vec![v4, v6], vec![at_10(2, six), at_10(1, one)], 10, six, &[2, 3]),
        ("of the link", vec![v4], vec![at_10(1, one)], 10, "224.0.0.251", &[1, 2, 3, 4]),
        ("of the link, IPv6", vec![v6], vec![], 10, "ff02::1", &[1, 2, 3, 4]),
        ("a node", vec![v6], vec![at_10(1, "ff02::1:ff00:7")], 10, "ff02::1:ff00:7", &[1, 2, 3, 4]),
        ("another VLAN", vec![v4], vec![at_10(1, one)], 20, one, &[5, 4]),
        ("only ports that take all", vec![(TRUNKED, Family::V4)], vec![], 30, one, &[]),
        ("of which one is a member", vec![(TRUNKED, Family::V4)], vec![(4, TRUNKED, one)], 30, one, &[4]),
    ];
    for (name, asked, members, vlan, group, expected) in cases {
        let mut tables = tables(PORT_LISTENED);
        assert!(filter_multicast(&mut tables, &known(&asked, &members)).is_empty(), "{name}");
        assert_eq!(audience(&tables, vlan, mac_of(group.parse().unwrap())), expected, "{name}");
        assert_eq!(audience(&tables, 10, Mac::BROADCAST), [1, 2, 3, 4], "{name}: broadcasts");
    }
    let mut legacy = tables(0);
    let before = legacy.clone();
    filter_multicast(&mut legacy, &known(&[v4, v6], &[at_10(1, one)]));
    assert_eq!(legacy, before, "the switch does not filter");
}

#[test]
fn a_possible_member_gets_all_until_it_has_answered() {
    let mac = mac_of([239, 1, 1, 1].into());
    let get = |known: &Memberships| {
        let mut tables = tables(PORT_LISTENED);
        filter_multicast(&mut tables, known);
        audience(&tables, 10, mac)
    };
    let mut known = known(&[], &[]);
    known.hear(s(100), PLACE, Origin::Uplink(UPLINK), &query(Family::V4));
    known.expire(s(110));
    assert_eq!(get(&known), [1, 2, 3, 4], "they have not all had the time to answer");
    known.expire(s(111));
    assert_eq!(get(&known), [3]);
    // One comes from another host, and has joined already.
    let ports = [1, 2, 3].map(|number| (number, PLACE));
    known.know_ports(s(120), &ports[..1].iter().copied().collect());
    known.know_ports(s(121), &ports.into());
    assert_eq!(get(&known), [2, 3, 4]);
    known.doubt_all(s(130));
    assert_eq!(get(&known), [1, 2, 3, 4]);
    known.hear(s(225), PLACE, Origin::Uplink(UPLINK), &query(Family::V4));
    known.expire(s(236));
    assert_eq!(get(&known), [3, 4], "of 4 nothing is known");
    known.expire(s(500));
    assert_eq!(get(&known), [1, 2, 3, 4], "nobody asks any more");
}

#[test]
fn a_place_without_room_is_flooded() {
    let mut tables = tables(PORT_LISTENED);
    // Many VLANs exist already.
    for vlan in 100..4000 {
        for last in 0..4 {
            let key = StationKey { network: 9, vlan, mac: [1, 0, 0, 0, 0, last] };
            tables.groups.insert(key, Members::default());
        }
    }
    let left = (GROUPS - tables.groups.len()) / 2;
    let group = |number: usize| format!("239.1.{}.{}", number / 256, number % 256);
    let mut known = known(&[(PLACE, Family::V4), (TRUNKED, Family::V4)], &[]);
    // Two ports with 256 groups each would fit, ten would not.
    let ports: BTreeMap<u32, Place> = (1..=20).map(|number| (number, PLACE)).collect();
    known.know_ports(s(0), &ports);
    for number in 0..left {
        let port = 1 + u32::try_from(number / 256).unwrap();
        assert!(known.hear(s(201), PLACE, Origin::Port(port), &join(&group(number))).fits);
    }
    assert_eq!(filter_multicast(&mut tables, &known), [PLACE].into());
    let mac = mac_of(group(0).parse().unwrap());
    assert_eq!(audience(&tables, 10, mac), [1, 2, 3, 4]);
    assert_eq!(audience(&tables, 30, mac), [], "the next one fits");
}
