//! From the content of a namespace to the declared content of its stack: pure. Correct parts stay untouched, and
//! additions precede removals.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::view::{self, Lifetime, MAIN, Origin, Route, Rule, View, everywhere, is_in, network};
use super::wanted::{Adapter, Wanted};
use crate::Mac;
use crate::declare::Gateways;

/// A change of a namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    Mac(u32, Mac),
    Mtu(u32, u32),
    Address(u32, (IpAddr, u8), Option<Lifetime>),
    Up(u32),
    Route(Route),
    Rule(Rule),
    NoRule(Rule),
    NoRoute(Route),
    NoAddress(u32, (IpAddr, u8)),
}

/// The steps, each with its device, and the declared gateways that cannot be used.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Plan {
    pub steps: Vec<(String, Step)>,
    pub problems: Vec<String>,
}

/// First routing table, and first priority of rules, of adapters with gateways of their own.
const TABLES: u32 = 0xe5_0000;
const PRIORITIES: u32 = 20_000;
/// Metric of Esfera's IPv6 routes: before those of router advertisements (1024), which a declared gateway overrules.
const METRIC: u32 = 512;
/// The remaining time of an address may differ from the planned one by this many seconds: they are read at different
/// times.
const SLACK: u32 = 5;

/// `uplinks` are interfaces whose frames go to the switch, so that their own addresses and routes are useless.
pub(crate) fn plan(wanted: &Wanted, view: &View, uplinks: &[String]) -> Plan {
    let mut plan = Plan::default();
    let mut indexes = BTreeSet::new();
    let (mut routes, mut rules) = (BTreeSet::new(), BTreeSet::new());
    let present: Vec<(u32, &Adapter, u32)> = wanted
        .adapters
        .iter()
        .filter_map(|(number, adapter)| Some((*number, adapter, view.links.get(&adapter.device)?.index)))
        .collect();
    for (number, adapter, index) in &present {
        indexes.insert(*index);
        interface(&mut plan, adapter, view);
        own_gateways(&mut plan, *number, adapter, *index, (&mut routes, &mut rules));
    }
    for (route, what) in stack_routes(wanted) {
        let found = present.iter().find(|(_, adapter, _)| reaches(adapter, route.gateway));
        match found {
            Some((_, _, index)) => _ = routes.insert(through(route, *index, MAIN)),
            None if present.iter().any(|(_, adapter, _)| adapter.keeps_lease) => {}
            None => plan.problems.push(format!(
                "the {what} {} is on the network of no adapter of the stack; give one an address in its network",
                route.gateway
            )),
        }
    }
    routing(&mut plan, view, &present, (&routes, &rules));
    for (_, adapter, index) in &present {
        old_addresses(&mut plan, adapter, *index, view);
    }
    if !present.is_empty() {
        retire(&mut plan, view, uplinks, &indexes);
    }
    plan
}

/// Plans the interface itself, and its addresses.
fn interface(plan: &mut Plan, adapter: &Adapter, view: &View) {
    let Some(link) = view.links.get(&adapter.device) else { return };
    let mut step = |step| plan.steps.push((adapter.device.clone(), step));
    if link.mac != Some(adapter.mac) {
        step(Step::Mac(link.index, adapter.mac));
    }
    if link.mtu != adapter.mtu {
        step(Step::Mtu(link.index, adapter.mtu));
    }
    for wanted in &adapter.addresses {
        let is_it = |has: &&view::Address| {
            has.index == link.index && (has.address, has.prefix) == (wanted.address, wanted.prefix)
        };
        let has = view.addresses.iter().find(is_it);
        let is_right = has.is_some_and(|has| match (has.lifetime, wanted.lifetime) {
            (None, None) => true,
            (Some(has), Some(wanted)) => has.is_about(&wanted, SLACK),
            _ => false,
        });
        if !is_right {
            step(Step::Address(link.index, (wanted.address, wanted.prefix), wanted.lifetime));
        }
    }
    if !link.up {
        step(Step::Up(link.index));
    }
}

fn old_addresses(plan: &mut Plan, adapter: &Adapter, index: u32, view: &View) {
    for has in view.addresses.iter().filter(|has| has.index == index) {
        let is_wanted = adapter
            .addresses
            .iter()
            .any(|wanted| (wanted.address, wanted.prefix) == (has.address, has.prefix));
        let may_stay = has.link_local
            || has.lifetime.is_some()
                && match has.address {
                    IpAddr::V4(_) => adapter.keeps_lease,
                    IpAddr::V6(_) if has.is_leased() => adapter.keeps_lease6,
                    IpAddr::V6(_) => adapter.autoconf,
                };
        if !is_wanted && !may_stay {
            plan.steps.push((adapter.device.clone(), Step::NoAddress(index, (has.address, has.prefix))));
        }
    }
}

/// Default gateways and other routes of a stack, each with a word for messages.
fn stack_routes(wanted: &Wanted) -> Vec<(Via, &'static str)> {
    let mut routes: Vec<(Via, &str)> = gateways(wanted.gateways).map(|via| (via, "gateway")).collect();
    routes.extend(wanted.routes.iter().map(|route| {
        let destination = network(route.network, route.prefix);
        (Via { destination, prefix: route.prefix, gateway: route.gateway }, "router")
    }));
    routes
}

#[derive(Clone, Copy)]
struct Via {
    destination: IpAddr,
    prefix: u8,
    gateway: IpAddr,
}

fn gateways(gateways: Gateways) -> impl Iterator<Item = Via> {
    let both = [gateways.ipv4.map(IpAddr::from), gateways.ipv6.map(IpAddr::from)];
    both.into_iter().flatten().map(|gateway| Via { destination: everywhere(gateway), prefix: 0, gateway })
}

fn through(via: Via, index: u32, table: u32) -> Route {
    Route {
        destination: via.destination,
        prefix: via.prefix,
        gateway: Some(via.gateway),
        index,
        table,
        metric: metric(via.gateway),
        origin: Origin::Ours,
    }
}

fn metric(like: IpAddr) -> u32 {
    if like.is_ipv6() { METRIC } else { 0 }
}

/// Whether an adapter is on the network of a router.
fn reaches(adapter: &Adapter, router: IpAddr) -> bool {
    let is_local = matches!(router, IpAddr::V6(router) if router.is_unicast_link_local());
    if is_local {
        return adapter.speaks_ipv6;
    }
    adapter.addresses.iter().any(|own| is_in(router, own.address, own.prefix))
}

/// Packets from the addresses of an adapter with its own gateway use a separate routing table.
fn own_gateways(
    plan: &mut Plan,
    number: u32,
    adapter: &Adapter,
    index: u32,
    (routes, rules): (&mut BTreeSet<Route>, &mut BTreeSet<Rule>),
) {
    let table = TABLES + number;
    for via in gateways(adapter.gateways) {
        if !reaches(adapter, via.gateway) {
            if !adapter.keeps_lease {
                plan.problems.push(format!(
                    "the gateway {} of {} is not on its network; give it an address in the gateway's network",
                    via.gateway, adapter.device
                ));
            }
            continue;
        }
        routes.insert(through(via, index, table));
        for own in adapter.addresses.iter().filter(|own| own.address.is_ipv4() == via.gateway.is_ipv4()) {
            routes.insert(Route {
                destination: network(own.address, own.prefix),
                prefix: own.prefix,
                gateway: None,
                index,
                table,
                metric: metric(own.address),
                origin: Origin::Ours,
            });
            rules.insert(Rule { source: own.address, table, priority: PRIORITIES + number });
        }
    }
}

fn routing(
    plan: &mut Plan,
    view: &View,
    present: &[(u32, &Adapter, u32)],
    (routes, rules): (&BTreeSet<Route>, &BTreeSet<Rule>),
) {
    let device = |index: u32| {
        let found = present.iter().find(|(_, _, own)| *own == index);
        found.map(|(_, adapter, _)| adapter.device.clone()).unwrap_or_default()
    };
    let of_rule = |rule: &Rule| format!("vmk{}", rule.table.saturating_sub(TABLES));
    // Routes to networks first: a gateway must be reachable when a route names it.
    let missing = |route: &&Route| !view.routes.contains(route);
    for has_gateway in [false, true] {
        let new = routes.iter().filter(missing).filter(|route| route.gateway.is_some() == has_gateway);
        plan.steps.extend(new.map(|route| (device(route.index), Step::Route(*route))));
    }
    let new = rules.iter().filter(|rule| !view.rules.contains(rule));
    plan.steps.extend(new.map(|rule| (of_rule(rule), Step::Rule(*rule))));

    let old = view.rules.iter().filter(|rule| !rules.contains(rule));
    plan.steps.extend(old.map(|rule| (of_rule(rule), Step::NoRule(*rule))));
    let keeps = |index| present.iter().any(|(_, adapter, own)| *own == index && adapter.keeps_lease);
    let old = view.routes.iter().filter(|route| route.origin == Origin::Ours && !routes.contains(route));
    let old = old.filter(|route| !(keeps(route.index) && route.destination.is_ipv4()));
    plan.steps.extend(old.map(|route| (device(route.index), Step::NoRoute(*route))));
}

/// Removes from uplinks what adapters have instead.
fn retire(plan: &mut Plan, view: &View, uplinks: &[String], adapters: &BTreeSet<u32>) {
    for uplink in uplinks {
        let Some(link) = view.links.get(uplink).filter(|link| !adapters.contains(&link.index)) else {
            continue;
        };
        let addresses = view.addresses.iter().filter(|has| has.index == link.index && !has.link_local);
        let addresses = addresses.map(|has| Step::NoAddress(link.index, (has.address, has.prefix)));
        // The kernel's own routes go with the addresses.
        let routes = view.routes.iter().filter(|route| route.index == link.index);
        let routes = routes.filter(|route| route.origin != Origin::Kernel).map(|route| Step::NoRoute(*route));
        plan.steps.extend(addresses.chain(routes).map(|step| (uplink.clone(), step)));
    }
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
