//! Ports that leave an uplink which has too much to do.
#![allow(clippy::unwrap_used)]

mod network;

use std::time::Duration;

use network::{Network, declaration, port_group, switch};
use vswitch::declare::{Balancing, Declaration};
use vswitch::{Engine, Timing};

/// Of the 10 Gbit/s that a veth says it has, 7 Mbit/s are too much: two of the pings below, but not one.
const TIMING: Timing =
    Timing { learned_age: Duration::from_secs(300), load_window: Duration::from_secs(1), load_too_much: 700 };

fn uplinks(engine: &Engine) -> [String; 3] {
    ["t1", "t2", "t3"].map(|port| engine.state().borrow().uplinks[port].clone())
}

#[tokio::test]
async fn one_of_two_ports_moves_and_stays_and_nothing_is_lost() {
    let mut net = Network::new(&["up0", "up1"]);
    let ports: Vec<_> =
        (1..=3).map(|n| (net.guest(&format!("t{n}"), &format!("10.1.0.{n}/24")), 1)).collect();
    net.station("outside", "10.1.0.9/24");
    let declared = |balancing| -> Declaration {
        let mut switch = switch(&["up0", "up1"], vec![port_group(1, 0)]);
        switch.policy.teaming.balancing = balancing;
        declaration(switch, ports.clone())
    };
    let engine = net.engine_timed(TIMING).await;
    engine.declare(declared(Balancing::Port)).await.unwrap();
    let by_port = uplinks(&engine);
    engine.declare(declared(Balancing::Load)).await.unwrap();
    assert_eq!(uplinks(&engine), by_port, "at first as by the port");
    assert_eq!(by_port[0], by_port[2]);

    let mut state = engine.state();
    let pings = ["t1", "t3"].map(|from| net.spawn(from, "ping -q -i 0.002 -c 6000 -s 1400 -W 3 10.1.0.9"));
    let mut seen = vec![by_port.clone()];
    let watch = async {
        loop {
            let now = uplinks(&engine);
            if seen.last() != Some(&now) {
                seen.push(now);
            }
            state.changed().await.unwrap();
        }
    };
    let (sent, outputs) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || sent.send(pings.map(|ping| ping.wait_with_output().unwrap())));
    let outputs = tokio::select! {
        () = watch => unreachable!("it goes on for ever"),
        outputs = outputs => outputs.unwrap(),
    };
    assert_eq!(seen.len(), 2, "one moves, once: {seen:?}");
    let after = &seen[1];
    assert!(after[0] != after[2] && after[1] == by_port[1], "{seen:?}");
    for output in outputs {
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(text.contains(" 0% packet loss") && !text.contains("duplicates"), "{text}");
    }

    engine.end().await;
    let engine = net.engine_timed(TIMING).await;
    engine.declare(declared(Balancing::Load)).await.unwrap();
    assert_eq!(&uplinks(&engine), after, "a daemon that starts again moves nothing");
    engine.declare(declared(Balancing::Port)).await.unwrap();
    assert_eq!(uplinks(&engine), by_port);
}

#[tokio::test]
async fn a_port_that_was_moved_fails_over_and_comes_back() {
    let mut net = Network::new(&["up0", "up1"]);
    let ports: Vec<_> =
        (1..=3).map(|n| (net.guest(&format!("t{n}"), &format!("10.1.0.{n}/24")), 1)).collect();
    net.station("outside", "10.1.0.9/24");
    let engine = net.engine_timed(TIMING).await;
    let mut switch = switch(&["up0", "up1"], vec![port_group(1, 0)]);
    switch.policy.teaming.balancing = Balancing::Load;
    engine.declare(declaration(switch, ports)).await.unwrap();
    let before = uplinks(&engine);
    let mut pings = ["t1", "t3"].map(|from| net.spawn(from, "ping -q -i 0.002 -s 1400 -w 60 10.1.0.9"));
    let mut state = engine.state();
    let mut wait = async |what: &str, is_it: &dyn Fn(&[String; 3]) -> bool| {
        let found =
            state.wait_for(|state| is_it(&["t1", "t2", "t3"].map(|port| state.uplinks[port].clone())));
        tokio::time::timeout(Duration::from_secs(50), found).await.expect(what).unwrap();
    };
    wait("one moves", &|now| now[0] != now[2]).await;
    let moved = uplinks(&engine);
    for ping in &mut pings {
        ping.kill().unwrap();
        ping.wait().unwrap();
    }
    // What was measured until now counts in one more window.
    tokio::time::sleep(2 * TIMING.load_window).await;
    assert_eq!(uplinks(&engine), moved);
    let wire = net.namespace("wire");
    network::ip(&wire, &format!("link set w-{} down", before[1]));
    wait("all fail over", &|now| now.iter().all(|uplink| *uplink == before[0])).await;
    network::ip(&wire, &format!("link set w-{} up", before[1]));
    wait("those come back that were there", &|now| *now == moved).await;
}
