//! A switch for `cargo xtask bench net`: `bench_switch NAMESPACE PINS PORTS [strict] [UPLINK…]`. Its ports are the interfaces `p0`,
//! `p1`, … of the network namespace, with the MAC addresses 02:00:00:00:00:00 and onwards. Says `ready`, then each time
//! which uplink port `p0` uses; ends when its standard input does.

use std::io::Read;
use std::path::PathBuf;

use vswitch::declare::{
    Balancing, Declaration, Override, Policy, Port, PortGroup, Security, Switch, Teaming,
};
use vswitch::discovery::System;
use vswitch::{Engine, Mac, Options, Timing, Vlan};

type Error = Box<dyn std::error::Error>;

const MTU: u32 = 1500;
/// With this word, guests may do nothing that a policy can forbid.
const STRICT: &str = "strict";

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [namespace, pins, ports, more @ ..] = arguments.as_slice() else {
        return Err("usage: bench_switch NAMESPACE PINS PORTS [strict] [UPLINK...]".into());
    };
    let strict = more.first().is_some_and(|word| word == STRICT);
    let uplinks = more[usize::from(strict)..].to_vec();
    let options = Options {
        pins: pins.into(),
        namespace: Some(PathBuf::from("/run/netns").join(namespace)),
        prefix: namespace.clone(),
        system: System::default(),
        without_tcx: false,
        timing: Timing::default(),
    };
    let engine = Engine::start(options).await?;
    engine.declare(declaration(ports.parse()?, strict, uplinks)).await?;
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
    tokio::select! {
        () = tell => Err("the engine has ended".into()),
        _ = end => Ok(()),
    }
}

fn declaration(ports: u16, strict: bool, uplinks: Vec<String>) -> Declaration {
    let security = match strict {
        true => Security { mac_changes: false, forged_transmits: false, ..Security::default() },
        false => Security::default(),
    };
    let balancing = Balancing::Explicit;
    let teaming = Teaming { balancing, active: uplinks.clone(), ..Teaming::default() };
    let group = PortGroup { number: 1, name: "pg1".into(), vlan: Vlan::None, policy: Override::default() };
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
    let switch = Switch {
        number: 1,
        name: "vSwitch0".into(),
        mtu: MTU,
        uplinks,
        discovery: None,
        policy: Policy { security, teaming, ..Policy::default() },
        port_groups: vec![group],
    };
    Declaration { switches: vec![switch], ports: (0..ports).map(port).collect(), ..Declaration::default() }
}
