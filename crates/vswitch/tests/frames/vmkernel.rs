//! VMkernel adapters: addresses, routes and stacks, over restarts and changes by hand.

use std::collections::BTreeMap;

use crate::network::ping::Requests;
use crate::network::wait;
use crate::network::{Network, PATIENCE, adapter, ip, port_group, stack, switch};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use vswitch::declare::{
    Adapter, Declaration, Gateways, Ipv4Config, Ipv6Config, Route, Service, Stack, StackName,
};
use vswitch::vmkernel::Source;
use vswitch::{Engine, State};

fn declared(uplinks: &[&str], adapters: Vec<Adapter>, stacks: Vec<Stack>) -> Declaration {
    let switches = vec![switch(uplinks, vec![port_group(1, 0), port_group(2, 20)])];
    Declaration { switches, adapters, stacks, ..Declaration::default() }
}

/// Waits for a state of the engine.
async fn until(engine: &Engine, what: &str, is_it: impl FnMut(&State) -> bool) {
    let mut state = engine.state();
    let found = tokio::time::timeout(2 * PATIENCE, state.wait_for(is_it)).await;
    if found.is_err() {
        panic!("never: {what}; {:#?}", engine.state().borrow().adapters);
    }
}

fn text(net: &Network, namespace: &str, command: &str) -> String {
    String::from_utf8(net.run(namespace, command).stdout).unwrap()
}

#[tokio::test]
async fn an_adapter_reaches_its_network_and_its_gateway() {
    let mut net = Network::new(&["up0"]);
    let guest = net.guest("t1", "10.1.0.2/24");
    net.station("router", "10.1.0.254/24");
    ip(&net.namespace("router"), "addr add 192.0.2.1/32 dev lo");
    ip(&net.namespace("router"), "addr add 198.51.100.1/32 dev lo");
    let engine = net.engine().await;
    let gateways = Gateways { ipv4: Some([10, 1, 0, 254].into()), ipv6: None };
    let network = "198.51.100.0".parse().unwrap();
    let routes = vec![Route { network, prefix: 24, gateway: "10.1.0.254".parse().unwrap() }];
    let stacks = vec![Stack { gateways, routes, ..Stack::default() }];
    let mut declaration = declared(&["up0"], vec![adapter(0, "10.1.0.1", 24)], stacks);
    declaration.ports.push(vswitch::declare::Port { port_group: 1, ..guest });
    engine.declare(declaration.clone()).await.unwrap();
    assert!(net.reaches("host", "10.1.0.2"), "a guest");
    assert!(net.reaches("router", "10.1.0.1"), "from outside");
    assert!(net.reaches("host", "192.0.2.1"), "through the gateway");
    let routes = text(&net, "host", "ip route");
    assert!(routes.contains("198.51.100.0/24 via 10.1.0.254 dev vmk0"), "{routes}");
    let state = engine.state().borrow().adapters["vmk0"].clone();
    assert_eq!(state.addresses, [("10.1.0.1".parse().unwrap(), 24)]);
    assert!(state.carrier && state.error.is_none() && state.mac == Some(declaration.adapters[0].mac));

    // Another address, another MTU; then none.
    declaration.adapters[0].ipv4 = Ipv4Config::Static { address: [10, 1, 0, 7].into(), prefix: 24 };
    declaration.adapters[0].mtu = 1400;
    engine.declare(declaration.clone()).await.unwrap();
    assert!(net.reaches("t1", "10.1.0.7"));
    assert!(net.reaches("host", "192.0.2.1"), "still through the gateway");
    let link = text(&net, "host", "ip -4 addr show dev vmk0");
    assert!(link.contains("mtu 1400") && !link.contains("10.1.0.1/"), "{link}");
    declaration.adapters.clear();
    declaration.stacks.clear();
    engine.declare(declaration).await.unwrap();
    let links = text(&net, "host", "ip -br link");
    assert!(!links.contains("vmk"), "{links}");
}

#[tokio::test]
async fn ipv6_is_spoken_where_it_is_declared() {
    let mut net = Network::new(&["up0"]);
    net.station("outside", "10.1.0.9/24");
    let outside = net.namespace("outside");
    net.run("outside", "sysctl -qw net.ipv6.conf.eth0.disable_ipv6=0");
    ip(&outside, "addr add fd00::9/64 dev eth0 nodad");
    net.run("outside", "sysctl -qw net.ipv6.conf.lo.disable_ipv6=0");
    ip(&outside, "addr add 2001:db8::1/128 dev lo nodad");
    let engine = net.engine().await;
    let ipv6 = Ipv6Config { addresses: vec![("fd00::1".parse().unwrap(), 64)], autoconf: false, dhcp: false };
    let one = Adapter { ipv6: Some(ipv6), ..adapter(0, "10.1.0.1", 24) };
    let gateways = Gateways { ipv4: None, ipv6: Some("fd00::9".parse().unwrap()) };
    let mut declaration = declared(&["up0"], vec![one], vec![Stack { gateways, ..Stack::default() }]);
    engine.declare(declaration.clone()).await.unwrap();
    let has = |state: &State| {
        let addresses = &state.adapters["vmk0"].addresses;
        addresses.len() == 3 && addresses[1] == ("fd00::1".parse().unwrap(), 64)
    };
    until(&engine, "IPv4, IPv6 and link-local", has).await;
    assert!(net.reaches("host", "fd00::9"));
    assert!(net.reaches("host", "2001:db8::1"), "through the gateway");
    declaration.adapters[0].ipv6 = None;
    declaration.stacks.clear();
    engine.declare(declaration).await.unwrap();
    until(&engine, "IPv4 only", |state| state.adapters["vmk0"].addresses.len() == 1).await;
}

#[tokio::test]
async fn a_restart_loses_nothing_and_mends_changes_by_hand() {
    let mut net = Network::new(&["up0"]);
    net.station("outside", "10.1.0.9/24");
    let one = [adapter(0, "10.1.0.1", 24), adapter(1, "10.2.0.1", 24)];
    let gateways = Gateways { ipv4: Some([10, 2, 0, 254].into()), ipv6: None };
    let stacks = vec![Stack { gateways, ..Stack::default() }];
    let declaration = declared(&["up0"], one.to_vec(), stacks);
    let engine = net.engine().await;
    engine.declare(declaration.clone()).await.unwrap();
    assert!(net.reaches("outside", "10.1.0.1"));
    let flood = net.pinging("outside", "10.1.0.1", Requests::without_end(2));
    let host = net.namespace("host");
    let by_hand: [&[&str]; 6] = [
        &["link set vmk1 address 02:00:00:00:00:99", "link set vmk1 mtu 1300"],
        &["addr flush dev vmk1"],
        &["link delete vmk1"],
        &["link set vmk1 down"],
        &["addr add 10.7.0.1/24 dev vmk1", "route del default"],
        // Left by a daemon with another adapter.
        &[
            "link add vmk9-port type veth peer name vmk9",
            &format!("link set vmk9-port alias esfera:{host}:vmk9"),
        ],
    ];
    engine.end().await;
    let mut seen = BTreeMap::new();
    for changes in by_hand {
        for change in changes {
            ip(&host, change);
        }
        let engine = net.engine().await;
        engine.declare(declaration.clone()).await.unwrap();
        let works = |state: &State| state.adapters.values().all(|adapter| adapter.carrier);
        until(&engine, &format!("both work after {changes:?}"), works).await;
        let state = engine.state().borrow().adapters.clone();
        if seen.is_empty() {
            seen.clone_from(&state);
        }
        assert_eq!(state, seen, "after {changes:?}");
        assert_eq!(state["vmk1"].addresses, [("10.2.0.1".parse().unwrap(), 24)]);
        assert!(text(&net, "host", "ip route").contains("default via 10.2.0.254 dev vmk1"), "{changes:?}");
        assert!(!text(&net, "host", "ip -br link").contains("vmk9"), "{changes:?}");
    }
    // The same without a restart.
    let engine = net.engine().await;
    engine.declare(declaration).await.unwrap();
    ip(&host, "addr flush dev vmk1");
    ip(&host, "link set vmk1 down");
    until(&engine, "it is mended", |state| {
        state.adapters["vmk1"].carrier && state.adapters["vmk1"].addresses.len() == 1
    })
    .await;
    flood.stop().lost_nothing("over restarts");
}

#[tokio::test]
async fn stacks_are_apart_and_go_when_they_are_not_declared_any_more() {
    let mut net = Network::new(&["up0"]);
    net.station("outside", "10.1.0.9/24");
    let vmotion = Adapter { stack: stack(StackName::VMOTION), ..adapter(1, "10.1.0.2", 24) };
    let gateways = Gateways { ipv4: Some([10, 1, 0, 9].into()), ipv6: None };
    let name = stack(StackName::VMOTION);
    let of_vmotion = Stack { name, gateways, congestion_control: Some("newreno".into()), ..Stack::default() };
    let adapters = vec![adapter(0, "10.1.0.1", 24), vmotion];
    let mut declaration = declared(&["up0"], adapters, vec![of_vmotion]);
    let engine = net.engine().await;
    engine.declare(declaration.clone()).await.unwrap();
    assert!(net.reaches("outside", "10.1.0.1") && net.reaches("outside", "10.1.0.2"));
    let state = engine.state().borrow().adapters["vmk1"].clone();
    let file = std::path::Path::new("/run/netns").join(net.namespace("host-vmotion"));
    assert_eq!(state.namespace.as_deref(), Some(file.as_path()));
    assert!(net.reaches("host-vmotion", "10.1.0.1"), "from stack to stack, over the switch");
    assert!(!text(&net, "host", "ip -br link").contains("vmk1@"));
    assert!(text(&net, "host-vmotion", "ip route").contains("default via 10.1.0.9"));
    assert!(!text(&net, "host", "ip route").contains("default"));
    let algorithm = text(&net, "host-vmotion", "sysctl -n net.ipv4.tcp_congestion_control");
    assert_eq!(algorithm.trim(), "reno");

    // A restart keeps the stack; a removed namespace is made again; an undeclared one goes, but another program's
    // stays.
    let flood = net.pinging("outside", "10.1.0.2", Requests::without_end(2));
    engine.end().await;
    let engine = net.engine().await;
    engine.declare(declaration.clone()).await.unwrap();
    flood.stop().lost_nothing("over a restart");
    net.station("host-other", "10.1.0.77/24");
    std::process::Command::new("ip")
        .args(["netns", "delete", &net.namespace("host-vmotion")])
        .status()
        .unwrap();
    engine.declare(declaration.clone()).await.unwrap();
    assert!(net.reaches("outside", "10.1.0.2"));
    engine.end().await;
    declaration.adapters.pop();
    declaration.stacks.clear();
    let engine = net.engine().await;
    engine.declare(declaration).await.unwrap();
    assert!(!file.exists());
    assert!(net.reaches("outside", "10.1.0.77"), "a namespace that only looks like ours");
}

#[tokio::test]
async fn an_adapter_with_a_gateway_of_its_own_answers_through_it() {
    let mut net = Network::new(&["up0"]);
    for (router, last) in [("r1", 254), ("r2", 253)] {
        net.station(router, &format!("10.1.0.{last}/24"));
        ip(&net.namespace(router), "addr add 192.0.2.1/32 dev lo");
    }
    let own = Gateways { ipv4: Some([10, 1, 0, 253].into()), ipv6: None };
    let adapters = vec![adapter(0, "10.1.0.1", 24), Adapter { gateways: own, ..adapter(1, "10.1.0.2", 24) }];
    let gateways = Gateways { ipv4: Some([10, 1, 0, 254].into()), ipv6: None };
    let engine = net.engine().await;
    let stacks = vec![Stack { gateways, ..Stack::default() }];
    engine.declare(declared(&["up0"], adapters, stacks)).await.unwrap();
    let route = text(&net, "host", "ip route get 192.0.2.1");
    assert!(route.contains("via 10.1.0.254 dev vmk0"), "{route}");
    let route = text(&net, "host", "ip route get 192.0.2.1 from 10.1.0.2");
    assert!(route.contains("via 10.1.0.253 dev vmk1"), "{route}");
    assert!(net.succeeds("host", "ping -c 1 -w 2 -I 10.1.0.2 192.0.2.1"));
}

#[tokio::test]
async fn an_impossible_part_is_reported_and_the_rest_is_done() {
    let mut net = Network::new(&["up0"]);
    net.station("outside", "10.1.0.9/24");
    let engine = net.engine().await;
    for bad in [
        Adapter { device: "eth0".into(), ..adapter(1, "10.2.0.1", 24) },
        Adapter { mtu: 100, ..adapter(1, "10.2.0.1", 24) },
        adapter(0, "10.2.0.1", 24),
        adapter(1, "10.2.0.1", 33),
        adapter(1, "224.0.0.1", 24),
    ] {
        let bad = declared(&["up0"], vec![adapter(0, "10.1.0.1", 24), bad], vec![]);
        engine.declare(bad).await.unwrap_err();
    }
    let host = net.namespace("host");
    ip(&host, "link add vmk1 type veth peer name stranger");
    let adapters = vec![adapter(0, "10.1.0.1", 24), adapter(1, "10.2.0.1", 24)];
    let error = engine.declare(declared(&["up0"], adapters, vec![])).await.unwrap_err();
    assert!(error.to_string().contains("vmk1"), "{error}");
    assert!(engine.state().borrow().adapters["vmk1"].error.is_some());
    assert!(net.reaches("outside", "10.1.0.1"));
    let links = text(&net, "host", "ip -br link");
    assert!(links.contains("vmk1@stranger"), "{links}");
}

#[tokio::test]
async fn an_adapter_takes_over_what_its_uplink_had() {
    let mut net = Network::new(&["up0"]);
    net.station("router", "10.1.0.254/24");
    ip(&net.namespace("router"), "addr add 192.0.2.1/32 dev lo");
    let host = net.namespace("host");
    ip(&host, "addr add 10.1.0.1/24 dev up0");
    ip(&host, "route add default via 10.1.0.254");
    assert!(net.reaches("host", "192.0.2.1"));
    let file = std::path::Path::new("/run/netns").join(&host);
    let taken = vswitch::vmkernel::takeover(Some(&file), "up0").await.unwrap();
    assert_eq!(taken.ipv4, Ipv4Config::Static { address: [10, 1, 0, 1].into(), prefix: 24 });
    let stack = Stack { gateways: taken.gateways, routes: taken.routes.clone(), ..Stack::default() };
    let declaration = declared(&["up0"], vec![taken.adapter("vmk0", 1)], vec![stack]);

    // Without an adapter an uplink keeps its addresses.
    let engine = net.engine().await;
    engine.declare(declared(&["up0"], vec![], vec![])).await.unwrap();
    assert!(text(&net, "host", "ip addr show dev up0").contains("10.1.0.1/24"));
    engine.declare(declaration.clone()).await.unwrap();
    let is_moved = |net: &Network| {
        let (uplink, routes) = (text(net, "host", "ip -4 addr show dev up0"), text(net, "host", "ip route"));
        assert!(routes.contains("default via 10.1.0.254 dev vmk0"), "{routes}");
        !uplink.contains("10.1.0.1") && !routes.contains("up0")
    };
    assert!(is_moved(&net));
    assert!(net.reaches("host", "192.0.2.1"));
    let state = engine.state().borrow().adapters["vmk0"].clone();
    assert_eq!(state.mac, Some(taken.mac), "neighbours see no change");

    // A distribution's network configuration puts them back. The address may be gone again before the route comes.
    ip(&host, "addr add 10.1.0.1/24 dev up0");
    ip(&host, "route append default via 10.1.0.254 dev up0 onlink");
    let addresses = || text(&net, "host", "ip addr");
    wait::until(addresses, async || is_moved(&net).then_some(())).await;
    assert!(net.reaches("host", "192.0.2.1"));
}

#[tokio::test]
async fn a_connection_of_a_service_leaves_by_its_adapter_from_its_stack() {
    let mut net = Network::new(&["up0"]);
    // The listener sees where a connection comes from; both adapters are on its network.
    net.station("outside", "10.1.0.9/24");
    let vmotion = stack(StackName::VMOTION);
    let adapters = vec![
        Adapter { services: [Service::Management].into(), ..adapter(0, "10.1.0.1", 24) },
        Adapter { services: [Service::Iscsi].into(), ..adapter(1, "10.1.0.2", 24) },
        Adapter { services: [Service::Vmotion].into(), stack: vmotion, ..adapter(2, "10.1.0.3", 24) },
    ];
    let engine = net.engine().await;
    engine.declare(declared(&["up0"], adapters, vec![])).await.unwrap();
    let outside = std::path::Path::new("/run/netns").join(net.namespace("outside"));
    let there = Source { namespace: Some(outside), address: [10, 1, 0, 9].into(), device: "eth0".into() };
    let listener = there.tcp(7000).unwrap().listen(8).unwrap();
    for (service, from) in [(Service::Management, 1), (Service::Iscsi, 2), (Service::Vmotion, 3)] {
        let device = format!("vmk{}", from - 1);
        let before = engine.counters(&format!("{device}-port")).await.unwrap().unwrap();
        let source = engine.state().borrow().source_for(service).unwrap();
        assert_eq!((source.device.as_str(), source.address), (device.as_str(), [10, 1, 0, from].into()));
        let connect = source.tcp(0).unwrap().connect("10.1.0.9:7000".parse().unwrap());
        let (mut ours, accepted) = tokio::join!(connect, listener.accept());
        let (mut theirs, peer) = accepted.unwrap();
        assert_eq!(peer.ip(), source.address, "{service}");
        ours.as_mut().unwrap().write_all(&[7; 100_000]).await.unwrap();
        let mut got = vec![0; 100_000];
        theirs.read_exact(&mut got).await.unwrap();
        let after = engine.counters(&format!("{device}-port")).await.unwrap().unwrap();
        assert!(after.from_bytes >= before.from_bytes + 100_000, "{service} went by {device}: {after:?}");
    }
    assert_eq!(engine.state().borrow().source_for(Service::Vsan), None);
    // And from outside to a service that listens.
    let source = engine.state().borrow().source_for(Service::Vmotion).unwrap();
    let listener = source.tcp(8000).unwrap().listen(8).unwrap();
    let connect = there.tcp(0).unwrap().connect("10.1.0.3:8000".parse().unwrap());
    let (_ours, accepted) = tokio::join!(connect, listener.accept());
    assert_eq!(accepted.unwrap().1.ip().to_string(), "10.1.0.9");
}
