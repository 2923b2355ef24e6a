use super::*;
use crate::Mac;

const UPLINK: u32 = 7;
const NONE: Option<VlanId> = None;

const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn vlan(number: u16) -> Option<VlanId> {
    Some(number.try_into().unwrap())
}

fn asks(sender: impl Into<Ipv4Addr>, target: impl Into<Ipv4Addr>) -> Arp {
    Arp { is_request: true, sender: (Mac([2, 0, 0, 0, 0, 1]), sender.into()), target: target.into() }
}

fn says(sender: &str, target: &str) -> Arp {
    asks(sender.parse::<Ipv4Addr>().unwrap(), target.parse::<Ipv4Addr>().unwrap())
}

fn table() -> Observed {
    let mut table = Observed::default();
    table.know_uplinks(&[UPLINK].into());
    table
}

fn shown(table: &Observed, now: u64) -> Vec<(u16, String)> {
    let ranges = table.ranges(s(now), UPLINK).into_iter();
    ranges.map(|range| (range.vlan.map_or(0, u16::from), range.to_string())).collect()
}

#[test]
fn the_asking_and_the_asked_address_are_in_one_range() {
    for (packets, expected) in [
        (&[("10.27.49.7", "10.27.49.200")][..], &["10.27.49.1-10.27.49.254"][..]),
        (&[("10.0.0.3", "10.0.0.100")], &["10.0.0.1-10.0.0.127"]),
        (&[("10.0.0.130", "10.0.0.200")], &["10.0.0.128-10.0.0.254"]),
        (&[("10.20.0.1", "10.20.1.9")], &["10.20.0.1-10.20.1.254"]),
        (&[("172.16.5.4", "172.16.250.4")], &["172.16.0.1-172.16.255.254"]),
        // An announcement, a probe, an answer to one.
        (&[("10.0.0.3", "10.0.0.3")], &["10.0.0.3-10.0.0.3"]),
        (&[("0.0.0.0", "10.0.0.3")], &[]),
        (&[("10.0.0.3", "0.0.0.0")], &["10.0.0.3-10.0.0.3"]),
        // In a network of more than 256 addresses, a station may have such an address.
        (&[("10.0.1.0", "10.0.1.0")], &["10.0.1.0-10.0.1.0"]),
        (&[("10.0.1.254", "10.0.1.255")], &["10.0.1.254-10.0.1.254"]),
        // Wider than any subnet.
        (&[("10.0.0.3", "10.1.0.3")], &["10.0.0.3-10.0.0.3"]),
        (&[("10.0.0.3", "200.1.0.3")], &["10.0.0.3-10.0.0.3"]),
        // Not stations.
        (&[("127.0.0.1", "10.0.0.1"), ("224.0.0.1", "10.0.0.1"), ("255.255.255.255", "10.0.0.1")], &[]),
        (&[("10.0.0.1", "10.0.0.2"), ("0.1.2.3", "10.0.0.1")], &["10.0.0.1-10.0.0.3"]),
        // A block inside another is not shown, in either order; adjacent blocks stay two.
        (&[("10.0.0.1", "10.0.0.9"), ("10.0.0.1", "10.0.0.200")], &["10.0.0.1-10.0.0.254"]),
        (&[("10.0.0.1", "10.0.0.200"), ("10.0.0.1", "10.0.0.9")], &["10.0.0.1-10.0.0.254"]),
        (
            &[("10.0.1.1", "10.0.1.200"), ("10.0.0.1", "10.0.0.200")],
            &["10.0.0.1-10.0.0.254", "10.0.1.1-10.0.1.254"],
        ),
    ] {
        let mut table = table();
        for (sender, target) in packets {
            table.observe(s(0), UPLINK, NONE, &says(sender, target));
        }
        let expected: Vec<_> = expected.iter().map(|range| (0, (*range).to_owned())).collect();
        assert_eq!(shown(&table, 0), expected, "{packets:?}");
    }
}

#[test]
fn each_vlan_of_each_uplink_has_its_own() {
    let mut table = Observed::default();
    table.know_uplinks(&[UPLINK, 8].into());
    table.observe(s(0), UPLINK, vlan(20), &says("10.20.0.1", "10.20.0.100"));
    table.observe(s(0), UPLINK, NONE, &says("10.0.0.1", "10.0.0.100"));
    table.observe(s(0), 8, vlan(30), &says("10.30.0.1", "10.30.0.100"));
    // An unknown uplink.
    table.observe(s(0), 9, NONE, &says("10.40.0.1", "10.40.0.100"));
    assert_eq!(shown(&table, 0), [(0, "10.0.0.1-10.0.0.127".into()), (20, "10.20.0.1-10.20.0.127".into())]);
    assert_eq!((table.ranges(s(0), 8).len(), table.ranges(s(0), 9).len()), (1, 0));
    // A link that was lost counts as new when it comes back.
    assert!(table.know_uplinks(&[8].into()));
    assert!(!table.know_uplinks(&[UPLINK, 8].into()));
    assert_eq!((shown(&table, 0), table.ranges(s(0), 8).len()), (vec![], 1));
}

#[test]
fn a_range_that_is_not_observed_any_more_ends_even_around_others() {
    let mut table = table();
    let age = OBSERVED_AGE.as_secs();
    table.observe(s(0), UPLINK, NONE, &says("10.0.0.1", "10.0.255.1"));
    table.observe(s(10), UPLINK, NONE, &says("10.0.0.1", "10.0.0.200"));
    assert_eq!(shown(&table, age - 1), [(0, "10.0.0.1-10.0.255.254".into())]);
    assert_eq!(shown(&table, age), [(0, "10.0.0.1-10.0.0.254".into())]);
    assert_eq!(shown(&table, age + 10), []);
}

#[test]
fn strangers_fill_nothing_and_push_out_nobody_who_is_heard_again() {
    let mut table = table();
    let known = says("192.168.1.1", "192.168.1.200");
    let range = "192.168.1.1-192.168.1.254".to_owned();
    table.observe(s(0), UPLINK, vlan(5), &known);
    table.observe(s(1), UPLINK, vlan(5), &known);
    for number in 0..10_000_u32 {
        let address = Ipv4Addr::from_bits(0x0a00_0000 + number * 0x100);
        table.observe(s(2), UPLINK, vlan(5), &asks(address, address));
    }
    let ranges = table.ranges(s(3), UPLINK);
    assert_eq!(ranges.len(), OBSERVED_BLOCKS);
    assert!(shown(&table, 3).contains(&(5, range.clone())), "{ranges:?}");
    // In every VLAN.
    for number in 1..=4094 {
        table.observe(s(4), UPLINK, vlan(number), &says("10.0.0.1", "10.0.0.9"));
    }
    assert_eq!(table.uplinks[&UPLINK].len(), OBSERVED_VLANS);
    assert!(shown(&table, 5).contains(&(5, range)));
    // They expire, and there is room again.
    let later = 5 + OBSERVED_AGE.as_secs();
    table.observe(s(later), UPLINK, vlan(4000), &known);
    assert_eq!(shown(&table, later), [(4000, "192.168.1.1-192.168.1.254".into())]);
    assert_eq!(table.uplinks[&UPLINK].len(), 1);
}

#[test]
fn a_full_vlan_keeps_what_is_shown() {
    let mut table = table();
    let wide = says("10.0.0.1", "10.0.0.200");
    // Single addresses, and then one range around all of them.
    for host in 2..2 + u32::try_from(OBSERVED_BLOCKS).unwrap() {
        let address = Ipv4Addr::from_bits(0x0a00_0000 + host);
        table.observe(s(0), UPLINK, NONE, &asks(address, address));
        table.observe(s(0), UPLINK, NONE, &asks(address, address));
    }
    table.observe(s(1), UPLINK, NONE, &wide);
    assert_eq!(shown(&table, 1), [(0, "10.0.0.1-10.0.0.254".into())]);
    let mut table = self::table();
    table.observe(s(0), UPLINK, NONE, &wide);
    for host in 2..100 {
        let address = Ipv4Addr::from_bits(0x0a00_0000 + host);
        table.observe(s(1), UPLINK, NONE, &asks(address, address));
        table.observe(s(1), UPLINK, NONE, &asks(address, address));
    }
    assert_eq!(shown(&table, 1), [(0, "10.0.0.1-10.0.0.254".into())]);
    // An inner block gives way to another.
    table.observe(s(2), UPLINK, NONE, &says("10.9.0.1", "10.9.0.200"));
    assert_eq!(shown(&table, 2).len(), 2);
}
