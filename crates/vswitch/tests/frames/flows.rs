//! IPFIX with real collectors: `nfcapd` and `tshark`.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::process::{Child, Command};

use crate::network::ping::Requests;
use crate::network::wait::until_so;
use crate::network::{Network, PATIENCE, adapter, declaration, ip, port_group, switch};
use vswitch::declare::{Declaration, Ipfix, Service};
use vswitch::{Engine, Error, FlowCounters};

const COLLECTOR: &str = "10.1.0.9";
const PORT: u16 = 4739;
const DOMAIN: u32 = 77;

fn socket(net: &Network, name: &str, address: &str) -> UdpSocket {
    let address: SocketAddr = address.parse().unwrap();
    net.within(name, move || {
        let socket = UdpSocket::bind(address).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket
    })
}

/// Sends datagrams of 100 bytes to a receiver.
fn datagrams(net: &Network, count: usize, from: &str, to: &str) {
    let (sender, receiver) = (socket(net, "t1", from), socket(net, "t2", to));
    let to: SocketAddr = to.parse().unwrap();
    for _ in 0..count {
        sender.send_to(&[7; 100], to).unwrap();
        receiver.recv(&mut [0; 200]).unwrap();
    }
}

/// Two guests in VLAN 10 whose flows are exported, an adapter to send from, and the collector outside.
fn network() -> (Network, Declaration) {
    let mut net = Network::new(&["up0"]);
    let ports = vec![(net.guest("t1", "10.2.0.1/24"), 2), (net.guest("t2", "10.2.0.2/24"), 2)];
    net.station("outside", &format!("{COLLECTOR}/24"));
    for (name, address) in [("t1", "fd00::1/64"), ("t2", "fd00::2/64")] {
        net.run(name, "sysctl -qw net.ipv6.conf.eth0.accept_dad=0 net.ipv6.conf.eth0.disable_ipv6=0");
        ip(&net.namespace(name), &format!("addr add {address} dev eth0 nodad"));
    }
    let mut watched = port_group(2, 10);
    watched.policy.ipfix = Some(true);
    let mut switch = switch(&["up0"], vec![port_group(1, 0), watched]);
    let collector = (COLLECTOR.parse::<IpAddr>().unwrap(), PORT).into();
    switch.ipfix = Some(Ipfix { domain: DOMAIN, idle_s: 5, ..Ipfix::to(collector) });
    let mut declared = declaration(switch, ports);
    let mut vmk0 = adapter(0, "10.1.0.1", 24);
    vmk0.services = [Service::Management].into();
    declared.adapters.push(vmk0);
    (net, declared)
}

fn counters(engine: &Engine) -> FlowCounters {
    engine.flow_counters("vSwitch0").unwrap_or_default()
}

/// Collectors, which end with the test.
struct Collectors {
    nfcapd: Child,
    tcpdump: Child,
    room: tempfile::TempDir,
}

impl Collectors {
    async fn start(net: &Network) -> Self {
        let room = tempfile::tempdir().unwrap();
        let pcap = room.path().join("capture.pcap");
        let tcpdump =
            net.spawn("outside", &format!("tcpdump -U -i eth0 -w {} udp port {PORT}", pcap.display()));
        let flows = room.path().join("flows");
        std::fs::create_dir(&flows).unwrap();
        let nfcapd =
            net.spawn("outside", &format!("nfcapd -b {COLLECTOR} -p {PORT} -t 3600 -w {}", flows.display()));
        let collectors = Self { nfcapd, tcpdump, room };
        let listens =
            async || std::fs::metadata(&pcap).is_ok_and(|file| file.len() >= 24) && waiting(net).is_some();
        until_so("both collectors listen", listens).await;
        collectors
    }

    fn stop(child: &Child) {
        let id = rustix::process::Pid::from_raw(child.id().cast_signed()).unwrap();
        let _ = rustix::process::kill_process(id, rustix::process::Signal::TERM);
    }

    /// Records as Wireshark reads them: fields by name, in order.
    fn records(&self) -> Vec<Record> {
        let fields = [
            "cflow.srcaddr",
            "cflow.dstaddr",
            "cflow.srcaddrv6",
            "cflow.dstaddrv6",
            "cflow.protocol",
            "cflow.srcport",
            "cflow.dstport",
            "cflow.packets",
            "cflow.octets",
            "cflow.vlanid",
            "cflow.direction",
            "cflow.inputint",
            "cflow.outputint",
        ];
        // One line per datagram would mix records of several families; PDML keeps them apart.
        let output = Command::new("tshark")
            .args(["-n", "-d", &format!("udp.port=={PORT},cflow"), "-T", "pdml", "-r"])
            .arg(self.room.path().join("capture.pcap"))
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(!text.contains("Malformed"), "{text}");
        let mut records = Vec::new();
        let mut record: BTreeMap<&'static str, String> = BTreeMap::new();
        for line in text.lines() {
            if line.contains("show=\"Flow ") && !record.is_empty() {
                records.push(Record(std::mem::take(&mut record)));
            }
            for field in fields {
                if line.contains(&format!("name=\"{field}\"")) {
                    let shown = line.split("show=\"").nth(1).unwrap().split('"').next().unwrap();
                    record.insert(field, shown.to_owned());
                }
            }
        }
        records.extend((!record.is_empty()).then_some(Record(record)));
        records.retain(|record| record.0.contains_key("cflow.packets"));
        records
    }

    /// The sender of the first datagram, and its domain.
    fn exporter(&self) -> String {
        let output = Command::new("tshark")
            .args(["-n", "-d", &format!("udp.port=={PORT},cflow"), "-c", "1", "-T", "fields", "-e", "ip.src"])
            .args(["-e", "cflow.od_id", "-r"])
            .arg(self.room.path().join("capture.pcap"))
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// Flows as `nfdump` reads them: addresses, protocol, ports, packets and bytes.
    async fn dumped(&mut self, net: &Network) -> Vec<String> {
        // First it must have read everything that arrived.
        until_so("nfcapd has read all", async || waiting(net).is_none_or(|bytes| bytes == 0)).await;
        Self::stop(&self.nfcapd);
        self.nfcapd.wait().unwrap();
        let format = "fmt:%sa %da %pr %sp %dp %pkt %byt";
        let output = Command::new("nfdump")
            .args(["-q", "-N", "-6", "-R"])
            .arg(self.room.path().join("flows"))
            .args(["-o", format])
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
    }
}

impl Drop for Collectors {
    fn drop(&mut self) {
        for child in [&mut self.nfcapd, &mut self.tcpdump] {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// How many bytes wait for the collector; `None` if it does not listen.
fn waiting(net: &Network) -> Option<u64> {
    let output = String::from_utf8(net.run("outside", "cat /proc/net/udp").stdout).unwrap();
    let line = output.lines().find(|line| line.contains(&format!(":{PORT:04X} ")))?;
    let queues = line.split_whitespace().nth(4)?;
    u64::from_str_radix(queues.split(':').nth(1)?, 16).ok()
}

#[derive(Debug, Clone)]
struct Record(BTreeMap<&'static str, String>);

impl Record {
    fn text(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }

    fn number(&self, name: &str) -> u64 {
        let text = self.text(name);
        text.parse().unwrap_or_else(|_| panic!("{name} is {text:?}"))
    }

    /// Source, protocol and ports.
    fn is(&self, source: &str, protocol: u64, ports: (u64, u64)) -> bool {
        let from = [self.text("cflow.srcaddr"), self.text("cflow.srcaddrv6")];
        from.contains(&source)
            && self.number("cflow.protocol") == protocol
            && (self.number("cflow.srcport"), self.number("cflow.dstport")) == ports
    }
}

/// Packets and octets of a flow, as it entered at its sender and as it left at its receiver.
fn sums(records: &[Record], source: &str, protocol: u64, ports: (u64, u64)) -> [(u64, u64); 2] {
    [0, 1].map(|direction| {
        let of = |record: &&Record| {
            record.is(source, protocol, ports)
                && u64::from_str_radix(record.text("cflow.direction").trim_start_matches("0x"), 16).unwrap()
                    == direction
        };
        let mine = records.iter().filter(of);
        mine.fold((0, 0), |(packets, octets), record| {
            assert_eq!(record.number("cflow.vlanid"), 10);
            assert!(
                record.number("cflow.inputint") > 0 && record.number("cflow.outputint") > 0,
                "{record:?}"
            );
            (packets + record.number("cflow.packets"), octets + record.number("cflow.octets"))
        })
    })
}

/// Turns the export off, which exports all present flows.
async fn end(engine: &Engine, declared: &Declaration) {
    let mut off = declared.clone();
    off.switches[0].ipfix = None;
    engine.declare(off).await.unwrap();
    until_so("flows are not exported any more", async || engine.flow_counters("vSwitch0").is_none()).await;
}

/// Declares the switch once the collector's MAC is known, so that no datagram is lost for want of it.
async fn begin(net: &Network, declared: &Declaration) -> Engine {
    let engine = net.engine().await;
    let mut off = declared.clone();
    off.switches[0].ipfix = None;
    engine.declare(off).await.unwrap();
    assert!(net.reaches("outside", "10.1.0.1"));
    engine
}

#[tokio::test]
async fn collectors_are_told_exactly_what_passed() {
    const BYTES: usize = 300_000;
    let (net, declared) = network();
    let engine = begin(&net, &declared).await;
    let mut collectors = Collectors::start(&net).await;
    engine.declare(declared.clone()).await.unwrap();

    datagrams(&net, 25, "10.2.0.1:1000", "10.2.0.2:2000");
    datagrams(&net, 15, "[fd00::1]:1000", "[fd00::2]:2000");
    net.pinging("t1", "10.2.0.2", Requests::new(100, 5)).end().lost_nothing("between the guests");
    let listener = net.within("t2", || TcpListener::bind("10.2.0.2:3000").unwrap());
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut got = Vec::new();
        stream.read_to_end(&mut got).unwrap();
        got.len()
    });
    let port = net.within("t1", || {
        let mut stream = TcpStream::connect("10.2.0.2:3000").unwrap();
        stream.write_all(&[1; BYTES]).unwrap();
        stream.local_addr().unwrap().port()
    });
    assert_eq!(server.join().unwrap(), BYTES);
    // The server's end goes with the last acknowledgement.
    let is_closed = async || !net.text("t2", "cat /proc/net/tcp").contains(":0BB8 ");
    until_so("the connection is closed", is_closed).await;
    end(&engine, &declared).await;

    let mut records = Vec::new();
    let are_all = async || {
        records = collectors.records();
        // A flow may be exported in parts.
        let flows = [
            ("10.2.0.1", 17, (1000, 2000), 25),
            ("fd00::1", 17, (1000, 2000), 15),
            ("10.2.0.1", 1, (0, 0), 5),
            ("10.2.0.2", 1, (0, 0), 5),
        ];
        let are_there = flows.into_iter().all(|(source, protocol, ports, packets)| {
            sums(&records, source, protocol, ports).iter().all(|sum| sum.0 >= packets)
        });
        let [sent, delivered] = sums(&records, "10.2.0.1", 6, (port.into(), 3000));
        are_there && sent == delivered && sent.1 > BYTES as u64
    };
    until_so("all flows are exported", are_all).await;
    assert_eq!(sums(&records, "10.2.0.1", 17, (1000, 2000)), [(25, 25 * 128); 2]);
    assert_eq!(sums(&records, "fd00::1", 17, (1000, 2000)), [(15, 15 * 148); 2]);
    for guest in ["10.2.0.1", "10.2.0.2"] {
        assert_eq!(sums(&records, guest, 1, (0, 0)), [(5, 5 * 84); 2], "{guest}");
    }
    // As on a wire, however large the segments were: the first packet has 40 bytes of TCP, the others 32.
    let [sent, delivered] = sums(&records, "10.2.0.1", 6, (port.into(), 3000));
    assert_eq!((sent, sent.1), (delivered, BYTES as u64 + 60 + (sent.0 - 1) * 52));
    assert!(sent.0 > BYTES as u64 / 1500, "{sent:?}");

    assert_eq!(collectors.exporter(), format!("10.1.0.1\t{DOMAIN},{DOMAIN}"), "from the management adapter");
    let dumped = collectors.dumped(&net).await;
    for wanted in ["10.2.0.1 10.2.0.2 17 1000 2000 25 3200", "fd00::1 fd00::2 17 1000 2000 15 2220"] {
        assert_eq!(dumped.iter().filter(|line| *line == wanted).count(), 2, "{wanted}: {dumped:#?}");
    }
}

#[tokio::test]
async fn an_ending_engine_exports_the_last_flows() {
    let (net, declared) = network();
    let engine = begin(&net, &declared).await;
    let collectors = Collectors::start(&net).await;
    engine.declare(declared).await.unwrap();
    datagrams(&net, 25, "10.2.0.1:1000", "10.2.0.2:2000");
    engine.end().await;
    let mut seen = Vec::new();
    let are_there = async || {
        seen = sums(&collectors.records(), "10.2.0.1", 17, (1000, 2000)).to_vec();
        seen.iter().all(|sum| sum.0 > 0)
    };
    until_so("both ports' flows are exported", are_there).await;
    assert_eq!(seen, [(25, 25 * 128); 2]);
    assert!(matches!(engine.counters("t1").await, Err(Error::Ended)));
}

#[tokio::test]
async fn idle_flows_are_exported_and_one_packet_in_so_many_counts() {
    let (net, mut declared) = network();
    let engine = begin(&net, &declared).await;
    let collectors = Collectors::start(&net).await;
    let ipfix = declared.switches[0].ipfix.as_mut().unwrap();
    (ipfix.one_of, ipfix.idle_s) = (10, 2);
    engine.declare(declared.clone()).await.unwrap();
    datagrams(&net, 100, "10.2.0.1:1000", "10.2.0.2:2000");
    // The flow is idle now, so its records are exported without further traffic.
    let mut told = [(0, 0); 2];
    let are_there = async || {
        told = sums(&collectors.records(), "10.2.0.1", 17, (1000, 2000));
        told.iter().all(|(packets, _)| *packets >= 10)
    };
    until_so("the idle flows are exported", are_there).await;
    assert_eq!(told, [(10, 1280); 2]);
    let seen = counters(&engine);
    assert_eq!((seen.records_lost, seen.packets_lost), (0, 0));
    assert!(seen.records_sent >= 2);
}

#[tokio::test]
async fn a_flood_of_flows_and_a_deaf_collector_hold_nobody_up() {
    let (net, declared) = network();
    let engine = begin(&net, &declared).await;
    engine.declare(declared.clone()).await.unwrap();
    let ping = net.pinging("t2", "10.2.0.1", Requests::without_end(10));
    let sender = socket(&net, "t1", "10.2.0.1:1000");
    // No station has this address, so the switch sends the frames out. The guest needs no answer to ARP.
    ip(&net.namespace("t1"), "neigh add 10.2.0.77 lladdr 02:00:00:00:00:77 dev eth0");
    let flood = std::thread::spawn(move || {
        for number in 0..60_000_u32 {
            let port = 1 + u16::try_from(number % 60_000).unwrap();
            let _ = sender.send_to(&[0; 20], ("10.2.0.77", port));
        }
    });
    flood.join().unwrap();
    let mut most = 0;
    let has_lost = async || {
        let seen = counters(&engine);
        most = most.max(seen.flows);
        seen.records_lost > 0 && seen.packets_lost > 0
    };
    until_so("records and packets are lost", has_lost).await;
    assert!(most <= 65_536);
    // The engine still obeys, and the neighbour has lost nothing.
    engine.declare(declared).await.unwrap();
    ping.stop().lost_nothing("beside a flood");
}
