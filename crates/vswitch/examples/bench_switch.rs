//! A switch for `cargo xtask bench net`: `bench_switch NAMESPACE PINS PORTS POLICIES [UPLINK…]`. Its ports are the
//! interfaces `p0`, `p1`, … of the network namespace, with the MAC addresses 02:00:00:00:00:00 and onwards. Policies
//! are words separated by commas, or `-` for none. It prints `ready`, then each time the uplink that port `p0` uses; it
//! ends when its standard input does.

use std::io::Read;
use std::path::PathBuf;

use vswitch::capture::{Filter, Point};
use vswitch::declare::{
    Balancing, Declaration, Ipfix, Learning, MirrorDestination, MirrorSession, MirrorSource,
    MulticastFiltering, Override, Policy, Port, PortGroup, Security, Shaping, Switch, Teaming,
};
use vswitch::discovery::System;
use vswitch::{Engine, Mac, Options, Timing, Vlan, limits};

type Error = Box<dyn std::error::Error>;

const MTU: u32 = 1500;
/// The rate of shaped ports: more than they send, so that each packet is checked and none waits.
const RATE: u64 = limits::MAX_RATE;
const BURST: u64 = 1 << 30;
const VLAN: i32 = 10;
/// Policies, and their effects.
const WORDS: [&str; 10] = [
    // Every security policy rejects.
    "strict",
    // All ports are in a VLAN.
    "vlan",
    // IP hash: the uplink follows from each packet's IP addresses.
    "iphash",
    // All ports are shaped in both directions, at a rate that is never reached.
    "shaped",
    // The frames that port p0 sends are copied to the last port, whole or their first 60 bytes.
    "mirrored",
    "mirrored-short",
    // A capture takes the first 64 bytes of the frames that p0 sends.
    "captured",
    // All ports learn MACs.
    "learning",
    // The flows of all ports are exported.
    "flows",
    // Multicast is filtered.
    "snooping",
];

/// The policies that are on.
struct Policies(Vec<String>);

impl Policies {
    fn read(words: &str) -> Result<Self, Error> {
        let words: Vec<String> = words.split(',').filter(|word| *word != "-").map(str::to_owned).collect();
        match words.iter().find(|word| !WORDS.contains(&word.as_str())) {
            Some(unknown) => Err(format!("unknown policy {unknown}; use {}", WORDS.join(", ")).into()),
            None => Ok(Self(words)),
        }
    }

    fn has(&self, word: &str) -> bool {
        self.0.iter().any(|known| known == word)
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [namespace, pins, ports, policies, uplinks @ ..] = arguments.as_slice() else {
        return Err("usage: bench_switch NAMESPACE PINS PORTS POLICIES [UPLINK...]".into());
    };
    let policies = Policies::read(policies)?;
    let options = Options {
        pins: pins.into(),
        namespace: Some(PathBuf::from("/run/netns").join(namespace)),
        prefix: namespace.clone(),
        system: System::default(),
        without_tcx: false,
        timing: Timing::default(),
    };
    let engine = Engine::start(options).await?;
    engine.declare(declaration(ports.parse()?, &policies, uplinks.to_vec())).await?;
    let filter = Filter { interfaces: vec!["p0".into()], points: [Point::FromPort].into(), length: 64 };
    let mut frames = match policies.has("captured") {
        true => Some(engine.capture(filter).await?),
        false => None,
    };
    println!("ready");
    let mut state = engine.state();
    let (ended, end) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        let _ = ended.send(());
    });
    let tell = async {
        let mut before = None;
        loop {
            let now = state.borrow_and_update().uplinks.get("p0").cloned();
            if now != before {
                println!("uplink {}", now.as_deref().unwrap_or("none"));
                before = now;
            }
            if state.changed().await.is_err() {
                return;
            }
        }
    };
    let look = async {
        while let Some(frames) = &mut frames {
            if frames.next().await.is_none() {
                break;
            }
        }
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = look => Ok(()),
        () = tell => Err("the engine has ended".into()),
        _ = end => Ok(()),
    }
}

fn declaration(ports: u16, policies: &Policies, uplinks: Vec<String>) -> Declaration {
    let security = match policies.has("strict") {
        true => Security { mac_changes: false, forged_transmits: false, ..Security::default() },
        false => Security::default(),
    };
    let learning = Learning { enabled: policies.has("learning"), ..Learning::default() };
    let security = Security { learning, ..security };
    let balancing = if policies.has("iphash") { Balancing::IpHash } else { Balancing::Explicit };
    let teaming = Teaming { balancing, active: uplinks.clone(), ..Teaming::default() };
    let shaping = Shaping { enabled: policies.has("shaped"), average: RATE, peak: RATE, burst: BURST };
    let policy =
        Policy { security, teaming, outbound: shaping, inbound: shaping, ipfix: policies.has("flows") };
    let vlan = Vlan::try_from(if policies.has("vlan") { VLAN } else { 0 }).expect("is a VLAN");
    let group = PortGroup { number: 1, name: "pg1".into(), vlan, policy: Override::default() };
    let port = |number: u16| {
        let [high, low] = number.to_be_bytes();
        Port {
            interface: format!("p{number}"),
            port_group: 1,
            mac: Mac([2, 0, 0, 0, high, low]),
            guest_mac: None,
            blocked: false,
        }
    };
    let short = policies.has("mirrored-short");
    let mirror = MirrorSession {
        number: 0,
        source: MirrorSource::Ports { transmitted: vec!["p0".into()], received: Vec::new() },
        destination: MirrorDestination::Ports { interfaces: vec![format!("p{}", ports - 1)], vlan: None },
        every: 1,
        length: short.then_some(limits::MIRROR_LENGTH),
        strip_vlan: true,
        normal_traffic: true,
    };
    let switch = Switch {
        number: 1,
        name: "vSwitch0".into(),
        mtu: MTU,
        uplinks,
        discovery: None,
        policy,
        multicast: if policies.has("snooping") { MulticastFiltering::Snooping } else { Default::default() },
        // Nothing listens there, and it does not matter.
        ipfix: policies.has("flows").then(|| Ipfix::to(([127, 0, 0, 1], 9).into())),
        port_groups: vec![group],
    };
    Declaration {
        switches: vec![switch],
        ports: (0..ports).map(port).collect(),
        mirrors: Some(mirror).into_iter().filter(|_| short || policies.has("mirrored")).collect(),
        ..Declaration::default()
    }
}
