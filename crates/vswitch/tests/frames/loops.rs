//! Two uplinks on one segment without spanning tree: no frame loops, whichever load balancing is used.

use crate::network::ping::Requests;
use crate::network::sniff::{Sniffer, count};
use crate::network::{Network, PATIENCE, declaration, ip, port_group, switch};
use vswitch::declare::{AtLimit, Balancing, Learning, Override, PortGroup};
use vswitch::layout::Drop;
use vswitch::{Mac, State};

const FRAMES: usize = 100;

#[tokio::test]
async fn a_broadcast_arrives_once_and_never_comes_back() {
    let mut net = Network::new(&["up0", "up1"]);
    let ports = [("t1", 1), ("t2", 2)].map(|(name, at)| net.guest(name, &format!("10.1.0.{at}/24")));
    net.station("outside", "10.1.0.9/24");
    let engine = net.engine().await;
    let script = format!("{}/tests/frames/network/attack.py", env!("CARGO_MANIFEST_DIR"));
    let mac = ports[0].mac;
    let attack = format!("python3 {script} plain {FRAMES} 1 {mac} {mac} 10.1.0.2");
    let wire = net.namespace("wire");
    for balancing in [Balancing::Port, Balancing::SourceMac, Balancing::IpHash, Balancing::Explicit] {
        let mut switch = switch(&["up0", "up1"], vec![port_group(1, 0)]);
        switch.policy.teaming.balancing = balancing;
        let placed = ports.iter().cloned().map(|port| (port, 1)).collect();
        engine.declare(declaration(switch, placed)).await.unwrap();
        // Links fail and come back in between, and each time traffic moves.
        let changes =
            [None, Some(("up0", "down")), Some(("up0", "up")), Some(("up1", "down")), Some(("up1", "up"))];
        for change in changes {
            if let Some((uplink, to)) = change {
                ip(&wire, &format!("link set w-{uplink} {to}"));
                let up = to == "up";
                let mut state = engine.state();
                let seen = state.wait_for(|state| state.links[uplink].running == up);
                tokio::time::timeout(PATIENCE, seen).await.unwrap().unwrap();
                // A link that came up is used a little later, except where the order prefers the other one.
                let serves = up && (balancing != Balancing::Explicit || uplink == "up0");
                let used = |state: &State| {
                    state.seats[&1].iter().flatten().any(|serving| serving == uplink) == serves
                };
                tokio::time::timeout(PATIENCE, state.wait_for(used)).await.unwrap().unwrap();
            }
            let sniffers = [("t1", "eth0"), ("t2", "eth0"), ("outside", "eth0")]
                .map(|(n, i)| Sniffer::start(&net, n, i));
            assert!(net.run("t1", &attack).status.success());
            let seen = sniffers.map(|sniffer| count(&sniffer.end(), b"<plain>"));
            assert_eq!(seen, [0, FRAMES, FRAMES], "{balancing:?} after {change:?}");
        }
    }
    // The frames did come back by the other uplink, and ended there.
    let mut reflected = 0;
    for uplink in ["up0", "up1"] {
        reflected += engine.counters(uplink).await.unwrap().unwrap().dropped(Drop::Reflection);
    }
    assert!(reflected >= 4 * FRAMES as u64, "{reflected}");
    let count = async || {
        let shown = net.run("wire", "cat /sys/class/net/br0/statistics/rx_packets").stdout;
        String::from_utf8(shown).unwrap().trim().parse::<u64>().unwrap()
    };
    // A loop would carry frames around all the time that these pings take.
    let before = count().await;
    net.pinging("t1", "10.1.0.9", Requests::new(50, 40)).end().lost_nothing("without a loop");
    let idle = count().await - before;
    assert!(idle < 20, "{idle} broadcasts without a sender");
}

#[tokio::test]
async fn a_broadcast_of_a_guest_of_a_guest_arrives_once_too() {
    let mut net = Network::new(&["up0", "up1", "up2"]);
    let ports = [("t1", 1), ("t2", 2)].map(|(name, at)| net.guest(name, &format!("10.1.0.{at}/24")));
    net.station("outside", "10.1.0.9/24");
    let engine = net.engine().await;
    let script = format!("{}/tests/frames/network/attack.py", env!("CARGO_MANIFEST_DIR"));
    let mut known = 0;
    // A MAC that is learned, and one beyond the limit.
    for (limit, last) in [(10, 1), (10, 1), (1, 2)] {
        let learning = Learning { enabled: true, unicast_flooding: false, limit, at_limit: AtLimit::Allow };
        let policy = Override { learning: Some(learning), ..Override::default() };
        let groups = vec![PortGroup { policy, ..port_group(1, 0) }];
        let placed = ports.iter().cloned().map(|port| (port, 1)).collect();
        engine.declare(declaration(switch(&["up0", "up1", "up2"], groups), placed)).await.unwrap();
        let sniffers =
            [("t1", "eth0"), ("t2", "eth0"), ("outside", "eth0")].map(|(n, i)| Sniffer::start(&net, n, i));
        let mac = Mac([0x52, 0x54, 0, 0, 0, last]);
        assert!(
            net.run("t1", &format!("python3 {script} plain {FRAMES} 1 {mac} {mac} 10.1.0.2"))
                .status
                .success()
        );
        let seen = sniffers.map(|sniffer| count(&sniffer.end(), b"<plain>"));
        assert_eq!(seen, [0, FRAMES, FRAMES], "at most {limit}");
        known = engine.learned("t1").await.unwrap().unwrap().count.max(known);
    }
    assert_eq!(known, 1, "reflections are not taken for a move");
}
