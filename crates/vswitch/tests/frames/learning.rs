//! Guests that are hosts themselves, on ports that learn MACs.

use std::time::Duration;

use crate::network::ping::Requests;
use crate::network::sniff::{Sniffer, count};
use crate::network::wait::until_so;
use crate::network::{Network, PATIENCE, counts, declaration, ip, port_group, switch};
use vswitch::declare::{AtLimit, Balancing, Learning, Override, PortGroup, Switch};
use vswitch::layout::Drop;
use vswitch::{Engine, Mac, Timing};

const LEARNING: Learning =
    Learning { enabled: true, unicast_flooding: false, limit: 4096, at_limit: AtLimit::Drop };

/// Two uplinks on one segment, port group 1 with learning and 2 without.
fn learning(learning: Learning) -> Switch {
    let policy = Override { learning: Some(learning), ..Override::default() };
    switch(&["up0", "up1"], vec![PortGroup { policy, ..port_group(1, 0) }, port_group(2, 0)])
}

async fn learned(engine: &Engine, port: &str) -> Option<u64> {
    engine.learned(port).await.unwrap().map(|learned| learned.count)
}

/// Waits until a port has learned this many MACs.
async fn until_learned(engine: &Engine, port: &str, count: u64) {
    until_so(&format!("{port} has learned {count}"), async || learned(engine, port).await == Some(count))
        .await;
}

fn frame(destination: Mac, source: Mac) -> Vec<u8> {
    let mut frame = [&destination.0[..], &source.0[..], &[0x88, 0xb5]].concat();
    frame.resize(60, 0);
    frame
}

#[tokio::test]
async fn guests_of_a_nested_host_are_reached_and_its_daemon_may_start_again() {
    let mut net = Network::new(&["up0", "up1"]);
    let (a, b) = (net.guest("t1", "10.1.0.1/24"), net.guest("t2", "10.1.0.2/24"));
    net.station("outside", "10.1.0.9/24");
    net.make_nested("t1");
    for (name, address) in [("n1", "10.1.0.11/24"), ("n2", "10.1.0.12/24")] {
        net.nested_guest("t1", name, address);
    }
    let ports = vec![(a, 1), (b, 2)];
    let engine = net.engine().await;
    engine.declare(declaration(learning(Learning::default()), ports.clone())).await.unwrap();
    assert_eq!(learned(&engine, "t1").await, None);
    assert!(net.is_cut_off("n1", "10.1.0.9"), "the answer has no way back");

    engine.declare(declaration(learning(LEARNING), ports.clone())).await.unwrap();
    for (from, to) in [("n1", "10.1.0.9"), ("n2", "10.1.0.9"), ("outside", "10.1.0.11"), ("t2", "10.1.0.12")]
    {
        assert!(net.reaches(from, to), "{from} {to}");
    }
    assert_eq!((learned(&engine, "t1").await, learned(&engine, "t2").await), (Some(2), None));

    // Frames that come back by the other uplink are neither delivered nor taken for a move.
    let heard = async || engine.counters("t2").await.unwrap().unwrap().to_broadcast;
    let before = heard().await;
    for _ in 0..10 {
        net.run("n1", "ping -c 1 -W 0.1 -b 10.1.0.255");
    }
    counts("each broadcast once", before + 10, heard).await;
    assert_eq!(learned(&engine, "t1").await, Some(2));

    let ping = net.pinging("outside", "10.1.0.11", Requests::without_end(5));
    engine.end().await;
    let engine = net.engine().await;
    engine.declare(declaration(learning(LEARNING), ports.clone())).await.unwrap();
    ping.stop().lost_nothing("over a restart");
    assert_eq!(learned(&engine, "t1").await, Some(2));

    engine.declare(declaration(learning(LEARNING), ports[1..].to_vec())).await.unwrap();
    engine.declare(declaration(learning(LEARNING), ports)).await.unwrap();
    // A port that was removed begins anew.
    until_learned(&engine, "t1", 0).await;
}

#[tokio::test]
async fn a_guest_that_makes_macs_up_fills_its_own_port_only() {
    let mut net = Network::new(&["up0", "up1"]);
    let (a, b, c) =
        (net.guest("t1", "10.1.0.1/24"), net.guest("t2", "10.1.0.2/24"), net.guest("t3", "10.1.0.3/24"));
    net.make_nested("t2");
    net.nested_guest("t2", "n1", "10.1.0.11/24");
    let engine = net.engine().await;
    let ports = vec![(a, 1), (b, 1), (c.clone(), 2)];
    engine.declare(declaration(learning(LEARNING), ports.clone())).await.unwrap();
    assert!(net.reaches("n1", "10.1.0.3"));
    let flood = |first: u8, count: u16| -> Vec<Vec<u8>> {
        let mac = |number: u16| {
            let [high, low] = number.to_be_bytes();
            Mac([2, 0xbb, first, 0, high, low])
        };
        (0..count).map(|number| frame(Mac([2, 0xaa, 0, 0, 0, 1]), mac(number))).collect()
    };
    net.send("t1", "eth0", &flood(0, 6000));
    let dropped = 6000 - 4096;
    let unlearned = async || engine.counters("t1").await.unwrap().unwrap().dropped(Drop::Unlearned);
    counts("MACs beyond the limit", dropped, unlearned).await;
    assert_eq!(learned(&engine, "t1").await, Some(4096));
    assert!(net.reaches("t1", "10.1.0.3"), "its own MAC does not count");
    assert!(net.reaches("t3", "10.1.0.11"));
    assert_eq!(learned(&engine, "t2").await, Some(1));

    // It cannot take a station's MAC, either; only MACs that another port has learned follow their last sender.
    net.send("t1", "eth0", &[frame(Mac::BROADCAST, c.mac), frame(Mac([2, 0xaa, 0, 0, 0, 1]), c.mac)]);
    assert!(net.reaches("n1", "10.1.0.3"));
    let limited = Learning { limit: 10, at_limit: AtLimit::Allow, ..LEARNING };
    engine.declare(declaration(learning(limited), ports)).await.unwrap();
    // A lower limit takes effect soon.
    until_learned(&engine, "t1", 10).await;
    net.send("t1", "eth0", &flood(1, 20));
    assert_eq!((learned(&engine, "t1").await, unlearned().await), (Some(10), dropped));
}

#[tokio::test]
async fn a_guest_that_moves_is_reached_where_it_is() {
    let mut net = Network::new(&["up0", "up1"]);
    let (a, b, c) =
        (net.guest("t1", "10.1.0.1/24"), net.guest("t2", "10.1.0.2/24"), net.guest("t3", "10.1.0.3/24"));
    net.make_nested("t1");
    net.make_nested("t2");
    net.nested_guest("t1", "n1", "10.1.0.11/24");
    let engine = net.engine().await;
    engine.declare(declaration(learning(LEARNING), vec![(a, 1), (b, 1), (c, 2)])).await.unwrap();
    assert!(net.reaches("n1", "10.1.0.3"));
    assert_eq!((learned(&engine, "t1").await, learned(&engine, "t2").await), (Some(1), Some(0)));
    net.move_nested("n1", "t1", "t2");
    assert!(net.reaches("n1", "10.1.0.3"));
    assert_eq!((learned(&engine, "t1").await, learned(&engine, "t2").await), (Some(0), Some(1)));
    // On another host: its first frames from there are taken for reflections.
    net.move_nested("n1", "t2", "wire");
    assert!(net.reaches("n1", "10.1.0.3"));
    assert_eq!(learned(&engine, "t2").await, Some(0));
    net.move_nested("n1", "wire", "t1");
    assert!(net.reaches("n1", "10.1.0.3"));
    assert_eq!(learned(&engine, "t1").await, Some(1));
}

#[tokio::test]
async fn a_silent_mac_is_forgotten_and_reached_by_flooding_where_allowed() {
    let mut net = Network::new(&["up0"]);
    let (a, b) = (net.guest("t1", "10.1.0.1/24"), net.guest("t2", "10.1.0.2/24"));
    net.make_nested("t1");
    let mac = net.nested_guest("t1", "n1", "10.1.0.11/24");
    let engine = net.engine_timed(Timing { learned_age: Duration::from_secs(1), ..Timing::default() }).await;
    let ports = vec![(a, 1), (b, 2)];
    let one = |learning: Learning| Switch { uplinks: vec!["up0".into()], ..self::learning(learning) };
    engine.declare(declaration(one(LEARNING), ports.clone())).await.unwrap();
    assert!(net.reaches("n1", "10.1.0.2"));
    // It is silent, and its neighbours keep its MAC, so nobody asks for it.
    ip(&net.namespace("n1"), "link set eth0 down");
    net.keep_neighbour("t2", "10.1.0.11");
    until_learned(&engine, "t1", 0).await;
    let got = async || engine.counters("t1").await.unwrap().unwrap().to_packets;
    let said = [frame(mac, Mac([2, 0, 0, 0, 0, 0xee])), frame(mac, Mac([2, 0, 0, 0, 0, 0xee]))];
    let before = got().await;
    net.send("t2", "eth0", &said);
    net.send("wire", "w-up0", &said);
    counts("an unknown destination", before, got).await;
    let flooding = Learning { unicast_flooding: true, ..LEARNING };
    engine.declare(declaration(one(flooding), ports)).await.unwrap();
    net.send("t2", "eth0", &said);
    net.send("wire", "w-up0", &said);
    counts("from a neighbour, and from outside", before + 4, got).await;
}

#[tokio::test]
async fn physical_switches_are_told_of_what_a_port_has_learned() {
    let mut net = Network::new(&["up0", "up1"]);
    let a = net.guest("t1", "10.1.0.1/24");
    net.station("outside", "10.1.0.9/24");
    net.make_nested("t1");
    let mac = net.nested_guest("t1", "n1", "10.1.0.11/24");
    let engine = net.engine().await;
    let mut switch = learning(LEARNING);
    switch.policy.teaming.balancing = Balancing::Explicit;
    engine.declare(declaration(switch, vec![(a, 1)])).await.unwrap();
    assert!(net.reaches("n1", "10.1.0.9"));
    until_learned(&engine, "t1", 1).await;
    let sniffer = Sniffer::start(&net, "wire", "w-up1");
    ip(&net.namespace("wire"), "link set w-up0 down");
    // The engine announces moved MACs before it publishes the move.
    let mut state = engine.state();
    let moved = state.wait_for(|state| state.uplinks["t1"] == "up1");
    tokio::time::timeout(PATIENCE, moved).await.expect("it fails over").unwrap();
    let rarp = [&mac.0[..], &[0x80, 0x35]].concat();
    let frames = sniffer.end();
    assert_eq!(frames.iter().filter(|frame| frame[6..14] == rarp).count(), 1, "{frames:x?}");
}

#[tokio::test]
async fn neighbours_hear_the_gateway_whatever_a_nested_host_sends_from_its_mac() {
    const SAID: usize = 50;
    let mut net = Network::new(&["up0", "up1"]);
    let (a, b) = (net.guest("t1", "10.1.0.1/24"), net.guest("t2", "10.1.0.2/24"));
    net.station("outside", "10.1.0.9/24");
    let engine = net.engine().await;
    engine.declare(declaration(learning(LEARNING), vec![(a, 1), (b, 2)])).await.unwrap();
    let gateway = Mac([2, 0, 0, 0, 0, 0xee]);
    let said = |what: &str, number: u8| {
        // ARP for Ethernet and IPv4.
        let mut said = [&Mac::BROADCAST.0[..], &gateway.0, &[8, 6, 0, 1, 8, 0, 6, 4, 0, 1]].concat();
        said.extend([&gateway.0[..], &[10, 1, 0, 9], &[0; 6], &[10, 1, 0, number]].concat());
        said.extend(what.as_bytes());
        said
    };
    let counters = async |port: &str| engine.counters(port).await.unwrap().unwrap();
    let before = counters("t2").await.to_broadcast;
    let ours = counters("t1").await.from_broadcast;
    let sniffer = Sniffer::start(&net, "t2", "eth0");
    let mut hostile = net.repeat("t1", "eth0", &said("<hostile>", 1), 5);
    // Both send at the same time, and no frame of the gateway equals one of the guest.
    let has_begun = async || {
        assert!(hostile.goes_on());
        counters("t1").await.from_broadcast >= ours + 20
    };
    until_so("the guest sends", has_begun).await;
    for half in [0, 1] {
        let numbers = (0..SAID / 2).map(|at| u8::try_from(2 + half * SAID / 2 + at).unwrap());
        net.send("outside", "eth0", &numbers.map(|number| said("<gateway>", number)).collect::<Vec<_>>());
    }
    assert!(hostile.goes_on());
    std::mem::drop(hostile);
    let frames = sniffer.end();
    assert_eq!(count(&frames, b"<gateway>"), SAID);
    // The guest's frames come back, but are not delivered twice.
    let sent = counters("t1").await.from_broadcast - ours;
    assert_eq!(counters("t2").await.to_broadcast - before, sent + SAID as u64);
    let reflected =
        counters("up0").await.dropped(Drop::Reflection) + counters("up1").await.dropped(Drop::Reflection);
    assert!(reflected >= 20, "{reflected}");
}
