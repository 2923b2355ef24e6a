//! Discovery protocols, with `lldpd` at the other end of the cable.

use std::process::Child;
use std::time::Duration;

use crate::network::wait;
use crate::network::{Network, adapter, declaration, port_group, switch};
use vswitch::declare::{Discovery, DiscoveryOperation, DiscoveryProtocol, Service};
use vswitch::{Engine, discovery::OtherEnd};

/// `lldpd` at the segment's end of `up0`'s cable; ends with the test.
struct Lldpd {
    process: Child,
    room: tempfile::TempDir,
}

impl Lldpd {
    fn start(net: &Network, more: &str) -> Self {
        let room = tempfile::tempdir().unwrap();
        let socket = room.path().join("lldpd.socket");
        let command = format!("lldpd -d {more} -u {} -I w-up0 -S neighbour -O /dev/null", socket.display());
        Self { process: net.spawn("wire", &command), room }
    }

    /// The neighbours that it knows, as lines of `key=value`.
    fn neighbours(&self, net: &Network) -> String {
        let socket = self.room.path().join("lldpd.socket");
        let output =
            net.run("wire", &format!("lldpcli -u {} -f keyvalue show neighbors details", socket.display()));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Waits until it knows a neighbour with all these lines.
    async fn knows(&self, net: &Network, wanted: &[&str]) {
        let knows_it = async || {
            let seen = self.neighbours(net);
            wanted.iter().all(|line| seen.lines().any(|seen| seen == *line)).then_some(())
        };
        wait::until(|| format!("it knows only:\n{}", self.neighbours(net)), knows_it).await;
    }
}

impl Drop for Lldpd {
    fn drop(&mut self) {
        // Its child ends with it, if it can say goodbye.
        let id = rustix::process::Pid::from_raw(self.process.id().cast_signed()).unwrap();
        let _ = rustix::process::kill_process(id, rustix::process::Signal::TERM);
        let _ = self.process.wait();
    }
}

/// Waits until a condition holds for the other end of `up0`.
async fn until(engine: &Engine, is_it: impl Fn(&OtherEnd) -> bool) -> OtherEnd {
    let mut changes = engine.neighbours();
    let found = async {
        loop {
            let now = engine.other_end("up0");
            if is_it(&now) {
                return now;
            }
            changes.changed().await.unwrap();
        }
    };
    let found = tokio::time::timeout(Duration::from_secs(120), found).await;
    found.unwrap_or_else(|_| panic!("seen: {:?}", engine.other_end("up0")))
}

async fn speak(engine: &Engine, protocol: DiscoveryProtocol, operation: DiscoveryOperation) {
    speak_as(engine, protocol, operation, None).await;
}

/// Announces the uplink by this name.
async fn speak_as(
    engine: &Engine,
    protocol: DiscoveryProtocol,
    operation: DiscoveryOperation,
    name: Option<&str>,
) {
    let mut switch = switch(&["up0"], vec![port_group(1, 0)]);
    switch.discovery = Some(Discovery { protocol, operation });
    let mut declaration = declaration(switch, vec![]);
    let mut adapter = adapter(0, "10.1.0.1", 24);
    adapter.services = [Service::Management].into();
    declaration.adapters.push(adapter);
    declaration.names = name.map(|name| ("up0".to_owned(), name.to_owned())).into_iter().collect();
    engine.declare(declaration).await.unwrap();
}

#[tokio::test]
async fn lldp_tells_both_ends_of_a_cable_of_each_other() {
    let net = Network::new(&["up0"]);
    let engine = net.engine().await;
    let lldpd = Lldpd::start(&net, "");
    speak(&engine, DiscoveryProtocol::Lldp, DiscoveryOperation::Both).await;
    lldpd
        .knows(
            &net,
            &[
                "lldp.w-up0.via=LLDP",
                "lldp.w-up0.chassis.name=host1.example",
                "lldp.w-up0.chassis.mgmt-ip=10.1.0.1",
                "lldp.w-up0.port.ifname=up0",
                "lldp.w-up0.port.descr=Uplink of vSwitch0",
            ],
        )
        .await;
    // Under the name that the host gives the uplink, once it has one.
    let as_card = speak_as(&engine, DiscoveryProtocol::Lldp, DiscoveryOperation::Both, Some("vmnic3"));
    as_card.await;
    lldpd.knows(&net, &["lldp.w-up0.chassis.name=host1.example", "lldp.w-up0.port.ifname=vmnic3"]).await;
    let seen = until(&engine, |seen| seen.lldp.is_some()).await.lldp.unwrap();
    assert_eq!(seen.ttl_s, 120);
    assert!(seen.parameters.contains(&("System Description", "neighbour".into())), "{seen:?}");
    assert!(seen.parameters.contains(&("Port Description", "w-up0".into())), "{seen:?}");

    // The neighbour says goodbye, and a host that does not listen knows nobody.
    drop(lldpd);
    until(&engine, |seen| seen.lldp.is_none()).await;
    let lldpd = Lldpd::start(&net, "");
    until(&engine, |seen| seen.lldp.is_some()).await;
    speak(&engine, DiscoveryProtocol::Lldp, DiscoveryOperation::Advertise).await;
    until(&engine, |seen| seen.lldp.is_none()).await;
    drop(lldpd);
}

#[tokio::test]
async fn cdp_tells_both_ends_of_a_cable_of_each_other() {
    let net = Network::new(&["up0"]);
    let engine = net.engine().await;
    let lldpd = Lldpd::start(&net, "-ll -cc");
    speak(&engine, DiscoveryProtocol::Cdp, DiscoveryOperation::Both).await;
    let (seen, samples) = until(&engine, |seen| seen.cdp.is_some()).await.cdp.unwrap();
    assert!(samples >= 1);
    assert_eq!(
        (seen.port_id.as_deref(), seen.software_version.as_deref()),
        (Some("w-up0"), Some("neighbour"))
    );
    lldpd
        .knows(
            &net,
            &[
                "lldp.w-up0.via=CDPv2",
                "lldp.w-up0.chassis.name=host1.example",
                "lldp.w-up0.chassis.mgmt-ip=10.1.0.1",
                "lldp.w-up0.port.ifname=up0",
            ],
        )
        .await;
    assert_eq!(engine.other_end("up0").lldp, None);
    speak_as(&engine, DiscoveryProtocol::Cdp, DiscoveryOperation::Both, Some("vmnic3")).await;
    lldpd.knows(&net, &["lldp.w-up0.via=CDPv2", "lldp.w-up0.port.ifname=vmnic3"]).await;
}

#[tokio::test]
async fn a_switch_that_only_listens_says_nothing() {
    let net = Network::new(&["up0"]);
    let engine = net.engine().await;
    let lldpd = Lldpd::start(&net, "");
    speak(&engine, DiscoveryProtocol::Lldp, DiscoveryOperation::Listen).await;
    until(&engine, |seen| seen.lldp.is_some()).await;
    assert!(!lldpd.neighbours(&net).contains("chassis.name"), "{}", lldpd.neighbours(&net));
}
