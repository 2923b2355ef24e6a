//! Engines that are killed, stopped and deceived: the kernel ends in the declared state, and unaffected ports notice
//! nothing. A failure prints the seed; `ESFERA_SEED` repeats it, except for the moments at which engines die.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::network::chaos::{Chance, change, spoil};
use crate::network::ping::Requests;
use crate::network::process::{Process, serve};
use crate::network::wait::until_blocking;
use crate::network::{Network, counts, declaration, ip, port_group, switch};
use rustix::process::Signal;
use vswitch::declare::{Declaration, Port, PortGroup};
use vswitch::kernel::Kernel;
use vswitch::layout::{MemberKey, PORT_UPLINK, Target};
use vswitch::limits::PORTS;
use vswitch::plan::{self, Fitness, Numbers, Own, Placements, Seats, Step, difference};
use vswitch::vmkernel::port_interface;
use vswitch::{Error, Vlan};

#[tokio::test]
async fn engine_of_a_process() {
    serve().await;
}

/// Waits until the kernel has exactly the declared state, apart from numbers.
fn settles(net: &Network, maps: &Kernel, declared: &Declaration, what: &str) {
    let describe = || format!("{what}: {:#?}", differs(net, maps, declared));
    until_blocking(describe, || differs(net, maps, declared).is_empty().then_some(()));
}

/// The differences from a plan made from nothing.
fn differs(net: &Network, maps: &Kernel, declared: &Declaration) -> Vec<String> {
    let (links, found) = (net.links(), maps.read().unwrap());
    let mut declared = declared.clone();
    declared.ports.extend(declared.adapters.iter().map(|adapter| Port {
        interface: port_interface(&adapter.device),
        port_group: adapter.port_group,
        mac: adapter.mac,
        guest_mac: None,
        blocked: false,
    }));
    let numbers: Numbers = found.ports.iter().map(|(index, port)| (*index, port.number)).collect();
    let distinct: BTreeSet<u32> = numbers.values().copied().collect();
    let mut wrong = Vec::new();
    if distinct.len() != numbers.len() {
        wrong.push(format!("two ports have one number: {numbers:?}"));
    }
    let (queue, mirror) = net.own_pairs();
    let index = |name: &str| links.get(name).map(|link| link.index);
    let own = Own { queue: index(&queue.near), mirror: index(&mirror.near) };
    let mut tables = plan::tables(&declared, &links, &numbers, own, &Placements::new());
    let fitness = |name: &str| match links.get(name).is_some_and(|link| link.running) {
        true => Fitness::Works,
        false => Fitness::Broken,
    };
    (tables.teams, _) = plan::teams(&declared, &links, &numbers, &Seats::new(), |_, name| fitness(name));
    wrong.extend(difference(&found, &tables).iter().map(|step| format!("{step:?}")));
    // Declared interfaces that exist but are missing from the tables: an unnumbered one is a difference, too.
    let uplinks = declared.switches[0].uplinks.iter().map(|name| (name, "from_uplink"));
    let ports = declared.ports.iter().map(|port| (&port.interface, "from_port"));
    let mut pins: BTreeSet<String> = BTreeSet::new();
    for (name, program) in ports.chain(uplinks) {
        let Some(link) = links.get(name) else { continue };
        pins.insert(format!("{}-{program}", link.index));
        let is_connected = declared
            .ports
            .iter()
            .all(|port| &port.interface != name || declared.port_group(port.port_group).is_some());
        if is_connected != found.ports.contains_key(&link.index) {
            wrong.push(format!("{name}: no port"));
        }
        let shown = net.run("host", &format!("ip link show {name}")).stdout;
        let shown = String::from_utf8(shown).unwrap();
        if is_connected
            && !(shown.contains(&format!("mtu {} ", declared.switches[0].mtu)) && shown.contains(",UP"))
        {
            wrong.push(shown);
        }
    }
    for (far, needed, program) in [
        (queue.far.as_str(), !tables.extras.shapers.is_empty(), "from_queue"),
        (mirror.far.as_str(), !declared.mirrors.is_empty(), "from_mirror"),
    ] {
        let link = links.get(far);
        if let Some(link) = link {
            pins.insert(format!("{}-{program}", link.index));
        }
        if link.is_some_and(|link| link.running) != needed {
            wrong.push(format!("{far}: {link:?}, needed: {needed}"));
        }
    }
    let entries = std::fs::read_dir(net.pins().join("links")).unwrap().flatten();
    // Marks beside the links keep which uplinks had IPv6 off, and each uplink's MTUs.
    let names = entries.map(|entry| entry.file_name().into_string().unwrap());
    let names = names.filter(|name| !name.ends_with("-silent"));
    let (marks, attached): (BTreeSet<String>, BTreeSet<String>) =
        names.partition(|name| name.contains("-mtu-"));
    if attached != pins {
        wrong.push(format!("attached: {attached:?}, expected: {pins:?}"));
    }
    let mtu = declared.switches[0].mtu;
    let uplinks: BTreeSet<u32> = declared.switches[0].uplinks.iter().filter_map(|name| index(name)).collect();
    let is_of = |mark: &str, uplink: u32| {
        mark.starts_with(&format!("{uplink}-mtu-")) && mark.ends_with(&format!("-{mtu}-{mtu}"))
    };
    let is_kept = |uplink: &u32| marks.iter().any(|mark| is_of(mark, *uplink));
    if marks.len() != uplinks.len() || !uplinks.iter().all(is_kept) {
        wrong.push(format!("kept: {marks:?} of {uplinks:?}"));
    }
    wrong
}

/// u1 and u2, which nothing affects, on the uplink up0; and c1 to c4, to which everything happens.
fn scene() -> (Network, Declaration, Vec<Port>) {
    let mut net = Network::new(&["up0", "up1"]);
    let own = [net.guest("u1", "10.1.0.1/24"), net.guest("u2", "10.1.0.2/24")];
    let guests: Vec<Port> =
        (1..=4).map(|at| net.guest(&format!("c{at}"), &format!("10.1.0.1{at}/24"))).collect();
    net.station("outside", "10.1.0.9/24");
    let mut first = port_group(1, 0);
    first.policy.order = Some((vec!["up0".into()], vec![]));
    let some = PortGroup { vlan: Vlan::try_from(10).unwrap(), ..port_group(3, 0) };
    let switch = switch(&["up0", "up1"], vec![first, port_group(2, 0), some, port_group(4, 30)]);
    let ports = own.into_iter().map(|port| (port, 1)).chain(guests.iter().cloned().zip([1, 2, 3, 4]));
    (net, declaration(switch, ports.collect()), guests)
}

#[tokio::test]
async fn the_kernel_ends_as_declared_and_unaffected_ports_lose_nothing() {
    let seed: u64 = std::env::var("ESFERA_SEED").map_or(20_262, |seed| seed.parse().unwrap());
    let mut chance = Chance((seed + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let (net, mut declared, guests) = scene();
    let mut engine = Process::start(&net);
    assert_eq!(engine.declare(&declared), "done");
    assert!(net.reaches("u1", "10.1.0.2") && net.reaches("u1", "10.1.0.9"));
    for (name, other) in [("u1", "10.1.0.2"), ("u1", "10.1.0.9"), ("u2", "10.1.0.1"), ("outside", "10.1.0.1")]
    {
        net.keep_neighbour(name, other);
    }
    let kept: Vec<u32> = ["u1", "u2", "up0"].iter().map(|name| net.links()[*name].index).collect();
    let mut maps = Kernel::open(&net.pins(), false).unwrap();
    let pings = ["10.1.0.2", "10.1.0.9"].map(|to| net.pinging("u1", to, Requests::without_end(5)));
    let mut told = Vec::new();
    for step in 0..40 {
        for _ in 0..=chance.below(3) {
            change(&mut declared, &guests, &mut chance);
        }
        engine.ask(&declared);
        let what = format!("seed {seed}, step {step}, after {told:#?}");
        if chance.below(3) > 0 {
            let answer = engine.answer();
            assert_eq!(answer, "done", "{what}");
            continue;
        }
        std::thread::sleep(Duration::from_millis(chance.below(30)));
        engine.signal(Signal::KILL);
        drop(engine);
        told.push(format!("killed in step {step}"));
        for _ in 0..chance.below(4) {
            told.push(spoil(&net, &mut maps, &kept, &guests, &mut chance));
        }
        engine = Process::start(&net);
        assert_eq!(engine.declare(&declared), "done", "{what}");
        settles(&net, &maps, &declared, &format!("seed {seed}, step {step}, after {told:#?}"));
    }
    for answers in pings.map(|ping| ping.stop()) {
        eprintln!("{} pings", answers.sent);
        answers.lost_nothing(&format!("seed {seed}, after {told:#?}"));
    }
    assert!(told.len() > 5, "{told:?}");
    assert!(maps.read().unwrap().ports.values().any(|port| port.flags & PORT_UPLINK != 0));
}

#[tokio::test]
async fn a_declaration_that_does_not_fit_is_refused_and_changes_nothing() {
    let (net, mut declared, guests) = scene();
    let engine = net.engine().await;
    engine.declare(declared.clone()).await.unwrap();
    let mut many = declared.clone();
    let port = |at: usize| Port { interface: format!("n{at}"), ..guests[0].clone() };
    many.ports.extend((0..PORTS).map(port));
    let refused = engine.declare(many).await;
    assert!(matches!(refused, Err(Error::Limit { most: PORTS, .. })), "{refused:?}");
    // The engine does not know these entries until the next one reads the maps.
    let mut maps = Kernel::open(&net.pins(), false).unwrap();
    let entry = |position| Step::Member(MemberKey { list: 1_000_000, position }, Target::default());
    let full = (0..u32::MAX).find(|position| maps.apply(&entry(*position)).is_err()).unwrap();
    assert!(full > 200_000, "{full}");
    // c1 leaves VLAN 0, whose list then changes.
    declared.ports[2].port_group = 2;
    declared.switches[0].port_groups[1].vlan = Vlan::try_from(20).unwrap();
    for _ in 0..2 {
        let refused = engine.declare(declared.clone()).await;
        assert!(matches!(refused, Err(Error::Map { map: "members", .. })), "{refused:?}");
        assert!(net.reaches("u1", "10.1.0.2") && net.reaches("u1", "10.1.0.9"));
        let heard = async || engine.counters("u2").await.unwrap().unwrap().to_broadcast;
        let before = heard().await;
        net.run("u1", "ping -c 1 -W 0.1 -b 10.1.0.255");
        counts("the list is what it was", before + 1, heard).await;
    }
    engine.end().await;
    let engine = net.engine().await;
    // It removes the foreign entries, and then there is room.
    let _ = engine.declare(declared.clone()).await;
    engine.declare(declared.clone()).await.unwrap();
    settles(&net, &maps, &declared, "after it was full");
}

#[tokio::test]
async fn a_stopped_engine_catches_up_with_links() {
    let (net, mut declared, _) = scene();
    declared.switches[0].port_groups[1].policy.order = Some((vec!["up0".into(), "up1".into()], vec![]));
    let mut engine = Process::start(&net);
    assert_eq!(engine.declare(&declared), "done");
    let maps = Kernel::open(&net.pins(), false).unwrap();
    settles(&net, &maps, &declared, "at first");
    engine.signal(Signal::STOP);
    assert!(net.reaches("u1", "10.1.0.2") && net.reaches("u1", "10.1.0.9"), "without it");
    let wire = net.namespace("wire");
    ip(&wire, "link set w-up1 down");
    // More events than its socket holds.
    let file = net.room().join("batch");
    let lines = (0..500).map(|at| format!("link add x{at} group 77 type veth peer name y{at}\n"));
    std::fs::write(&file, lines.collect::<String>()).unwrap();
    assert!(net.run("host", &format!("ip -batch {}", file.display())).status.success());
    // The kernel reports a link that is down with a delay.
    let differs = || (!differs(&net, &maps, &declared).is_empty()).then_some(());
    until_blocking(|| "the stopped engine has reconciled".into(), differs);
    engine.signal(Signal::CONT);
    settles(&net, &maps, &declared, "after it went on");
    assert!(net.run("host", "ip link delete group 77").status.success());
    ip(&wire, "link set w-up1 up");
    settles(&net, &maps, &declared, "after a flood of links");
    assert!(net.reaches("u1", "10.1.0.2") && net.reaches("u1", "10.1.0.9"));
}
