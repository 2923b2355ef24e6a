//! Guests that send what they must not, while their neighbours go on. A failure prints the seed; `ESFERA_SEED` repeats
//! it.

use std::time::Instant;

use crate::network::ping::{MARK, Requests};
use crate::network::sniff::{Sniffer, count};
use crate::network::wait::rests;
use crate::network::{Network, declaration, ip, port_group, switch};
use vswitch::declare::{Balancing, Port, PortGroup, Switch};
use vswitch::kernel::Kernel;
use vswitch::layout::{Counters, Drop};
use vswitch::limits::STORM_FRAMES;
use vswitch::{Engine, Vlan};

const FRAMES: u64 = 2000;

/// Neighbours in VLAN 0 (t1, t2) and 20 (t3, t4), a station on the wire, and three hostile guests: "access" in VLAN 0,
/// "some", a trunk with VLANs 0 and 30, and "every", a trunk with all.
struct Scene {
    net: Network,
    engine: Engine,
    maps: Kernel,
    ports: Vec<Port>,
    seed: u64,
    script: String,
}

/// How many of an attack's frames were seen, and where.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    wire: usize,
    t1: usize,
    t3: usize,
}

impl Scene {
    async fn new() -> Self {
        let mut net = Network::new(&["up0"]);
        let addresses =
            [("t1", 1), ("t2", 2), ("t3", 3), ("t4", 4), ("access", 5), ("some", 6), ("every", 7)];
        let ports: Vec<Port> =
            addresses.iter().map(|(name, at)| net.guest(name, &format!("10.1.0.{at}/24"))).collect();
        net.station("outside", "10.1.0.9/24");
        let engine = net.engine().await;
        let some = Vlan::Ranges(vec![(0, 0), (30, 30)].try_into().unwrap());
        let groups = vec![
            port_group(1, 0),
            port_group(2, 20),
            PortGroup { vlan: some, ..port_group(3, 0) },
            port_group(4, 4095),
        ];
        let placed = ports.iter().cloned().zip([1, 1, 2, 2, 1, 3, 4]).collect();
        engine.declare(declaration(strict(groups), placed)).await.unwrap();
        assert!(
            net.reaches("t1", "10.1.0.2") && net.reaches("t1", "10.1.0.9") && net.reaches("t3", "10.1.0.4")
        );
        for name in ["t1", "t2", "t3", "t4", "outside"] {
            // The switch does not decide which station has an IP address, so ARP entries are fixed.
            let learned = net.run(name, "ip -o neigh show dev eth0");
            for line in String::from_utf8(learned.stdout).unwrap().lines() {
                let words: Vec<&str> = line.split_whitespace().collect();
                let entry = format!("neigh replace {} lladdr {} dev eth0 nud permanent", words[0], words[2]);
                ip(&net.namespace(name), &entry);
            }
        }
        let maps = Kernel::open(&net.pins(), false).unwrap();
        let seed = std::env::var("ESFERA_SEED").map_or(20_261, |seed| seed.parse().unwrap());
        let script = format!("{}/tests/frames/network/attack.py", env!("CARGO_MANIFEST_DIR"));
        Self { net, engine, maps, ports, seed, script }
    }

    async fn counters(&self, interface: &str) -> Counters {
        self.engine.counters(interface).await.unwrap().unwrap()
    }

    /// Runs an attack from a guest, and expects that no neighbour notices and that no map grows. Returns how many
    /// frames were sent, the difference of the port's counters, and the frames seen elsewhere.
    async fn attack(&self, from: &str, kind: &str, frames: u64) -> (u64, Counters, Seen) {
        let (net, what) = (&self.net, format!("{kind} from {from}, seed {}", self.seed));
        let (tables, before) = (self.maps.read().unwrap(), self.counters(from).await);
        let sniffers = [("wire", "w-up0"), ("t1", "eth0"), ("t3", "eth0"), (from, "eth0")]
            .map(|(n, i)| Sniffer::start(net, n, i));
        let pings = [("t1", "10.1.0.2"), ("t3", "10.1.0.4"), ("t1", "10.1.0.9")]
            .map(|(n, a)| net.pinging(n, a, Requests::new(20, 30)));
        let own = self.ports.iter().find(|port| port.interface == from).unwrap().mac;
        let attack = format!(
            "python3 {} {kind} {frames} {} {own} {} 10.1.0.2",
            self.script, self.seed, self.ports[1].mac
        );
        let output = net.run(from, &attack);
        let sent = String::from_utf8_lossy(&output.stdout).trim().parse();
        let sent = sent.unwrap_or_else(|_| panic!("{what}: {}", String::from_utf8_lossy(&output.stderr)));
        pings.into_iter().for_each(|ping| ping.end().lost_nothing(&what));
        let [wire, t1, t3, own] = sniffers.map(Sniffer::end);
        assert_eq!(count(&own, MARK), 0, "{what}: it received frames of neighbours");
        assert_eq!(self.maps.read().unwrap(), tables, "{what}: a map has changed");
        let mark = format!("<{kind}>");
        let [wire, t1, t3] = [wire, t1, t3].map(|frames| count(&frames, mark.as_bytes()));
        (sent, since(&before, &self.counters(from).await), Seen { wire, t1, t3 })
    }

    /// An attack all of whose frames are dropped for this reason.
    async fn refused(&self, from: &str, kind: &str, reason: Drop) {
        let (sent, counted, seen) = self.attack(from, kind, FRAMES).await;
        let what = format!("{kind} from {from}, seed {}: {counted:?}", self.seed);
        assert_eq!((counted.dropped(reason), counted.from_packets), (sent, 0), "{what}");
        assert_eq!(seen, Seen { wire: 0, t1: 0, t3: 0 }, "{what}");
    }
}

/// A switch with the strictest policies, and IP hash.
fn strict(groups: Vec<PortGroup>) -> Switch {
    let mut switch = switch(&["up0"], groups);
    switch.policy.security.forged_transmits = false;
    switch.policy.security.mac_changes = false;
    switch.policy.teaming.balancing = Balancing::IpHash;
    switch
}

fn since(before: &Counters, now: &Counters) -> Counters {
    let mut left = *now;
    left.from_packets -= before.from_packets;
    left.from_broadcast -= before.from_broadcast;
    left.from_multicast -= before.from_multicast;
    left.drops.iter_mut().zip(before.drops).for_each(|(now, before)| *now -= before);
    left
}

#[tokio::test]
async fn forged_addresses_and_protocols_of_switches_end_at_the_port() {
    let scene = Scene::new().await;
    scene.refused("access", "forged", Drop::Forged).await;
    scene.refused("access", "spoofed", Drop::Control).await;
    scene.refused("every", "spoofed", Drop::Control).await;
    // Ethernet allows a claim to a neighbour's IP address. It does not divert the neighbour's frames.
    let (sent, counted, seen) = scene.attack("access", "claim", 200).await;
    assert_eq!((counted.from_packets, seen), (sent, Seen { wire: 200, t1: 200, t3: 0 }));
}

#[tokio::test]
async fn tags_lead_into_no_other_vlan() {
    let scene = Scene::new().await;
    for kind in ["q20", "ad20", "q30q20", "q0q20", "q0"] {
        scene.refused("access", kind, Drop::Tagged).await;
    }
    // With a foreign tag around another one, which would be the outer one on the wire.
    for kind in ["q20", "q20q30", "ad30q20", "q0q20", "q0ad20"] {
        scene.refused("some", kind, Drop::Tagged).await;
    }
    scene.refused("every", "q0q20", Drop::Tagged).await;
    let frames = usize::try_from(FRAMES / 10).unwrap();
    // A port may send in its VLANs; the tag behind its own leads nowhere, and stays unchanged on the wire.
    for (from, kind, outer, expected) in [
        ("some", "q30", 30, Seen { wire: frames, t1: 0, t3: 0 }),
        ("some", "q30q20", 30, Seen { wire: frames, t1: 0, t3: 0 }),
        ("every", "q20", 20, Seen { wire: frames, t1: 0, t3: frames }),
        ("every", "q20q30", 20, Seen { wire: frames, t1: 0, t3: 0 }),
    ] {
        let sniffer = Sniffer::start(&scene.net, "outside", "eth0");
        let (_, counted, seen) = scene.attack(from, kind, FRAMES / 10).await;
        assert_eq!(seen, expected, "{kind} from {from}: {counted:?}");
        let tag =
            [&[0x81, 0, 0, outer][..], if kind.len() > 3 { &[0x81, 0] } else { &[0x88, 0xb5] }].concat();
        let mark = format!("<{kind}>");
        let mut ours = sniffer.end();
        ours.retain(|frame| count(std::slice::from_ref(frame), mark.as_bytes()) == 1);
        assert!(
            ours.len() == frames && ours.iter().all(|frame| frame[12..18] == tag),
            "{kind}: {:x?}",
            ours.first()
        );
    }
}

#[tokio::test]
async fn tags_from_the_wire_lead_into_no_other_vlan_either() {
    let scene = Scene::new().await;
    for (kind, dropped) in [("q0q20", 100), ("ad30q20", 100), ("q20q30", 0)] {
        let sniffers = ["t1", "t3"].map(|name| Sniffer::start(&scene.net, name, "eth0"));
        let before = scene.counters("up0").await;
        let attack =
            format!("python3 {} {kind} 100 1 02:00:00:00:0a:0a 02:00:00:00:0a:0b 10.1.0.2", scene.script);
        assert!(scene.net.run("outside", &attack).status.success());
        let counted = since(&before, &scene.counters("up0").await);
        assert_eq!(counted.dropped(Drop::Tagged), dropped, "{kind}");
        assert_eq!(
            sniffers.map(|sniffer| count(&sniffer.end(), format!("<{kind}>").as_bytes())),
            [0, 0],
            "{kind}"
        );
    }
}

#[tokio::test]
async fn frames_that_are_broken_or_too_large_are_counted_and_harm_nobody() {
    let scene = Scene::new().await;
    for from in ["access", "some", "every"] {
        let (sent, counted, _) = scene.attack(from, "malformed", 3000).await;
        let dropped: u64 = counted.drops.iter().sum();
        assert_eq!(
            counted.from_packets + dropped,
            sent,
            "each is counted once: {counted:?}, seed {}",
            scene.seed
        );
        assert!(counted.dropped(Drop::Malformed) >= sent / 3 && counted.from_packets > 0, "{counted:?}");
    }
    for (from, kind) in [("access", "cut"), ("every", "cut"), ("access", "garbage"), ("every", "garbage")] {
        let (sent, counted, seen) = scene.attack(from, kind, FRAMES).await;
        let dropped: u64 = counted.drops.iter().sum();
        assert!(counted.from_packets + dropped <= sent, "{kind}: {counted:?}, seed {}", scene.seed);
        assert_eq!(seen.wire + seen.t1 + seen.t3, 0);
    }
    // The switch's end passes frames that the port refuses.
    ip(&scene.net.namespace("host"), "link set access mtu 9000");
    ip(&scene.net.namespace("access"), "link set eth0 mtu 9000");
    scene.refused("access", "large", Drop::Oversize).await;
}

#[tokio::test]
async fn a_storm_is_cut_to_its_limit() {
    let scene = Scene::new().await;
    let began = Instant::now();
    let (sent, counted, _) = scene.attack("access", "storm", 40_000).await;
    let windows = u64::try_from(began.elapsed().as_millis()).unwrap() / 100 + 2;
    let (passed, dropped) = (counted.from_broadcast + counted.from_multicast, counted.dropped(Drop::Storm));
    assert_eq!(passed + dropped, sent, "{counted:?}");
    // The limit holds for each window; at most this many have passed.
    assert!(passed <= windows * (u64::from(STORM_FRAMES) + 8), "{passed} in at most {windows} windows");
    assert!(dropped > 0, "{counted:?}");
}

#[tokio::test]
async fn a_guest_that_bridges_its_two_cards_storms_within_the_limit_and_until_it_stops() {
    let mut net = Network::new(&["up0"]);
    let (a, b) = (net.guest("t1", "10.1.0.1/24"), net.guest("t2", "10.1.0.2/24"));
    let one = net.guest("loop", "10.1.0.3/24");
    let (host, inside) = (net.namespace("host"), net.namespace("loop"));
    let two = Port { interface: "loop2".into(), mac: vswitch::Mac([2, 0, 0, 0, 9, 2]), ..one.clone() };
    ip(&host, &format!("link add loop2 type veth peer name eth1 address {} netns {inside}", two.mac));
    ip(&host, "link set loop2 up");
    let engine = net.engine().await;
    let ports = vec![(a, 1), (b, 1), (one, 1), (two, 1)];
    engine.declare(declaration(switch(&["up0"], vec![port_group(1, 0)]), ports)).await.unwrap();
    assert!(net.reaches("t1", "10.1.0.2"));
    for command in [
        "link add br0 type bridge forward_delay 0 mcast_snooping 0",
        "link set eth0 master br0",
        "link set eth1 master br0",
        "link set eth1 up",
        "link set br0 up",
    ] {
        ip(&inside, command);
    }
    let began = Instant::now();
    let counters = async |name: &str| engine.counters(name).await.unwrap().unwrap();
    let before = (counters("loop").await, counters("loop2").await);
    let ping = net.pinging("t1", "10.1.0.2", Requests::new(20, 150));
    // Each request begins a storm, which dies when all copies together exceed the limit at once.
    net.run("t1", "ping -c 15 -i 0.2 -W 0.1 -b 10.1.0.255");
    let after = (counters("loop").await, counters("loop2").await);
    let windows = u64::try_from(began.elapsed().as_millis()).unwrap() / 100 + 2;
    for (before, after) in [(before.0, after.0), (before.1, after.1)] {
        let (passed, counted) = (after.from_broadcast - before.from_broadcast, since(&before, &after));
        assert!(counted.dropped(Drop::Storm) > 0, "there is a storm: {counted:?}");
        assert!(passed <= windows * (u64::from(STORM_FRAMES) + 8), "{passed} in at most {windows} windows");
    }
    ping.end().lost_nothing("in the storm");
    ip(&inside, "link set br0 down");
    ip(&inside, "link set eth1 down");
    rests("the storm ends with the guest's bridge", async || counters("t2").await.to_broadcast).await;
    assert!(net.reaches("t1", "10.1.0.2"));
}
