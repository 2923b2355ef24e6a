//! The programs, run by the kernel over crafted frames: a table of frame and verdict. The port under test is the
//! loopback interface, from which the kernel says that such frames come.

use std::path::Path;

use aya::programs::TestRun;
use aya::programs::TestRunOptions;
use rustix::mount::{UnmountFlags, unmount};
use rustix::time::{ClockId, clock_gettime};

use super::*;
use crate::layout::*;
use crate::plan::{Extra, Step};

mod learning;
mod segments;
mod shaping;

pub(super) const LOOPBACK: u32 = 1;
pub(super) const REDIRECT: u32 = 7;
pub(super) const SHOT: u32 = 2;
const OK: u32 = 0;

pub(super) const OWN: [u8; 6] = [0, 0x50, 0x56, 0, 0, 1];
pub(super) const OTHER: [u8; 6] = [0, 0x50, 0x56, 0, 0, 2];
pub(super) const OUTSIDE: [u8; 6] = [0, 0x11, 0x22, 0, 0, 3];
pub(super) const BROADCAST: [u8; 6] = [0xff; 6];
const MTU: u32 = 1500;

/// A kernel side in a separate BPF file system.
pub(super) struct Bench {
    pub(super) kernel: Kernel,
    room: Room,
}

/// The mount point of its file system, which is unmounted even if the kernel refuses the programs.
struct Room(tempfile::TempDir);

impl Room {
    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl std::ops::Drop for Room {
    fn drop(&mut self) {
        let _ = unmount(pins(self.path()), UnmountFlags::DETACH);
    }
}

impl Bench {
    fn new() -> Self {
        let room = Room(tempfile::tempdir().unwrap());
        let kernel = Kernel::open(&pins(room.path()), false).unwrap();
        Self { kernel, room }
    }

    /// A port on loopback in VLAN 10, another with [`OTHER`], one uplink.
    pub(super) fn with_port(flags: u32, vlan: u16) -> Self {
        let mut bench = Self::new();
        let port =
            Port { number: 1, network: 7, team: 3, flags, mtu: MTU, vlan, mac: OWN, ..Port::default() };
        bench.apply(Step::Port(LOOPBACK, port));
        let other = Target { ifindex: 50, number: 2, vlan: 10, ..Target::default() };
        bench.apply(Step::Station(StationKey { network: 7, vlan: 10, mac: OTHER }, other));
        let uplink = Uplink { ifindex: 60, number: 3, flags: 0 };
        bench.apply(Step::Team(3, Box::new(Team { slot: [uplink; TEAM_SLOTS] })));
        bench
    }

    pub(super) fn apply(&mut self, step: Step) {
        self.kernel.apply(&step).unwrap();
    }

    pub(super) fn run(&mut self, program: Program, frame: &[u8]) -> u32 {
        self.run_marked(program, frame, 0)
    }

    pub(super) fn run_marked(&mut self, program: Program, frame: &[u8], mark: u32) -> u32 {
        self.run_out(program, frame, mark).0
    }

    /// The verdict, and the frame afterwards.
    fn run_out(&mut self, program: Program, frame: &[u8], mark: u32) -> (u32, Vec<u8>) {
        // `struct __sk_buff`, in which only the mark, its third word, is set.
        let mut context = vec![0; 192];
        context[8..12].copy_from_slice(&mark.to_ne_bytes());
        self.run_with(program, frame, &context)
    }

    fn run_with(&mut self, program: Program, frame: &[u8], context: &[u8]) -> (u32, Vec<u8>) {
        let program = attach::program(&mut self.kernel.ebpf, program).unwrap();
        let mut out = vec![0; frame.len() + 96];
        let options = TestRunOptions {
            data_in: Some(frame),
            data_out: Some(&mut out),
            ctx_in: Some(context),
            ..TestRunOptions::default()
        };
        let result = program.test_run(options).unwrap();
        out.truncate(result.data_size_out as usize);
        (result.return_value, out)
    }

    fn drops(&self, reason: Drop) -> u64 {
        self.kernel.counters(1).unwrap().dropped(reason)
    }
}

fn pins(room: &Path) -> std::path::PathBuf {
    room.join("bpf")
}

pub(super) fn frame(destination: [u8; 6], source: [u8; 6], protocol: u16) -> Vec<u8> {
    let mut frame = [&destination[..], &source[..], &protocol.to_be_bytes()[..]].concat();
    frame.resize(60, 0);
    frame
}

pub(super) const IPV4: u16 = 0x0800;

/// Name, flags and VLAN of the port, the frame, and the number of its receiver or the reason why it is dropped.
type Case = (&'static str, u32, u16, Vec<u8>, Result<u32, Drop>);

#[test]
fn frames_from_a_port_meet_its_rules() {
    let long = |bytes: usize| {
        let mut frame = frame(OTHER, OWN, IPV4);
        frame.resize(bytes, 0);
        frame
    };
    let tagged = frame(OTHER, OWN, 0x8100);
    let service_tagged = frame(OTHER, OWN, 0x88a8);
    let cases: Vec<Case> = vec![
        ("to a neighbour", 0, 10, frame(OTHER, OWN, IPV4), Ok(2)),
        ("to the outside", 0, 10, frame(OUTSIDE, OWN, IPV4), Ok(3)),
        ("to a neighbour of another VLAN", 0, 20, frame(OTHER, OWN, IPV4), Ok(3)),
        ("broadcast", 0, 10, frame(BROADCAST, OWN, IPV4), Ok(3)),
        ("from a foreign MAC", 0, 10, frame(OTHER, OUTSIDE, IPV4), Err(Drop::Forged)),
        ("from a foreign MAC, allowed", PORT_FORGED, 10, frame(OTHER, OUTSIDE, IPV4), Ok(2)),
        ("from a group", PORT_FORGED, 10, frame(OTHER, [1, 0, 0, 0, 0, 1], IPV4), Err(Drop::Malformed)),
        ("from a blocked port", PORT_BLOCKED, 10, frame(OTHER, OWN, IPV4), Err(Drop::Blocked)),
        ("with a tag", 0, 10, tagged, Err(Drop::Tagged)),
        ("with a service tag", 0, 10, service_tagged, Err(Drop::Tagged)),
        // The kernel runs the program without tags in the metadata, as after a frame that had only a priority.
        ("a priority, then a tag", 0, VLAN_TRUNK, frame(OUTSIDE, OWN, 0x8100), Err(Drop::Tagged)),
        ("a priority, then a service tag", 0, VLAN_TRUNK, frame(OUTSIDE, OWN, 0x88a8), Err(Drop::Tagged)),
        ("spanning tree", 0, 10, frame([1, 0x80, 0xc2, 0, 0, 0], OWN, 0x0026), Err(Drop::Control)),
        ("LLDP", 0, 10, frame([1, 0x80, 0xc2, 0, 0, 0x0e], OWN, 0x88cc), Err(Drop::Control)),
        ("CDP", 0, 10, frame([1, 0, 0x0c, 0xcc, 0xcc, 0xcc], OWN, 0x2000), Err(Drop::Control)),
        ("a beacon", 0, 10, frame(BROADCAST, OWN, 0x8922), Err(Drop::Control)),
        ("IPv6 multicast", 0, 10, frame([0x33, 0x33, 0, 0, 0, 1], OWN, 0x86dd), Ok(3)),
        ("as long as the MTU allows", 0, 10, long(1518), Ok(2)),
        ("longer", 0, 10, long(1519), Err(Drop::Oversize)),
    ];
    for (name, flags, vlan, frame, expected) in cases {
        let mut bench = Bench::with_port(flags, vlan);
        let verdict = bench.run(Program::FromPort, &frame);
        match expected {
            Ok(number) => {
                assert_eq!(verdict, REDIRECT, "{name}");
                let to = bench.kernel.counters(number).unwrap();
                assert_eq!(to.to_packets, 1, "{name}: counted where it goes");
                let mine = bench.kernel.counters(1).unwrap();
                assert_eq!((mine.from_packets, mine.from_bytes), (1, frame.len() as u64), "{name}");
            }
            Err(reason) => {
                assert_eq!(verdict, SHOT, "{name}");
                assert_eq!(bench.drops(reason), 1, "{name}: {reason:?}");
                assert_eq!(bench.kernel.counters(1).unwrap().from_packets, 0, "{name}");
            }
        }
    }
}

#[test]
fn frames_from_an_uplink_are_for_local_ports_only() {
    let lldp = frame([1, 0x80, 0xc2, 0, 0, 0x0e], OUTSIDE, 0x88cc);
    let beacon = frame(BROADCAST, OUTSIDE, 0x8922);
    let cases: Vec<(&str, Vec<u8>, u32, Option<Drop>)> = vec![
        ("for a station", frame(OTHER, OUTSIDE, IPV4), REDIRECT, None),
        ("for nobody", frame(OUTSIDE, [2, 0, 0, 0, 0, 9], IPV4), SHOT, Some(Drop::Unknown)),
        ("our own broadcast", frame(BROADCAST, OTHER, IPV4), SHOT, Some(Drop::Reflection)),
        ("from a group", frame(OTHER, [3, 0, 0, 0, 0, 1], IPV4), SHOT, Some(Drop::Malformed)),
        ("LLDP, for the control plane", lldp, OK, None),
        (
            "IP to CDP's address",
            frame([1, 0, 0x0c, 0xcc, 0xcc, 0xcc], OUTSIDE, IPV4),
            SHOT,
            Some(Drop::Control),
        ),
        ("a beacon, for the control plane", beacon, OK, None),
        ("a priority, then a tag", frame(OTHER, OUTSIDE, 0x8100), SHOT, Some(Drop::Tagged)),
    ];
    for (name, frame, verdict, reason) in cases {
        let mut bench = Bench::with_port(PORT_UPLINK, VLAN_TRUNK);
        // Untagged frames: the station must be where they are.
        let station = Target { ifindex: 50, number: 2, ..Target::default() };
        bench.apply(Step::Station(StationKey { network: 7, vlan: 0, mac: OTHER }, station));
        assert_eq!(bench.run(Program::FromUplink, &frame), verdict, "{name}");
        if let Some(reason) = reason {
            assert_eq!(bench.drops(reason), 1, "{name}: {reason:?}");
        }
    }
}

#[test]
fn a_deaf_station_hears_nothing_and_a_port_does_not_hear_itself() {
    let mut bench = Bench::with_port(0, 10);
    let key = StationKey { network: 7, vlan: 10, mac: OTHER };
    bench.apply(Step::Station(
        key,
        Target { ifindex: 50, number: 2, flags: PORT_DEAF, vlan: 10, ..Target::default() },
    ));
    assert_eq!(bench.run(Program::FromPort, &frame(OTHER, OWN, IPV4)), SHOT);
    assert_eq!(bench.drops(Drop::Deaf), 1);
    let own = Target { ifindex: LOOPBACK, number: 1, vlan: 10, ..Target::default() };
    bench.apply(Step::Station(StationKey { network: 7, vlan: 10, mac: OWN }, own));
    assert_eq!(bench.run(Program::FromPort, &frame(OWN, OWN, IPV4)), SHOT);
    assert_eq!(bench.drops(Drop::Unknown), 1);
}

#[test]
fn a_team_without_uplinks_drops_what_would_go_up() {
    let mut bench = Bench::with_port(0, 10);
    bench.apply(Step::Team(3, Box::default()));
    assert_eq!(bench.run(Program::FromPort, &frame(OUTSIDE, OWN, IPV4)), SHOT);
    assert_eq!(bench.drops(Drop::NoUplink), 1);
}

#[test]
fn a_storm_of_broadcasts_ends_at_its_limit() {
    let mut bench = Bench::with_port(0, 10);
    let port = Port {
        number: 1,
        network: 7,
        team: 3,
        mtu: MTU,
        vlan: 10,
        mac: OWN,
        storm_limit: 5,
        ..Port::default()
    };
    bench.apply(Step::Port(LOOPBACK, port));
    for _ in 0..50 {
        bench.run(Program::FromPort, &frame(BROADCAST, OWN, IPV4));
    }
    // Windows may change in between, if the test is stopped for a moment.
    let (sent, dropped) = (bench.kernel.counters(1).unwrap().from_broadcast, bench.drops(Drop::Storm));
    assert_eq!(sent + dropped, 50);
    assert!((5..45).contains(&sent), "{sent} of 50 came through");
    assert_eq!(bench.run(Program::FromPort, &frame(OTHER, OWN, IPV4)), REDIRECT, "unicast goes on");
}

/// The uplinks that frames of different kinds choose agree with the planner.
#[test]
fn hashes_choose_a_slot() {
    let uplinks = Team {
        slot: std::array::from_fn(|slot| Uplink { ifindex: 60, number: 100 + slot as u32, flags: 0 }),
    };
    let chosen = |bench: &mut Bench, frame: &[u8]| {
        let before: Vec<u64> = (100..132).map(|n| bench.kernel.counters(n).unwrap().to_packets).collect();
        assert_eq!(bench.run(Program::FromPort, frame), REDIRECT);
        let after = (100..132).map(|n| bench.kernel.counters(n).unwrap().to_packets);
        after.zip(before).position(|(after, before)| after > before).expect("it left by one of them")
    };
    let ip = |last: u8| {
        let mut frame = frame(OUTSIDE, OWN, IPV4);
        frame[26..34].copy_from_slice(&[10, 0, 0, 1, 10, 0, 1, last]);
        frame
    };
    let mut bench = Bench::with_port(0, 10);
    bench.apply(Step::Team(3, Box::new(uplinks)));
    let with = |hashing, slot| Port {
        hashing,
        slot,
        number: 1,
        network: 7,
        team: 3,
        mtu: MTU,
        vlan: 10,
        mac: OWN,
        flags: PORT_FORGED,
        storm_limit: 0,
    };
    bench.apply(Step::Port(LOOPBACK, with(HASH_PORT, 9)));
    assert_eq!(chosen(&mut bench, &ip(1)), 9);
    assert_eq!(chosen(&mut bench, &ip(77)), 9);

    bench.apply(Step::Port(LOOPBACK, with(HASH_SOURCE_MAC, 9)));
    assert_eq!(chosen(&mut bench, &ip(1)), crate::plan::slot_of_mac(crate::Mac(OWN)));

    bench.apply(Step::Port(LOOPBACK, with(HASH_IP, 9)));
    let spread: std::collections::BTreeSet<usize> =
        (0..64).map(|last| chosen(&mut bench, &ip(last))).collect();
    assert!(spread.len() > 16, "64 destinations share {} slots", spread.len());
    let mut back = ip(5);
    back[26..30].copy_from_slice(&[10, 0, 1, 5]);
    back[30..34].copy_from_slice(&[10, 0, 0, 1]);
    assert_eq!(chosen(&mut bench, &ip(5)), chosen(&mut bench, &back), "both directions of a flow");
    assert_eq!(chosen(&mut bench, &frame(OUTSIDE, OWN, 0x0806)), 9, "what is not IP goes by the port");
}

#[test]
fn another_layout_leaves_running_maps_alone_and_its_own_are_found_again() {
    let bench = Bench::with_port(0, 10);
    let before = bench.kernel.read().unwrap();
    let again = Kernel::open(&pins(bench.room.path()), false).unwrap();
    assert_eq!(again.read().unwrap(), before);
    assert_eq!(before.ports.len(), 1);
}

/// Mirror 9 over interface 80, which does not exist: copies go nowhere, but are counted.
fn with_mirror(flags: u32, mirror: Mirror, source: SourceKey) -> Bench {
    let mut bench = Bench::with_port(flags, 10);
    let copies = Copies { ifindex: 80, count: 1, mirror: [9, 0, 0, 0, 0, 0, 0, 0] };
    bench.apply(Step::Extra(Extra::Mirror(9, Some(Box::new(mirror)))));
    bench.apply(Step::Extra(Extra::Source(source, Some(Box::new(copies)))));
    bench
}

#[test]
fn a_mirrored_port_has_one_in_so_many_frames_copied() {
    let mirror = Mirror { ifindex: 70, every: 3, ..Mirror::default() };
    let from = SourceKey { of: 1, vlan: 0, way: 0 };
    let mut bench = with_mirror(PORT_MIRRORED, mirror, from);
    let seen = |bench: &Bench| bench.kernel.mirrored(9).unwrap().seen;
    for _ in 0..4 {
        assert_eq!(bench.run(Program::FromPort, &frame(OTHER, OWN, IPV4)), REDIRECT);
    }
    assert_eq!(
        bench.run(Program::FromPort, &frame(OTHER, OUTSIDE, IPV4)),
        SHOT,
        "what is refused is not mirrored"
    );
    assert_eq!(seen(&bench), 4);
    assert_eq!(bench.kernel.counters(1).unwrap().from_packets, 4);
    assert_eq!(bench.run_marked(Program::FromPort, &frame(OTHER, OWN, IPV4), MARK_COPY | 9), REDIRECT);
    assert_eq!(seen(&bench), 4, "a copy is not mirrored again");

    let mut off = with_mirror(0, mirror, from);
    off.run(Program::FromPort, &frame(OTHER, OWN, IPV4));
    assert_eq!(seen(&off), 0, "without its flag nothing is looked up");
}

#[test]
fn frames_to_a_mirrored_target_and_from_an_uplink_are_copied() {
    let mut bench = with_mirror(0, Mirror::default(), SourceKey { of: 2, vlan: 0, way: 1 });
    let target = Target { ifindex: 50, number: 2, flags: PORT_MIRRORED, vlan: 10, ..Target::default() };
    bench.apply(Step::Station(StationKey { network: 7, vlan: 10, mac: OTHER }, target));
    assert_eq!(bench.run(Program::FromPort, &frame(OTHER, OWN, IPV4)), REDIRECT);
    assert_eq!(bench.kernel.mirrored(9).unwrap().seen, 1);

    let source = SourceKey { of: 7, vlan: 0, way: 2 };
    let teamed = Mirror { flags: MIRROR_TEAMED, team: 3, slot: 0, ..Mirror::default() };
    for (mirror, seen) in [(Mirror::default(), 1), (teamed, 0)] {
        let mut bench = with_mirror(PORT_UPLINK | PORT_MIRRORED, mirror, source);
        bench.run(Program::FromUplink, &frame(OUTSIDE, [2, 0, 0, 0, 0, 9], IPV4));
        assert_eq!(bench.kernel.mirrored(9).unwrap().seen, seen, "the team uses another uplink: {mirror:?}");
    }
}

#[test]
fn a_copy_is_encapsulated_and_cut() {
    let mirror = |encapsulation| Mirror {
        ifindex: 70,
        encapsulation,
        session: 0x155,
        class_of_service: 5,
        source_ip: [10, 9, 0, 1],
        destination_ip: [10, 9, 0, 2],
        source: OWN,
        next_hop: OTHER,
        ..Mirror::default()
    };
    let source = SourceKey::default();
    let mut sent = frame(OUTSIDE, OWN, IPV4);
    sent.resize(200, 7);
    let plain = Mirror { ifindex: 70, ..Mirror::default() };
    let cut = Mirror { snap: 80, ..plain };
    for (name, mirror, outer, inner) in [
        ("plain", plain, 0, 200),
        ("cut", cut, 0, 80),
        ("GRE", mirror(ENCAPSULATE_GRE), 38, 200),
        ("ERSPAN II", mirror(ENCAPSULATE_ERSPAN2), 50, 200),
        ("ERSPAN III", mirror(ENCAPSULATE_ERSPAN3), 54, 200),
        ("ERSPAN III, cut", Mirror { snap: 80, ..mirror(ENCAPSULATE_ERSPAN3) }, 54, 80),
    ] {
        let mut bench = with_mirror(0, mirror, source);
        let (_, first) = bench.run_out(Program::FromMirror, &sent, MARK_COPY | MARK_COPY_TO | 9);
        let (verdict, copy) = bench.run_out(Program::FromMirror, &sent, MARK_COPY | MARK_COPY_TO | 9);
        assert_eq!((verdict, copy.len(), first.len()), (REDIRECT, outer + inner, outer + inner), "{name}");
        assert_eq!(copy[outer..], sent[..inner], "{name}");
        let Some(ip) = copy.get(14..34).filter(|_| outer > 0) else { continue };
        assert_eq!((&copy[..6], &copy[6..12], &copy[12..14]), (&OTHER[..], &OWN[..], &[8, 0][..]));
        let words = ip.chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]])));
        let sum: u32 = words.sum();
        assert_eq!((sum & 0xffff) + (sum >> 16), 0xffff, "{name}: checksum");
        assert_eq!(usize::from(u16::from_be_bytes([ip[2], ip[3]])), copy.len() - 14, "{name}: length");
        assert_eq!((ip[6], ip[8], ip[9]), (0x40, 64, 47), "{name}: not to be fragmented, 64 hops, GRE");
        let gre = &copy[34..outer];
        let cut = u8::from(inner < 200) << 2;
        match outer {
            38 => assert_eq!(gre, [0, 0, 0x65, 0x58]),
            50 => assert_eq!(gre, [0x10, 0, 0x88, 0xbe, 0, 0, 0, 1, 0x10, 0, 0xa1, 0x55, 0, 0, 0, 0]),
            _ => {
                assert_eq!(gre[..12], [0x10, 0, 0x22, 0xeb, 0, 0, 0, 1, 0x20, 0, 0xa1 | cut, 0x55], "{name}");
                assert_eq!(gre[16..], [0, 0, 0x80, 0x08], "{name}: an Ethernet frame, towards the port");
            }
        }
    }
    let mut bench = with_mirror(0, plain, source);
    assert_eq!(bench.run(Program::FromMirror, &sent), SHOT, "no copy");
    assert_eq!(bench.run_marked(Program::FromMirror, &sent, MARK_COPY | 8), SHOT, "of a mirror that is gone");
}

#[test]
fn every_point_tells_what_passes_it() {
    let mut bench = Bench::with_port(PORT_CAPTURED, 10);
    let map = bench.kernel.ebpf.take_map("captured").unwrap();
    let mut ring = aya::maps::RingBuf::try_from(map).unwrap();
    let mut look = |number, point, snap| {
        let look = Capture { captures: 1 << 3, snap };
        bench
            .kernel
            .apply(&Step::Extra(Extra::Capture(PointKey { number, point }, Some(Box::new(look)))))
            .unwrap();
    };
    look(1, POINT_FROM, 32);
    look(1, POINT_DROPPED, 9216);
    look(2, POINT_TO, 9216);
    look(3, POINT_TO, 20);
    let target = Target { ifindex: 50, number: 2, flags: PORT_CAPTURED, vlan: 10, ..Target::default() };
    bench.apply(Step::Station(StationKey { network: 7, vlan: 10, mac: OTHER }, target));
    let uplink = Uplink { ifindex: 60, number: 3, flags: PORT_CAPTURED };
    bench.apply(Step::Team(3, Box::new(Team { slot: [uplink; TEAM_SLOTS] })));
    let mut seen = |bench: &mut Bench, frame: &[u8]| {
        bench.run(Program::FromPort, frame);
        let mut seen = Vec::new();
        while let Some(entry) = ring.next() {
            let (head, bytes) = Captured::read(&entry).unwrap();
            assert_eq!((head.captures, head.length as usize), (8, frame.len()));
            assert_eq!(bytes, &frame[..bytes.len()]);
            seen.push((head.number, head.point, head.reason, bytes.len(), head.tag));
        }
        seen
    };
    let tag = CAPTURED_TAG | 10;
    let mut long = frame(OUTSIDE, OWN, IPV4);
    long.resize(1400, 5);
    assert_eq!(seen(&mut bench, &long), [(1, POINT_FROM, 0, 32, 0), (3, POINT_TO, 0, 20, tag)]);
    let near = frame(OTHER, OWN, IPV4);
    assert_eq!(seen(&mut bench, &near), [(1, POINT_FROM, 0, 32, 0), (2, POINT_TO, 0, 60, 0)]);
    let forged = frame(OTHER, OUTSIDE, IPV4);
    let reason = Drop::Forged as u32;
    assert_eq!(seen(&mut bench, &forged), [(1, POINT_FROM, 0, 32, 0), (1, POINT_DROPPED, reason, 60, 0)]);
    // Without a reader the ring fills, and the kernel counts the lost frames.
    for _ in 0..4000 {
        bench.run(Program::FromPort, &forged);
    }
    let mut huge = frame(OTHER, OUTSIDE, IPV4);
    huge.resize(1500, 0);
    for _ in 0..4000 {
        bench.run(Program::FromPort, &huge);
    }
    assert!(bench.kernel.captures_lost(3).unwrap() > 0);
    assert_eq!(bench.kernel.captures_lost(2).unwrap(), 0);
}

#[test]
fn a_port_that_takes_some_vlans_neither_sends_nor_gets_others() {
    let trunk = |number, bit: u64| {
        let mut trunk = Trunk::default();
        trunk.vlans[0] = 1 << bit;
        Step::Extra(Extra::Trunk(number, Some(Box::new(trunk))))
    };
    // The kernel runs the program without tags in the metadata, so 0 stands for the others.
    let mut bench = Bench::with_port(PORT_RANGES, VLAN_TRUNK);
    let sent = frame(OUTSIDE, OWN, IPV4);
    assert_eq!(bench.run(Program::FromPort, &sent), SHOT, "it takes nothing yet");
    bench.apply(trunk(1, 10));
    assert_eq!(bench.run(Program::FromPort, &sent), SHOT, "it takes VLAN 10");
    assert_eq!(bench.drops(Drop::Tagged), 2);
    bench.apply(trunk(1, 0));
    assert_eq!(bench.run(Program::FromPort, &sent), REDIRECT, "it takes what has no tag");

    let there = Target { ifindex: 50, number: 2, flags: PORT_RANGES, vlan: VLAN_TRUNK, ..Target::default() };
    for (vlan, to) in [(10, 2), (20, 3)] {
        let mut bench = Bench::with_port(0, vlan);
        bench.apply(trunk(2, 10));
        bench.apply(Step::NoStation(StationKey { network: 7, vlan: 10, mac: OTHER }));
        bench.apply(Step::Station(StationKey { network: 7, vlan: VLAN_ANY, mac: OTHER }, there));
        assert_eq!(bench.run(Program::FromPort, &frame(OTHER, OWN, IPV4)), REDIRECT);
        assert_eq!(bench.kernel.counters(to).unwrap().to_packets, 1, "in VLAN {vlan} it goes to {to}");
    }
}
