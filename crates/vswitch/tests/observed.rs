//! The IP ranges that are observed behind uplinks, from the ARP of real kernels at the other end of the cable.
#![allow(clippy::unwrap_used)]

mod network;

use std::time::Duration;

use network::{Network, declaration, ip, port_group, switch};
use vswitch::declare::Declaration;
use vswitch::kernel::layout::Drop;
use vswitch::{Engine, Mac};

/// What is shown of an uplink: VLAN and range.
fn shown(engine: &Engine, uplink: &str) -> Vec<(u16, String)> {
    let ranges = engine.observed(uplink).into_iter();
    ranges.map(|range| (range.vlan.map_or(0, u16::from), range.to_string())).collect()
}

/// Waits until what is shown of an uplink is this, and lets somebody ask until then: a cable that was just plugged in may pass nothing.
async fn until(engine: &Engine, uplink: &str, expected: &[(u16, &str)], ask: impl Fn()) {
    for _ in 0..60 {
        ask();
        for _ in 0..30 {
            let seen = shown(engine, uplink);
            if seen.iter().map(|(vlan, range)| (*vlan, range.as_str())).eq(expected.iter().copied()) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    panic!("{uplink}: {:?}, not {expected:?}", shown(engine, uplink));
}

/// Lets a station ask by ARP who has an address, which nobody has to have.
fn asks(net: &Network, station: &str, address: &str) {
    net.run(station, &format!("ping -c 1 -W 1 {address}"));
}

/// How many frames uplinks have brought back that ports had sent.
async fn reflected(engine: &Engine, uplinks: &[&str]) -> u64 {
    let mut sum = 0;
    for uplink in uplinks {
        sum += engine.counters(uplink).await.unwrap().unwrap().dropped(Drop::Reflection);
    }
    sum
}

/// Another host with guests in VLANs 20 and 30, which are the real kernels that speak there.
async fn host_with_vlans(net: &mut Network, uplink: &str) -> Engine {
    let ports = vec![(net.guest("v20", "10.20.0.1/23"), 1), (net.guest("v30", "10.30.0.129/24"), 2)];
    let host = net.neighbour().await;
    let groups = vec![port_group(1, 20), port_group(2, 30)];
    host.declare(declaration(switch(&[uplink], groups), ports)).await.unwrap();
    host
}

#[tokio::test]
async fn what_uplinks_bring_is_shown_by_vlan_and_what_ports_send_is_not() {
    let mut net = Network::new(&["up0", "up1", "up9"]);
    net.station("outside", "10.0.0.3/24");
    let _other_host = host_with_vlans(&mut net, "up9").await;
    let guest = net.guest("g1", "10.99.0.1/24");
    let with =
        |uplinks: &[&str]| declaration(switch(uplinks, vec![port_group(1, 0)]), vec![(guest.clone(), 1)]);
    let engine = net.engine().await;
    engine.declare(with(&["up0", "up1"])).await.unwrap();
    // What a guest asks goes out by one uplink and comes back by the other.
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
    // No port group is in these.
    let all = [(0, "10.0.0.1-10.0.0.127"), (20, "10.20.0.1-10.20.1.254"), (30, "10.30.0.128-10.30.0.254")];
    let ask = || {
        asks(&net, "v20", "10.20.1.200");
        asks(&net, "v30", "10.30.0.200");
    };
    until(&engine, "up0", &all, ask).await;

    // A link that is lost is another one when it comes back, and a daemon that starts again begins anew.
    ip(&net.namespace("wire"), "link set w-up1 down");
    until(&engine, "up1", &[], || ()).await;
    until(&engine, "up0", &all, || ()).await;
    engine.end().await;
    // Kernels ask thrice; these do no more.
    for silent in ["v20", "v30", "outside"] {
        ip(&net.namespace(silent), "link set eth0 down");
    }
    ip(&net.namespace("outside"), "link set eth0 up");
    let engine = net.engine().await;
    engine.declare(with(&["up0"])).await.unwrap();
    until(&engine, "up0", &[(0, "10.0.0.1-10.0.0.7")], || asks(&net, "outside", "10.0.0.7")).await;
    // An interface that is no uplink any more shows nothing.
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
    // Without a tag: who has 10.66.0.200, says 10.66.0.1.
    let mac = Mac([2, 0, 0, 0, 6, 6]);
    let head = [&[0xff; 6][..], &mac.0, &[8, 6, 0, 1, 8, 0, 6, 4, 0, 1], &mac.0].concat();
    let packet = [&head[..], &[10, 66, 0, 1], &[0; 6], &[10, 66, 0, 200]].concat();
    let mut storm = net.flood("stormy", "eth0", &packet);
    until(&engine, "up0", &[(0, "10.66.0.1-10.66.0.254")], || ()).await;
    let both = [(0, "10.66.0.1-10.66.0.254"), (20, "10.20.0.1-10.20.0.127")];
    until(&engine, "up0", &both, || asks(&net, "v20", "10.20.0.100")).await;
    assert!(storm.goes_on());
    // Nor does the engine do anything else less.
    engine.declare(Declaration::default()).await.unwrap();
}
