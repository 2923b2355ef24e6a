//! Addresses of adapters that other stations have too.

use std::net::IpAddr;
use std::time::Duration;

use crate::network::{Network, adapter, ip, port_group, stack, switch};
use vswitch::declare::{Adapter, Declaration, Ipv6Config, StackName};
use vswitch::vmkernel::AdapterState;
use vswitch::{Engine, Mac};

fn declared(adapters: Vec<Adapter>) -> Declaration {
    let switches = vec![switch(&["up0"], vec![port_group(1, 0)])];
    Declaration { switches, adapters, ..Declaration::default() }
}

async fn until(engine: &Engine, device: &str, what: impl Fn(&AdapterState) -> bool) -> AdapterState {
    let mut state = engine.state();
    let is_it = |state: &vswitch::State| state.adapters.get(device).is_some_and(&what);
    match tokio::time::timeout(Duration::from_secs(60), state.wait_for(is_it)).await {
        Ok(state) => state.unwrap().adapters[device].clone(),
        Err(_) => panic!("never: {:#?}", engine.state().borrow().adapters),
    }
}

fn mac_of(net: &Network, station: &str) -> Mac {
    net.text(station, "cat /sys/class/net/eth0/address").trim().parse().unwrap()
}

fn conflicts(state: &AdapterState) -> Vec<(IpAddr, Option<Mac>)> {
    state.conflicts.clone().into_iter().collect()
}

#[tokio::test]
async fn a_static_address_that_another_station_has_is_found_out_at_once_or_when_it_comes() {
    let mut net = Network::new(&["up0"]);
    net.station("stranger", "10.1.0.1/24");
    let guest = net.guest("t1", "10.1.0.7/24");
    let engine = net.engine().await;
    // The same address in another stack, and an address without conflict.
    let vmotion = Adapter { stack: stack(StackName::VMOTION), ..adapter(1, "10.1.0.1", 24) };
    let mut declaration = declared(vec![adapter(0, "10.1.0.5", 24), vmotion]);
    declaration.ports.push(vswitch::declare::Port { port_group: 1, ..guest });
    engine.declare(declaration).await.unwrap();
    let state = until(&engine, "vmk1", |state| !state.conflicts.is_empty()).await;
    let address = IpAddr::from([10, 1, 0, 1]);
    assert_eq!(conflicts(&state), [(address, Some(mac_of(&net, "stranger")))]);
    assert_eq!(state.addresses, [(address, 24)], "it stays in use");
    assert!(engine.state().borrow().adapters["vmk0"].conflicts.is_empty());
    // A guest of this host takes the other adapter's address.
    assert!(net.reaches("t1", "10.1.0.5"));
    ip(&net.namespace("t1"), "addr add 10.1.0.5/24 dev eth0");
    // It sends ARP requests from that address until the guard sees one.
    let mut asks = net.spawn("t1", "ping -q -I 10.1.0.5 10.1.0.9");
    let state = until(&engine, "vmk0", |state| !state.conflicts.is_empty()).await;
    asks.kill().unwrap();
    asks.wait().unwrap();
    assert_eq!(conflicts(&state), [([10, 1, 0, 5].into(), Some(mac_of(&net, "t1")))]);
    // Another address ends the conflict.
    engine.declare(declared(vec![adapter(0, "10.1.0.6", 24)])).await.unwrap();
    assert!(until(&engine, "vmk0", |state| state.addresses.len() == 1).await.conflicts.is_empty());
}

#[tokio::test]
async fn the_kernel_says_of_an_ipv6_address_that_it_is_anothers() {
    let mut net = Network::new(&["up0"]);
    net.station("stranger", "10.1.0.1/24");
    net.run("stranger", "sysctl -qw net.ipv6.conf.eth0.disable_ipv6=0");
    ip(&net.namespace("stranger"), "addr add fd00::1/64 dev eth0 nodad");
    let engine = net.engine().await;
    let addresses = vec![("fd00::1".parse().unwrap(), 64), ("fd00::2".parse().unwrap(), 64)];
    let six = Some(Ipv6Config { addresses, autoconf: false, dhcp: false });
    engine.declare(declared(vec![Adapter { ipv6: six, ..adapter(0, "10.1.0.5", 24) }])).await.unwrap();
    let state = until(&engine, "vmk0", |state| !state.conflicts.is_empty()).await;
    assert_eq!(conflicts(&state), [("fd00::1".parse().unwrap(), None)]);
    let state = until(&engine, "vmk0", |state| state.addresses.len() > 2).await;
    let all: Vec<String> = state.addresses.iter().map(|(address, _)| address.to_string()).collect();
    assert_eq!(all[..2], ["10.1.0.5".to_owned(), "fd00::2".into()]);
}
