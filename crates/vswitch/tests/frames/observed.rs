//! The IP ranges observed behind uplinks, from the ARP of real kernels at the other end of the cable.

use crate::network::wait;
use crate::network::{Network, declaration, ip, port_group, switch};
use vswitch::declare::Declaration;
use vswitch::layout::Drop;
use vswitch::{Engine, Mac};

/// The ranges shown for an uplink, each with its VLAN.
fn shown(engine: &Engine, uplink: &str) -> Vec<(u16, String)> {
    let ranges = engine.observed(uplink).into_iter();
    ranges.map(|range| (range.vlan.map_or(0, u16::from), range.to_string())).collect()
}

/// Waits until these ranges are shown for an uplink, and repeats the ARP requests until then: a cable that was just
/// plugged in may lose them.
async fn until(engine: &Engine, uplink: &str, expected: &[(u16, &str)], ask: impl Fn()) {
    let mut looks = 0;
    let is_shown = async || {
        if looks % 50 == 0 {
            ask();
        }
        looks += 1;
        let seen = shown(engine, uplink);
        let is_it = seen.iter().map(|(vlan, range)| (*vlan, range.as_str())).eq(expected.iter().copied());
        is_it.then_some(())
    };
    wait::until(|| format!("{uplink}: {:?}, not {expected:?}", shown(engine, uplink)), is_shown).await;
}

/// Makes a station send ARP requests for an address, which need not exist.
fn asks(net: &Network, station: &str, address: &str) {
    net.run(station, &format!("ping -c 1 -W 1 {address}"));
}

/// How many frames of its own ports the switch has dropped at uplinks.
async fn reflected(engine: &Engine, uplinks: &[&str]) -> u64 {
    let mut sum = 0;
    for uplink in uplinks {
        sum += engine.counters(uplink).await.unwrap().unwrap().dropped(Drop::Reflection);
    }
    sum
}

/// Another host with guests in VLANs 20 and 30, whose kernels send the ARP requests.
async fn host_with_vlans(net: &mut Network, uplink: &str) -> Engine {
    let ports = vec![(net.guest("v20", "10.20.0.1/23"), 1), (net.guest("v30", "10.30.0.129/24"), 2)];
    let host = net.neighbour().await;
    let groups = vec![port_group(1, 20), port_group(2, 30)];
    host.declare(declaration(switch(&[uplink], groups), ports)).await.unwrap();
    host
}

#[tokio::test]
async fn networks_behind_uplinks_are_shown_by_vlan_and_those_of_ports_are_not() {
    let mut net = Network::new(&["up0", "up1", "up9"]);
    net.station("outside", "10.0.0.3/24");
    let _other_host = host_with_vlans(&mut net, "up9").await;
    let guest = net.guest("g1", "10.99.0.1/24");
    let with =
        |uplinks: &[&str]| declaration(switch(uplinks, vec![port_group(1, 0)]), vec![(guest.clone(), 1)]);
    let engine = net.engine().await;
    engine.declare(with(&["up0", "up1"])).await.unwrap();
    // A guest's request leaves by one uplink and comes back by the other.
    let before = reflected(&engine, &["up0", "up1"]).await;
    loop {
        asks(&net, "g1", "10.99.0.200");
        if reflected(&engine, &["up0", "up1"]).await > before {
            break;
        }
    }
    for uplink in ["up0", "up1"] {
        let ask = || asks(&net, "outside", "10.0.0.99");
        until(&engine, uplink, &[(0, "10.0.0.1-10.0.0.127")], ask).await;
    }
    // VLANs without a port group.
    let all = [(0, "10.0.0.1-10.0.0.127"), (20, "10.20.0.1-10.20.1.254"), (30, "10.30.0.128-10.30.0.254")];
    let ask = || {
        asks(&net, "v20", "10.20.1.200");
        asks(&net, "v30", "10.30.0.200");
    };
    until(&engine, "up0", &all, ask).await;

    // A link that was lost counts as new, and a restarted daemon begins afresh.
    ip(&net.namespace("wire"), "link set w-up1 down");
    until(&engine, "up1", &[], || ()).await;
    until(&engine, "up0", &all, || ()).await;
    engine.end().await;
    // Kernels repeat their requests; these must not.
    for silent in ["v20", "v30", "outside"] {
        ip(&net.namespace(silent), "link set eth0 down");
    }
    ip(&net.namespace("outside"), "link set eth0 up");
    let engine = net.engine().await;
    engine.declare(with(&["up0"])).await.unwrap();
    until(&engine, "up0", &[(0, "10.0.0.1-10.0.0.7")], || asks(&net, "outside", "10.0.0.7")).await;
    // A former uplink shows nothing.
    engine.declare(Declaration::default()).await.unwrap();
    assert_eq!(shown(&engine, "up0"), []);
}

#[tokio::test]
async fn a_storm_in_one_vlan_keeps_nothing_from_another() {
    let mut net = Network::new(&["up0", "up9"]);
    net.station("stormy", "10.66.0.1/24");
    let _other_host = host_with_vlans(&mut net, "up9").await;
    let engine = net.engine().await;
    engine.declare(declaration(switch(&["up0"], vec![port_group(1, 0)]), vec![])).await.unwrap();
    // Untagged: 10.66.0.1 asks for 10.66.0.200.
    let mac = Mac([2, 0, 0, 0, 6, 6]);
    let head = [&[0xff; 6][..], &mac.0, &[8, 6, 0, 1, 8, 0, 6, 4, 0, 1], &mac.0].concat();
    let packet = [&head[..], &[10, 66, 0, 1], &[0; 6], &[10, 66, 0, 200]].concat();
    let mut storm = net.flood("stormy", "eth0", &packet);
    until(&engine, "up0", &[(0, "10.66.0.1-10.66.0.254")], || ()).await;
    let both = [(0, "10.66.0.1-10.66.0.254"), (20, "10.20.0.1-10.20.0.127")];
    until(&engine, "up0", &both, || asks(&net, "v20", "10.20.0.100")).await;
    assert!(storm.goes_on());
    // The engine's other work goes on.
    engine.declare(Declaration::default()).await.unwrap();
}
