//! Flows, as the programs count them.

use super::tests::{Bench, LOOPBACK, OTHER, OUTSIDE, OWN, REDIRECT, frame};
use super::*;
use crate::frame::{ETHER_IPV4, ETHER_IPV6};
use crate::layout::*;
use crate::plan::{Extra, Step};

const UDP: u8 = 17;
const TCP: u8 = 6;
const ICMP: u8 = 1;
const FIN: u8 = 0x11;
const ACK: u8 = 0x10;
/// Most new flows of one port in a second.
const LIMIT: u64 = 4096;

fn bench(flags: u32, every: u32, watch: u32) -> Bench {
    let mut bench = Bench::with_port(flags, 10);
    let watch = Watch { every, flags: watch };
    for number in [1, 2] {
        bench.apply(Step::Extra(Extra::Watch(number, Some(Box::new(watch)))));
    }
    bench
}

/// `length` is the length that the packet states.
fn v4(
    to: [u8; 6],
    protocol: u8,
    fragment: u16,
    options: usize,
    above: &[u8],
    length: Option<u16>,
) -> Vec<u8> {
    let mut sent = frame(to, OWN, ETHER_IPV4);
    sent.truncate(14);
    let real = u16::try_from(20 + options + above.len()).unwrap();
    let first = 0x45 + u8::try_from(options / 4).unwrap();
    sent.extend([first, 0xb8]);
    sent.extend(length.unwrap_or(real).to_be_bytes());
    sent.extend([0, 0]);
    sent.extend(fragment.to_be_bytes());
    sent.extend([64, protocol, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
    sent.resize(sent.len() + options, 1);
    sent.extend(above);
    crate::frame::pad(sent)
}

/// Extension headers as next header and length in bytes; the first of them has the number `next`.
fn v6(next: u8, extensions: &[(u8, usize)], above: &[u8]) -> Vec<u8> {
    let mut sent = frame(OTHER, OWN, ETHER_IPV6);
    sent.truncate(14);
    let length: usize = extensions.iter().map(|(_, bytes)| bytes).sum::<usize>() + above.len();
    sent.extend([0x6a, 0xb0, 0, 1]);
    sent.extend(u16::try_from(length).unwrap().to_be_bytes());
    sent.extend([next, 64]);
    sent.extend([0xfd; 16]);
    sent.extend([0xfe; 16]);
    for (next, bytes) in extensions {
        sent.extend([*next, u8::try_from(bytes / 8 - 1).unwrap()]);
        sent.resize(sent.len() + bytes - 2, 0);
    }
    sent.extend(above);
    sent
}

/// Ports 1000 and 2000, in this many bytes.
fn above(bytes: usize) -> Vec<u8> {
    let mut above = vec![3, 232, 7, 208];
    above.resize(bytes, 0);
    above
}

fn tcp(flags: u8) -> Vec<u8> {
    let mut tcp = above(20);
    (tcp[12], tcp[13]) = (5 << 4, flags);
    tcp
}

fn all(flows: &mut Flows) -> Vec<(FlowKey, Flow)> {
    let turn = flows.change_turns().unwrap();
    let mut all = Vec::new();
    flows.drain(turn, |key, flow| all.push((*key, *flow))).unwrap();
    all.sort_by_key(|(key, _)| *key);
    all
}

#[test]
fn packets_are_counted_by_what_they_have_in_common() {
    /// Name, frame, protocol, class, ports, octets and whether the flow ends; `None` if it is not counted.
    type Case = (&'static str, Vec<u8>, Option<(u8, u8, (u16, u16), u64, bool)>);
    let ports = (1000, 2000);
    let cases: Vec<Case> = vec![
        ("UDP", v4(OTHER, UDP, 0, 0, &above(108), None), Some((UDP, 0xb8, ports, 128, false))),
        ("short, with padding", v4(OTHER, UDP, 0, 0, &above(9), None), Some((UDP, 0xb8, ports, 29, false))),
        ("with options", v4(OTHER, UDP, 0, 40, &above(8), None), Some((UDP, 0xb8, ports, 68, false))),
        (
            "longer than it is",
            v4(OTHER, UDP, 0, 0, &above(80), Some(60_000)),
            Some((UDP, 0xb8, ports, 100, false)),
        ),
        (
            "a first fragment",
            v4(OTHER, UDP, 0x2000, 0, &above(88), None),
            Some((UDP, 0xb8, (0, 0), 108, false)),
        ),
        ("a later fragment", v4(OTHER, UDP, 10, 0, &above(88), None), Some((UDP, 0xb8, (0, 0), 108, false))),
        (
            "not to be fragmented",
            v4(OTHER, UDP, 0x4000, 0, &above(88), None),
            Some((UDP, 0xb8, ports, 108, false)),
        ),
        ("ICMP", v4(OTHER, ICMP, 0, 0, &above(64), None), Some((ICMP, 0xb8, (0, 0), 84, false))),
        ("TCP", v4(OTHER, TCP, 0, 0, &tcp(ACK), None), Some((TCP, 0xb8, ports, 40, false))),
        ("TCP that ends", v4(OTHER, TCP, 0, 0, &tcp(FIN), None), Some((TCP, 0xb8, ports, 40, true))),
        ("a part of TCP", v4(OTHER, TCP, 10, 0, &tcp(FIN), None), Some((TCP, 0xb8, (0, 0), 40, false))),
        ("IPv6", v6(UDP, &[], &above(108)), Some((UDP, 0xab, ports, 148, false))),
        ("IPv6, options", v6(0, &[(60, 8), (UDP, 24)], &above(8)), Some((UDP, 0xab, ports, 80, false))),
        ("IPv6, a fragment", v6(44, &[(UDP, 8)], &above(8)), Some((UDP, 0xab, (0, 0), 56, false))),
        ("IPv6, a long row", v6(60, &[(60, 8); 8], &above(8)), Some((60, 0xab, (0, 0), 112, false))),
        ("ARP", frame(OTHER, OWN, 0x0806), None),
        (
            "no IPv4",
            {
                let mut bad = v4(OTHER, UDP, 0, 0, &above(8), None);
                bad[14] = 0x54;
                bad
            },
            None,
        ),
    ];
    for (name, sent, expected) in cases {
        let mut bench = bench(PORT_WATCHED, 1, 0);
        let mut flows = bench.kernel.take_flows().unwrap();
        for _ in 0..3 {
            assert_eq!(bench.run(Program::FromPort, &sent), REDIRECT, "{name}");
        }
        let seen: Vec<_> = all(&mut flows)
            .into_iter()
            .map(|(key, flow)| {
                assert_eq!((key.number, key.other, key.vlan, key.way), (1, 3, 10, 0), "{name}");
                assert!(flow.first_ns > 0 && flow.first_ns <= flow.last_ns, "{name}");
                let ports = (key.source_port, key.destination_port);
                assert_eq!(flow.packets, 3, "{name}");
                (key.protocol, key.class, ports, flow.octets / 3, flow.flags == FLOW_ENDS)
            })
            .collect();
        assert_eq!(seen, expected.into_iter().collect::<Vec<_>>(), "{name}");
        assert_eq!(all(&mut flows), [], "{name}: they are told once");
    }
}

#[test]
fn both_ends_of_a_frame_see_it_if_they_are_watched() {
    let sent = v4(OTHER, UDP, 0, 0, &above(100), None);
    let watched = |flags| Target { ifindex: 50, number: 2, flags, vlan: 10, ..Target::default() };
    for (from, to, seen) in [
        (0, 0, vec![]),
        (PORT_WATCHED, 0, vec![(1, 3, 0)]),
        (0, PORT_WATCHED, vec![(2, 2, 1)]),
        (PORT_WATCHED, PORT_WATCHED, vec![(1, 3, 0), (2, 2, 1)]),
    ] {
        let mut bench = bench(from, 1, 0);
        bench.apply(Step::Station(StationKey { network: 7, vlan: 10, mac: OTHER }, watched(to)));
        let mut flows = bench.kernel.take_flows().unwrap();
        bench.run(Program::FromPort, &sent);
        let all: Vec<_> = all(&mut flows).iter().map(|(key, _)| (key.number, key.other, key.way)).collect();
        assert_eq!(all, seen, "number, other end and one, way");
    }
    // A mirror's copy that enters a port is not the port's traffic.
    let mut bench = bench(PORT_WATCHED, 1, 0);
    let mut flows = bench.kernel.take_flows().unwrap();
    bench.run_marked(Program::FromPort, &sent, MARK_COPY | 9);
    assert_eq!(all(&mut flows), []);
}

#[test]
fn only_flows_inside_of_the_host_if_they_are_wanted() {
    for (to, expected) in [(OTHER, 1), (OUTSIDE, 0), ([1, 0, 0x5e, 1, 1, 1], 0)] {
        let mut bench = bench(PORT_WATCHED, 1, WATCH_INTERNAL);
        let mut flows = bench.kernel.take_flows().unwrap();
        bench.run(Program::FromPort, &v4(to, UDP, 0, 0, &above(100), None));
        assert_eq!(all(&mut flows).len(), expected, "{to:?}");
    }
    // Frames from an uplink come from outside.
    for (watch, expected) in [(0, 1), (WATCH_INTERNAL, 0)] {
        let mut bench = bench(PORT_UPLINK, 1, watch);
        let uplink = Port {
            number: 1,
            network: 7,
            flags: PORT_UPLINK,
            mtu: 1500,
            vlan: VLAN_TRUNK,
            ..Port::default()
        };
        bench.apply(Step::Port(LOOPBACK, uplink));
        let target = Target { ifindex: 50, number: 2, flags: PORT_WATCHED, ..Target::default() };
        bench.apply(Step::Station(StationKey { network: 7, vlan: 0, mac: OTHER }, target));
        let mut flows = bench.kernel.take_flows().unwrap();
        bench.run(Program::FromUplink, &v4(OTHER, UDP, 0, 0, &above(100), None));
        assert_eq!(all(&mut flows).len(), expected);
    }
}

#[test]
fn one_packet_of_so_many_is_counted() {
    let mut bench = bench(PORT_WATCHED, 10, 0);
    let mut flows = bench.kernel.take_flows().unwrap();
    for _ in 0..95 {
        bench.run(Program::FromPort, &v4(OTHER, UDP, 0, 0, &above(100), None));
        // These are not counted.
        bench.run(Program::FromPort, &frame(OTHER, OWN, 0x0806));
    }
    let seen = all(&mut flows);
    assert_eq!((seen.len(), seen[0].1.packets, seen[0].1.octets), (1, 10, 1200));
}

#[test]
fn a_flood_of_flows_is_counted_as_lost_and_forwarded() {
    let mut bench = bench(PORT_WATCHED, 1, 0);
    let mut flows = bench.kernel.take_flows().unwrap();
    let mut sent = 0;
    while flows.lost(1).unwrap() == 0 && sent < u64::from(u16::MAX) {
        for _ in 0..LIMIT / 4 {
            let mut above = above(8);
            above[..2].copy_from_slice(&((sent & 0xffff) as u16).to_be_bytes());
            assert_eq!(bench.run(Program::FromPort, &v4(OTHER, UDP, 0, 0, &above, None)), REDIRECT);
            sent += 1;
        }
    }
    let (seen, lost) = (all(&mut flows).len() as u64, flows.lost(1).unwrap());
    assert_eq!(seen + lost, sent);
    assert!(lost > 0 && seen >= LIMIT, "{seen} {lost}");
}
