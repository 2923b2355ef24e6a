use super::*;
use crate::vmkernel::view::Interface;
use crate::vmkernel::wanted;

const MAC: Mac = Mac([2, 0, 0, 0, 0, 1]);

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// `10.0.0.1/24`, and its lifetime in seconds.
type Texts<'a> = &'a [(&'a str, Option<u32>)];

fn addresses(texts: Texts<'_>) -> Vec<(IpAddr, u8, Option<u32>)> {
    let split = |text: &str| {
        let (address, prefix) = text.split_once('/').unwrap();
        (ip(address), prefix.parse().unwrap())
    };
    texts.iter().map(|(text, valid)| (split(text), *valid)).map(|((a, p), v)| (a, p, v)).collect()
}

fn adapter(device: &str, of: Texts<'_>) -> Adapter {
    let addresses = addresses(of).into_iter();
    Adapter {
        device: device.into(),
        mac: MAC,
        mtu: 1500,
        addresses: addresses
            .map(|(address, prefix, valid)| wanted::Address {
                address,
                prefix,
                lifetime: valid.map(Lifetime::whole),
            })
            .collect(),
        keeps_lease: false,
        keeps_lease6: false,
        autoconf: false,
        hears_routers: false,
        speaks_ipv6: true,
        gateways: Gateways::default(),
    }
}

fn stack(adapters: Vec<Adapter>) -> Wanted {
    let numbered = adapters.into_iter().zip(0..).map(|(adapter, number)| (number, adapter));
    Wanted { adapters: numbered.collect(), ..Wanted::default() }
}

/// `vmk0` is 10, `vmk1` is 11, `up0` is 90; all are up.
fn view(has: &[(u32, Texts<'_>)]) -> View {
    let link = |index| Interface { index, mac: Some(MAC), mtu: 1500, up: true, ..Interface::default() };
    let links = [("vmk0", 10), ("vmk1", 11), ("up0", 90)].map(|(name, index)| (name.to_owned(), link(index)));
    let address = |index, (address, prefix, valid): (IpAddr, u8, Option<u32>)| view::Address {
        index,
        address,
        prefix,
        lifetime: valid.map(Lifetime::whole),
        link_local: address.to_string().starts_with("fe80"),
        settled: true,
        duplicate: false,
    };
    let all =
        has.iter().flat_map(|(index, texts)| addresses(texts).into_iter().map(|one| address(*index, one)));
    View { links: links.into(), addresses: all.collect(), ..View::default() }
}

fn default_route(gateway: &str, index: u32) -> Route {
    through(Via { destination: everywhere(ip(gateway)), prefix: 0, gateway: ip(gateway) }, index, MAIN)
}

fn steps(wanted: &Wanted, view: &View) -> Vec<Step> {
    let plan = plan(wanted, view, &[]);
    assert!(plan.problems.is_empty(), "{:?}", plan.problems);
    plan.steps.into_iter().map(|(_, step)| step).collect()
}

#[test]
fn an_adapter_that_is_right_is_not_touched() {
    let mut wanted = stack(vec![adapter("vmk0", &[("10.0.0.1/24", None), ("fd00::1/64", None)])]);
    wanted.gateways = Gateways { ipv4: Some([10, 0, 0, 254].into()), ipv6: Some("fe80::1".parse().unwrap()) };
    let mut view = view(&[(10, &[("10.0.0.1/24", None), ("fd00::1/64", None), ("fe80::5/64", None)])]);
    view.routes = vec![default_route("10.0.0.254", 10), default_route("fe80::1", 10)];
    assert_eq!(steps(&wanted, &view), []);
}

#[test]
fn new_entries_come_before_old_ones_go() {
    let mut wanted = stack(vec![adapter("vmk0", &[("10.0.0.1/24", None)])]);
    wanted.gateways.ipv4 = Some([10, 0, 0, 254].into());
    let mut view = view(&[(10, &[("10.9.0.1/16", None)])]);
    let old = default_route("10.9.0.254", 10);
    view.routes = vec![old];
    let link = view.links.get_mut("vmk0").unwrap();
    (link.mac, link.mtu, link.up) = (None, 9000, false);
    assert_eq!(
        steps(&wanted, &view),
        [
            Step::Mac(10, MAC),
            Step::Mtu(10, 1500),
            Step::Address(10, (ip("10.0.0.1"), 24), None),
            Step::Up(10),
            Step::Route(default_route("10.0.0.254", 10)),
            Step::NoRoute(old),
            Step::NoAddress(10, (ip("10.9.0.1"), 16)),
        ]
    );
}

#[test]
fn leases_are_prolonged_and_unknown_ones_kept() {
    let of = |valid| stack(vec![adapter("vmk0", &[("10.0.0.1/24", valid)])]);
    let prolong =
        |valid: Option<u32>| vec![Step::Address(10, (ip("10.0.0.1"), 24), valid.map(Lifetime::whole))];
    for (case, wanted, has, expected) in [
        ("nearly the same time", of(Some(600)), Some(597), vec![]),
        ("renewed", of(Some(3600)), Some(1800), prolong(Some(3600))),
        ("was static", of(Some(3600)), None, prolong(Some(3600))),
        ("becomes static", of(None), Some(100), prolong(None)),
    ] {
        assert_eq!(steps(&wanted, &view(&[(10, &[("10.0.0.1/24", has)])])), expected, "{case}");
    }
    let mut pending = stack(vec![Adapter { keeps_lease: true, ..adapter("vmk0", &[]) }]);
    let mut there = view(&[(10, &[("10.0.0.1/24", Some(100)), ("10.5.0.1/24", None)])]);
    there.routes = vec![default_route("10.0.0.254", 10)];
    assert_eq!(steps(&pending, &there), [Step::NoAddress(10, (ip("10.5.0.1"), 24))], "static ones go");
    pending.adapters.get_mut(&0).unwrap().keeps_lease = false;
    assert_eq!(steps(&pending, &there).len(), 3, "nothing given: all goes");
}

#[test]
fn an_address_that_is_preferred_for_longer_or_shorter_is_set_again() {
    let mut wanted = stack(vec![adapter("vmk0", &[("fd00::1/128", Some(600))])]);
    let there = view(&[(10, &[("fd00::1/128", Some(600))])]);
    assert_eq!(steps(&wanted, &there), []);
    let lifetime = Some(Lifetime { valid: 600, preferred: 300 });
    wanted.adapters.get_mut(&0).unwrap().addresses[0].lifetime = lifetime;
    assert_eq!(steps(&wanted, &there), [Step::Address(10, (ip("fd00::1"), 128), lifetime)]);
}

#[test]
fn addresses_of_advertisements_stay_where_they_may_come() {
    let mut wanted = stack(vec![adapter("vmk0", &[])]);
    let there = view(&[(10, &[("fd00::77/64", Some(900)), ("fe80::5/64", None), ("fd00::9/64", None)])]);
    let no = |text, prefix| Step::NoAddress(10, (ip(text), prefix));
    assert_eq!(steps(&wanted, &there), [no("fd00::77", 64), no("fd00::9", 64)]);
    wanted.adapters.get_mut(&0).unwrap().autoconf = true;
    assert_eq!(steps(&wanted, &there), [no("fd00::9", 64)]);
    // Addresses from a DHCPv6 server are told apart.
    let there =
        view(&[(10, &[("fd00::77/64", Some(900)), ("fd00::88/128", Some(900)), ("fd00::99/128", None)])]);
    assert_eq!(steps(&wanted, &there), [no("fd00::88", 128), no("fd00::99", 128)]);
    let adapter = wanted.adapters.get_mut(&0).unwrap();
    (adapter.autoconf, adapter.keeps_lease6) = (false, true);
    assert_eq!(steps(&wanted, &there), [no("fd00::77", 64), no("fd00::99", 128)]);
}

#[test]
fn others_routes_stay_and_a_gateway_goes_by_the_adapter_that_reaches_it() {
    let mut wanted =
        stack(vec![adapter("vmk0", &[("10.0.0.1/24", None)]), adapter("vmk1", &[("10.1.0.1/24", None)])]);
    wanted.gateways.ipv4 = Some([10, 1, 0, 254].into());
    wanted.routes =
        vec![crate::declare::Route { network: ip("172.16.5.5"), prefix: 16, gateway: ip("10.0.0.9") }];
    let mut view = view(&[(10, &[("10.0.0.1/24", None)]), (11, &[("10.1.0.1/24", None)])]);
    let foreign = Route { origin: Origin::Other, ..default_route("10.0.0.3", 10) };
    view.routes = vec![foreign, Route { origin: Origin::Kernel, gateway: None, ..foreign }];
    let network = Route { destination: ip("172.16.0.0"), prefix: 16, ..default_route("10.0.0.9", 10) };
    let new = [Step::Route(default_route("10.1.0.254", 11)), Step::Route(network)];
    assert_eq!(steps(&wanted, &view), new);
    wanted.gateways.ipv4 = Some([192, 168, 0, 1].into());
    let problems = plan(&wanted, &view, &[]).problems;
    assert!(problems.len() == 1 && problems[0].contains("192.168.0.1"), "{problems:?}");
}

#[test]
fn an_adapter_with_its_own_gateway_gets_a_table() {
    let mut wanted = stack(vec![adapter("vmk0", &[]), adapter("vmk1", &[("10.1.0.1/24", None)])]);
    wanted.adapters.get_mut(&1).unwrap().gateways.ipv4 = Some([10, 1, 0, 254].into());
    let mut view = view(&[(11, &[("10.1.0.1/24", None)])]);
    let default = Route { table: TABLES + 1, ..default_route("10.1.0.254", 11) };
    let network = Route { destination: ip("10.1.0.0"), prefix: 24, gateway: None, ..default };
    let rule = Rule { source: ip("10.1.0.1"), table: TABLES + 1, priority: PRIORITIES + 1 };
    assert_eq!(steps(&wanted, &view), [Step::Route(network), Step::Route(default), Step::Rule(rule)]);
    (view.routes, view.rules) = (vec![network, default], vec![rule]);
    assert_eq!(steps(&wanted, &view), []);
    wanted.adapters.get_mut(&1).unwrap().gateways.ipv4 = None;
    assert_eq!(steps(&wanted, &view), [Step::NoRule(rule), Step::NoRoute(network), Step::NoRoute(default)]);
}

#[test]
fn an_uplink_gives_up_what_it_had_once_there_is_an_adapter() {
    let wanted = stack(vec![adapter("vmk0", &[("10.0.0.1/24", None)])]);
    let mut view =
        view(&[(10, &[("10.0.0.1/24", None)]), (90, &[("10.0.0.1/24", Some(7)), ("fe80::1/64", None)])]);
    let default = Route { origin: Origin::Other, ..default_route("10.0.0.254", 90) };
    view.routes = vec![default, Route { origin: Origin::Kernel, ..default }];
    let taken = plan(&wanted, &view, &["up0".into()]).steps;
    let steps = [Step::NoAddress(90, (ip("10.0.0.1"), 24)), Step::NoRoute(default)];
    assert_eq!(taken, steps.map(|step| ("up0".to_owned(), step)));
    assert_eq!(plan(&stack(vec![]), &view, &["up0".into()]).steps, [], "it would be the only address");
}
