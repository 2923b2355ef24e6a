//! Multicast filtering with real kernels as members, and a querier on the physical segment.

use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::network::wait::{until, until_so};
use crate::network::{Network, declaration, ip, port_group, switch};
use rustix::net::sockopt::set_socket_recv_buffer_size_force;
use vswitch::declare::{Declaration, MulticastFiltering};
use vswitch::frame::{self, ETHER_IPV4, ETHER_IPV6, Sum};
use vswitch::snoop::mac_of;
use vswitch::{Engine, Mac};

const PORT: u16 = 5000;
/// Datagrams of a burst.
const BURST: usize = 10;
/// An IPv6 header and its options.
const IPV6: usize = 48;

/// The index of `eth0` of a guest or a station.
fn index(net: &Network, name: &str) -> u32 {
    let shown = net.run(name, "cat /sys/class/net/eth0/ifindex").stdout;
    String::from_utf8(shown).unwrap().trim().parse().unwrap()
}

/// A socket that has joined a group; its kernel reports that.
fn join(net: &Network, name: &str, group: IpAddr) -> UdpSocket {
    let index = index(net, name);
    let own = own(net, name);
    net.within(name, move || {
        let any: IpAddr =
            if group.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
        let socket = UdpSocket::bind((any, PORT)).unwrap();
        match group {
            IpAddr::V4(group) => socket.join_multicast_v4(&group, &own).unwrap(),
            IpAddr::V6(group) => socket.join_multicast_v6(&group, index).unwrap(),
        }
        socket.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
        // It loses nothing while the test is not reading.
        set_socket_recv_buffer_size_force(&socket, 8 << 20).unwrap();
        socket
    })
}

/// The IPv4 address of `eth0`.
fn own(net: &Network, name: &str) -> Ipv4Addr {
    let shown = String::from_utf8(net.run(name, "ip -4 -o addr show dev eth0").stdout).unwrap();
    let address = shown.split_whitespace().skip_while(|word| *word != "inet").nth(1).unwrap();
    address.split('/').next().unwrap().parse().unwrap()
}

/// Sends a burst to a group.
fn send(net: &Network, name: &str, group: IpAddr) {
    let index = index(net, name);
    let to: SocketAddr = match group {
        IpAddr::V4(group) => (group, PORT).into(),
        IpAddr::V6(group) => SocketAddrV6::new(group, PORT, 0, index).into(),
    };
    net.within(name, move || {
        let any: IpAddr =
            if group.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
        let socket = UdpSocket::bind((any, 0)).unwrap();
        for number in 0..BURST {
            socket.send_to(&[u8::try_from(number).unwrap(); 100], to).unwrap();
        }
    });
}

/// How many datagrams a member has received.
fn got(member: &UdpSocket) -> usize {
    std::iter::from_fn(|| member.recv(&mut [0; 1500]).ok()).count()
}

/// A general query, to be answered within a tenth of a second.
fn query(group: IpAddr) -> Vec<u8> {
    let source = Mac([2, 0, 0, 0, 9, 9]);
    match group {
        IpAddr::V4(_) => {
            let all = Ipv4Addr::new(224, 0, 0, 1);
            let mut sent = frame::ethernet(mac_of(all.into()), source, 0, ETHER_IPV4);
            let mut packet = vec![0x46, 0xc0, 0, 36, 0, 0, 0, 0, 1, 2, 0, 0, 10, 1, 0, 254];
            packet.extend(all.octets());
            packet.extend([0x94, 4, 0, 0]);
            let sum = Sum::default().with(&packet).checksum().to_be_bytes();
            packet[10..12].copy_from_slice(&sum);
            let mut message = vec![0x11, 1, 0, 0, 0, 0, 0, 0, 2, 125, 0, 0];
            let sum = Sum::default().with(&message).checksum().to_be_bytes();
            message[2..4].copy_from_slice(&sum);
            sent.extend(packet);
            sent.extend(message);
            frame::pad(sent)
        }
        IpAddr::V6(_) => {
            let (from, all): (Ipv6Addr, Ipv6Addr) = ("fe80::99".parse().unwrap(), "ff02::1".parse().unwrap());
            let mut message = vec![130, 0, 0, 0, 0, 100, 0, 0];
            message.extend([0; 16]);
            message.extend([2, 125, 0, 0]);
            let length = u16::try_from(message.len()).unwrap();
            let sum = Sum::default().with_ipv6(from, all, length.into(), 58).with(&message).checksum();
            message[2..4].copy_from_slice(&sum.to_be_bytes());
            let mut sent = frame::ethernet(mac_of(all.into()), source, 0, ETHER_IPV6);
            sent.extend([0x60, 0, 0, 0]);
            sent.extend((length + 8).to_be_bytes());
            sent.extend([0, 1]);
            sent.extend(from.octets());
            sent.extend(all.octets());
            sent.extend([58, 0, 5, 2, 0, 0, 1, 0]);
            assert_eq!(sent.len(), 14 + IPV6);
            sent.extend(message);
            sent
        }
    }
}

/// Sends one query, from the physical segment.
fn ask(net: &Network, group: IpAddr) {
    say(net, "outside", &query(group), 1);
}

/// Sends a frame this many times.
fn say(net: &Network, name: &str, frame: &[u8], times: usize) {
    let mut script = tempfile::NamedTempFile::new().unwrap();
    let bytes: String = frame.iter().map(|byte| format!("{byte:02x}")).collect();
    writeln!(
        script,
        "import socket\ns = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)\ns.bind(('eth0', 0))\nfor _ in range({times}): s.send(bytes.fromhex('{bytes}'))"
    )
    .unwrap();
    let output = net.run(name, &format!("python3 {}", script.path().display()));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Whether a port got a burst from outside; other multicast frames are too few to be mistaken for one.
async fn delivered(net: &Network, engine: &Engine, port: &str, group: IpAddr) -> bool {
    let before = engine.counters(port).await.unwrap().unwrap();
    send(net, "outside", group);
    // A broadcast follows, to every port.
    net.within("outside", || {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
        socket.set_broadcast(true).unwrap();
        socket.send_to(b"behind", (Ipv4Addr::new(10, 1, 0, 255), PORT + 1)).unwrap();
    });
    let is_behind = async || {
        let now = engine.counters(port).await.unwrap().unwrap();
        let is_there = now.to_broadcast > before.to_broadcast;
        is_there.then_some(now.to_multicast - before.to_multicast >= BURST as u64)
    };
    until(|| format!("{port} gets no broadcast"), is_behind).await
}

/// Sends bursts until the port is kept from them; the members lose none.
async fn until_kept_from(net: &Network, engine: &Engine, port: &str, group: IpAddr, members: &[&UdpSocket]) {
    let is_kept = async || {
        let is_delivered = delivered(net, engine, port, group).await;
        for member in members {
            assert_eq!(got(member), BURST, "a member gets all, always");
        }
        !is_delivered
    };
    until_so(&format!("{port} is kept from frames to {group}"), is_kept).await;
}

/// Three guests and a station.
fn network() -> (Network, Declaration) {
    let mut net = Network::new(&["up0"]);
    let ports = ["t1", "t2", "t3"].map(|name| (net.guest(name, &format!("10.1.0.{}/24", &name[1..])), 1));
    net.station("outside", "10.1.0.9/24");
    for name in ["t1", "t2", "t3", "outside"] {
        net.run(name, "sysctl -qw net.ipv6.conf.eth0.accept_dad=0 net.ipv6.conf.eth0.disable_ipv6=0");
        ip(&net.namespace(name), "route add 224.0.0.0/4 dev eth0");
    }
    let mut switch = switch(&["up0"], vec![port_group(1, 0)]);
    switch.multicast = MulticastFiltering::Snooping;
    let declared = declaration(switch, ports.to_vec());
    (net, declared)
}

async fn filters(group: IpAddr) {
    let (net, declared) = network();
    let engine = net.engine().await;
    engine.declare(declared.clone()).await.unwrap();
    let member = join(&net, "t1", group);
    // Without a querier nothing is kept from any port.
    for _ in 0..3 {
        assert!(delivered(&net, &engine, "t2", group).await);
        assert_eq!(got(&member), BURST);
    }
    ask(&net, group);
    until_kept_from(&net, &engine, "t2", group, &[&member]).await;

    // A guest's frames reach members here and outside.
    let outside = join(&net, "outside", group);
    send(&net, "t2", group);
    assert_eq!((got(&member), got(&outside)), (BURST, BURST));
    drop(outside);

    // A second one joins, and the first one leaves.
    let second = join(&net, "t2", group);
    for _ in 0..100 {
        send(&net, "outside", group);
        if got(&second) == BURST {
            break;
        }
    }
    got(&member);
    drop(member);
    until_kept_from(&net, &engine, "t1", group, &[&second]).await;
    drop(second);
    until_kept_from(&net, &engine, "t2", group, &[]).await;
    assert!(!delivered(&net, &engine, "t1", group).await);

    // A switch that does not filter floods again.
    let mut legacy = declared;
    legacy.switches[0].multicast = MulticastFiltering::Legacy;
    engine.declare(legacy).await.unwrap();
    assert!(delivered(&net, &engine, "t1", group).await && delivered(&net, &engine, "t2", group).await);
}

#[tokio::test]
async fn ipv4_groups_reach_their_members_only() {
    filters([239, 1, 1, 1].into()).await;
}

#[tokio::test]
async fn ipv6_groups_reach_their_members_only() {
    filters("ff1e::1234:5".parse().unwrap()).await;
}

#[tokio::test]
async fn a_guest_beyond_its_limit_of_messages_gets_all_and_no_other_does() {
    let group: IpAddr = [239, 1, 1, 1].into();
    let (net, declared) = network();
    let engine = net.engine().await;
    engine.declare(declared).await.unwrap();
    let member = join(&net, "t2", group);
    ask(&net, group);
    until_kept_from(&net, &engine, "t1", group, &[&member]).await;
    drop(member);
    until_kept_from(&net, &engine, "t2", group, &[]).await;

    // An empty report, again and again: the switch then ignores the port's other messages for a second.
    let shown = String::from_utf8(net.run("t1", "cat /sys/class/net/eth0/address").stdout).unwrap();
    let mut report = query(group);
    report[6..12].copy_from_slice(&shown.trim().parse::<Mac>().unwrap().0);
    report[14 + 24] = 0x22;
    say(&net, "t1", &report, 1000);
    let joined = join(&net, "t1", group);
    let other: IpAddr = [239, 7, 7, 7].into();
    let gets_all = async || delivered(&net, &engine, "t1", other).await;
    until_so("it gets all, also groups that it is not in", gets_all).await;
    assert!(!delivered(&net, &engine, "t2", group).await, "another is not concerned");
    // The switch hears no answer either until the port's second is over, so the querier asks until it does.
    let is_heard = async || {
        ask(&net, group);
        !delivered(&net, &engine, "t1", other).await
    };
    until_so("its answer to a query is heard", is_heard).await;
    got(&joined);
    send(&net, "outside", group);
    assert_eq!(got(&joined), BURST, "and what it has said since is heard");
}

#[tokio::test]
async fn a_member_loses_nothing_when_the_engine_begins_anew() {
    let group: IpAddr = [239, 1, 1, 1].into();
    let (net, declared) = network();
    let engine = net.engine().await;
    engine.declare(declared.clone()).await.unwrap();
    let member = join(&net, "t1", group);
    ask(&net, group);
    until_kept_from(&net, &engine, "t2", group, &[&member]).await;

    let stop = Arc::new(AtomicBool::new(false));
    let sent = {
        let stop = stop.clone();
        let sender = net.within("outside", || UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap());
        std::thread::spawn(move || {
            let mut sent = 0_u32;
            while !stop.load(Ordering::Relaxed) {
                sender.send_to(&sent.to_be_bytes(), (group, PORT)).unwrap();
                sent += 1;
                std::thread::sleep(Duration::from_millis(5));
            }
            sent
        })
    };
    let receiver = {
        let (member, stop) = (member.try_clone().unwrap(), stop.clone());
        std::thread::spawn(move || {
            let mut count = 0;
            loop {
                let more = got(&member);
                count += more;
                if more == 0 && stop.load(Ordering::Relaxed) {
                    return count;
                }
            }
        })
    };
    engine.end().await;
    // Without an engine no report is heard, so all is flooded after a while.
    let second = join(&net, "t2", group);
    let heard = (0..100).find(|_| second.recv(&mut [0; 1500]).is_ok());
    assert!(heard.is_some(), "without an engine nothing is kept from anybody");
    let engine = net.engine().await;
    engine.declare(declared).await.unwrap();
    // No query was sent yet. A guest that joined no group is kept from other groups, too.
    let other: IpAddr = [239, 7, 7, 7].into();
    assert!(delivered(&net, &engine, "t3", other).await);
    ask(&net, group);
    until_kept_from(&net, &engine, "t3", other, &[]).await;
    stop.store(true, Ordering::Relaxed);
    let sent = sent.join().unwrap();
    assert!(sent > 100);
    assert_eq!(receiver.join().unwrap(), usize::try_from(sent).unwrap());
    send(&net, "outside", group);
    assert_eq!((got(&member), got(&second) >= BURST), (BURST, true));
}
