//! Uplinks that fail and come back.

use std::time::{Duration, Instant};

use crate::network::ping::Requests;
use crate::network::{Network, PATIENCE, counts, declaration, ip, port_group, switch};
use vswitch::declare::Balancing;

/// Waits until a port uses an uplink.
async fn uses(engine: &vswitch::Engine, port: &str, uplink: &str) {
    let mut state = engine.state();
    let found = state.wait_for(|state| state.uplinks.get(port).is_some_and(|used| used == uplink));
    tokio::time::timeout(PATIENCE, found).await.expect("it fails over").unwrap();
}

#[tokio::test]
async fn traffic_goes_on_over_the_other_uplink_and_comes_back() {
    let mut net = Network::new(&["up0", "up1"]);
    let a = net.guest("t1", "10.1.0.1/24");
    net.station("outside", "10.1.0.9/24");
    let engine = net.engine().await;
    let mut switch = switch(&["up0", "up1"], vec![port_group(1, 0)]);
    switch.policy.teaming.balancing = Balancing::Explicit;
    engine.declare(declaration(switch, vec![(a, 1)])).await.unwrap();
    uses(&engine, "t1", "up0").await;
    assert!(net.reaches("t1", "10.1.0.9"));
    let ping = net.pinging("t1", "10.1.0.9", Requests::without_end(5));
    ping.sends(40).await;
    let (wire, began, first) = (net.namespace("wire"), Instant::now(), ping.sent());
    ip(&wire, "link set w-up0 down");
    uses(&engine, "t1", "up1").await;
    let last = ping.sent();
    eprintln!("failed over {:?} after `ip link set` began", began.elapsed());
    ping.sends(100).await;
    ip(&wire, "link set w-up0 up");
    uses(&engine, "t1", "up0").await;
    ping.sends(100).await;
    let answers = ping.stop();
    eprintln!("{answers:?}");
    // Only frames sent before the other uplink was in use are lost, and none when the first one comes back.
    assert!(answers.sent > last && answers.doubled == 0, "{answers:?}");
    let on_the_way = first.saturating_sub(1)..=last;
    assert!(answers.lost.iter().all(|number| on_the_way.contains(number)), "{on_the_way:?}: {answers:?}");
}

#[tokio::test]
async fn an_engine_that_begins_anew_moves_nobody_back_where_that_is_not_wanted() {
    let mut net = Network::new(&["up0", "up1"]);
    let (a, b) = (net.guest("t1", "10.1.0.1/24"), net.guest("t2", "10.1.0.2/24"));
    net.station("outside", "10.1.0.9/24");
    // Ports of the second group come back, which shows when those of the first could have.
    let mut returning = port_group(2, 0);
    returning.policy.failback = Some(true);
    let mut switch = switch(&["up0", "up1"], vec![port_group(1, 0), returning]);
    (switch.policy.teaming.balancing, switch.policy.teaming.failback) = (Balancing::Explicit, false);
    let declared = || declaration(switch.clone(), vec![(a.clone(), 1), (b.clone(), 2)]);
    let engine = net.engine().await;
    engine.declare(declared()).await.unwrap();
    uses(&engine, "t1", "up0").await;
    let wire = net.namespace("wire");
    ip(&wire, "link set w-up0 down");
    uses(&engine, "t1", "up1").await;
    ip(&wire, "link set w-up0 up");
    engine.end().await;
    let engine = net.engine().await;
    engine.declare(declared()).await.unwrap();
    uses(&engine, "t2", "up0").await;
    assert_eq!(engine.state().borrow().uplinks["t1"], "up1");
    ip(&wire, "link set w-up1 down");
    uses(&engine, "t1", "up0").await;
    assert!(net.reaches("t1", "10.1.0.9"));
}

/// Every uplink that a port has used, until it uses this one again.
async fn used_until(
    engine: &vswitch::Engine,
    port: &str,
    uplink: &str,
    meanwhile: impl Future<Output = ()>,
) -> Vec<String> {
    let mut state = engine.state();
    let mut used: Vec<String> = Vec::new();
    let mut is_over = false;
    tokio::pin!(meanwhile);
    loop {
        let now = state.borrow_and_update().uplinks.get(port).cloned().unwrap_or("none".into());
        if used.last() != Some(&now) {
            used.push(now.clone());
        }
        if is_over && now == uplink {
            return used;
        }
        let changed = tokio::time::timeout(Duration::from_secs(30), state.changed());
        tokio::select! {
            changed = changed => changed.expect("it comes back").unwrap(),
            () = &mut meanwhile, if !is_over => is_over = true,
        }
    }
}

#[tokio::test]
async fn a_link_that_flaps_is_used_once_it_is_up_for_a_while_or_alone() {
    let mut net = Network::new(&["up0", "up1"]);
    let a = net.guest("t1", "10.1.0.1/24");
    let engine = net.engine().await;
    let mut switch = switch(&["up0", "up1"], vec![port_group(1, 0)]);
    switch.policy.teaming.balancing = Balancing::Explicit;
    let long = Duration::from_secs(4);
    let declared = vswitch::declare::Declaration { up_delay: long, ..declaration(switch, vec![(a, 1)]) };
    engine.declare(declared).await.unwrap();
    uses(&engine, "t1", "up0").await;
    let wire = net.namespace("wire");
    let set = |uplink: &str, to: &str| ip(&wire, &format!("link set w-{uplink} {to}"));
    let flapping = async {
        for _ in 0..8 {
            for to in ["down", "up"] {
                set("up0", to);
                let mut state = engine.state();
                let seen = state.wait_for(|state| state.links["up0"].running == (to == "up"));
                tokio::time::timeout(PATIENCE, seen).await.expect("the engine sees it").unwrap();
            }
        }
    };
    assert_eq!(used_until(&engine, "t1", "up0", flapping).await, ["up0", "up1", "up0"]);

    // Without another uplink it is used at once; the other one then has to wait.
    set("up1", "down");
    set("up0", "down");
    let mut state = engine.state();
    state.wait_for(|state| !state.uplinks.contains_key("t1")).await.unwrap();
    let began = Instant::now();
    set("up1", "up");
    uses(&engine, "t1", "up1").await;
    set("up0", "up");
    let both =
        state.wait_for(|state| state.links["up0"].running).await.map(|state| state.uplinks["t1"].clone());
    assert!(both.unwrap() == "up1" || began.elapsed() > long);
    uses(&engine, "t1", "up0").await;
}

#[tokio::test]
async fn two_uplinks_on_one_segment_deliver_a_broadcast_once_and_do_not_loop() {
    let mut net = Network::new(&["up0", "up1"]);
    let (a, b) = (net.guest("t1", "10.1.0.1/24"), net.guest("t2", "10.1.0.2/24"));
    net.station("outside", "10.1.0.9/24");
    let engine = net.engine().await;
    engine
        .declare(declaration(switch(&["up0", "up1"], vec![port_group(1, 0)]), vec![(a, 1), (b, 1)]))
        .await
        .unwrap();
    let state = engine.state().borrow().clone();
    assert_ne!(state.uplinks["t1"], state.uplinks["t2"], "two ports share two uplinks");
    let heard = async || engine.counters("t2").await.unwrap().unwrap().to_broadcast;
    for (from, what) in
        [("outside", "each broadcast once"), ("t1", "each of a neighbour once, and not again from the wire")]
    {
        let before = heard().await;
        for _ in 0..10 {
            net.run(from, "ping -c 1 -W 0.1 -b 10.1.0.255");
        }
        counts(what, before + 10, heard).await;
    }
}
