//! Capturing frames on their way through the switch.

use crate::network;
use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use crate::network::ping::Requests;
use crate::network::wait::until_so;
use crate::network::{Network, PATIENCE, declaration, port_group, switch};
use tokio::time::timeout;
use vswitch::capture::{Captured, Captures, Filter, Point};
use vswitch::kernel::Kernel;
use vswitch::layout::{Drop, PORT_CAPTURED};

fn filter(interfaces: &[&str]) -> Filter {
    Filter { interfaces: interfaces.iter().map(|name| (*name).into()).collect(), ..Filter::default() }
}

/// Collects frames until enough of a kind have arrived, and then until none arrives for a while.
async fn all(captures: &mut Captures, wanted: usize, of_kind: impl Fn(&Captured) -> bool) -> Vec<Captured> {
    let (mut frames, mut found) = (Vec::new(), 0);
    let pause = |found| if found < wanted { PATIENCE } else { Duration::from_millis(500) };
    while let Ok(Some(frame)) = timeout(pause(found), captures.next()).await {
        found += usize::from(of_kind(&frame));
        frames.push(frame);
    }
    frames
}

fn is_icmp(frame: &Captured) -> bool {
    frame.bytes[12..14] == [8, 0] && frame.bytes[23] == 1
}

#[tokio::test]
async fn a_ping_is_seen_at_every_point_of_its_way() {
    let mut net = Network::new(&["up0"]);
    let (a, b) = (net.guest("t1", "10.1.0.1/24"), net.guest("t2", "10.1.0.2/24"));
    let engine = net.engine().await;
    let ports = vec![(a, 1), (b, 1)];
    engine.declare(declaration(switch(&["up0"], vec![port_group(1, 10)]), ports.clone())).await.unwrap();
    assert!(net.reaches("t1", "10.1.0.2"));
    let began = SystemTime::now();
    let mut captures = engine.capture(filter(&["t1", "t2", "up0"])).await.unwrap();
    net.run("t1", "ping -c 4 -i 0.1 -s 600 -W 2 10.1.0.2");
    net.run("t1", "ping -c 1 -W 1 10.1.0.77");
    let mut frames = all(&mut captures, 16, is_icmp).await;
    // The request for the silent neighbour goes up, too.
    while !frames.iter().any(|frame| frame.point == Point::UplinkOut) {
        frames.push(timeout(PATIENCE, captures.next()).await.unwrap().unwrap());
    }
    let mut seen: BTreeMap<(&str, Point), usize> = BTreeMap::new();
    for frame in frames.iter().filter(|frame| is_icmp(frame)) {
        *seen.entry((&frame.interface, frame.point)).or_default() += 1;
        assert_eq!((frame.length, frame.bytes.len(), frame.reason, frame.lost), (642, 256, None, 0));
        assert!(frame.time >= began - Duration::from_secs(1) && frame.time <= SystemTime::now());
    }
    let expected = [
        (("t1", Point::FromPort), 4),
        (("t1", Point::ToPort), 4),
        (("t2", Point::FromPort), 4),
        (("t2", Point::ToPort), 4),
    ];
    assert_eq!(seen, expected.into());
    let up: Vec<&Captured> = frames.iter().filter(|frame| frame.point == Point::UplinkOut).collect();
    assert!(!up.is_empty() && up.iter().all(|frame| frame.interface == "up0" && frame.tag == Some(10)));
    assert!(frames.windows(2).all(|pair| pair[0].time <= pair[1].time + Duration::from_millis(100)));

    // The capture ends with its stream, and then costs nothing.
    let maps = Kernel::open(&net.pins(), false).unwrap();
    let looked_at = || {
        let actual = maps.read().unwrap();
        let flagged = actual.ports.values().filter(|port| port.flags & PORT_CAPTURED != 0).count();
        (flagged, actual.extras.captures.len())
    };
    assert_eq!(looked_at(), (3, 9));
    std::mem::drop(captures);
    until_so("nothing is captured any more", async || looked_at() == (0, 0)).await;
    assert!(net.reaches("t1", "10.1.0.2"));
}

#[tokio::test]
async fn a_captured_drop_states_its_reason() {
    let mut net = Network::new(&["up0"]);
    let a = net.guest("t1", "10.1.0.1/24");
    let engine = net.engine().await;
    let mut strict = port_group(1, 10);
    strict.policy.forged_transmits = Some(false);
    engine.declare(declaration(switch(&["up0"], vec![strict]), vec![(a, 1)])).await.unwrap();
    let points = [Point::Dropped].into();
    let mut captures = engine.capture(Filter { points, ..filter(&["t1"]) }).await.unwrap();
    network::ip(&net.namespace("t1"), "link set eth0 address 02:de:ad:00:00:01");
    net.run("t1", "ping -c 1 -W 1 10.1.0.2");
    let frames = all(&mut captures, 1, |_| true).await;
    assert!(!frames.is_empty());
    assert!(frames.iter().all(|frame| frame.reason == Some(Drop::Forged) && frame.point == Point::Dropped));
}

/// A guest sends frames without end, so the ring is never empty.
#[tokio::test]
async fn links_are_seen_while_more_is_captured_than_can_be_handed_out() {
    let mut net = Network::new(&["up0", "up1"]);
    let (a, b) = (net.guest("t1", "10.1.0.1/24"), net.guest("t2", "10.1.0.2/24"));
    let engine = net.engine().await;
    let frame = [&b.mac.0[..], &a.mac.0, &[0x88, 0xb5], &[0; 1000]].concat();
    let ports = vec![(a, 1), (b, 1)];
    engine.declare(declaration(switch(&["up0", "up1"], vec![port_group(1, 0)]), ports)).await.unwrap();
    // Every possible capture gets each frame, which takes longer than sending it.
    let mut captures = Vec::new();
    for _ in 0..vswitch::limits::CAPTURES {
        captures.push(engine.capture(filter(&["t1", "t2"])).await.unwrap());
    }
    let mut flood = net.flood("t1", "eth0", &frame);
    let is_flooded = async || engine.counters("t1").await.unwrap().unwrap().from_packets > 20_000;
    until_so("the guest sends", is_flooded).await;
    network::ip(&net.namespace("wire"), "link set w-up0 down");
    let mut state = engine.state();
    let seen = state.wait_for(|state| state.links.get("up0").is_some_and(|link| !link.running));
    timeout(Duration::from_secs(60), seen).await.expect("a link that goes down is seen").unwrap();
    assert!(flood.goes_on());
}

#[tokio::test]
async fn a_slow_reader_holds_nobody_up_and_knows_what_it_has_missed() {
    let mut net = Network::new(&["up0"]);
    let (a, b) = (net.guest("t1", "10.1.0.1/24"), net.guest("t2", "10.1.0.2/24"));
    let engine = net.engine().await;
    let groups = vec![port_group(1, 10)];
    engine.declare(declaration(switch(&["up0"], groups), vec![(a, 1), (b, 1)])).await.unwrap();
    assert!(net.reaches("t1", "10.1.0.2"));
    // So that nobody sends ARP meanwhile.
    net.keep_neighbour("t1", "10.1.0.2");
    net.keep_neighbour("t2", "10.1.0.1");
    let points = [Point::FromPort].into();
    let mut captures = engine.capture(Filter { points, ..filter(&["t1"]) }).await.unwrap();
    let before = engine.counters("t1").await.unwrap().unwrap().from_packets;
    net.pinging("t1", "10.1.0.2", Requests::new(1, 3000)).end().lost_nothing("beside a slow reader");
    // The last frame reports the lost ones before it, once there is room for it.
    let mut frames = all(&mut captures, 1, |_| true).await;
    net.run("t1", "ping -c 1 -W 2 10.1.0.2");
    let passed = engine.counters("t1").await.unwrap().unwrap().from_packets - before;
    let lost = |frames: &[Captured]| frames.iter().map(|frame| frame.lost).sum::<u64>();
    while frames.len() as u64 + lost(&frames) < passed {
        frames.push(timeout(PATIENCE, captures.next()).await.expect("the last frame").unwrap());
    }
    assert!(lost(&frames) > 0);
    assert_eq!(frames.len() as u64 + lost(&frames), passed);
}
