//! DHCP clients of adapters, against dnsmasq.

use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::process::Child;
use std::time::Duration;

use crate::network::ping::Requests;
use crate::network::wait;
use crate::network::{Network, adapter, counts, ip, port_group, stack, switch};
use vswitch::declare::{Adapter, Declaration, Dns, Ipv4Config, Stack, StackName};
use vswitch::vmkernel::AdapterState;
use vswitch::{Engine, State};

/// A DHCP server at `10.1.0.254`, in a station of this name.
struct Server {
    child: Child,
    room: tempfile::TempDir,
}

impl Server {
    /// `more` are further arguments.
    fn start(net: &Network, name: &str, more: &str) -> Self {
        let room = tempfile::tempdir().unwrap();
        // All its files are in the room; it does not ping addresses first, so it answers at once.
        let file = |name: &str| room.path().join(name).display().to_string();
        let command = format!(
            "dnsmasq -k -C /dev/null -p 0 -i eth0 --bind-interfaces --no-ping --log-dhcp --user=root \
             --dhcp-authoritative --dhcp-range=10.1.0.100,10.1.0.120,255.255.255.0,2m --dhcp-option=3,10.1.0.254 \
             --dhcp-option=6,10.1.0.253 --dhcp-option=15,example.org --dhcp-option=26,1400 \
             --pid-file={} --dhcp-leasefile={} --log-facility={} {more}",
            file("pid"),
            file("leases"),
            file("log")
        );
        Self { child: net.spawn(name, &command), room }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.room.path().join(name)
    }

    fn log(&self) -> String {
        fs::read_to_string(self.file("log")).unwrap_or_default()
    }

    /// Waits for a line of its log.
    async fn logs(&self, what: &str, times: usize) {
        let is_there = async || (self.log().matches(what).count() >= times).then_some(());
        wait::until(|| format!("never {times} times {what:?} in\n{}", self.log()), is_there).await;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn dynamic(number: u8) -> Adapter {
    Adapter { ipv4: Ipv4Config::Dhcp, ..adapter(number, "10.1.0.1", 24) }
}

fn declared(adapters: Vec<Adapter>) -> Declaration {
    let dns = Dns { host_name: "host-1".into(), ..Dns::default() };
    let stacks = vec![Stack { dns, ..Stack::default() }];
    let switches = vec![switch(&["up0"], vec![port_group(1, 0)])];
    Declaration { switches, adapters, stacks, ..Declaration::default() }
}

/// Waits until a condition holds for an adapter.
async fn until(engine: &Engine, device: &str, is_it: impl Fn(&AdapterState) -> bool) -> AdapterState {
    let mut state = engine.state();
    let is_it = |state: &State| state.adapters.get(device).is_some_and(&is_it);
    match tokio::time::timeout(Duration::from_secs(60), state.wait_for(is_it)).await {
        Ok(state) => state.unwrap().adapters[device].clone(),
        Err(_) => panic!("never: {:#?}", engine.state().borrow().adapters),
    }
}

fn address(state: &AdapterState) -> Option<Ipv4Addr> {
    state.addresses.iter().find_map(|(address, _)| match address {
        IpAddr::V4(address) => Some(*address),
        IpAddr::V6(_) => None,
    })
}

fn text(net: &Network, command: &str) -> String {
    String::from_utf8(net.run("host", command).stdout).unwrap()
}

#[tokio::test]
async fn an_adapter_gets_an_address_and_all_that_belongs_to_it_and_gives_it_back() {
    let mut net = Network::new(&["up0"]);
    net.station("server", "10.1.0.254/24");
    ip(&net.namespace("server"), "addr add 192.0.2.1/32 dev lo");
    let server = Server::start(&net, "server", "");
    let engine = net.engine().await;
    engine.declare(declared(vec![dynamic(0)])).await.unwrap();
    let state = until(&engine, "vmk0", |state| address(state).is_some()).await;
    let lease = state.lease.unwrap();
    assert!((100..=120).contains(&lease.address.octets()[3]) && lease.prefix == 24, "{lease:?}");
    assert_eq!(
        (lease.seconds, lease.dns, lease.domain),
        (120, vec![Ipv4Addr::new(10, 1, 0, 253)], Some("example.org".into()))
    );
    assert_eq!((state.mtu, state.error), (1400, None));
    assert!(net.reaches("host", "192.0.2.1"), "{}", text(&net, "ip route"));
    assert!(server.log().contains("client provides name: host-1"), "{}", server.log());
    let link = text(&net, "ip addr show dev vmk0");
    let ends = link.contains("valid_lft ") && !link.contains("valid_lft forever");
    assert!(ends, "without renewal the kernel ends it: {link}");

    engine.declare(declared(vec![])).await.unwrap();
    server.logs("DHCPRELEASE", 1).await;
    let left = async || fs::read_to_string(server.file("leases")).unwrap();
    counts("the released address is free", String::new(), left).await;
}

#[tokio::test]
async fn a_lease_is_renewed_and_survives_a_restart_without_a_lost_packet() {
    let mut net = Network::new(&["up0"]);
    net.station("server", "10.1.0.254/24");
    let server = Server::start(&net, "server", "--dhcp-option=option:T1,3");
    let engine = net.engine().await;
    engine.declare(declared(vec![dynamic(0)])).await.unwrap();
    let first = until(&engine, "vmk0", |state| address(state).is_some()).await;
    // A slow server may have been asked more than once.
    let discovers = || server.log().matches("DHCPDISCOVER").count();
    let asked = discovers();
    let own = address(&first).unwrap().to_string();
    let flood = net.pinging("server", &own, Requests::without_end(5));
    server.logs("DHCPACK", 3).await;
    assert_eq!(discovers(), asked, "{}", server.log());
    engine.end().await;
    let engine = net.engine().await;
    engine.declare(declared(vec![dynamic(0)])).await.unwrap();
    let again = until(&engine, "vmk0", |state| state.lease.is_some()).await;
    assert_eq!((address(&again), again.lease), (address(&first), first.lease));
    assert_eq!(discovers(), asked, "it requests its earlier address: {}", server.log());
    assert!(text(&net, "ip route").contains("default via 10.1.0.254 dev vmk0"));
    flood.stop().lost_nothing("over a restart");
}

#[tokio::test]
async fn a_refused_address_is_dropped_and_another_is_asked_for() {
    let mut net = Network::new(&["up0"]);
    net.station("server", "10.1.0.254/24");
    let server = Server::start(&net, "server", "");
    let engine = net.engine().await;
    engine.declare(declared(vec![dynamic(0)])).await.unwrap();
    let first = until(&engine, "vmk0", |state| address(state).is_some()).await;
    engine.end().await;
    drop(server);
    // The host wakes up where another server has another network.
    let other = "--dhcp-range=10.1.0.200,10.1.0.210,255.255.255.0,2m";
    let server = Server::start(&net, "server", other);
    let used = address(&first).unwrap();
    fs::write(server.file("leases"), "").unwrap();
    ip(&net.namespace("host"), "addr flush dev vmk0");
    ip(&net.namespace("host"), "addr add 10.1.7.7/24 dev vmk0 valid_lft 500 preferred_lft 500");
    let engine = net.engine().await;
    engine.declare(declared(vec![dynamic(0)])).await.unwrap();
    let second = until(&engine, "vmk0", |state| state.lease.is_some()).await;
    server.logs("DHCPNAK", 1).await;
    assert!(!text(&net, "ip addr show dev vmk0").contains("10.1.7.7"), "{second:?} after {used}");
}

#[tokio::test]
async fn adapters_of_several_stacks_have_leases_of_their_own() {
    let mut net = Network::new(&["up0"]);
    net.station("server", "10.1.0.254/24");
    let _server = Server::start(&net, "server", "");
    let engine = net.engine().await;
    let vmotion = Adapter { stack: stack(StackName::VMOTION), ..dynamic(1) };
    engine.declare(declared(vec![dynamic(0), vmotion, dynamic(2)])).await.unwrap();
    let mut seen = Vec::new();
    for device in ["vmk0", "vmk1", "vmk2"] {
        seen.push(address(
            &until(&engine, device, |state| state.lease.is_some() && address(state).is_some()).await,
        ));
    }
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 3);
    assert!(net.reaches("host-vmotion", "10.1.0.254"));

    // A static address replaces a lease.
    let mut declaration = declared(vec![dynamic(0), adapter(2, "10.1.0.9", 24)]);
    declaration.stacks.clear();
    engine.declare(declaration).await.unwrap();
    assert_eq!(
        address(&until(&engine, "vmk2", |state| state.lease.is_none()).await),
        Some([10, 1, 0, 9].into())
    );
}

#[tokio::test]
async fn an_address_that_another_station_has_is_declined_and_another_one_used() {
    let mut net = Network::new(&["up0"]);
    net.station("server", "10.1.0.254/24");
    // The address that the server would give belongs to another station.
    net.station("stranger", "10.1.0.100/24");
    let server = Server::start(&net, "server", "--dhcp-host=00:50:56:60:00:00,10.1.0.100");
    let engine = net.engine().await;
    engine.declare(declared(vec![dynamic(0)])).await.unwrap();
    let state = until(&engine, "vmk0", |state| !state.conflicts.is_empty()).await;
    let mac: vswitch::Mac = net.text("stranger", "cat /sys/class/net/eth0/address").trim().parse().unwrap();
    let taken = IpAddr::from([10, 1, 0, 100]);
    assert_eq!(state.conflicts.into_iter().collect::<Vec<_>>(), [(taken, Some(mac))]);
    assert_eq!((address_of(&engine), text(&net, "ip -4 -o addr show dev vmk0")), (None, String::new()));
    server.logs("DHCPDECLINE", 1).await;
    let state = until(&engine, "vmk0", |state| address(state).is_some()).await;
    assert_ne!(address(&state), Some([10, 1, 0, 100].into()));
    assert!(state.conflicts.is_empty(), "{state:?}");
    assert!(net.reaches("stranger", &address(&state).unwrap().to_string()));
}

fn address_of(engine: &Engine) -> Option<Ipv4Addr> {
    engine.state().borrow().adapters.get("vmk0").and_then(address)
}
