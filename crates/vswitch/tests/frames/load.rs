//! Ports that leave an overloaded uplink.

use crate::network;
use std::time::Duration;

use crate::network::ping::Requests;
use crate::network::{Network, PATIENCE, declaration, port_group, switch};
use tokio::time::Instant;
use vswitch::declare::{Balancing, Declaration};
use vswitch::{Engine, Timing};

/// Of the 10 Gbit/s that a veth reports, 7 Mbit/s are too much: two of the pings below, but not one, which is 5 Mbit/s.
const TIMING: Timing =
    Timing { learned_age: Duration::from_secs(300), load_window: Duration::from_secs(1), load_too_much: 700 };

const LOAD: Requests = Requests { every: Duration::from_millis(2), size: 1200, count: u32::MAX };

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
    let pings = ["t1", "t3"].map(|from| net.pinging(from, "10.1.0.9", LOAD));
    let mut seen = vec![by_port.clone()];
    let mut watch = async |until: Instant, is_over: &dyn Fn(usize) -> bool| {
        loop {
            let now = uplinks(&engine);
            if seen.last() != Some(&now) {
                seen.push(now);
            }
            if is_over(seen.len()) || tokio::time::timeout_at(until, state.changed()).await.is_err() {
                break;
            }
        }
    };
    watch(Instant::now() + 2 * PATIENCE, &|seen| seen > 1).await;
    // Nothing moves after that.
    watch(Instant::now() + 5 * TIMING.load_window, &|_| false).await;
    assert_eq!(seen.len(), 2, "one moves, once: {seen:?}");
    let after = &seen[1];
    assert!(after[0] != after[2] && after[1] == by_port[1], "{seen:?}");
    pings.into_iter().for_each(|ping| ping.stop().lost_nothing("while one moves"));

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
    let pings = ["t1", "t3"].map(|from| net.pinging(from, "10.1.0.9", LOAD));
    let mut state = engine.state();
    let mut wait = async |what: &str, is_it: &dyn Fn(&[String; 3]) -> bool| {
        let found =
            state.wait_for(|state| is_it(&["t1", "t2", "t3"].map(|port| state.uplinks[port].clone())));
        tokio::time::timeout(2 * PATIENCE, found).await.expect(what).unwrap();
    };
    wait("one moves", &|now| now[0] != now[2]).await;
    let moved = uplinks(&engine);
    pings.into_iter().for_each(|ping| _ = ping.stop());
    // The traffic until now counts in one more window, in which nothing may move any more.
    let mut quiet = engine.state();
    let change = quiet.wait_for(|state| ["t1", "t2", "t3"].map(|port| state.uplinks[port].clone()) != moved);
    assert!(tokio::time::timeout(2 * TIMING.load_window, change).await.is_err(), "another one moves");
    assert_eq!(uplinks(&engine), moved);
    let wire = net.namespace("wire");
    network::ip(&wire, &format!("link set w-{} down", before[1]));
    wait("all fail over", &|now| now.iter().all(|uplink| *uplink == before[0])).await;
    network::ip(&wire, &format!("link set w-{} up", before[1]));
    wait("those come back that were there", &|now| *now == moved).await;
}
