//! Frames between guests and a physical segment, in network namespaces.

use crate::network::ping::Requests;
use crate::network::sniff::{Sniffer, count};
use crate::network::{Network, counts, declaration, ip, port_group, switch};
use vswitch::Mac;
use vswitch::layout::Drop;

#[tokio::test]
async fn guests_of_a_vlan_reach_each_other_and_the_segment() {
    let mut net = Network::new(&["up0"]);
    let (a, b) = (net.guest("t1", "10.1.0.1/24"), net.guest("t2", "10.1.0.2/24"));
    net.station("outside", "10.1.0.9/24");
    let engine = net.engine().await;
    engine
        .declare(declaration(switch(&["up0"], vec![port_group(1, 0)]), vec![(a, 1), (b, 1)]))
        .await
        .unwrap();
    assert!(net.reaches("t1", "10.1.0.2"));
    assert!(net.reaches("t1", "10.1.0.9"));
    assert!(net.reaches("outside", "10.1.0.2"));
    let counters = engine.counters("t1").await.unwrap().unwrap();
    assert!(
        counters.from_packets >= 2 && counters.to_packets >= 2 && counters.from_broadcast >= 1,
        "{counters:?}"
    );
}

#[tokio::test]
async fn vlans_are_apart_and_tagged_on_the_wire() {
    let mut net = Network::new(&["up0"]);
    let (a, b, c) =
        (net.guest("t1", "10.1.0.1/24"), net.guest("t2", "10.1.0.2/24"), net.guest("t3", "10.1.0.3/24"));
    let engine = net.engine().await;
    let groups = vec![port_group(1, 10), port_group(2, 20), port_group(3, 4095)];
    engine.declare(declaration(switch(&["up0"], groups), vec![(a, 1), (b, 2), (c, 3)])).await.unwrap();
    assert!(net.is_cut_off("t1", "10.1.0.2"), "VLAN 10 and 20");
    assert!(net.is_cut_off("t1", "10.1.0.3"), "a tagged guest does not hear untagged frames");

    let sniffers = [("wire", "w-up0"), ("t3", "eth0")].map(|(name, end)| Sniffer::start(&net, name, end));
    net.run("t1", "ping -c 1 -W 1 10.1.0.77");
    net.run("t2", "ping -c 1 -W 1 10.1.0.78");
    let [wire, trunk] = sniffers.map(Sniffer::end);
    let arp_in = |vlan| [0x81, 0, 0, vlan, 0x08, 0x06];
    assert!(count(&wire, &arp_in(10)) > 0 && count(&wire, &arp_in(20)) > 0, "{wire:x?}");
    assert!(count(&trunk, &arp_in(20)) > 0, "{trunk:x?}");
}

#[tokio::test]
async fn a_guest_that_takes_some_vlans_hears_those_only() {
    let mut net = Network::new(&["up0"]);
    let (a, b, c) =
        (net.guest("t1", "10.1.0.1/24"), net.guest("t2", "10.1.0.2/24"), net.guest("t3", "10.1.0.3/24"));
    let engine = net.engine().await;
    let some = vswitch::Vlan::Ranges(vec![(0, 0), (15, 25)].try_into().unwrap());
    let groups = vec![
        port_group(1, 10),
        port_group(2, 20),
        vswitch::declare::PortGroup { vlan: some, ..port_group(3, 0) },
    ];
    engine.declare(declaration(switch(&["up0"], groups), vec![(a, 1), (b, 2), (c, 3)])).await.unwrap();
    let heard = |from: &str| {
        let before = net.run("t3", "cat /sys/class/net/eth0/statistics/rx_packets").stdout;
        net.run(from, "ping -c 1 -W 1 10.1.0.77");
        net.run("t3", "cat /sys/class/net/eth0/statistics/rx_packets").stdout != before
    };
    // In this order, since a guest that has sent an ARP request repeats it for a while.
    assert!(!heard("t1"), "10 is not in 15-25");
    assert!(heard("t2"), "20 is");
}

#[tokio::test]
async fn a_guest_with_a_foreign_mac_is_silenced_where_forging_is_refused() {
    let mut net = Network::new(&["up0"]);
    let (a, b) = (net.guest("t1", "10.1.0.1/24"), net.guest("t2", "10.1.0.2/24"));
    let engine = net.engine().await;
    let mut switch = switch(&["up0"], vec![port_group(1, 0)]);
    switch.policy.security.forged_transmits = false;
    engine.declare(declaration(switch.clone(), vec![(a.clone(), 1), (b.clone(), 1)])).await.unwrap();
    assert!(net.reaches("t1", "10.1.0.2"));
    let guest = net.namespace("t1");
    ip(&guest, "link set eth0 address 02:de:ad:00:00:01");
    ip(&guest, "neigh flush dev eth0");
    assert!(net.is_cut_off("t1", "10.1.0.2"));
    assert!(engine.counters("t1").await.unwrap().unwrap().dropped(Drop::Forged) >= 1);

    // Given its new MAC, and allowed to use it, the switch delivers to it.
    let changed = vswitch::declare::Port { guest_mac: Some("02:de:ad:00:00:01".parse().unwrap()), ..a };
    engine.declare(declaration(switch, vec![(changed, 1), (b, 1)])).await.unwrap();
    assert!(net.reaches("t1", "10.1.0.2"));
}

#[tokio::test]
async fn a_promiscuous_port_group_sees_what_others_say() {
    let mut net = Network::new(&["up0"]);
    let (a, b, c) =
        (net.guest("t1", "10.1.0.1/24"), net.guest("t2", "10.1.0.2/24"), net.guest("t3", "10.1.0.3/24"));
    let engine = net.engine().await;
    let mut listening = port_group(2, 0);
    let groups = |listening| switch(&["up0"], vec![port_group(1, 0), listening]);
    let ports = vec![(a, 1), (b, 1), (c, 2)];
    engine.declare(declaration(groups(listening.clone()), ports.clone())).await.unwrap();
    assert!(net.reaches("t1", "10.1.0.2"));
    let overheard = || {
        let sniffer = Sniffer::start(&net, "t3", "eth0");
        net.pinging("t1", "10.1.0.2", Requests::new(50, 4)).end().lost_nothing("between neighbours");
        // Addresses of an echo request, and its type.
        count(&sniffer.end(), &[10, 1, 0, 1, 10, 1, 0, 2, 8, 0])
    };
    assert_eq!(overheard(), 0);
    listening.policy.promiscuous = Some(true);
    engine.declare(declaration(groups(listening), ports)).await.unwrap();
    assert_eq!(overheard(), 4);
}

#[tokio::test]
async fn a_running_ping_survives_the_end_of_the_engine_and_a_move_of_a_neighbour() {
    survives(false).await;
}

#[tokio::test]
async fn a_kernel_without_tcx_does_as_well() {
    survives(true).await;
}

/// Engines end and start, and a neighbour moves, while two guests are pinged.
async fn survives(without_tcx: bool) {
    let mut net = Network::new(&["up0"]);
    let (a, b, c) =
        (net.guest("t1", "10.1.0.1/24"), net.guest("t2", "10.1.0.2/24"), net.guest("t3", "10.1.0.3/24"));
    net.station("outside", "10.1.0.9/24");
    let groups = || switch(&["up0"], vec![port_group(1, 0), port_group(2, 30)]);
    let engine = net.engine_attached(without_tcx).await;
    engine
        .declare(declaration(groups(), vec![(a.clone(), 1), (b.clone(), 1), (c.clone(), 1)]))
        .await
        .unwrap();
    assert!(net.reaches("t1", "10.1.0.2") && net.reaches("t1", "10.1.0.9") && net.reaches("t1", "10.1.0.3"));
    let floods = ["10.1.0.2", "10.1.0.9"].map(|to| net.pinging("t1", to, Requests::without_end(2)));
    engine.end().await;
    // Another daemon: it finds the maps, replaces the programs, and moves a neighbour to another port group meanwhile.
    for round in 0..3 {
        let engine = net.engine_attached(without_tcx).await;
        let group = 1 + round % 2;
        engine
            .declare(declaration(groups(), vec![(a.clone(), 1), (b.clone(), 1), (c.clone(), group)]))
            .await
            .unwrap();
        let is_as_declared = match group {
            1 => net.reaches("t1", "10.1.0.3"),
            _ => net.is_cut_off("t1", "10.1.0.3"),
        };
        assert!(is_as_declared, "round {round}");
    }
    floods.into_iter().for_each(|flood| flood.stop().lost_nothing("over engines and moves"));
    if without_tcx {
        let shown = net.run("host", "tc filter show dev t1 ingress");
        assert!(String::from_utf8_lossy(&shown.stdout).contains("from_port"), "it is a filter");
        // A removed port receives nothing.
        let engine = net.engine_attached(true).await;
        engine.declare(declaration(groups(), vec![(b, 1)])).await.unwrap();
        let shown = net.run("host", "tc filter show dev t1 ingress");
        assert!(!String::from_utf8_lossy(&shown.stdout).contains("from_port"));
        assert!(net.is_cut_off("t1", "10.1.0.2"));
    }
}

#[tokio::test]
async fn another_mtu_of_a_switch_reaches_its_ports_at_once() {
    let mut net = Network::new(&["up0"]);
    let (a, b) = (net.guest("t1", "10.1.0.1/24"), net.guest("t2", "10.1.0.2/24"));
    let engine = net.engine().await;
    let large = "ping -c 1 -w 2 -M do -s 8000 10.1.0.2";
    for guest in ["t1", "t2"] {
        ip(&net.namespace(guest), "link set eth0 mtu 9000");
    }
    for (mtu, passes) in [(1500, false), (9000, true), (1500, false)] {
        let switch = vswitch::declare::Switch { mtu, ..switch(&["up0"], vec![port_group(1, 0)]) };
        engine.declare(declaration(switch, vec![(a.clone(), 1), (b.clone(), 1)])).await.unwrap();
        for interface in ["t1", "t2", "up0"] {
            let shown = net.run("host", &format!("ip link show {interface}"));
            let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
            assert!(shown.contains(&format!("mtu {mtu} ")), "{shown}");
        }
        let is_as_declared = match passes {
            true => net.succeeds("t1", large),
            false => !net.run("t1", large).status.success(),
        };
        assert!(is_as_declared, "{mtu}");
    }
}

/// With these tags, outermost first.
fn tagged(destination: Mac, source: Mac, tags: &[u16]) -> Vec<u8> {
    let mut frame = [&destination.0[..], &source.0[..]].concat();
    for tag in tags {
        frame.extend([0x81, 0]);
        frame.extend(tag.to_be_bytes());
    }
    frame.extend([0x88, 0xb5]);
    frame.resize(80, 0);
    frame
}

#[tokio::test]
async fn a_tag_behind_a_tag_never_becomes_a_vlan() {
    let mut net = Network::new(&["up0"]);
    let ports: Vec<_> = (1..=5).map(|n| net.guest(&format!("t{n}"), &format!("10.1.0.{n}/24"))).collect();
    let engine = net.engine().await;
    let untagged = vswitch::Vlan::Ranges(vec![(0, 0), (30, 30)].try_into().unwrap());
    let groups = vec![
        port_group(1, 0),
        port_group(2, 20),
        vswitch::declare::PortGroup { vlan: untagged, ..port_group(3, 0) },
        port_group(4, 4095),
        port_group(5, 4095),
    ];
    let macs: Vec<Mac> = ports.iter().map(|port| port.mac).collect();
    let connected = ports.into_iter().zip(1..).collect();
    engine.declare(declaration(switch(&["up0"], groups), connected)).await.unwrap();
    let names = ["t1", "t2", "t3", "t4", "t5", "up0"];
    let got = async || {
        let mut got = [0; 6];
        for (got, name) in got.iter_mut().zip(names) {
            *got = engine.counters(name).await.unwrap().unwrap().to_packets;
        }
        got
    };
    const PRIORITY: u16 = 5 << 13;
    let outside = Mac([2, 0, 0, 0, 0, 0xee]);
    // Its name, sender, destination, tags, and how many frames each of t1 to t5 and the uplink get.
    type Case<'a> = (&'a str, usize, Mac, &'a [u16], [u64; 6]);
    let everyone = Mac::BROADCAST;
    let cases: [Case<'_>; 15] = [
        ("no tag", 3, everyone, &[], [1, 0, 0, 1, 1, 1]),
        ("a priority", 3, everyone, &[PRIORITY], [1, 0, 0, 1, 1, 1]),
        ("a VLAN that it may not use", 3, everyone, &[20], [0; 6]),
        ("the same behind a priority", 3, everyone, &[PRIORITY, 20], [0; 6]),
        ("the same behind no VLAN", 3, macs[1], &[0, 20], [0; 6]),
        ("the same behind a VLAN that it may use", 3, everyone, &[30, 20], [0, 0, 0, 1, 1, 1]),
        ("an access port", 2, everyone, &[20], [0; 6]),
        ("an access port, behind a priority", 2, everyone, &[PRIORITY, 30], [0; 6]),
        ("an access port without a VLAN", 1, everyone, &[PRIORITY, 20], [0; 6]),
        ("all VLANs", 4, everyone, &[20], [0, 1, 0, 0, 1, 1]),
        ("all VLANs, behind a priority", 4, everyone, &[PRIORITY, 20], [0; 6]),
        ("two tags, to trunk ports", 4, everyone, &[20, 30], [0, 0, 0, 0, 1, 1]),
        ("two tags, to an access port", 4, macs[1], &[20, 30], [0; 6]),
        ("two tags, to a trunk port", 4, macs[4], &[20, 30], [0, 0, 0, 0, 1, 0]),
        ("from outside, behind a priority", 0, everyone, &[PRIORITY, 20], [0; 6]),
    ];
    for (name, from, to, tags, expected) in cases {
        let before = got().await;
        match from {
            0 => net.send("wire", "w-up0", &[tagged(to, outside, tags)]),
            _ => net.send(&format!("t{from}"), "eth0", &[tagged(to, macs[from - 1], tags)]),
        }
        let more = async || {
            let now = got().await;
            std::array::from_fn(|at| now[at] - before[at])
        };
        counts(name, expected, more).await;
    }
    let sniffer = Sniffer::start(&net, "wire", "w-up0");
    net.send("t4", "eth0", &[tagged(everyone, macs[3], &[20, 30])]);
    let captured = sniffer.end();
    let tags = [&macs[3].0[..], &[0x81, 0, 0, 20, 0x81, 0, 0, 30]].concat();
    assert_eq!(count(&captured, &tags), 1, "both are on the wire: {captured:x?}");
}
