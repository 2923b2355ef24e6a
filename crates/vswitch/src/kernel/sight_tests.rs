//! The programs' reports of ARP frames that arrive at uplinks.

use std::net::Ipv4Addr;

use aya::maps::{MapData, RingBuf};

use super::tests::{BROADCAST, Bench, LOOPBACK, OTHER, OUTSIDE, OWN, frame};
use super::*;
use crate::Mac;
use crate::frame::{ETHER_ARP, ETHER_IPV4};
use crate::layout::*;
use crate::plan::Step;
use crate::vmkernel::Arp;

fn arp(source: [u8; 6]) -> (Arp, Vec<u8>) {
    let (sender, target) = (Ipv4Addr::new(10, 0, 0, 5), Ipv4Addr::new(10, 0, 0, 9));
    let packet = Arp { is_request: true, sender: (Mac(source), sender), target };
    (packet, packet.frame())
}

fn ring(bench: &mut Bench) -> RingBuf<MapData> {
    RingBuf::try_from(bench.kernel.ebpf.take_map("sightings").unwrap()).unwrap()
}

/// The reports after a program gets a frame.
fn told(bench: &mut Bench, program: Program, sent: &[u8], ring: &mut RingBuf<MapData>) -> Vec<Sighted> {
    bench.run(program, sent);
    std::iter::from_fn(|| ring.next().map(|entry| Sighted::read(&entry).unwrap())).collect()
}

#[test]
fn the_arp_that_an_uplink_brings_to_all_is_told_and_nothing_else() {
    let mut bench = Bench::with_port(PORT_UPLINK, VLAN_TRUNK);
    bench.apply(Step::Station(StationKey { network: 7, vlan: VLAN_ANY, mac: OWN }, Target::default()));
    let mut ring = ring(&mut bench);
    let (packet, sent) = arp(OUTSIDE);
    let seen = told(&mut bench, Program::FromUplink, &sent, &mut ring);
    assert_eq!(seen, [Sighted { ifindex: LOOPBACK, vlan: 0, frame: *sent.first_chunk().unwrap() }]);
    assert_eq!(Arp::read(&seen[0].frame), Some(packet));
    let to_one = [&OTHER[..], &sent[6..]].concat();
    for (name, program, sent) in [
        ("of a port", Program::FromPort, arp(OWN).1),
        ("a port's own, reflected", Program::FromUplink, arp(OWN).1),
        ("to one station", Program::FromUplink, to_one),
        ("another protocol", Program::FromUplink, frame(BROADCAST, OUTSIDE, ETHER_IPV4)),
        ("behind another tag", Program::FromUplink, frame(BROADCAST, OUTSIDE, 0x8100)),
        ("cut short", Program::FromUplink, sent[..41].to_vec()),
    ] {
        assert_eq!(told(&mut bench, program, &sent, &mut ring), [], "{name}");
    }
    // The content does not matter here; the reader checks it.
    let empty = frame(BROADCAST, OUTSIDE, ETHER_ARP);
    assert_eq!(told(&mut bench, Program::FromUplink, &empty, &mut ring).len(), 1);
}

#[test]
fn of_a_storm_no_more_is_told_than_so_much() {
    let mut bench = Bench::with_port(PORT_UPLINK, VLAN_TRUNK);
    let mut ring = ring(&mut bench);
    let sent = arp(OUTSIDE).1;
    // Of 20,000 in any time that this can take, 32 a second.
    let told: usize =
        (0..20_000).map(|_| told(&mut bench, Program::FromUplink, &sent, &mut ring).len()).sum();
    assert!((32..10_000).contains(&told), "{told}");
    // A full ring has no other effect.
    let counted = bench.kernel.counters(1).unwrap().from_packets;
    for vlan in 0..MAX_UNREAD {
        // Another uplink each time, each with its own window.
        let port = Port { number: vlan + 2, network: 7, flags: PORT_UPLINK, mtu: 1500, ..Port::default() };
        bench.apply(Step::Port(LOOPBACK, port));
        bench.run(Program::FromUplink, &sent);
    }
    let left = std::iter::from_fn(|| ring.next().map(drop)).count();
    assert!((1..MAX_UNREAD as usize).contains(&left), "{left}");
    assert_eq!((counted, bench.kernel.counters(5).unwrap().from_packets), (20_000, 1));
}

/// More than the ring holds.
const MAX_UNREAD: u32 = 1000;
