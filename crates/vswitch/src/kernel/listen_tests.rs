//! Multicast filtering in the programs.

use std::time::Duration;

use aya::maps::{MapData, RingBuf};

use super::tests::{BROADCAST, Bench, LOOPBACK, OUTSIDE, OWN, SHOT, frame};
use super::*;
use crate::frame::{ETHER_IPV4, ETHER_IPV6, Sum};
use crate::layout::*;
use crate::plan::Step;
use crate::snoop::{self, mac_of};

const GROUP: [u8; 4] = [239, 1, 1, 1];
const GROUP_6: &str = "ff3e::1234:5";
/// Numbers of members: of all, of the group, of frames to groups without members, and of promiscuous ports.
const ALL: u32 = 4;
const MEMBER: u32 = 5;
const OTHERS: u32 = 6;
const PROMISCUOUS: u32 = 7;
/// In an IGMP message: *membership query*, *version 2 membership report*.
const QUERY: u8 = 0x11;
const REPORT: u8 = 0x16;
const MLD_QUERY: u8 = 130;
const MLD_REPORT: u8 = 131;
const MLD_2_REPORT: u8 = 143;

/// A port or an uplink with lists of one member each.
fn bench(flags: u32, vlan: u16) -> Bench {
    let mut bench = Bench::with_port(flags, vlan);
    let vlan = if vlan == VLAN_TRUNK { 0 } else { vlan };
    let six = mac_of(GROUP_6.parse().unwrap()).0;
    for (mac, number) in [
        (BROADCAST, ALL),
        (mac_of(GROUP.into()).0, MEMBER),
        (six, MEMBER),
        ([0x01, 0, 0x5e, 0, 0, 0], OTHERS),
        ([0x33, 0x33, 0, 0, 0, 0], OTHERS),
        ([0; 6], PROMISCUOUS),
    ] {
        let target = Target { ifindex: 900 + number, number, vlan, ..Target::default() };
        bench.apply(Step::Member(MemberKey { list: number, position: 0 }, target));
        let group = Group { list: number, untagged: 1, tagged: 0 };
        bench.apply(Step::Group(StationKey { network: 7, vlan, mac }, group));
    }
    bench
}

fn hold(bench: &mut Bench, for_s: u64) {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    let now = Duration::from_secs(now.tv_sec.try_into().unwrap());
    bench.kernel.hold_filters(now + Duration::from_secs(for_s)).unwrap();
}

fn v4(source: [u8; 6], to: [u8; 4], protocol: u8, message: &[u8]) -> Vec<u8> {
    let mut sent = frame(mac_of(to.into()).0, source, ETHER_IPV4);
    sent.truncate(14);
    let length = u16::try_from(24 + message.len()).unwrap().to_be_bytes();
    let mut header = vec![0x46, 0, length[0], length[1], 0, 0, 0, 0, 1, protocol, 0, 0, 10, 0, 0, 5];
    header.extend(to);
    header.extend([0x94, 4, 0, 0]);
    let sum = Sum::default().with(&header).checksum().to_be_bytes();
    header[10..12].copy_from_slice(&sum);
    sent.extend(header);
    let mut message = message.to_vec();
    let sum = Sum::default().with(&message).checksum().to_be_bytes();
    message[2..4].copy_from_slice(&sum);
    sent.extend(message);
    crate::frame::pad(sent)
}

fn igmp(source: [u8; 6], kind: u8, to: [u8; 4]) -> Vec<u8> {
    v4(source, to, 2, &[&[kind, 0, 0, 0][..], &GROUP].concat())
}

/// ICMPv6 behind options of this many words of eight bytes.
fn icmp6(source: [u8; 6], kind: u8, to: &str, words: u8) -> Vec<u8> {
    let to: std::net::Ipv6Addr = to.parse().unwrap();
    let mut sent = frame(mac_of(to.into()).0, source, ETHER_IPV6);
    sent.truncate(14);
    let options = 8 * (1 + usize::from(words));
    sent.extend([0x60, 0, 0, 0, 0, u8::try_from(options + 24).unwrap(), 0, 1]);
    sent.extend([0; 16]);
    sent.extend(to.octets());
    sent.extend([58, words]);
    sent.resize(sent.len() + options - 2, 0);
    sent.extend([kind, 0, 0, 0, 0, 0, 0, 0]);
    sent.extend([0; 16]);
    sent
}

/// The receivers of copies, and the reports: the number, and the bytes.
fn run(
    bench: &mut Bench,
    program: Program,
    sent: &[u8],
    ring: &mut RingBuf<MapData>,
) -> (Vec<u32>, Vec<(u32, Vec<u8>)>) {
    let got = |bench: &Bench| {
        [ALL, MEMBER, OTHERS, PROMISCUOUS].map(|number| bench.kernel.counters(number).unwrap().to_packets)
    };
    let before = got(bench);
    bench.run(program, sent);
    let after = got(bench);
    let audience = (ALL..).zip(before.into_iter().zip(after)).filter(|(_, (before, after))| after > before);
    let audience = audience.map(|(number, _)| number).collect();
    let mut told = Vec::new();
    while let Some(entry) = ring.next() {
        let (head, bytes) = Heard::read(&entry).unwrap();
        told.push((head.number, bytes.to_vec()));
    }
    (audience, told)
}

fn ring(bench: &mut Bench) -> RingBuf<MapData> {
    RingBuf::try_from(bench.kernel.ebpf.take_map("heard").unwrap()).unwrap()
}

#[test]
fn frames_to_groups_reach_who_wants_them_and_messages_are_told() {
    let data = |to| v4(OWN, to, 17, &[0; 8]);
    let data_6 = |to: &str| icmp6(OWN, 128, to, 0);
    // Name, frame, receivers, whether it is reported.
    let cases: Vec<(&str, Vec<u8>, u32, bool)> = vec![
        ("to a group", data(GROUP), MEMBER, false),
        ("to one that nobody wants", data([239, 9, 9, 9]), OTHERS, false),
        ("of the link", data([224, 0, 0, 251]), ALL, false),
        ("IPv6", data_6(GROUP_6), MEMBER, false),
        ("IPv6 that nobody wants", data_6("ff3e::9999:9999"), OTHERS, false),
        ("of the link, IPv6", data_6("ff02::1"), ALL, false),
        ("a solicited node", data_6("ff02::1:ff00:7"), ALL, false),
        ("broadcast", frame(BROADCAST, OWN, ETHER_IPV4), ALL, false),
        ("no IP", frame([3, 0, 0, 0, 0, 1], OWN, 0x88f7), ALL, false),
        ("no IP, to the MAC of a group", frame(mac_of(GROUP.into()).0, OWN, 0x88f7), ALL, false),
        (
            "no IPv6, to the MAC of a group",
            frame(mac_of(GROUP_6.parse().unwrap()).0, OWN, ETHER_IPV4),
            ALL,
            false,
        ),
        ("a MAC that no group has", frame([1, 0, 0x5e, 0x81, 1, 1], OWN, ETHER_IPV4), ALL, false),
        ("a report", igmp(OWN, REPORT, GROUP), PROMISCUOUS, true),
        ("a report of the first version", igmp(OWN, 0x12, GROUP), PROMISCUOUS, true),
        ("a leave", igmp(OWN, 0x17, [224, 0, 0, 2]), PROMISCUOUS, true),
        ("a report of the third version", igmp(OWN, 0x22, [224, 0, 0, 22]), PROMISCUOUS, true),
        ("DVMRP", igmp(OWN, 0x13, [224, 0, 0, 4]), ALL, false),
        ("a router's advertisement", igmp(OWN, 0x30, [224, 0, 0, 106]), ALL, false),
        ("of no known kind, to a group", igmp(OWN, 0x99, GROUP), ALL, false),
        ("an MLD report", icmp6(OWN, MLD_REPORT, GROUP_6, 0), PROMISCUOUS, true),
        ("an MLDv2 report, more options", icmp6(OWN, MLD_2_REPORT, "ff02::16", 2), PROMISCUOUS, true),
        ("neighbour discovery", icmp6(OWN, 135, "ff02::1:ff00:7", 0), ALL, false),
        ("cut short", igmp(OWN, REPORT, GROUP)[..36].to_vec(), MEMBER, false),
    ];
    for (program, flags, vlan, source) in
        [(Program::FromPort, 0, 0, OWN), (Program::FromUplink, PORT_UPLINK, VLAN_TRUNK, OUTSIDE)]
    {
        let mut bench = bench(flags | PORT_LISTENED, vlan);
        let mut ring = ring(&mut bench);
        hold(&mut bench, 1000);
        ask(&mut bench, &mut ring);
        for (name, sent, audience, is_told) in &cases {
            let mut sent = sent.clone();
            sent[6..12].copy_from_slice(&source);
            let told = if *is_told { vec![(1, sent.clone())] } else { vec![] };
            assert_eq!(
                run(&mut bench, program, &sent, &mut ring),
                (vec![*audience], told),
                "{name} {program:?}"
            );
        }
    }
}

/// Sends queries of both protocols through an uplink; the number of reports.
fn ask(bench: &mut Bench, ring: &mut RingBuf<MapData>) -> usize {
    let queries = [igmp(OUTSIDE, QUERY, [224, 0, 0, 1]), icmp6(OUTSIDE, MLD_QUERY, "ff02::1", 0)];
    queries.iter().map(|query| uplink_brings(bench, query, ring)).sum()
}

/// Sends a frame through an uplink; the number of reports.
fn uplink_brings(bench: &mut Bench, sent: &[u8], ring: &mut RingBuf<MapData>) -> usize {
    let port = bench.kernel.read().unwrap().ports[&LOOPBACK];
    bench.apply(Step::Port(LOOPBACK, Port { flags: PORT_UPLINK | PORT_LISTENED, vlan: VLAN_TRUNK, ..port }));
    let (audience, told) = run(bench, Program::FromUplink, sent, ring);
    assert_eq!(audience, [ALL], "queries go to all");
    bench.apply(Step::Port(LOOPBACK, port));
    told.len()
}

#[test]
fn reports_are_kept_from_ports_only_where_filters_are_made() {
    for (report, query, other) in [
        (igmp(OWN, REPORT, GROUP), igmp(OWN, QUERY, GROUP), icmp6(OUTSIDE, MLD_QUERY, GROUP_6, 0)),
        (icmp6(OWN, MLD_REPORT, GROUP_6, 0), icmp6(OWN, MLD_QUERY, GROUP_6, 0), igmp(OUTSIDE, QUERY, GROUP)),
    ] {
        let mut bench = bench(PORT_LISTENED, 0);
        let mut ring = ring(&mut bench);
        let reported = |bench: &mut Bench, ring: &mut RingBuf<MapData>| {
            let (audience, told) = run(bench, Program::FromPort, &report, ring);
            assert_eq!(told.len(), 1, "it is told in any case");
            audience
        };
        assert_eq!(ask(&mut bench, &mut ring), 0, "a query counts for nothing while filters do not hold");
        hold(&mut bench, 1000);
        assert_eq!(reported(&mut bench, &mut ring), [ALL], "nobody asks");
        assert_eq!(run(&mut bench, Program::FromPort, &query, &mut ring), (vec![ALL], vec![]), "by a guest");
        assert_eq!(reported(&mut bench, &mut ring), [ALL], "a guest asks");
        uplink_brings(&mut bench, &other, &mut ring);
        assert_eq!(reported(&mut bench, &mut ring), [ALL], "somebody asks by another protocol");
        assert_eq!(ask(&mut bench, &mut ring), 2);
        assert_eq!(reported(&mut bench, &mut ring), [PROMISCUOUS]);
        hold(&mut bench, 0);
        assert_eq!(reported(&mut bench, &mut ring), [ALL], "filters do not hold");
    }
}

#[test]
fn without_the_flag_or_without_word_all_is_flooded() {
    for (flags, held) in [(0, 1000), (PORT_LISTENED, 0)] {
        let mut bench = bench(flags, 10);
        let mut ring = ring(&mut bench);
        hold(&mut bench, held);
        let sent = v4(OWN, GROUP, 17, &[0; 8]);
        assert_eq!(
            run(&mut bench, Program::FromPort, &sent, &mut ring),
            (vec![ALL], vec![]),
            "{flags} {held}"
        );
        let (audience, told) = run(&mut bench, Program::FromPort, &igmp(OWN, REPORT, GROUP), &mut ring);
        assert_eq!((audience, told.is_empty()), (vec![ALL], flags == 0));
    }
}

#[test]
fn messages_of_one_port_and_lost_ones_are_bounded() {
    let mut bench = bench(PORT_LISTENED, 10);
    let mut ring = ring(&mut bench);
    let sent = igmp(OWN, REPORT, GROUP);
    assert!(snoop::read(&sent).is_some());
    for _ in 0..2000 {
        bench.run(Program::FromPort, &sent);
    }
    let missed = bench.kernel.listening().unwrap();
    let heard = std::iter::from_fn(|| ring.next().map(drop_entry)).count() as u64;
    assert_eq!((heard + missed.ignored, missed.lost), (2000, 0));
    // Windows may change in between.
    assert!((LISTEN..2000).contains(&heard), "{heard}");
    assert!(bench.kernel.muted(1).unwrap() > Duration::ZERO, "whose messages were lost is known");
    assert_eq!(bench.kernel.muted(2).unwrap(), Duration::ZERO);

    // Large ones, from many ports, fill the ring.
    let mut large = sent.clone();
    large.resize(1514, 0);
    for number in 100..104 {
        let port = Port {
            number,
            network: 7,
            team: 3,
            flags: PORT_LISTENED,
            mtu: 1500,
            vlan: 10,
            mac: OWN,
            ..Port::default()
        };
        bench.apply(Step::Port(1, port));
        for _ in 0..256 {
            assert_ne!(bench.run(Program::FromPort, &large), SHOT, "it is forwarded all the same");
        }
    }
    assert!(bench.kernel.listening().unwrap().lost > 0);
}

const LISTEN: u64 = crate::limits::SNOOP_GROUPS_PER_PORT as u64;

fn drop_entry<T>(_: T) {}
