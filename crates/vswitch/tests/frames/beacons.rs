//! Failures behind the next switch, which leave the link up: beacons find them.

use std::time::Duration;

use crate::network::wait::until_so;
use crate::network::{Network, declaration, ip, port_group, switch};
use vswitch::declare::{Balancing, Override, PortGroup};
use vswitch::{Engine, State};

async fn until(engine: &Engine, what: &str, is_it: impl FnMut(&State) -> bool) {
    let mut state = engine.state();
    let found = tokio::time::timeout(Duration::from_secs(60), state.wait_for(is_it)).await;
    let is_found = found.is_ok();
    drop(found);
    assert!(is_found, "{what}: {:?}", engine.state().borrow());
}

async fn uses(engine: &Engine, port: &str, uplink: &str) {
    let what = format!("{port} uses {uplink}");
    until(engine, &what, |state| state.uplinks.get(port).is_some_and(|used| used == uplink)).await;
}

/// Rounds of beacons after which the uplinks know each other.
const KNOWN: u64 = 4;
/// Rounds of beacons after which a missing uplink would have been found.
const MISSED: u64 = 8;

/// Waits until each uplink has sent (`tx`) or received (`rx`) this many more rounds of beacons; nothing else is on the wire.
async fn rounds(way: &str, net: &Network, uplinks: &[&str], more: u64) {
    // Beacons go untagged and in VLAN 20.
    let per_round = if way == "rx" { 2 * (uplinks.len() as u64 - 1) } else { 2 };
    let count = |uplink: &&str| {
        let file = format!("cat /sys/class/net/{uplink}/statistics/{way}_packets");
        net.text("host", &file).trim().parse::<u64>().unwrap()
    };
    let before: Vec<u64> = uplinks.iter().map(count).collect();
    let is_over = async || {
        uplinks.iter().zip(&before).all(|(uplink, before)| count(uplink) >= before + more * per_round)
    };
    until_so(&format!("{more} more rounds of beacons ({way})"), is_over).await;
}

/// Waits until the uplinks have received each other's beacons: before that none can be missed.
async fn heard(net: &Network, uplinks: &[&str]) {
    rounds("rx", net, uplinks, KNOWN).await;
}

/// A port group with beacon probing, and one without.
fn groups() -> Vec<PortGroup> {
    let probing = |on| Override { beacons: Some(on), ..Override::default() };
    vec![
        PortGroup { policy: probing(true), ..port_group(1, 20) },
        PortGroup { policy: probing(false), ..port_group(2, 20) },
    ]
}

/// Plugs an uplink's cable into an isolated switch of the segment; its link stays up.
fn cut_off(net: &Network, uplink: &str) {
    let wire = net.namespace("wire");
    ip(&wire, "link add br1 type bridge forward_delay 0 mcast_snooping 0");
    ip(&wire, "link set br1 up");
    ip(&wire, &format!("link set w-{uplink} master br1"));
}

fn mend(net: &Network, uplink: &str) {
    ip(&net.namespace("wire"), &format!("link set w-{uplink} master br0"));
}

#[tokio::test]
async fn a_port_leaves_an_uplink_that_is_cut_off_behind_the_switch_and_comes_back() {
    let mut net = Network::new(&["up0", "up1", "up2"]);
    let (a, b) = (net.guest("t1", "10.1.0.1/24"), net.guest("t2", "10.1.0.2/24"));
    let engine = net.engine().await;
    let mut switch = switch(&["up0", "up1", "up2"], groups());
    switch.policy.teaming.balancing = Balancing::Explicit;
    engine.declare(declaration(switch, vec![(a, 1), (b, 2)])).await.unwrap();
    uses(&engine, "t1", "up0").await;
    heard(&net, &["up0", "up1", "up2"]).await;
    assert!(engine.state().borrow().isolated.is_empty());
    cut_off(&net, "up0");
    uses(&engine, "t1", "up1").await;
    let state = engine.state().borrow().clone();
    assert_eq!(state.isolated, ["up0".to_owned()].into());
    assert!(state.links["up0"].running, "its link is up");
    assert_eq!(state.uplinks["t2"], "up0", "without beacon probing only the link counts");
    mend(&net, "up0");
    uses(&engine, "t1", "up0").await;
    assert!(engine.state().borrow().isolated.is_empty());
}

#[tokio::test]
async fn between_two_uplinks_nobody_is_at_fault() {
    let mut net = Network::new(&["up0", "up1"]);
    let a = net.guest("t1", "10.1.0.1/24");
    let engine = net.engine().await;
    let mut switch = switch(&["up0", "up1"], groups());
    switch.policy.teaming.balancing = Balancing::Explicit;
    engine.declare(declaration(switch, vec![(a, 1)])).await.unwrap();
    uses(&engine, "t1", "up0").await;
    heard(&net, &["up0", "up1"]).await;
    cut_off(&net, "up0");
    rounds("tx", &net, &["up0", "up1"], MISSED).await;
    let state = engine.state().borrow().clone();
    assert!(state.isolated.is_empty());
    assert_eq!(state.uplinks["t1"], "up0");
}

#[tokio::test]
async fn beacons_are_seen_without_a_tag_and_in_the_vlans_that_probe() {
    let net = Network::new(&["up0", "up1"]);
    let engine = net.engine().await;
    engine.declare(declaration(switch(&["up0", "up1"], groups()), vec![])).await.unwrap();
    let seen = net.run("wire", "timeout 30 tcpdump -lnec 4 -i w-up0 -Q in ether broadcast");
    let text = String::from_utf8_lossy(&seen.stdout).into_owned();
    let frames: Vec<&str> = text.lines().filter(|line| line.contains("ethertype")).collect();
    let tagged = frames.iter().filter(|frame| frame.contains("vlan 20")).count();
    assert_eq!((frames.len(), tagged), (4, 2), "{text}");
    assert!(frames.iter().all(|frame| frame.contains("0x8922")), "{text}");
}
