//! Frames between guests and a physical segment, in network namespaces.
#![allow(clippy::unwrap_used)]

mod network;

use network::{Network, declaration, ip, port_group, switch};
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
    let captured = wait_while(&net, capture, || net.run("t1", "ping -c 1 -W 1 10.1.0.77"));
    assert!(captured.contains("vlan 10"), "{captured}");

    // The kernel here has no VLAN devices, so the guest that takes all tags is looked at from its port.
    let capture = net.spawn("t3", "tcpdump -nn -e -c 1 -i eth0 vlan 20 and arp");
    let captured = wait_while(&net, capture, || net.run("t2", "ping -c 1 -W 1 10.1.0.78"));
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
    let overheard = |net: &Network| {
        let capture = net.spawn("t3", "timeout 4 tcpdump -nn -c 1 -i eth0 icmp and src 10.1.0.1");
        wait_while(net, capture, || net.run("t1", "ping -c 4 -i 0.2 -W 1 10.1.0.2"))
    };
    assert!(!overheard(&net).contains("echo request"));
    listening.policy.promiscuous = Some(true);
    engine.declare(declaration(groups(listening), ports)).await.unwrap();
    assert!(overheard(&net).contains("echo request"));
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
    let floods =
        ["10.1.0.2", "10.1.0.9"].map(|to| net.spawn("t1", &format!("ping -q -i 0.002 -c 2000 -W 2 {to}")));
    drop(engine);
    // Another daemon: it finds the maps, replaces the programs, and moves a neighbour to another port group meanwhile.
    for round in 0..3 {
        let engine = net.engine_attached(without_tcx).await;
        let group = 1 + round % 2;
        engine
            .declare(declaration(groups(), vec![(a.clone(), 1), (b.clone(), 1), (c.clone(), group)]))
            .await
            .unwrap();
        assert_eq!(net.reaches("t1", "10.1.0.3"), group == 1, "round {round}");
    }
    for flood in floods {
        let output = flood.wait_with_output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(text.contains(" 0% packet loss"), "{text}");
    }
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
    let large = "ping -c 3 -i 0.2 -W 2 -M do -s 8000 10.1.0.2";
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
        assert_eq!(net.run("t1", large).status.success(), passes, "{mtu}");
    }
}

/// What a capture wrote that was started before `meanwhile` made something happen; it ends by itself.
fn wait_while<T>(_: &Network, capture: std::process::Child, mut meanwhile: impl FnMut() -> T) -> String {
    // tcpdump says on its standard error when it listens, but only to a terminal in time; so what is to be seen is repeated.
    let mut capture = capture;
    for _ in 0..20 {
        meanwhile();
        if capture.try_wait().unwrap().is_some() {
            break;
        }
    }
    let _ = capture.kill();
    let output = capture.wait_with_output().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}
