//! Port mirroring, with captures of the copies at the destination.

use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::Instant;

use crate::network::sniff::{MARK, listens};
use crate::network::wait::{until_blocking, until_so};
use crate::network::{Network, PATIENCE, adapter, declaration, ip, port_group, switch};
use vswitch::declare::{
    Adapter, Declaration, Encapsulated, Encapsulation, Ipv4Config, MirrorDestination, MirrorSession,
    MirrorSource, MirrorVia, Port,
};
use vswitch::{Mac, VlanId};

/// A running tcpdump that writes to a file.
struct Capture {
    child: Child,
    file: PathBuf,
    namespace: String,
    interface: String,
}

impl Capture {
    fn start(net: &Network, room: &Path, namespace: &str, interface: &str) -> Self {
        let file = room.join(format!("{namespace}-{interface}.pcap"));
        let _ = std::fs::remove_file(&file);
        let command =
            format!("tcpdump -Z root --immediate-mode -U -B 16384 -i {interface} -w {}", file.display());
        let child = net.spawn(namespace, &command);
        listens(&file);
        Self { child, file, namespace: namespace.into(), interface: interface.into() }
    }

    /// Ends it once `expected` frames that pass a filter have arrived, or after [`PATIENCE`]. Returns these fields of
    /// the frames, as tshark prints them, a line for each.
    fn end(mut self, net: &Network, filter: &str, fields: &[&str], expected: usize) -> Vec<String> {
        let late = Instant::now() + PATIENCE;
        let are_there = || {
            let count = self.frames(net, filter, &["frame.number"]).len();
            (count >= expected || Instant::now() > late).then_some(())
        };
        until_blocking(|| "tshark cannot count frames".into(), are_there);
        // Frames before a mark are in the file once the mark is.
        net.send_to_end(&self.namespace, &self.interface, MARK);
        let is_marked = || {
            let file = std::fs::read(&self.file).unwrap();
            file.windows(MARK.len()).any(|bytes| bytes == MARK).then_some(())
        };
        until_blocking(|| "tcpdump has not captured the mark".into(), is_marked);
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
        self.child.wait().unwrap();
        self.frames(net, filter, fields)
    }

    /// The frames so far; the last one may be incomplete.
    fn frames(&self, net: &Network, filter: &str, fields: &[&str]) -> Vec<String> {
        let fields: String = fields.iter().map(|field| format!(" -e {field}")).collect();
        let checks = "-o ip.check_checksum:TRUE -o tcp.check_checksum:TRUE -o udp.check_checksum:TRUE";
        let command = format!("tshark -r {} {checks} -Y {filter} -T fields{fields}", self.file.display());
        let text = net.text("wire", &command);
        text.lines().map(str::to_owned).collect()
    }
}

fn session(number: u32, source: MirrorSource, destination: MirrorDestination) -> MirrorSession {
    MirrorSession {
        number,
        source,
        destination,
        every: 1,
        length: None,
        strip_vlan: true,
        normal_traffic: true,
    }
}

fn ports(transmitted: &[&str], received: &[&str]) -> MirrorSource {
    let names = |names: &[&str]| names.iter().map(|name| (*name).into()).collect();
    MirrorSource::Ports { transmitted: names(transmitted), received: names(received) }
}

fn to_port(interface: &str) -> MirrorDestination {
    MirrorDestination::Ports { interfaces: vec![interface.into()], vlan: None }
}

fn vlan(number: u16) -> VlanId {
    number.try_into().unwrap()
}

/// All ports in VLAN 10, and these sessions.
fn with(guests: &[Port], mirrors: Vec<MirrorSession>) -> Declaration {
    let ports = guests.iter().map(|port| (port.clone(), 1)).collect();
    Declaration { mirrors, ..declaration(switch(&["up0"], vec![port_group(1, 10)]), ports) }
}

fn guests(net: &mut Network, count: u8) -> Vec<Port> {
    (1..=count).map(|n| net.guest(&format!("t{n}"), &format!("10.1.0.{n}/24"))).collect()
}

#[tokio::test]
async fn a_port_gets_what_another_sends_and_receives() {
    let (mut net, room) = (Network::new(&["up0"]), tempfile::tempdir().unwrap());
    let guests = guests(&mut net, 3);
    let engine = net.engine().await;
    let ping = "ping -c 5 -i 0.05 -s 1400 -W 2 10.1.0.2";
    for (source, name, expected) in [
        (ports(&["t1"], &["t1"]), "both", vec!["10.1.0.1\t8", "10.1.0.2\t0"]),
        (ports(&["t1"], &[]), "transmitted", vec!["10.1.0.1\t8"]),
        (ports(&[], &["t1"]), "received", vec!["10.1.0.2\t0"]),
        (ports(&["t1"], &["t2"]), "the same frames at both ends", vec!["10.1.0.1\t8", "10.1.0.1\t8"]),
    ] {
        engine.declare(with(&guests, vec![session(0, source, to_port("t3"))])).await.unwrap();
        let before = engine.counters("t3").await.unwrap().unwrap();
        assert!(net.reaches("t1", "10.1.0.2"));
        let capture = Capture::start(&net, room.path(), "t3", "eth0");
        net.run("t1", ping);
        let fields = ["ip.src", "icmp.type", "vlan.id"];
        let mut seen = capture.end(&net, "icmp", &fields, 5 * expected.len());
        seen.sort();
        let mut wanted: Vec<String> = expected.iter().flat_map(|line| vec![format!("{line}\t"); 5]).collect();
        wanted.sort();
        assert_eq!(seen, wanted, "{name}");
        let after = engine.counters("t3").await.unwrap().unwrap();
        assert!(after.to_packets - before.to_packets < 5, "copies are not its traffic: {after:?}");
    }
    // The destination may be kept from all other traffic; after the session everything is as before.
    let mute = MirrorSession { normal_traffic: false, ..session(0, ports(&["t1"], &[]), to_port("t3")) };
    engine.declare(with(&guests, vec![mute])).await.unwrap();
    assert!(net.is_cut_off("t3", "10.1.0.2") && net.reaches("t1", "10.1.0.2"));
    engine.declare(with(&guests, vec![])).await.unwrap();
    // The guest keeps trying to reach an address that did not answer, unless its neighbour table is flushed.
    ip(&net.namespace("t3"), "neigh flush dev eth0");
    assert!(net.reaches("t3", "10.1.0.2"));
    assert_eq!(net.interfaces("esf-"), [""; 0], "nothing is left over");
}

#[tokio::test]
async fn copies_are_sampled_and_cut_and_keep_their_tag_if_told_to() {
    let (mut net, room) = (Network::new(&["up0"]), tempfile::tempdir().unwrap());
    let guests = guests(&mut net, 3);
    let engine = net.engine().await;
    let mut some = session(0, ports(&["t1"], &[]), to_port("t3"));
    (some.every, some.length, some.strip_vlan) = (4, Some(100), false);
    engine.declare(with(&guests, vec![some])).await.unwrap();
    assert!(net.reaches("t1", "10.1.0.2"));
    let capture = Capture::start(&net, room.path(), "t3", "eth0");
    net.run("t1", "ping -c 40 -i 0.01 -s 1000 -W 2 10.1.0.2");
    let seen = capture.end(&net, "icmp.type==8", &["frame.len", "vlan.id"], 8);
    assert!((8..=12).contains(&seen.len()), "one in four of 40: {}", seen.len());
    assert!(seen.iter().all(|line| line == "104\t10"), "{seen:?}");
}

#[tokio::test]
async fn a_vlan_carries_copies_to_another_host() {
    let (mut net, room) = (Network::new(&["up0"]), tempfile::tempdir().unwrap());
    let guests = guests(&mut net, 3);
    let engine = net.engine().await;
    let out = MirrorDestination::Uplink { interfaces: vec!["up0".into()], vlan: vlan(99) };
    let back = MirrorSource::Vlans { switch: 1, vlans: vec![vlan(98)] };
    let sessions = vec![
        MirrorSession { strip_vlan: false, ..session(0, ports(&["t1"], &[]), out) },
        session(1, back, to_port("t3")),
    ];
    engine.declare(with(&guests, sessions)).await.unwrap();
    assert!(net.reaches("t1", "10.1.0.2"));
    let capture = Capture::start(&net, room.path(), "wire", "w-up0");
    net.run("t1", "ping -c 3 -i 0.1 -W 2 10.1.0.2");
    let seen = capture.end(&net, "icmp", &["vlan.id", "ip.src", "icmp.type"], 3);
    assert_eq!(seen, vec!["99,10\t10.1.0.1\t8"; 3], "the tag of the copy around its own");

    let script = room.path().join("send.py");
    let lines = [
        "import socket",
        "s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)",
        "s.bind(('w-up0', 0))",
        "f = '0200000000aa0200000000bb810000620800' + '4500001c00000000401166c20a0900010a090002' + '0009000900080000'",
        "[s.send(bytes.fromhex(f).ljust(64, b'x')) for _ in range(4)]",
    ];
    std::fs::write(&script, lines.join("\n")).unwrap();
    let capture = Capture::start(&net, room.path(), "t3", "eth0");
    assert!(net.run("wire", &format!("python3 {}", script.display())).status.success());
    let seen = capture.end(&net, "udp.port==9", &["ip.src", "vlan.id"], 4);
    assert_eq!(seen, vec!["10.9.0.1\t"; 4]);
}

fn erspan(encapsulation: Encapsulation, next_hop: Mac, source: Mac, via: MirrorVia) -> MirrorDestination {
    MirrorDestination::Address(Box::new(Encapsulated {
        encapsulation,
        source_ip: [10, 9, 0, 1].into(),
        destination_ip: [10, 9, 0, 2].into(),
        source,
        next_hop,
        via,
    }))
}

const HOP: Mac = Mac([2, 0, 0, 0, 9, 2]);
const SELF: Mac = Mac([2, 0, 0, 0, 9, 1]);
const ERSPAN2: Encapsulation = Encapsulation::Erspan2 { session: 321, class_of_service: 3 };
const ERSPAN3: Encapsulation = Encapsulation::Erspan3 { session: 654, class_of_service: 3, fine_time: true };

#[tokio::test]
async fn an_address_gets_copies_whose_every_checksum_is_right() {
    let (mut net, room) = (Network::new(&["up0"]), tempfile::tempdir().unwrap());
    let guests = guests(&mut net, 2);
    let engine = net.engine().await;
    for (encapsulation, version, id) in [(ERSPAN2, 1, "321"), (ERSPAN3, 2, "654")] {
        let via = MirrorVia::Uplink { interface: "up0".into(), vlan: Some(vlan(7)) };
        let mirror = session(0, ports(&["t1"], &["t1"]), erspan(encapsulation, HOP, SELF, via));
        engine.declare(with(&guests, vec![mirror])).await.unwrap();
        assert!(net.reaches("t1", "10.1.0.2"));
        let capture = Capture::start(&net, room.path(), "wire", "w-up0");
        net.run("t1", "ping -c 4 -i 0.1 -s 500 -W 2 10.1.0.2");
        let fields = [
            "vlan.id",
            "eth.dst",
            "ip.src",
            "ip.ttl",
            "ip.checksum.status",
            "erspan.version",
            "erspan.spanid",
            "erspan.vlan",
            "icmp.checksum.status",
            "icmp.type",
        ];
        let mut seen = capture.end(&net, "erspan&&icmp", &fields, 8);
        let line = |from: &str, kind: u8| {
            let inner = if from == "10.1.0.1" { guests[1].mac } else { guests[0].mac };
            format!("7\t{HOP},{inner}\t10.9.0.1,{from}\t64,64\t1,1\t{version}\t{id}\t10\t1\t{kind}")
        };
        let mut expected = [vec![line("10.1.0.1", 8); 4], vec![line("10.1.0.2", 0); 4]].concat();
        seen.sort();
        expected.sort();
        assert_eq!(seen, expected);
    }
    // Offloads that guests leave to the network card are carried out for the copies: segmentation and checksums.
    // Nothing is cut if the MTU has room for the outer headers.
    for (mtu, longest) in [(1600, 1572), (1500, 1518)] {
        let via = MirrorVia::Uplink { interface: "up0".into(), vlan: Some(vlan(7)) };
        let mirror = session(0, ports(&["t1"], &[]), erspan(ERSPAN3, HOP, SELF, via));
        let mut declared = with(&guests, vec![mirror]);
        declared.switches[0].mtu = mtu;
        engine.declare(declared).await.unwrap();
        let capture = Capture::start(&net, room.path(), "wire", "w-up0");
        let server = net.spawn("t2", "iperf3 -s -1");
        net.listens("t2", 5201);
        net.run("t1", "iperf3 -c 10.1.0.2 -C cubic -n 2M");
        let _ = server.wait_with_output();
        let seen = capture.end(&net, "erspan&&tcp", &["frame.len", "tcp.checksum.status"], 101);
        assert!(seen.len() > 100, "{} segments", seen.len());
        let length = |line: &String| line.split('\t').next().unwrap().parse::<u32>().unwrap();
        assert_eq!(seen.iter().map(length).max(), Some(longest), "with an MTU of {mtu}");
        if mtu == 1600 {
            assert!(seen.iter().all(|line| line.ends_with("\t1")), "every checksum is right");
        }
    }
}

#[tokio::test]
async fn copies_that_enter_the_switch_again_do_not_go_round() {
    let (mut net, room) = (Network::new(&["up0"]), tempfile::tempdir().unwrap());
    let guests = guests(&mut net, 4);
    let engine = net.engine().await;
    // t3 collects, t4 sends the copies; both are mirrored themselves.
    let via = MirrorVia::Port { interface: "t4".into() };
    let to = erspan(ERSPAN3, guests[2].mac, guests[3].mac, via);
    let all = ports(&["t1", "t4"], &["t3"]);
    engine.declare(with(&guests, vec![session(0, all, to)])).await.unwrap();
    assert!(net.reaches("t1", "10.1.0.2"));
    let capture = Capture::start(&net, room.path(), "t3", "eth0");
    net.run("t1", "ping -c 5 -i 0.1 -W 2 10.1.0.2");
    let seen = capture.end(&net, "erspan&&icmp", &["ip.src", "erspan.spanid"], 5);
    assert_eq!(seen, vec!["10.9.0.1,10.1.0.1\t654"; 5]);
}

#[tokio::test]
async fn the_stack_says_where_an_address_is() {
    let (mut net, room) = (Network::new(&["up0"]), tempfile::tempdir().unwrap());
    let guests = guests(&mut net, 2);
    net.station("collector", "10.9.0.2/24");
    let engine = net.engine().await;
    let to = MirrorDestination::Routed { encapsulation: ERSPAN3, destination_ip: [10, 9, 0, 2].into() };
    let mut declared = with(&guests, vec![session(5, ports(&["t1"], &[]), to)]);
    declared.switches[0].port_groups.push(port_group(2, 0));
    declared.adapters = vec![Adapter { port_group: 2, ..adapter(0, "10.9.0.1", 24) }];
    engine.declare(declared.clone()).await.unwrap();
    let pings = |count| net.run("t1", &format!("ping -c {count} -i 0.1 -W 2 10.1.0.2"));
    let is_there = async || engine.mirrored().await.unwrap().contains_key(&5);
    until_so("the session mirrors", is_there).await;
    let capture = Capture::start(&net, room.path(), "collector", "eth0");
    pings(5);
    let seen = capture.end(&net, "erspan&&icmp&&!(icmp.type==3)", &["ip.src", "erspan.spanid"], 5);
    assert_eq!(seen, vec!["10.9.0.1,10.1.0.1\t654"; 5]);
    let all_are_sent = async || {
        let done = engine.mirrored().await.unwrap()[&5];
        done.sent >= 5 && done.seen == done.sent
    };
    until_so("all copies are sent", all_are_sent).await;

    // Another card at the same address is followed.
    net.run("collector", "ip link set eth0 address 02:00:00:00:99:99");
    net.run("collector", "ping -c 1 -W 2 10.9.0.1");
    let wanted = "ether dst 02:00:00:00:99:99 and ip proto 47";
    let mut capture = net.spawn("collector", &format!("tcpdump -c 1 -i eth0 {wanted}"));
    let arrived = async || {
        pings(2);
        assert!(engine.mirrored().await.unwrap().contains_key(&5));
        capture.try_wait().unwrap().is_some()
    };
    until_so("copies go to the new MAC", arrived).await;

    // Without a way nothing is mirrored, and mirroring returns with the way.
    declared.adapters[0].ipv4 = Ipv4Config::Static { address: [10, 8, 0, 1].into(), prefix: 24 };
    engine.declare(declared.clone()).await.unwrap();
    let is_gone = async || !engine.mirrored().await.unwrap().contains_key(&5);
    until_so("nothing is mirrored", is_gone).await;
    declared.adapters[0].ipv4 = Ipv4Config::Static { address: [10, 9, 0, 1].into(), prefix: 24 };
    engine.declare(declared).await.unwrap();
    until_so("the session mirrors", is_there).await;
    assert_eq!(engine.mirrored().await.unwrap()[&5].sent, 0, "a mirror that is new has done nothing");
}
