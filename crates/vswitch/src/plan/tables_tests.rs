use super::*;
use crate::declare::{self, Balancing, Policy, PortGroup, Switch};
use crate::layout::*;
use crate::plan::Link;

fn mac(last: u8) -> Mac {
    Mac([0, 0x50, 0x56, 0, 0, last])
}

fn group(number: u32, vlan: i32, policy: declare::Override) -> PortGroup {
    PortGroup { number, name: format!("pg{number}"), vlan: Vlan::try_from(vlan).unwrap(), policy }
}

fn switch(port_groups: Vec<PortGroup>) -> Switch {
    let uplinks = vec!["up0".into(), "up1".into()];
    Switch {
        number: 7,
        name: "vSwitch0".into(),
        mtu: 1500,
        uplinks,
        policy: Policy::default(),
        discovery: None,
        multicast: Default::default(),
        ipfix: None,
        port_groups,
    }
}

fn port(interface: &str, port_group: u32, last: u8) -> declare::Port {
    declare::Port { interface: interface.into(), port_group, mac: mac(last), guest_mac: None, blocked: false }
}

/// Plans with interfaces `up0`, `up1`, `t1` … `t9`, whose ifindexes are 90, 91 and 1 … 9; a port's number is ten times that.
fn plan(declared: &Declaration) -> Tables {
    let links: Links = [("up0".to_owned(), 90), ("up1".to_owned(), 91)]
        .into_iter()
        .chain((1..=9).map(|n| (format!("t{n}"), n)))
        .map(|(name, index)| (name, Link { index, running: true }))
        .collect();
    let numbers = links.values().map(|link| (link.index, link.index * 10)).collect();
    tables(declared, &links, &numbers, Own::default(), &Placements::new())
}

fn members(tables: &Tables, vlan: u16, of: Mac) -> (Vec<u32>, Vec<u32>) {
    let indexes = |targets: &[Target]| targets.iter().map(|target| target.ifindex).collect();
    match tables.groups.get(&StationKey { network: 7, vlan, mac: of.0 }) {
        Some(group) => (indexes(&group.untagged), indexes(&group.tagged)),
        None => (vec![], vec![]),
    }
}

#[test]
fn broadcasts_stay_in_their_vlan_and_reach_ports_that_take_all() {
    let none = declare::Override::default;
    let switch = switch(vec![group(1, 0, none()), group(2, 10, none()), group(3, 4095, none())]);
    let ports = vec![port("t1", 1, 1), port("t2", 2, 2), port("t3", 2, 3), port("t4", 3, 4)];
    let tables = plan(&Declaration { switches: vec![switch], ports, ..Declaration::default() });
    assert_eq!(members(&tables, 0, Mac::BROADCAST), (vec![1], vec![4]));
    assert_eq!(members(&tables, 10, Mac::BROADCAST), (vec![2, 3], vec![4]));
    assert_eq!(members(&tables, VLAN_ANY, Mac::BROADCAST), (vec![], vec![4]));
    assert_eq!(tables.stations[&StationKey { network: 7, vlan: 10, mac: mac(3).0 }].ifindex, 3);
    assert_eq!(tables.stations[&StationKey { network: 7, vlan: VLAN_ANY, mac: mac(4).0 }].vlan, VLAN_TRUNK);
    assert_eq!(tables.ports[&4].vlan, VLAN_TRUNK);
    assert!(tables.ports[&90].flags & PORT_TEAMED != 0 && tables.ports[&90].flags & PORT_UPLINK != 0);
}

#[test]
fn a_promiscuous_port_group_listens_to_its_own_vlan_only() {
    let listening = declare::Override { promiscuous: Some(true), ..Default::default() };
    let switch = switch(vec![
        group(1, 10, Default::default()),
        group(2, 10, listening),
        group(3, 20, Default::default()),
    ]);
    let ports = vec![port("t1", 1, 1), port("t2", 2, 2), port("t3", 3, 3)];
    let tables = plan(&Declaration { switches: vec![switch], ports, ..Declaration::default() });
    assert_eq!(members(&tables, 10, Mac::ZERO), (vec![2], vec![]));
    assert_eq!(members(&tables, 20, Mac::ZERO), (vec![], vec![]));
    let is_snooped = |index: u32| tables.ports[&index].flags & PORT_SNOOPED != 0;
    assert_eq!([1, 2, 3, 90].map(is_snooped), [true, true, false, true]);
}

#[test]
fn a_promiscuous_port_that_takes_all_tags_listens_to_every_vlan() {
    let listening = declare::Override { promiscuous: Some(true), ..Default::default() };
    let switch = switch(vec![group(1, 10, Default::default()), group(2, 4095, listening)]);
    let tables = plan(&Declaration {
        switches: vec![switch],
        ports: vec![port("t1", 1, 1), port("t2", 2, 2)],
        ..Declaration::default()
    });
    assert_eq!(members(&tables, 10, Mac::ZERO), (vec![], vec![2]));
    assert_eq!(members(&tables, VLAN_ANY, Mac::ZERO), (vec![], vec![2]));
    assert!(tables.ports[&1].flags & PORT_SNOOPED != 0);
}

#[test]
fn a_guest_that_changes_its_mac_is_reached_by_it_or_goes_deaf() {
    let strict = declare::Override { mac_changes: Some(false), ..Default::default() };
    let switch = switch(vec![group(1, 0, Default::default()), group(2, 0, strict)]);
    let mut ports = vec![port("t1", 1, 1), port("t2", 2, 2), port("t3", 2, 3)];
    ports[0].guest_mac = Some(mac(101));
    ports[1].guest_mac = Some(mac(102));
    ports[2].guest_mac = Some(mac(3));
    let tables = plan(&Declaration { switches: vec![switch], ports, ..Declaration::default() });
    let station = |last| tables.stations.get(&StationKey { network: 7, vlan: 0, mac: mac(last).0 });
    assert_eq!(station(101).map(|target| target.ifindex), Some(1));
    assert!(station(1).is_none() && station(102).is_none());
    assert_eq!(station(2).map(|target| target.flags), Some(PORT_DEAF));
    assert_eq!(station(3).map(|target| target.flags), Some(0));
}

#[test]
fn ports_without_interface_or_port_group_are_left_out() {
    let switch = switch(vec![group(1, 0, Default::default())]);
    let ports = vec![port("missing", 1, 1), port("t2", 9, 2)];
    let tables = plan(&Declaration { switches: vec![switch], ports, ..Declaration::default() });
    assert!(tables.stations.is_empty() && tables.groups.is_empty());
    assert_eq!(tables.ports.keys().copied().collect::<Vec<_>>(), [90, 91]);
}

#[test]
fn shaping_marks_ports_for_what_they_send_and_targets_for_what_they_get() {
    let on = declare::ShapingOverride { enabled: Some(true), ..Default::default() };
    let switch = switch(vec![
        group(1, 0, declare::Override { outbound: on, ..Default::default() }),
        group(2, 0, declare::Override { inbound: on, ..Default::default() }),
    ]);
    let ports = vec![port("t1", 1, 1), port("t2", 2, 2)];
    let tables = plan(&Declaration { switches: vec![switch], ports, ..Declaration::default() });
    let station = |last| tables.stations[&StationKey { network: 7, vlan: 0, mac: mac(last).0 }];
    let sends = |index: u32| tables.ports[&index].flags & PORT_SHAPED != 0;
    assert_eq!((sends(1), station(1).flags), (true, 0));
    assert_eq!((sends(2), station(2).flags), (false, PORT_SHAPED));
    let keys = [WayKey { number: 10, way: WAY_FROM }, WayKey { number: 20, way: WAY_TO }];
    assert_eq!(tables.extras.shapers.keys().copied().collect::<Vec<_>>(), keys);
    assert_eq!(tables.extras.shapers.values().map(|shaper| shaper.ifindex).collect::<Vec<_>>(), [1, 2]);
}

#[test]
fn a_port_that_takes_some_vlans_is_a_trunk_with_a_set() {
    let vlan = Vlan::Ranges(vec![(0, 0), (10, 12), (4094, 4094)].try_into().unwrap());
    let switch = switch(vec![PortGroup { vlan, ..group(1, 0, Default::default()) }]);
    let ports = vec![port("t1", 1, 1)];
    let tables = plan(&Declaration { switches: vec![switch], ports, ..Declaration::default() });
    assert_eq!((tables.ports[&1].vlan, tables.ports[&1].flags & PORT_RANGES), (VLAN_TRUNK, PORT_RANGES));
    let station = tables.stations[&StationKey { network: 7, vlan: VLAN_ANY, mac: mac(1).0 }];
    assert_eq!(station.flags, PORT_RANGES);
    assert_eq!(members(&tables, VLAN_ANY, Mac::BROADCAST), (vec![], vec![1]));
    let vlans = tables.extras.trunks[&10].vlans;
    let taken: Vec<usize> = (0..4096).filter(|vlan| vlans[vlan / 64] >> (vlan % 64) & 1 == 1).collect();
    assert_eq!(taken, [0, 10, 11, 12, 4094]);
}

#[test]
fn snooped_and_watched_ports_have_their_flags() {
    let on = declare::Override { ipfix: Some(true), ..Default::default() };
    let mut switch = switch(vec![group(1, 10, Default::default()), group(2, 10, on)]);
    let ports = vec![port("t1", 1, 1), port("t2", 2, 2)];
    let declared = |switch: &Switch| Declaration {
        switches: vec![switch.clone()],
        ports: ports.clone(),
        ..Declaration::default()
    };
    let has = |tables: &Tables, index: u32, flag| tables.ports[&index].flags & flag != 0;
    let tables = plan(&declared(&switch));
    assert!(
        [1, 2, 90].iter().all(|index| !has(&tables, *index, PORT_LISTENED | PORT_WATCHED)),
        "nobody is told"
    );
    assert!(tables.extras.watches.is_empty());

    switch.multicast = declare::MulticastFiltering::Snooping;
    let collector = ([10, 0, 0, 9], 4739).into();
    switch.ipfix = Some(declare::Ipfix { internal_only: true, ..declare::Ipfix::to(collector) });
    let tables = plan(&declared(&switch));
    assert_eq!([1, 2, 90, 91].map(|index| has(&tables, index, PORT_LISTENED)), [true; 4]);
    assert_eq!([1, 2, 90, 91].map(|index| has(&tables, index, PORT_WATCHED)), [false, true, false, false]);
    let station = |last| tables.stations[&StationKey { network: 7, vlan: 10, mac: mac(last).0 }].flags;
    assert_eq!([1, 2].map(|last| station(last) & PORT_WATCHED != 0), [false, true]);
    let watch = Watch { every: 1, flags: WATCH_INTERNAL };
    assert_eq!(tables.extras.watches, [(20, watch)].into());
}

#[test]
fn ports_that_learn_are_known_to_their_switch_and_get_what_nobody_has_once() {
    let learning = |more: declare::Learning| declare::Override {
        learning: Some(declare::Learning { enabled: true, ..more }),
        ..Default::default()
    };
    let all = declare::Learning::default();
    let quiet = declare::Learning {
        unicast_flooding: false,
        limit: 7,
        at_limit: AtLimit::Allow,
        ..declare::Learning::default()
    };
    let mut groups = vec![
        group(1, 10, learning(all)),
        group(2, 10, learning(quiet)),
        group(3, 10, declare::Override { promiscuous: Some(true), ..learning(all) }),
        group(4, 10, declare::Override { forged_transmits: Some(false), ..learning(all) }),
        group(5, 4095, learning(all)),
    ];
    groups.push(group(6, 20, Default::default()));
    let ports: Vec<_> = (1..=6u8).map(|n| port(&format!("t{n}"), n.into(), n)).collect();
    let declared = Declaration { switches: vec![switch(groups)], ports, ..Declaration::default() };
    let tables = plan(&declared);
    let learners: Vec<(u32, u32, u32)> =
        tables.extras.learners.iter().map(|(number, it)| (*number, it.limit, it.flags)).collect();
    let drops = LEARNER_DROPS;
    assert_eq!(learners, [(10, 4096, drops), (20, 7, 0), (30, 4096, drops), (50, 4096, drops)]);
    assert_eq!(tables.extras.learners[&20].target.ifindex, 2);
    let has = |index: u32, flag: u32| tables.ports[&index].flags & flag != 0;
    assert_eq!([1, 4, 6].map(|index| has(index, PORT_LEARNS)), [true, false, false]);
    assert_eq!([1, 4, 6, 90].map(|index| has(index, PORT_LEARNED)), [true; 4]);
    assert_eq!([1, 4, 6].map(|index| has(index, PORT_TEAMED)), [true, false, false], "it may come back");
    assert_eq!(members(&tables, 10, Mac::NOBODY), (vec![1], vec![5]), "who is promiscuous gets it anyway");
    assert_eq!(members(&tables, 20, Mac::NOBODY), (vec![], vec![5]));
    assert_eq!(members(&tables, VLAN_ANY, Mac::NOBODY), (vec![], vec![5]));

    let mut without = declared;
    without.switches[0].uplinks.truncate(1);
    assert!(plan(&without).ports.values().all(|port| port.flags & PORT_TEAMED == 0), "nothing comes back");
    without.switches[0].port_groups.retain(|group| group.number == 6);
    let tables = plan(&without);
    assert!(tables.extras.learners.is_empty());
    assert!(tables.ports.values().all(|port| port.flags & (PORT_LEARNS | PORT_LEARNED) == 0));
}

#[test]
fn only_a_port_that_is_balanced_by_load_is_where_its_load_has_brought_it() {
    let by = |balancing| declare::Override { balancing: Some(balancing), ..Default::default() };
    let groups = vec![group(1, 0, by(Balancing::Load)), group(2, 0, by(Balancing::Port))];
    let ports = vec![port("t1", 1, 1), port("t2", 1, 2), port("t3", 2, 3)];
    let declared = Declaration { switches: vec![switch(groups)], ports, ..Declaration::default() };
    let links: Links = (1..=3).map(|n| (format!("t{n}"), Link { index: n, running: true })).collect();
    let numbers = (1..=3).map(|index| (index, index * 10)).collect();
    let tables = tables(&declared, &links, &numbers, Own::default(), &[(1, 5), (3, 5)].into());
    assert_eq!(tables.ports.values().map(|port| port.slot).collect::<Vec<_>>(), [5, 20, 30]);
    let station = |last| tables.stations[&StationKey { network: 7, vlan: 0, mac: mac(last).0 }].slot;
    assert_eq!([1, 2, 3].map(station), [5, 20, 30]);
}
