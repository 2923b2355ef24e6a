//! Frames between guests and a physical segment, in network namespaces.
#![allow(clippy::unwrap_used)]

mod network;

use std::time::Instant;

use network::ping::Requests;
use network::{Network, PATIENCE, counts, declaration, ip, port_group, switch};
use vswitch::Mac;
use vswitch::kernel::layout::Drop;

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

    let capture = net.spawn("wire", "tcpdump -nn -e -c 1 -i w-up0 vlan 10 and arp");
    let captured = wait_while(capture, || net.run("t1", "ping -c 1 -W 1 10.1.0.77"));
    assert!(captured.contains("vlan 10"), "{captured}");

    // The kernel here has no VLAN devices, so the guest that takes all tags is looked at from its port.
    let capture = net.spawn("t3", "tcpdump -nn -e -c 1 -i eth0 vlan 20 and arp");
    let captured = wait_while(capture, || net.run("t2", "ping -c 1 -W 1 10.1.0.78"));
    assert!(captured.contains("vlan 20"), "{captured}");
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
    // In this order, since a guest that has asked for an address asks again for a while.
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

    // Told of its new MAC, and allowed to have it, the switch knows it by that.
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
    let overheard = |seconds: u64| {
        let command = format!("timeout {seconds} tcpdump -nn -c 1 -i eth0 icmp and src 10.1.0.1");
        wait_while(net.spawn("t3", &command), || net.run("t1", "ping -c 4 -i 0.2 -W 1 10.1.0.2"))
    };
    assert!(!overheard(4).contains("echo request"));
    listening.policy.promiscuous = Some(true);
    engine.declare(declaration(groups(listening), ports)).await.unwrap();
    assert!(overheard(PATIENCE.as_secs()).contains("echo request"));
}

#[tokio::test]
async fn a_running_ping_survives_the_end_of_the_engine_and_a_move_of_a_neighbour() {
    survives(false).await;
}

#[tokio::test]
async fn a_kernel_without_tcx_does_as_well() {
    survives(true).await;
}

/// Engines end and begin, and a neighbour moves, while two guests are pinged.
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
        // A port that is none any more hears nothing.
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
    // Its name, who sends, to whom, with what tags, and how many each of t1 to t5 and the uplink get.
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
        ("two tags, to whoever takes tags", 4, everyone, &[20, 30], [0, 0, 0, 0, 1, 1]),
        ("two tags, to who takes none", 4, macs[1], &[20, 30], [0; 6]),
        ("two tags, to one who takes tags", 4, macs[4], &[20, 30], [0, 0, 0, 0, 1, 0]),
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
    let capture = net.spawn(
        "wire",
        "timeout 30 tcpdump -nn -e -c 1 -i w-up0 ether proto 0x8100 and ether src 02:00:00:00:00:06",
    );
    assert_eq!(macs[3], Mac([2, 0, 0, 0, 0, 6]));
    let frames = [tagged(everyone, macs[3], &[20, 30])];
    let captured = wait_while(capture, || {
        net.send("t4", "eth0", &frames);
        std::thread::sleep(std::time::Duration::from_millis(200));
    });
    assert!(captured.contains("vlan 20") && captured.contains("vlan 30"), "both are on the wire: {captured}");
}

/// What a capture wrote that was started before `meanwhile` made something happen; it ends by itself.
fn wait_while<T>(mut capture: std::process::Child, mut meanwhile: impl FnMut() -> T) -> String {
    // tcpdump says on its standard error when it listens, but only to a terminal in time; so what is to be seen is repeated.
    let late = Instant::now() + 2 * PATIENCE;
    while Instant::now() < late {
        meanwhile();
        if capture.try_wait().unwrap().is_some() {
            break;
        }
    }
    let _ = capture.kill();
    let output = capture.wait_with_output().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}
