//! A guest behind a tap that lies about its frames: their segmentation, and the place of their checksum.

use std::collections::BTreeSet;

use crate::network::ping::Requests;
use crate::network::sniff::{Sniffer, count};
use crate::network::{Network, declaration, ip, port_group, switch};
use vswitch::capture::Filter;
use vswitch::declare::{
    Encapsulated, Encapsulation, Ipfix, MirrorDestination, MirrorSession, MirrorSource, MirrorVia, Port,
    PortGroup, ShapingOverride,
};
use vswitch::layout::{Counters, Drop};
use vswitch::link::{Pair, leave_nothing};
use vswitch::{Engine, Mac};

const HOP: Mac = Mac([2, 0, 0, 0, 9, 2]);
const SELF: Mac = Mac([2, 0, 0, 0, 9, 1]);
const OWN: Mac = Mac([2, 0, 0, 0, 0xaa, 1]);
const TRUNK: Mac = Mac([2, 0, 0, 0, 0xaa, 2]);
/// All their segments, at every stage of their way, fit into a processor's queue of 1,000.
const FRAMES: u64 = 8;

/// Neighbours t1 and t2, a hostile guest "tap0" in their VLAN and a trunk "tap1", a victim t3 with every feature on,
/// and a port t4 and an outside address that get copies. The uplink has no offloads: the kernel itself segments.
struct Scene {
    net: Network,
    engine: Engine,
    victim: Mac,
    outside: Mac,
    /// Complaints in the kernel's log, with their numbers.
    complaints: BTreeSet<String>,
}

fn tap(net: &Network, name: &str, mac: Mac) -> Port {
    let host = net.namespace("host");
    ip(&host, &format!("tuntap add dev {name} mode tap vnet_hdr"));
    ip(&host, &format!("link set {name} up"));
    Port { interface: name.into(), port_group: 0, mac, guest_mac: None, blocked: false }
}

fn mirror(number: u32, length: Option<u32>, destination: MirrorDestination) -> MirrorSession {
    let taps = || vec!["tap0".to_owned(), "tap1".into()];
    let source = MirrorSource::Ports { transmitted: taps(), received: taps() };
    MirrorSession { number, source, destination, every: 1, length, strip_vlan: true, normal_traffic: true }
}

/// Lines of the kernel's log that no guest may cause.
fn complaints() -> BTreeSet<String> {
    let log = std::process::Command::new("dmesg").output().unwrap().stdout;
    let is_one =
        |line: &&str| ["WARNING:", "BUG:", "Oops", "bad offload", "caps="].iter().any(|it| line.contains(it));
    String::from_utf8_lossy(&log).lines().filter(is_one).map(str::to_owned).collect()
}

impl Scene {
    async fn new() -> Self {
        let mut net = Network::new(&["up0"]);
        let guests: Vec<Port> =
            (1..=4).map(|at| net.guest(&format!("t{at}"), &format!("10.1.0.{at}/24"))).collect();
        net.station("outside", "10.1.0.9/24");
        let uplink = Pair { near: "up0".into(), far: String::new() };
        net.within("host", move || leave_nothing(&uplink)).unwrap();
        let (victim, outside) = (guests[2].mac, net.text("outside", "cat /sys/class/net/eth0/address"));
        let engine = net.engine().await;
        let rate = ShapingOverride {
            enabled: Some(true),
            average: Some(10_000_000_000),
            peak: Some(20_000_000_000),
            burst: Some(64 << 20),
        };
        let mut hostile = port_group(2, 10);
        (hostile.policy.outbound, hostile.policy.inbound, hostile.policy.ipfix) = (rate, rate, Some(true));
        let trunk = PortGroup { policy: hostile.policy.clone(), ..port_group(3, 4095) };
        let mut switch = switch(&["up0"], vec![port_group(1, 10), hostile, trunk]);
        switch.ipfix = Some(Ipfix::to("10.1.0.9:4739".parse().unwrap()));
        let mut ports: Vec<(Port, u32)> = guests.into_iter().zip([1, 1, 2, 1]).collect();
        ports.extend([(tap(&net, "tap0", OWN), 2), (tap(&net, "tap1", TRUNK), 3)]);
        let mut declared = declaration(switch, ports);
        let encapsulated = MirrorDestination::Address(Box::new(Encapsulated {
            encapsulation: Encapsulation::Erspan2 { session: 1, class_of_service: 0 },
            source_ip: [10, 9, 0, 1].into(),
            destination_ip: [10, 9, 0, 2].into(),
            source: SELF,
            next_hop: HOP,
            via: MirrorVia::Uplink { interface: "up0".into(), vlan: None },
        }));
        declared.mirrors = vec![
            mirror(0, Some(100), MirrorDestination::Ports { interfaces: vec!["t4".into()], vlan: None }),
            mirror(1, Some(200), encapsulated),
        ];
        engine.declare(declared).await.unwrap();
        assert!(net.reaches("t1", "10.1.0.2"));
        net.keep_neighbour("t1", "10.1.0.2");
        net.keep_neighbour("t2", "10.1.0.1");
        // A capture that gets all frames, and is never read.
        let filter =
            Filter { interfaces: ["tap0", "tap1", "t3", "up0"].map(Into::into).into(), ..Filter::default() };
        let mut looking = engine.capture(filter).await.unwrap();
        tokio::spawn(async move { while looking.next().await.is_some() {} });
        Self { net, engine, victim, outside: outside.trim().parse().unwrap(), complaints: complaints() }
    }

    async fn counters(&self, interface: &str) -> Counters {
        self.engine.counters(interface).await.unwrap().unwrap()
    }

    /// Makes a guest send this many frames of a kind. Returns how many the kernel accepted and refused, and the port's
    /// counters: how many passed, and how many were dropped, for this reason and in all.
    async fn sends(&self, from: &str, kind: &str, to: Mac, frames: u64, reason: Drop) -> Sent {
        let script = format!("{}/tests/frames/network/segments.py", env!("CARGO_MANIFEST_DIR"));
        let own = if from == "tap0" { OWN } else { TRUNK };
        let before = self.counters(from).await;
        let ping = self.net.pinging("t1", "10.1.0.2", Requests::new(20, 30));
        let command = format!("python3 {script} {from} {kind} {frames} 1 {own} {to} 10.1.0.8 10.1.0.3");
        let output = self.net.run("host", &command);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let numbers: Vec<u64> = text.split_whitespace().map(|number| number.parse().unwrap()).collect();
        let [taken, refused] = numbers[..] else {
            panic!("{kind}: {}", String::from_utf8_lossy(&output.stderr))
        };
        ping.end().lost_nothing(kind);
        let after = self.counters(from).await;
        let dropped = |counters: &Counters| counters.drops.iter().sum::<u64>();
        Sent {
            taken,
            refused,
            came: after.from_packets - before.from_packets,
            dropped: after.dropped(reason) - before.dropped(reason),
            dropped_in_all: dropped(&after) - dropped(&before),
        }
    }

    /// The kernel has logged no complaint.
    fn is_well(&self) {
        let new: Vec<String> = complaints().difference(&self.complaints).cloned().collect();
        assert!(new.is_empty(), "{new:#?}");
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Sent {
    taken: u64,
    refused: u64,
    came: u64,
    dropped: u64,
    dropped_in_all: u64,
}

/// All passed, or all were dropped.
fn all(came: bool) -> Sent {
    let (came, dropped) = if came { (FRAMES, 0) } else { (0, FRAMES) };
    Sent { taken: FRAMES, refused: 0, came, dropped, dropped_in_all: dropped }
}

#[tokio::test]
async fn segments_that_make_sense_arrive_at_neighbours_outside_and_as_copies() {
    let scene = Scene::new().await;
    let frames = usize::try_from(FRAMES).unwrap();
    for kind in ["tcp4", "ecn", "tcp6", "udp", "ufo", "longest", "few", "small"] {
        let sniffers = ["t3", "t4", "t1"].map(|name| Sniffer::start(&scene.net, name, "eth0"));
        assert_eq!(
            scene.sends("tap0", kind, scene.victim, FRAMES, Drop::Oversize).await,
            all(true),
            "{kind}"
        );
        let [victim, copies, other] = sniffers.map(Sniffer::end);
        let mark = format!("<{kind}>");
        let seen = [&victim, &copies, &other].map(|frames| count(frames, mark.as_bytes()));
        assert_eq!(seen, [frames, frames, 0], "{kind}");
        assert!(
            copies.iter().filter(|frame| frame[6..12] == OWN.0).all(|frame| frame.len() <= 100),
            "{kind}"
        );
        // The frame leaves by the uplink in segments that the kernel makes.
        let sniffer = Sniffer::start(&scene.net, "wire", "w-up0");
        assert_eq!(
            scene.sends("tap0", kind, scene.outside, FRAMES, Drop::Oversize).await,
            all(true),
            "{kind}"
        );
        let wire = sniffer.end();
        let mut own = wire.clone();
        own.retain(|frame| frame[6..12] == OWN.0);
        assert_eq!(count(&own, mark.as_bytes()), frames, "{kind}");
        assert!(own.iter().all(|frame| frame[12..16] == [0x81, 0, 0, 10]), "{kind}");
        assert!(own.len() >= 20 * frames || kind == "small", "{kind}: {} segments", own.len());
        let erspan = wire.iter().filter(|frame| frame[..12] == [HOP.0, SELF.0].concat());
        assert_eq!(count(&erspan.cloned().collect::<Vec<_>>(), mark.as_bytes()), frames, "{kind}");
    }
    let sniffers = ["t1", "t3"].map(|name| Sniffer::start(&scene.net, name, "eth0"));
    assert_eq!(scene.sends("tap0", "group", scene.victim, FRAMES, Drop::Oversize).await, all(true));
    assert_eq!(sniffers.map(|sniffer| count(&sniffer.end(), b"<group>")), [frames; 2]);
    scene.is_well();
}

#[tokio::test]
async fn frames_of_too_many_or_too_large_segments_end_at_the_port() {
    let scene = Scene::new().await;
    let sniffer = Sniffer::start(&scene.net, "t3", "eth0");
    for (from, kind, reason) in [
        ("tap0", "one", Drop::Oversize),
        ("tap0", "tiny", Drop::Oversize),
        ("tap0", "mtu", Drop::Oversize),
        ("tap0", "nearly", Drop::Oversize),
        ("tap0", "large", Drop::Oversize),
        ("tap0", "q20", Drop::Tagged),
        ("tap0", "q20q30", Drop::Tagged),
    ] {
        assert_eq!(scene.sends(from, kind, scene.victim, FRAMES, reason).await, all(false), "{kind}");
    }
    // Not to be segmented, to be segmented at the kernel's own mark, a checksum outside the frame or written over a MAC
    // or a tag.
    for kind in ["none", "most", "beyond", "far", "rewrites"] {
        let sent = scene.sends("tap0", kind, scene.victim, FRAMES, Drop::Oversize).await;
        assert_eq!(
            sent,
            Sent { taken: 0, refused: FRAMES, came: 0, dropped: 0, dropped_in_all: 0 },
            "{kind}"
        );
    }
    let ours = sniffer.end().into_iter().filter(|frame| frame[6..12] == OWN.0);
    assert_eq!(ours.count(), 0);
    scene.is_well();
}

#[tokio::test]
async fn segments_with_tags_keep_those_of_their_vlan_only() {
    let scene = Scene::new().await;
    for (kind, tags) in
        [("q20", &[0x81, 0, 0, 20, 8, 0][..]), ("q20q30", &[0x81, 0, 0, 20, 0x81, 0, 0, 30, 8, 0])]
    {
        let sniffer = Sniffer::start(&scene.net, "wire", "w-up0");
        assert_eq!(
            scene.sends("tap1", kind, scene.outside, FRAMES, Drop::Oversize).await,
            all(true),
            "{kind}"
        );
        let mut own = sniffer.end();
        own.retain(|frame| frame[6..12] == TRUNK.0);
        assert!(!own.is_empty() || kind == "q20q30", "{kind}");
        assert!(own.iter().all(|frame| frame[12..12 + tags.len()] == *tags), "{kind}: {:x?}", own.first());
    }
    scene.is_well();
}

#[tokio::test]
async fn headers_that_make_no_sense_harm_nobody() {
    let scene = Scene::new().await;
    for (from, kind) in [("tap0", "broken"), ("tap0", "any"), ("tap1", "broken"), ("tap1", "any")] {
        for to in [scene.victim, scene.outside] {
            let sniffers = [("wire", "w-up0"), ("t1", "eth0")].map(|(n, i)| Sniffer::start(&scene.net, n, i));
            let sent = scene.sends(from, kind, to, 400, Drop::Oversize).await;
            assert!(sent.taken > 100, "{kind}: {sent:?}");
            assert_eq!(sent.came + sent.dropped_in_all, sent.taken, "{kind}: each is counted once");
            let [wire, neighbour] = sniffers.map(Sniffer::end);
            let own = if from == "tap0" { OWN } else { TRUNK };
            // Whichever bytes the completed checksum overwrites, MACs and VLANs stay as checked.
            for frame in wire.iter().chain(&neighbour) {
                let of_guest = frame[6..11] == [2, 0, 0, 0, 0];
                assert!(
                    of_guest || [own.0, SELF.0].contains(&frame[6..12].try_into().unwrap()),
                    "{kind}: {frame:x?}"
                );
            }
            let tagged = |frame: &&Vec<u8>| frame[6..12] == own.0 && from == "tap0";
            assert!(wire.iter().filter(tagged).all(|frame| frame[12..16] == [0x81, 0, 0, 10]), "{kind}");
            assert!(neighbour.iter().filter(tagged).all(|frame| frame[..6] == [0xff; 6]), "{kind}");
        }
    }
    scene.is_well();
}
