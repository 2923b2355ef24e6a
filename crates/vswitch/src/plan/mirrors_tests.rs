use super::*;
use crate::Mac;
use crate::declare::{Override, Policy, Port, PortGroup, Switch};
use crate::layout::{PORT_BLOCKED, PORT_MIRRORED, StationKey};
use crate::plan::{Link, tables};

fn vlan(number: u16) -> VlanId {
    number.try_into().unwrap()
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).into()).collect()
}

fn session(number: u32, source: MirrorSource, destination: MirrorDestination) -> MirrorSession {
    MirrorSession {
        number,
        source,
        destination,
        every: 0,
        length: None,
        strip_vlan: false,
        normal_traffic: true,
    }
}

fn ports(transmitted: &[&str], received: &[&str]) -> MirrorSource {
    MirrorSource::Ports { transmitted: names(transmitted), received: names(received) }
}

fn to_ports(interfaces: &[&str]) -> MirrorDestination {
    MirrorDestination::Ports { interfaces: names(interfaces), vlan: None }
}

/// Ports `t1` … `t4` with ifindexes 1 … 4 and numbers ten times that, uplinks `up0`, without a link, and `up1`: 90 and
/// 91.
fn plan(sessions: Vec<MirrorSession>) -> crate::plan::Tables {
    let policy = Override::default();
    let group = PortGroup { number: 3, name: "pg".into(), vlan: crate::Vlan::None, policy };
    let switch = Switch {
        number: 7,
        name: "vSwitch0".into(),
        mtu: 1500,
        uplinks: names(&["up0", "up1"]),
        discovery: None,
        multicast: Default::default(),
        ipfix: None,
        policy: Policy::default(),
        port_groups: vec![group],
    };
    let port = |n: u8| Port {
        interface: format!("t{n}"),
        port_group: 3,
        mac: Mac([2, 0, 0, 0, 0, n]),
        guest_mac: None,
        blocked: false,
    };
    let declared = Declaration {
        switches: vec![switch],
        ports: (1..=5).map(port).collect(),
        mirrors: sessions,
        ..Declaration::default()
    };
    check_mirrors(&declared).unwrap();
    let ports = (1..=4).map(|n| (format!("t{n}"), n));
    let links: Links = [("up0".to_owned(), 90), ("up1".to_owned(), 91)]
        .into_iter()
        .chain(ports)
        .map(|(name, index)| (name, Link { index, running: index != 90 }))
        .collect();
    let numbers = links.values().map(|link| (link.index, link.index * 10)).collect();
    let own = Own { queue: None, mirror: Some(80) };
    tables(&declared, &links, &numbers, own, &crate::plan::Placements::new())
}

fn copies(mirrors: &[u32]) -> Copies {
    let mut copies =
        Copies { ifindex: 80, count: u32::try_from(mirrors.len()).unwrap(), ..Copies::default() };
    copies.mirror[..mirrors.len()].copy_from_slice(mirrors);
    copies
}

#[test]
fn sources_know_their_mirrors_and_ports_their_directions() {
    let tables = plan(vec![
        session(0, ports(&["t1"], &["t1", "t2"]), to_ports(&["t3", "t4"])),
        session(2, ports(&["t1", "t1"], &[]), to_ports(&["t4"])),
    ]);
    let expected = [
        (key(10, 0, WAY_FROM), copies(&[0, 1, 16])),
        (key(10, 0, WAY_TO), copies(&[0, 1])),
        (key(20, 0, WAY_TO), copies(&[0, 1])),
    ];
    assert_eq!(tables.extras.sources, expected.into());
    let to: Vec<u32> = tables.extras.mirrors.values().map(|mirror| mirror.ifindex).collect();
    assert_eq!(to, [3, 4, 4]);
    let flags = |n: u8| {
        let key = StationKey { network: 7, vlan: 0, mac: [2, 0, 0, 0, 0, n] };
        let target = tables.stations[&key].flags & PORT_MIRRORED != 0;
        (tables.ports[&u32::from(n)].flags & PORT_MIRRORED != 0, target)
    };
    assert_eq!([flags(1), flags(2), flags(3)], [(true, true), (false, true), (false, false)]);
}

#[test]
fn a_destination_that_is_not_there_costs_nothing() {
    let gone = [
        to_ports(&["t5", "unknown"]),
        MirrorDestination::Uplink { interfaces: names(&["up0"]), vlan: vlan(99) },
        MirrorDestination::Address(Box::new(encapsulated(Encapsulation::Gre, uplink("up0")))),
        MirrorDestination::Address(Box::new(encapsulated(
            Encapsulation::Gre,
            MirrorVia::Port { interface: "t5".into() },
        ))),
    ];
    for destination in gone {
        let tables = plan(vec![session(0, ports(&["t1"], &["t1"]), destination)]);
        assert!(tables.extras.sources.is_empty() && tables.extras.mirrors.is_empty());
        assert_eq!(tables.ports[&1].flags & PORT_MIRRORED, 0);
    }
}

fn uplink(interface: &str) -> MirrorVia {
    MirrorVia::Uplink { interface: interface.into(), vlan: Some(vlan(7)) }
}

fn encapsulated(encapsulation: Encapsulation, via: MirrorVia) -> Encapsulated {
    Encapsulated {
        encapsulation,
        source_ip: [10, 0, 0, 1].into(),
        destination_ip: [10, 0, 0, 2].into(),
        source: Mac([2, 0, 0, 0, 1, 1]),
        next_hop: Mac([2, 0, 0, 0, 1, 2]),
        via,
    }
}

#[test]
fn a_copy_is_cut_to_what_the_mtu_allows() {
    let erspan3 = Encapsulation::Erspan3 { session: 5, class_of_service: 1, fine_time: true };
    let erspan2 = Encapsulation::Erspan2 { session: 5, class_of_service: 1 };
    for (encapsulation, length, snap) in [
        (Encapsulation::Gre, None, 1472),
        (erspan2, None, 1460),
        (erspan3, None, 1456),
        (erspan3, Some(9000), 1456),
        (erspan3, Some(100), 100),
        (erspan3, Some(1), 60),
    ] {
        let to = encapsulated(encapsulation, uplink("up1"));
        let mut session = session(0, ports(&["t1"], &[]), MirrorDestination::Address(Box::new(to)));
        session.length = length;
        let mirror = plan(vec![session]).extras.mirrors[&0];
        assert_eq!((mirror.ifindex, mirror.vlan, mirror.snap), (91, 7, snap), "{encapsulation:?} {length:?}");
    }
    let by_port = encapsulated(erspan3, MirrorVia::Port { interface: "t2".into() });
    let session = session(0, ports(&["t1"], &[]), MirrorDestination::Address(Box::new(by_port)));
    let mirror = plan(vec![session]).extras.mirrors[&0];
    assert_eq!((mirror.ifindex, mirror.flags, mirror.vlan), (2, MIRROR_ENTER | MIRROR_FINE_TIME, 0));
}

#[test]
fn a_vlan_goes_out_by_the_first_uplink_with_a_link_and_comes_in_by_one() {
    let out = MirrorDestination::Uplink { interfaces: names(&["up0", "up1"]), vlan: vlan(99) };
    let source = MirrorSource::Vlans { switch: 7, vlans: vec![vlan(98)] };
    let mut back = session(1, source, to_ports(&["t2"]));
    back.normal_traffic = false;
    let tables = plan(vec![session(0, ports(&["t1"], &[]), out), back]);
    let out = tables.extras.mirrors[&0];
    assert_eq!((out.ifindex, out.vlan, out.flags), (91, 99, 0));
    let back = tables.extras.mirrors[&8];
    assert_eq!((back.ifindex, back.flags, back.team, back.slot), (2, MIRROR_TEAMED, 3, 20));
    assert_eq!(tables.extras.sources[&key(7, 98, WAY_VLAN)], copies(&[8]));
    assert!(tables.ports[&91].flags & PORT_MIRRORED != 0);
    assert!(tables.ports[&2].flags & PORT_BLOCKED != 0, "it gets copies only");
    assert!(tables.ports[&1].flags & PORT_BLOCKED == 0);
}

#[test]
fn more_than_there_is_room_for_is_refused() {
    let with = |mirrors| Declaration { mirrors, ..Declaration::default() };
    let one = |number| session(number, ports(&["t1"], &[]), to_ports(&["t2"]));
    assert!(check_mirrors(&with((0..8).map(one).collect())).is_ok());
    assert!(check_mirrors(&with((0..9).map(one).collect())).is_err());
    assert!(check_mirrors(&with(vec![one(128)])).is_err());
    let many = session(0, ports(&["t1"], &[]), to_ports(&["t2"; 9]));
    assert!(check_mirrors(&with(vec![many])).is_err());
}
