//! Traffic shaping, measured with TCP.

use crate::network::ping::Requests;
use crate::network::{Network, declaration, ip, port_group, switch};
use vswitch::declare::{PortGroup, ShapingOverride};
use vswitch::layout::Drop;

/// TCP from `from` to `to` for this many seconds: bits per second of payload, as the receiver counts them.
fn throughput(net: &Network, from: &str, to: &str, address: &str, seconds: u32) -> f64 {
    let server = net.spawn(to, "iperf3 -s -1 --forceflush");
    net.listens(to, 5201);
    let client = net.run(from, &format!("iperf3 -c {address} -C cubic -t {seconds} -f k"));
    let text = String::from_utf8_lossy(&client.stdout).into_owned();
    let _ = server.wait_with_output();
    let line = text.lines().find(|line| line.contains("receiver")).unwrap_or_else(|| panic!("{text}"));
    let kilobits = line.split(" Kbits/sec").next().and_then(|left| left.split_whitespace().last());
    kilobits.and_then(|number| number.parse::<f64>().ok()).unwrap_or_else(|| panic!("{text}")) * 1000.0
}

const RATE: u64 = 40_000_000;
const BURST: u64 = 1 << 20;
const SECONDS: u32 = 5;

/// Port group 1 unshaped, and 2 with one direction shaped.
fn shaped(outbound: ShapingOverride, inbound: ShapingOverride) -> Vec<PortGroup> {
    let mut group = port_group(2, 30);
    (group.policy.outbound, group.policy.inbound) = (outbound, inbound);
    vec![port_group(1, 30), group]
}

fn shaping() -> ShapingOverride {
    ShapingOverride { enabled: Some(true), average: Some(RATE), peak: Some(2 * RATE), burst: Some(BURST) }
}

#[tokio::test]
async fn tcp_fills_the_rate_and_no_more_in_both_directions() {
    let mut net = Network::new(&["up0"]);
    let (a, b) = (net.guest("t1", "10.1.0.1/24"), net.guest("t2", "10.1.0.2/24"));
    let engine = net.engine().await;
    let none = ShapingOverride::default;
    for (outbound, inbound) in [(shaping(), none()), (none(), shaping())] {
        let groups = shaped(outbound, inbound);
        let ports = vec![(a.clone(), 2), (b.clone(), 1)];
        engine.declare(declaration(switch(&["up0"], groups), ports)).await.unwrap();
        let is_outbound = outbound.enabled.is_some();
        let (from, to, address) =
            if is_outbound { ("t1", "t2", "10.1.0.2") } else { ("t2", "t1", "10.1.0.1") };
        let rate = throughput(&net, from, to, address, SECONDS);
        eprintln!("outbound {is_outbound}: {:.1} of {} Mbit/s", rate / 1e6, RATE / 1_000_000);
        let average = RATE as f64;
        let most = average + (BURST * 8) as f64 / f64::from(SECONDS);
        assert!(rate > 0.85 * average && rate < 1.02 * most, "{rate} bit/s");
        if is_outbound {
            let back = throughput(&net, "t2", "t1", "10.1.0.1", 1);
            assert!(back > 2.0 * average, "the other direction has no limit: {back} bit/s");
        }
    }
}

#[tokio::test]
async fn frames_beyond_the_queue_are_dropped_and_a_former_limit_is_gone() {
    let mut net = Network::new(&["up0"]);
    let (a, b) = (net.guest("t1", "10.1.0.1/24"), net.guest("t2", "10.1.0.2/24"));
    let engine = net.engine().await;
    let declared = |is_shaped: bool| {
        let by = ShapingOverride { enabled: Some(is_shaped), burst: Some(64 << 10), ..shaping() };
        let ports = vec![(a.clone(), 2), (b.clone(), 1)];
        declaration(switch(&["up0"], shaped(by, ShapingOverride::default())), ports)
    };
    engine.declare(declared(true)).await.unwrap();
    let server = net.spawn("t2", "iperf3 -s -1 --forceflush");
    net.listens("t2", 5201);
    // Several streams, since each stops while its frames are still in a queue.
    net.run("t1", "iperf3 -c 10.1.0.2 -u -P 10 -b 20M -l 1400 -t 3");
    let _ = server.wait_with_output();
    let counters = engine.counters("t1").await.unwrap().unwrap();
    let dropped = counters.dropped(Drop::Shaped);
    assert!(dropped > 1000, "most exceeds the rate: {counters:?}");
    let own = net.interfaces("esf-q");
    assert_eq!(own.len(), 2, "{own:?}");
    let queues = net.text("host", &format!("tc -s class show dev {}", own[0]));
    assert!(
        queues.contains("dropped 0,"),
        "the queue itself drops nothing, since that would not be counted: {queues}"
    );

    engine.declare(declared(false)).await.unwrap();
    assert_eq!(net.interfaces("esf-"), [""; 0], "nothing is left over");
    net.run("t1", "ping -q -f -c 2000 -s 1400 10.1.0.2");
    assert_eq!(engine.counters("t1").await.unwrap().unwrap().dropped(Drop::Shaped), dropped);
}

#[tokio::test]
async fn a_daemon_that_starts_again_finds_the_queues_and_loses_nothing_in_them() {
    let mut net = Network::new(&["up0"]);
    let (a, b) = (net.guest("t1", "10.1.0.1/24"), net.guest("t2", "10.1.0.2/24"));
    let declared = || {
        let ports = vec![(a.clone(), 2), (b.clone(), 1)];
        declaration(switch(&["up0"], shaped(shaping(), shaping())), ports)
    };
    let engine = net.engine().await;
    engine.declare(declared()).await.unwrap();
    assert!(net.reaches("t1", "10.1.0.2"));
    let ping = net.pinging("t1", "10.1.0.2", Requests::without_end(2).of_size(1000));
    for _ in 0..3 {
        let engine = net.engine().await;
        engine.declare(declared()).await.unwrap();
    }
    ping.stop().lost_nothing("through the queues");
}

#[tokio::test]
async fn hosts_of_one_namespace_have_queues_of_their_own() {
    let mut net = Network::new(&["up0", "up1"]);
    let (a, b) = (net.guest("t1", "10.1.0.1/24"), net.guest("t2", "10.1.0.2/24"));
    let (c, d) = (net.guest("t3", "10.2.0.1/24"), net.guest("t4", "10.2.0.2/24"));
    let of = |uplink: &str, ports: [&vswitch::declare::Port; 2]| {
        let groups = shaped(shaping(), shaping());
        declaration(switch(&[uplink], groups), ports.map(|port| (port.clone(), 2)).to_vec())
    };
    let (first, second) = (net.engine().await, net.neighbour().await);
    first.declare(of("up0", [&a, &b])).await.unwrap();
    second.declare(of("up1", [&c, &d])).await.unwrap();
    assert_eq!(net.interfaces("esf-q").len(), 4);
    assert!(net.reaches("t1", "10.1.0.2") && net.reaches("t3", "10.2.0.2"));
    let ping = net.pinging("t3", "10.2.0.2", Requests::without_end(2).of_size(1000));
    first.declare(declaration(switch(&["up0"], vec![port_group(1, 0)]), vec![(a, 1), (b, 1)])).await.unwrap();
    assert_eq!(net.interfaces("esf-q").len(), 2, "the other's stay");
    assert!(net.reaches("t1", "10.1.0.2"));
    ping.stop().lost_nothing("through the queues");
}

#[tokio::test]
async fn queues_that_an_earlier_version_named_are_taken_over_with_what_waits_in_them() {
    let mut net = Network::new(&["up0"]);
    let (a, b) = (net.guest("t1", "10.1.0.1/24"), net.guest("t2", "10.1.0.2/24"));
    let declared = || {
        let ports = vec![(a.clone(), 2), (b.clone(), 1)];
        declaration(switch(&["up0"], shaped(shaping(), shaping())), ports)
    };
    let engine = net.engine().await;
    engine.declare(declared()).await.unwrap();
    assert!(net.reaches("t1", "10.1.0.2"));
    let own = net.interfaces("esf-q");
    let index = || net.text("host", &format!("cat /sys/class/net/{}/ifindex", own[0]));
    let before = index();
    engine.end().await;
    // As an earlier version named them, beside those of another host.
    ip(&net.namespace("host"), &format!("link set {} name esf-queue", own[0]));
    ip(&net.namespace("host"), &format!("link set {} name esf-queue-out", own[1]));
    ip(&net.namespace("host"), "link add esf-mirror type veth peer name esf-mirror-out");
    let ping = net.pinging("t1", "10.1.0.2", Requests::without_end(2).of_size(1000));
    let engine = net.engine().await;
    engine.declare(declared()).await.unwrap();
    assert_eq!(net.interfaces("esf-q"), own);
    assert_eq!(index(), before, "it is the same");
    assert_eq!(net.interfaces("esf-mirror").len(), 2, "not ours");
    ping.stop().lost_nothing("through the queues");
}
