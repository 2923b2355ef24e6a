//! DHCPv6 clients of adapters, against dnsmasq and, for short times, ISC's server: dnsmasq's shortest lease is two
//! minutes.

use std::fs;
use std::net::{IpAddr, Ipv6Addr};
use std::path::PathBuf;
use std::process::Child;
use std::time::Duration;

use crate::network::ping::Requests;
use crate::network::wait;
use crate::network::{Network, adapter, ip, port_group, stack, switch};
use vswitch::declare::{Adapter, Declaration, Ipv6Config, StackName};
use vswitch::vmkernel::AdapterState;
use vswitch::{Engine, State};

const SERVER: &str = "fd00:1::fe";

/// A DHCPv6 server and router, in a station.
struct Server {
    child: Child,
    room: tempfile::TempDir,
}

impl Server {
    /// ISC's server, which leases addresses for half a minute, with T1 = 3 s and T2 = 6 s. Given another server, it
    /// takes over that one's leases under a new identity.
    fn with_short_times(net: &Network, name: u8, former: Option<&Self>) -> Self {
        let room = tempfile::tempdir().unwrap();
        let file = |name: &str| room.path().join(name).display().to_string();
        let settings = format!(
            "server-duid LL ethernet 02:00:00:00:00:{name:02x};\n\
             default-lease-time 30; preferred-lifetime 30; dhcp-cache-threshold 0; authoritative;\n\
             option dhcp-renewal-time 3; option dhcp-rebinding-time 6;\n\
             subnet6 fd00:1::/64 {{ range6 fd00:1::100 fd00:1::120; }}\n"
        );
        fs::write(file("conf"), settings).unwrap();
        // The lease file contains the former identity, which is removed.
        let leases =
            former.map_or(String::new(), |former| fs::read_to_string(former.file("leases")).unwrap());
        let leases = leases.lines().filter(|line| !line.starts_with("server-duid"));
        fs::write(file("leases"), leases.collect::<Vec<_>>().join("\n")).unwrap();
        let script = format!(
            "exec dhcpd -6 -f -d -cf {} -lf {} -pf {} eth0 >{} 2>&1\n",
            file("conf"),
            file("leases"),
            file("pid"),
            file("log")
        );
        fs::write(file("run"), script).unwrap();
        Self { child: net.spawn("server", &format!("sh {}", file("run"))), room }
    }

    /// `more` are further arguments.
    fn start(net: &Network, more: &str) -> Self {
        let room = tempfile::tempdir().unwrap();
        let file = |name: &str| room.path().join(name).display().to_string();
        let command = format!(
            "dnsmasq -k -C /dev/null -p 0 -i eth0 --bind-interfaces --log-dhcp --user=root --enable-ra \
             --dhcp-authoritative --dhcp-range=::100,::120,constructor:eth0,64,2m \
             --dhcp-option=option6:dns-server,[fd00:1::53] --dhcp-option=option6:domain-search,example.org,test \
             --pid-file={} --dhcp-leasefile={} --log-facility={} {more}",
            file("pid"),
            file("leases"),
            file("log")
        );
        Self { child: net.spawn("server", &command), room }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.room.path().join(name)
    }

    fn log(&self) -> String {
        fs::read_to_string(self.file("log")).unwrap_or_default()
    }

    fn count(&self, what: &str) -> usize {
        self.log().matches(what).count()
    }

    /// Waits for a line of its log.
    async fn logs(&self, what: &str, times: usize) {
        let is_there = async || (self.count(what) >= times).then_some(());
        wait::until(|| format!("never {times} times {what:?} in\n{}", self.log()), is_there).await;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A station with IPv6.
fn station(net: &mut Network, name: &str, address: &str) {
    net.station(name, "10.1.0.254/24");
    net.run(name, "sysctl -qw net.ipv6.conf.eth0.disable_ipv6=0");
    ip(&net.namespace(name), &format!("addr add {address}/64 dev eth0 nodad"));
}

fn network_of_a_server() -> Network {
    let mut net = Network::new(&["up0"]);
    station(&mut net, "server", SERVER);
    net
}

fn dynamic(number: u8) -> Adapter {
    let ipv6 = Some(Ipv6Config { dhcp: true, ..Ipv6Config::default() });
    Adapter { ipv6, ..adapter(number, &format!("10.1.0.{}", number + 1), 24) }
}

fn declared(adapters: Vec<Adapter>) -> Declaration {
    let switches = vec![switch(&["up0"], vec![port_group(1, 0)])];
    Declaration { switches, adapters, ..Declaration::default() }
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

/// The leased address, once the adapter may use it.
fn address(state: &AdapterState) -> Option<Ipv6Addr> {
    let lease = state.lease6.as_ref()?.address;
    state.addresses.contains(&(IpAddr::from(lease), 128)).then_some(lease)
}

/// Waits until a router has advertised the network, without which the address reaches nothing.
async fn routed(net: &Network, name: &str) {
    let routes = || net.text(name, "ip -6 route");
    wait::until(routes, async || routes().contains("fd00:1::/64 dev").then_some(())).await;
}

fn is_in_range(address: Ipv6Addr) -> bool {
    (0x100..=0x120).contains(&address.segments()[7]) && address.segments()[..7] == [0xfd00, 1, 0, 0, 0, 0, 0]
}

#[tokio::test]
async fn an_adapter_gets_an_address_and_what_belongs_to_it_and_gives_it_back() {
    let net = network_of_a_server();
    let server = Server::start(&net, "");
    let engine = net.engine().await;
    engine.declare(declared(vec![dynamic(0)])).await.unwrap();
    let state = until(&engine, "vmk0", |state| address(state).is_some()).await;
    let (lease, error) = (state.lease6.clone().unwrap(), &state.error);
    assert!(is_in_range(lease.address), "{lease:?}");
    assert_eq!((lease.seconds, lease.preferred, lease.dns), (120, 120, vec!["fd00:1::53".parse().unwrap()]));
    assert_eq!((lease.search, error), (vec!["example.org".to_owned(), "test".into()], &None));
    let of_network = |(address, prefix): &(IpAddr, u8)| address.is_ipv6() && *prefix == 64;
    assert_eq!(state.addresses.iter().filter(|own| of_network(own)).count(), 1, "link-local: {state:?}");
    let link = net.text("host", "ip -6 addr show dev vmk0 scope global");
    let ends = link.contains("valid_lft ") && !link.contains("valid_lft forever");
    assert!(ends, "without renewal the kernel ends it: {link}");
    routed(&net, "host").await;
    let ping = format!("ping -6 -c 1 -w 2 -I {} {SERVER}", lease.address);
    assert!(net.succeeds("host", &ping), "{}", net.text("host", "ip -6 route"));

    engine.declare(declared(vec![])).await.unwrap();
    server.logs("DHCPRELEASE", 1).await;
    let has_lease = || fs::read_to_string(server.file("leases")).unwrap().contains("fd00");
    wait::until(|| format!("it is not released: {}", server.log()), async || (!has_lease()).then_some(()))
        .await;
}

#[tokio::test]
async fn a_lease_survives_a_restart_without_a_lost_packet() {
    let net = network_of_a_server();
    let server = Server::start(&net, "");
    let engine = net.engine().await;
    engine.declare(declared(vec![dynamic(0)])).await.unwrap();
    let first = until(&engine, "vmk0", |state| address(state).is_some()).await;
    let own = address(&first).unwrap();
    routed(&net, "host").await;
    assert!(net.succeeds("server", &format!("ping -6 -c 1 -w 2 {own}")));
    // A slow server may have been asked more than once.
    let solicits = server.count("DHCPSOLICIT");
    let flood = net.pinging("server", &own.to_string(), Requests::without_end(5));
    engine.end().await;
    let engine = net.engine().await;
    engine.declare(declared(vec![dynamic(0)])).await.unwrap();
    let again = until(&engine, "vmk0", |state| state.lease6.is_some()).await;
    assert_eq!((address(&again), &again.lease6), (Some(own), &first.lease6));
    assert_eq!(server.count("DHCPSOLICIT"), solicits, "it requests its earlier address: {}", server.log());
    assert!(server.count("DHCPREBIND") > 0, "{}", server.log());
    flood.stop().lost_nothing("over a restart");
}

#[tokio::test]
async fn an_address_of_another_network_is_dropped_after_a_restart() {
    let net = network_of_a_server();
    let server = Server::start(&net, "");
    let engine = net.engine().await;
    engine.declare(declared(vec![dynamic(0)])).await.unwrap();
    until(&engine, "vmk0", |state| address(state).is_some()).await;
    engine.end().await;
    ip(&net.namespace("host"), "-6 addr flush dev vmk0 scope global");
    ip(&net.namespace("host"), "addr add fd00:7::7/128 dev vmk0 valid_lft 500 preferred_lft 500");
    let engine = net.engine().await;
    engine.declare(declared(vec![dynamic(0)])).await.unwrap();
    let state = until(&engine, "vmk0", |state| address(state).is_some()).await;
    assert!(is_in_range(address(&state).unwrap()), "{state:?}");
    assert!(!net.text("host", "ip addr show dev vmk0").contains("fd00:7::7"), "{}", server.log());
}

#[tokio::test]
async fn adapters_of_several_stacks_have_leases_of_their_own() {
    let net = network_of_a_server();
    let server = Server::start(&net, "");
    let engine = net.engine().await;
    let vmotion = Adapter { stack: stack(StackName::VMOTION), ..dynamic(1) };
    engine.declare(declared(vec![dynamic(0), vmotion.clone(), dynamic(2)])).await.unwrap();
    let mut seen = Vec::new();
    for device in ["vmk0", "vmk1", "vmk2"] {
        seen.push(address(&until(&engine, device, |state| address(state).is_some()).await).unwrap());
    }
    routed(&net, "host-vmotion").await;
    assert!(net.succeeds("host-vmotion", &format!("ping -6 -c 1 -w 2 {SERVER}")));
    // An address that is now declared is not released; one that is not needed any more is.
    let ipv6 = Some(Ipv6Config { addresses: vec![(seen[2], 64)], ..Ipv6Config::default() });
    let without = Adapter { ipv6: None, ..dynamic(0) };
    engine.declare(declared(vec![without, vmotion, Adapter { ipv6, ..dynamic(2) }])).await.unwrap();
    server.logs("DHCPRELEASE", 1).await;
    let state = until(&engine, "vmk2", |state| state.addresses.contains(&(seen[2].into(), 64))).await;
    assert_eq!((state.lease6, server.count("DHCPRELEASE")), (None, 1));
    assert_eq!(address(&until(&engine, "vmk1", |_| true).await), Some(seen[1]));
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 3);
}

#[tokio::test]
async fn an_address_that_another_station_has_is_declined_and_another_one_used() {
    let mut net = network_of_a_server();
    // The address that the server would give belongs to another station.
    station(&mut net, "stranger", "fd00:1::110");
    let server = Server::start(&net, "--dhcp-host=id:00:03:00:01:00:50:56:60:00:00,[fd00:1::110]");
    let engine = net.engine().await;
    engine.declare(declared(vec![dynamic(0)])).await.unwrap();
    let taken: Ipv6Addr = "fd00:1::110".parse().unwrap();
    let state = until(&engine, "vmk0", |state| !state.conflicts.is_empty()).await;
    assert_eq!(state.conflicts.into_iter().collect::<Vec<_>>(), [(taken.into(), None)]);
    server.logs("DHCPDECLINE", 1).await;
    let state = until(&engine, "vmk0", |state| address(state).is_some()).await;
    assert_ne!(address(&state), Some(taken));
    assert!(state.conflicts.is_empty(), "{state:?}");
    routed(&net, "host").await;
    assert!(net.succeeds("stranger", &format!("ping -6 -c 1 -w 2 {}", address(&state).unwrap())));
}

#[tokio::test]
async fn a_lease_is_renewed_and_asked_of_all_servers_in_time_without_a_lost_packet() {
    let net = network_of_a_server();
    let server = Server::with_short_times(&net, 1, None);
    server.logs("Server starting service", 1).await;
    let engine = net.engine().await;
    engine.declare(declared(vec![dynamic(0)])).await.unwrap();
    let first = until(&engine, "vmk0", |state| address(state).is_some()).await;
    let (own, lease) = (address(&first).unwrap(), first.lease6.clone().unwrap());
    assert_eq!((lease.seconds, lease.preferred), (30, 30));
    let is_valid = || net.text("host", "ip -6 addr show dev vmk0").contains(&format!("{own}/128"));
    // Each renewal with the same server restores the full duration.
    server.logs("Renew message from", 3).await;
    assert_eq!(
        (server.count("Solicit message from"), server.count("Rebind message from")),
        (1, 0),
        "{}",
        server.log()
    );
    assert!(is_valid());
    // That server goes, and another takes over.
    let leases = server.file("leases");
    let former = Server { child: net.spawn("server", "true"), room: tempfile::tempdir().unwrap() };
    fs::copy(&leases, former.file("leases")).unwrap();
    std::mem::drop(server);
    let server = Server::with_short_times(&net, 2, Some(&former));
    server.logs("Rebind message from", 1).await;
    server.logs("Renew message from", 2).await;
    assert_eq!(server.count("Solicit message from"), 0, "{}", server.log());
    let last = until(&engine, "vmk0", |state| address(state).is_some()).await;
    let taken_over = last.lease6.clone().unwrap();
    assert_eq!(
        (address(&last), lease.server.last(), taken_over.server.last()),
        (Some(own), Some(&1), Some(&2))
    );
    assert_eq!((taken_over.seconds, taken_over.address), (30, lease.address));
    assert!(is_valid());
}
