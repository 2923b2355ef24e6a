//! A test network: a namespace for the host, one for the physical segment, one for each guest and station.
//!
//! ```text
//!   host                          wire                       station "outside"
//!   t1 ── eth0 guest "t1"         br0 ── w-up0 ── up0 host   eth0 ── w-outside
//! ```
//!
//! Guests and stations are namespaces at the other end of a veth pair. All of it goes when the test ends.
#![allow(clippy::unwrap_used)]

pub mod chaos;
pub mod ping;
pub mod process;
pub mod sniff;
pub mod wait;

use std::fs::File;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use ping::{Pinging, Requests};
use rustix::mount::{UnmountFlags, unmount};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use vswitch::declare::{
    Adapter, Declaration, Gateways, Ipv4Config, Override, Policy, Port, PortGroup, StackName, Switch, Teaming,
};
use vswitch::discovery::System;
use vswitch::link::Pair;
use vswitch::{Engine, Mac, Options, Timing, Vlan};

/// How long an untimed operation may take on the busiest Linux system.
pub const PATIENCE: Duration = Duration::from_secs(30);

static COUNT: AtomicU32 = AtomicU32::new(0);

pub struct Network {
    name: String,
    namespaces: Vec<String>,
    room: tempfile::TempDir,
}

impl Network {
    /// A host with these uplinks, on one segment that passes tags.
    pub fn new(uplinks: &[&str]) -> Self {
        let name = format!("esf-vs{}x{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let room = tempfile::tempdir().unwrap();
        let mut network = Self { name, namespaces: Vec::new(), room };
        // Namespaces of a killed process that had this number before.
        network.remove_namespaces();
        let (host, wire) = (network.add("host"), network.add("wire"));
        ip(&wire, "link add br0 type bridge forward_delay 0 mcast_snooping 0");
        ip(&wire, "link set br0 up");
        for uplink in uplinks {
            network.cable(&host, uplink);
        }
        network
    }

    /// A cable from an interface of a namespace to the segment.
    fn cable(&self, namespace: &str, interface: &str) {
        let (wire, end) = (self.namespace("wire"), format!("w-{interface}"));
        ip(
            &wire,
            &format!("link add {end} mtu 9000 type veth peer name {interface} mtu 9000 netns {namespace}"),
        );
        ip(&wire, &format!("link set {end} master br0 up"));
        ip(namespace, &format!("link set {interface} up"));
    }

    /// A station on the segment with this address.
    pub fn station(&mut self, name: &str, address: &str) -> String {
        let namespace = self.add(name);
        let wire = self.namespace("wire");
        ip(&wire, &format!("link add w-{name} mtu 9000 type veth peer name eth0 netns {namespace}"));
        ip(&wire, &format!("link set w-{name} master br0 up"));
        ip(&namespace, "link set eth0 up");
        ip(&namespace, &format!("addr add {address} dev eth0"));
        namespace
    }

    /// A guest: an interface `name` of the host, whose other end is `eth0` with this MAC and address.
    pub fn guest(&mut self, name: &str, address: &str) -> Port {
        let namespace = self.add(name);
        let host = self.namespace("host");
        let mac = Mac([2, 0, 0, 0, 0, u8::try_from(self.namespaces.len()).unwrap()]);
        ip(&host, &format!("link add {name} type veth peer name eth0 address {mac} netns {namespace}"));
        ip(&host, &format!("link set {name} up"));
        ip(&namespace, "link set eth0 up");
        ip(&namespace, &format!("addr add {address} dev eth0"));
        Port { interface: name.into(), port_group: 0, mac, guest_mac: None, blocked: false }
    }

    /// Turns a guest into a nested host: a bridge with its interface.
    pub fn make_nested(&self, guest: &str) {
        let namespace = self.namespace(guest);
        ip(&namespace, "addr flush dev eth0");
        ip(&namespace, "link add br0 type bridge forward_delay 0 mcast_snooping 0");
        ip(&namespace, "link set br0 up");
        ip(&namespace, "link set eth0 master br0");
    }

    /// Adds a guest to a nested host, with this address; returns its MAC.
    pub fn nested_guest(&mut self, host: &str, name: &str, address: &str) -> Mac {
        let (host, namespace) = (self.namespace(host), self.add(name));
        let mac = Mac([0x52, 0x54, 0, 0, 0, u8::try_from(self.namespaces.len()).unwrap()]);
        ip(&host, &format!("link add v-{name} type veth peer name eth0 address {mac} netns {namespace}"));
        ip(&host, &format!("link set v-{name} master br0 up"));
        ip(&namespace, "link set eth0 up");
        ip(&namespace, &format!("addr add {address} dev eth0"));
        mac
    }

    /// Moves a guest of a nested host to another one, or to the wire.
    pub fn move_nested(&self, name: &str, from: &str, to: &str) {
        let (from, to) = (self.namespace(from), self.namespace(to));
        ip(&from, &format!("link set v-{name} netns {to}"));
        ip(&to, &format!("link set v-{name} master br0 up"));
    }

    /// Sends these frames, unchanged, from an interface of a namespace.
    pub fn send(&self, name: &str, interface: &str, frames: &[Vec<u8>]) {
        const SEND: &str = "import socket, sys\n\
            s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)\n\
            s.bind((sys.argv[1], 0))\n\
            for line in open(sys.argv[2]): s.send(bytes.fromhex(line))\n";
        let (program, list) = (self.room.path().join("send.py"), self.room.path().join("frames"));
        std::fs::write(&program, SEND).unwrap();
        let hex = |frame: &Vec<u8>| frame.iter().map(|byte| format!("{byte:02x}")).collect::<String>() + "\n";
        std::fs::write(&list, frames.iter().map(hex).collect::<String>()).unwrap();
        let sent = format!("python3 {} {interface} {}", program.display(), list.display());
        inside(&self.namespace(name), &sent);
    }

    /// Sends a frame with these bytes that arrives at an interface of a namespace, from the other end of its cable.
    pub fn send_to_end(&self, name: &str, interface: &str, bytes: &[u8]) {
        let end = match interface.strip_prefix("w-") {
            Some(uplink) => ("host", uplink.to_owned()),
            None if self.interfaces(name).iter().any(|own| own == name) => ("host", name.to_owned()),
            None => ("wire", format!("w-{name}")),
        };
        let head = [2, 0xff, 0, 0, 0, 1, 2, 0xff, 0, 0, 0, 2, 0x88, 0xb5];
        let mut frame = [&head[..], bytes].concat();
        frame.resize(frame.len().max(60), 0);
        self.send(end.0, &end.1, &[frame]);
    }

    /// Sends a frame from an interface of a namespace, as often as possible, until the result is dropped.
    pub fn flood(&self, name: &str, interface: &str, frame: &[u8]) -> Flood {
        self.repeat(name, interface, frame, 0)
    }

    /// Sends a frame from an interface of a namespace repeatedly, with this many milliseconds in between, until the
    /// result is dropped.
    pub fn repeat(&self, name: &str, interface: &str, frame: &[u8], pause_ms: u32) -> Flood {
        const FLOOD: &str = "import socket, sys, time\n\
            s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)\n\
            s.bind((sys.argv[1], 0))\n\
            frame, pause = bytes.fromhex(sys.argv[2]), int(sys.argv[3]) / 1000\n\
            while True:\n\
            \x20   if pause: time.sleep(pause)\n\
            \x20   try: s.send(frame)\n\
            \x20   except OSError: pass\n";
        let program = self.room.path().join("flood.py");
        std::fs::write(&program, FLOOD).unwrap();
        let hex: String = frame.iter().map(|byte| format!("{byte:02x}")).collect();
        Flood(self.spawn(name, &format!("python3 {} {interface} {hex} {pause_ms}", program.display())))
    }

    /// Includes those of TCP/IP stacks, which the engine made.
    fn remove_namespaces(&self) {
        let own = format!("{}-", self.name);
        let all = std::fs::read_dir("/run/netns").into_iter().flatten().flatten();
        let all = all.filter_map(|entry| entry.file_name().into_string().ok());
        for namespace in all.filter(|name| name.starts_with(&own)) {
            let _ = Command::new("ip").args(["netns", "delete", &namespace]).output();
        }
    }

    fn add(&mut self, name: &str) -> String {
        let namespace = self.namespace(name);
        run(Command::new("ip").args(["netns", "add", &namespace]));
        self.namespaces.push(namespace.clone());
        ip(&namespace, "link set lo up");
        // Only the test itself sends: no router solicitations of idle stacks.
        inside(
            &namespace,
            "sysctl -qw net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1",
        );
        namespace
    }

    /// The namespace's full name.
    pub fn namespace(&self, name: &str) -> String {
        format!("{}-{name}", self.name)
    }

    /// A directory that goes with the network.
    pub fn room(&self) -> &Path {
        self.room.path()
    }

    pub fn pins(&self) -> PathBuf {
        self.room.path().join("bpf")
    }

    /// The engine of the host.
    pub async fn engine(&self) -> Engine {
        self.engine_attached(false).await
    }

    /// The engine of another host in the same network namespace.
    pub async fn neighbour(&self) -> Engine {
        let namespace = Some(Path::new("/run/netns").join(self.namespace("host")));
        let (pins, prefix) = (self.pins().join("neighbour"), self.namespace("neighbour"));
        let system = System { name: "host2.example".into(), ..System::default() };
        Engine::start(Options {
            pins,
            namespace,
            prefix,
            system,
            without_tcx: false,
            timing: Timing::default(),
        })
        .await
        .unwrap()
    }

    /// The engine of a host, optionally as on a kernel without tcx.
    pub async fn engine_attached(&self, without_tcx: bool) -> Engine {
        self.engine_with(without_tcx, Timing::default()).await
    }

    /// The engine of a host with other times.
    pub async fn engine_timed(&self, timing: Timing) -> Engine {
        self.engine_with(false, timing).await
    }

    async fn engine_with(&self, without_tcx: bool, timing: Timing) -> Engine {
        Engine::start(Options { without_tcx, timing, ..self.options() }).await.unwrap()
    }

    /// The options of the host's engine.
    pub fn options(&self) -> Options {
        let namespace = Some(Path::new("/run/netns").join(self.namespace("host")));
        let (prefix, system) =
            (self.namespace("host"), System { name: "host1.example".into(), ..System::default() });
        Options {
            pins: self.pins(),
            namespace,
            prefix,
            system,
            without_tcx: false,
            timing: Timing::default(),
        }
    }

    /// The host's internal pairs for shaping and for mirroring.
    pub fn own_pairs(&self) -> (Pair, Pair) {
        let host = self.namespace("host");
        (Pair::queue(&host), Pair::mirror(&host))
    }

    /// The host's interfaces, as `ip` shows them.
    pub fn links(&self) -> vswitch::plan::Links {
        let shown = self.run("host", "ip -j link").stdout;
        let shown: Vec<serde_json::Value> = serde_json::from_slice(&shown).unwrap();
        let read = |link: &serde_json::Value| {
            let has = |flag: &str| link["flags"].as_array().unwrap().iter().any(|one| one == flag);
            let index = u32::try_from(link["ifindex"].as_u64().unwrap()).unwrap();
            let running = has("UP") && !has("NO-CARRIER");
            (link["ifname"].as_str().unwrap().to_owned(), vswitch::plan::Link { index, running })
        };
        shown.iter().map(read).collect()
    }

    /// Fixes the MAC that a guest has learned for an address, whatever other stations claim.
    pub fn keep_neighbour(&self, name: &str, address: &str) {
        let learned =
            String::from_utf8(self.run(name, &format!("ip -o neigh show {address}")).stdout).unwrap();
        let mac = learned
            .split_whitespace()
            .skip_while(|word| *word != "lladdr")
            .nth(1)
            .unwrap_or_else(|| panic!("{learned}"));
        ip(&self.namespace(name), &format!("neigh replace {address} lladdr {mac} dev eth0 nud permanent"));
    }

    /// Runs `body` in a namespace; its sockets stay there.
    pub fn within<T: Send + 'static>(&self, name: &str, body: impl FnOnce() -> T + Send + 'static) -> T {
        let path = Path::new("/run/netns").join(self.namespace(name));
        let thread = std::thread::spawn(move || {
            let namespace = File::open(path).unwrap();
            move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
            body()
        });
        thread.join().unwrap()
    }

    /// Runs a command in a namespace to its end.
    pub fn run(&self, name: &str, command: &str) -> Output {
        output(&self.namespace(name), command)
    }

    /// The output of a command in a namespace.
    pub fn text(&self, name: &str, command: &str) -> String {
        String::from_utf8(self.run(name, command).stdout).unwrap()
    }

    /// The interfaces of the host's namespace with this prefix.
    pub fn interfaces(&self, beginning: &str) -> Vec<String> {
        let all = self.text("host", "ls /sys/class/net");
        all.split_whitespace().filter(|name| name.starts_with(beginning)).map(String::from).collect()
    }

    /// Runs a command in a namespace in the background.
    pub fn spawn(&self, name: &str, command: &str) -> Child {
        start(&self.namespace(name), command).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// Begins to ping.
    pub fn pinging(&self, from: &str, address: &str, requests: Requests) -> Pinging {
        Pinging::start(self, from, address, requests)
    }

    /// Whether `from` gets an answer from an address; tries until [`PATIENCE`] has passed.
    pub fn reaches(&self, from: &str, address: &str) -> bool {
        self.succeeds(from, &format!("ping -c 1 -w 2 {address}"))
    }

    /// Whether a command in a namespace succeeds; tries until [`PATIENCE`] has passed.
    pub fn succeeds(&self, name: &str, command: &str) -> bool {
        let late = Instant::now() + PATIENCE;
        let look = || {
            let is_over = self.run(name, command).status.success();
            (is_over || Instant::now() > late).then_some(is_over)
        };
        wait::until_blocking(|| format!("{command} neither succeeds nor fails"), look)
    }

    /// Waits until a socket listens at a TCP port of a namespace.
    pub fn listens(&self, name: &str, port: u16) {
        let wanted = format!(":{port:04X} ");
        // The local address, and the state of a listening socket.
        let is_it = |line: &str| line.contains(&wanted) && line.split_whitespace().nth(3) == Some("0A");
        wait::until_blocking(
            || format!("no socket listens at port {port}"),
            || self.text(name, "cat /proc/net/tcp /proc/net/tcp6").lines().any(is_it).then_some(()),
        );
    }

    /// Whether `from` gets no answer, which takes as long as the ping waits.
    pub fn is_cut_off(&self, from: &str, address: &str) -> bool {
        !self.run(from, &format!("ping -c 2 -i 0.2 -W 1 {address}")).status.success()
    }
}

/// A process that sends without end.
pub struct Flood(Child);

impl Flood {
    pub fn goes_on(&mut self) -> bool {
        self.0.try_wait().unwrap().is_none()
    }
}

impl Drop for Flood {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        self.remove_namespaces();
        let _ = unmount(self.pins(), UnmountFlags::DETACH);
    }
}

/// A switch `vSwitch0` with these uplinks, all active.
pub fn switch(uplinks: &[&str], port_groups: Vec<PortGroup>) -> Switch {
    let uplinks: Vec<String> = uplinks.iter().map(|name| (*name).into()).collect();
    let teaming = Teaming { active: uplinks.clone(), ..Teaming::default() };
    let policy = Policy { teaming, ..Policy::default() };
    Switch {
        number: 1,
        name: "vSwitch0".into(),
        mtu: 1500,
        uplinks,
        policy,
        discovery: None,
        multicast: Default::default(),
        ipfix: None,
        port_groups,
    }
}

/// A port group with the switch's policies.
pub fn port_group(number: u32, vlan: i32) -> PortGroup {
    let policy = Override::default();
    PortGroup { number, name: format!("pg{number}"), vlan: Vlan::try_from(vlan).unwrap(), policy }
}

/// Waits until counters have reached a value, and expects that they stay there.
pub async fn counts<T: PartialEq + std::fmt::Debug>(
    what: &str,
    wanted: T,
    mut count: impl AsyncFnMut() -> T,
) {
    let late = Instant::now() + PATIENCE;
    wait::until(
        || format!("{what} cannot be read"),
        async || (count().await == wanted || Instant::now() > late).then_some(()),
    )
    .await;
    // Surplus frames may come a little later.
    assert_eq!(wait::rests(what, count).await, wanted, "{what}");
}

/// One switch, and the ports in these port groups.
pub fn declaration(switch: Switch, ports: Vec<(Port, u32)>) -> Declaration {
    let ports = ports.into_iter().map(|(port, port_group)| Port { port_group, ..port }).collect();
    Declaration { switches: vec![switch], ports, ..Declaration::default() }
}

/// A VMkernel adapter in the default stack, of port group 1.
pub fn adapter(number: u8, address: &str, prefix: u8) -> Adapter {
    Adapter {
        device: format!("vmk{number}"),
        port_group: 1,
        mac: Mac([0, 0x50, 0x56, 0x60, 0, number]),
        mtu: 1500,
        stack: StackName::default(),
        ipv4: Ipv4Config::Static { address: address.parse().unwrap(), prefix },
        ipv6: None,
        gateways: Gateways::default(),
        services: [].into(),
    }
}

/// The name of a stack.
pub fn stack(name: &str) -> StackName {
    name.to_owned().try_into().unwrap()
}

fn start(namespace: &str, command: &str) -> Command {
    let mut started = Command::new("ip");
    started.args(["netns", "exec", namespace]).args(command.split_whitespace()).stdin(Stdio::null());
    started
}

fn output(namespace: &str, command: &str) -> Output {
    start(namespace, command).output().unwrap()
}

fn inside(namespace: &str, command: &str) {
    run(&mut start(namespace, command));
}

/// `ip` in a namespace.
pub fn ip(namespace: &str, arguments: &str) {
    run(Command::new("ip").args(["-n", namespace]).args(arguments.split_whitespace()));
}

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}
