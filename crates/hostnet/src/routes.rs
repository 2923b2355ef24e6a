//! Routing tables of TCP/IP stacks: how they are shown, and changes of them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use vim::{Fault, Object, fault, field, ty, vim};
use vswitch::declare::{Gateways, Ipv4Config, Route, Stack, StackName};

use super::config::NetworkConfig;
use super::show::Scene;
use super::spec::invalid;

/// A step of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RouteChange {
    Add(Route),
    Remove(Route),
}

/// Reads a `HostIpRouteTableConfig`.
pub fn read(config: &Object) -> Result<Vec<RouteChange>, Fault> {
    let four = config.get(field!(HostIpRouteTableConfig.ipRoute)).into_iter().flatten();
    let six = config.get(field!(HostIpRouteTableConfig.ipv6Route)).into_iter().flatten();
    let mut changes = Vec::new();
    for (op, property, is_six) in
        four.map(|op| (op, "config.ipRoute", false)).chain(six.map(|op| (op, "config.ipv6Route", true)))
    {
        let wrong = |message: String| invalid(property, message);
        let entry = op.get(field!(HostIpRouteOp.route)).ok_or_else(|| wrong("There is no route".into()))?;
        let address = |text: Option<&str>| {
            let text = text.unwrap_or_default();
            let read = text.trim().parse().ok().filter(|address: &IpAddr| address.is_ipv6() == is_six);
            read.ok_or_else(|| wrong(format!("\"{text}\" is no address of its kind")))
        };
        let most = if is_six { 128 } else { 32 };
        let prefix = entry.get(field!(HostIpRouteEntry.prefixLength)).unwrap_or_default();
        let prefix = u8::try_from(prefix).ok().filter(|prefix| *prefix <= most);
        let route = Route {
            network: address(entry.get(field!(HostIpRouteEntry.network)))?,
            prefix: prefix.ok_or_else(|| wrong(format!("A prefix has 0 to {most} bits")))?,
            gateway: address(entry.get(field!(HostIpRouteEntry.gateway)))?,
        };
        if network(route.network, route.prefix) != route.network {
            let message = format!("{} has bits beyond its prefix of {}", route.network, route.prefix);
            return Err(wrong(message));
        }
        match op.get(field!(HostIpRouteOp.changeOperation)).unwrap_or_default() {
            "add" => changes.push(RouteChange::Add(route)),
            "remove" => changes.push(RouteChange::Remove(route)),
            "ignore" => {}
            other => return Err(wrong(format!("\"{other}\": add, remove, ignore are possible"))),
        }
    }
    Ok(changes)
}

/// The address with the bits beyond the prefix cleared.
fn network(address: IpAddr, prefix: u8) -> IpAddr {
    let gone = u32::from(prefix);
    match address {
        IpAddr::V4(four) => {
            let mask = u32::MAX.checked_shl(32 - gone).unwrap_or(0);
            IpAddr::V4(Ipv4Addr::from(u32::from(four) & mask))
        }
        IpAddr::V6(six) => {
            let mask = u128::MAX.checked_shl(128 - gone).unwrap_or(0);
            IpAddr::V6(Ipv6Addr::from(u128::from(six) & mask))
        }
    }
}

impl NetworkConfig {
    /// Changes the routes of the default stack.
    ///
    /// # Errors
    /// Those of [`change`].
    pub fn change_routes(&mut self, changes: &[RouteChange]) -> Result<(), Fault> {
        change(self.default_stack(), changes)
    }

    /// The default stack, made if nothing has been said of it yet.
    pub fn default_stack(&mut self) -> &mut Stack {
        default_stack(&mut self.stacks)
    }
}

pub(super) fn default_stack(stacks: &mut Vec<Stack>) -> &mut Stack {
    stack_of(stacks, &StackName::default())
}

/// A stack, made if nothing has been said of it yet.
pub(super) fn stack_of<'a>(stacks: &'a mut Vec<Stack>, name: &StackName) -> &'a mut Stack {
    let at = match stacks.iter().position(|stack| stack.name == *name) {
        Some(at) => at,
        None => {
            stacks.push(Stack { name: name.clone(), ..Stack::default() });
            stacks.len() - 1
        }
    };
    &mut stacks[at]
}

/// Changes the routes of a stack. One that is there is not added again.
///
/// # Errors
/// `NotFound` for one that is to be removed and is not there.
pub(super) fn change(stack: &mut Stack, changes: &[RouteChange]) -> Result<(), Fault> {
    for change in changes {
        match *change {
            RouteChange::Add(route) if route.prefix == 0 => set_default(&mut stack.gateways, route.gateway),
            RouteChange::Add(route) if stack.routes.contains(&route) => {}
            RouteChange::Add(route) => stack.routes.push(route),
            RouteChange::Remove(route) if is_default(&stack.gateways, route) => match route.gateway {
                IpAddr::V4(_) => stack.gateways.ipv4 = None,
                IpAddr::V6(_) => stack.gateways.ipv6 = None,
            },
            RouteChange::Remove(route) => {
                let at = stack.routes.iter().position(|known| *known == route);
                stack.routes.remove(at.ok_or_else(|| no_route(&stack.name, route))?);
            }
        }
    }
    Ok(())
}

fn set_default(gateways: &mut Gateways, gateway: IpAddr) {
    match gateway {
        IpAddr::V4(four) => gateways.ipv4 = Some(four),
        IpAddr::V6(six) => gateways.ipv6 = Some(six),
    }
}

fn is_default(gateways: &Gateways, route: Route) -> bool {
    route.prefix == 0
        && match route.gateway {
            IpAddr::V4(four) => gateways.ipv4 == Some(four),
            IpAddr::V6(six) => gateways.ipv6 == Some(six),
        }
}

fn no_route(stack: &StackName, route: Route) -> Fault {
    let Route { network, prefix, gateway } = route;
    fault!(NotFound {}, "The TCP/IP stack {stack} has no route to {network}/{prefix} by {gateway}")
}

impl Scene<'_> {
    /// The routes of a stack: by default, those that were asked for, and to the networks of its adapters.
    pub(super) fn routes(&self, name: &StackName) -> ty!(HostIpRouteTableInfo) {
        let entry = |route: Route, device: Option<&str>| {
            vim!(HostIpRouteEntry {
                network: route.network.to_string(),
                prefixLength: i32::from(route.prefix),
                gateway: route.gateway.to_string(),
                deviceName: device,
            })
        };
        let (mut four, mut six) = (Vec::new(), Vec::new());
        for stack in self.config.stacks.iter().filter(|stack| stack.name == *name) {
            let any4 = IpAddr::from(Ipv4Addr::UNSPECIFIED);
            let any6 = IpAddr::from(Ipv6Addr::UNSPECIFIED);
            let Gateways { ipv4, ipv6 } = &stack.gateways;
            let defaults = [ipv4.map(|at| (any4, at.into())), ipv6.map(|at| (any6, at.into()))];
            let defaults = defaults.into_iter().flatten();
            let defaults = defaults.map(|(network, gateway)| Route { network, prefix: 0, gateway });
            for route in defaults.chain(stack.routes.iter().copied()) {
                let table = if route.network.is_ipv6() { &mut six } else { &mut four };
                table.push(entry(route, None));
            }
        }
        for adapter in self.config.adapters.iter().filter(|adapter| adapter.stack == *name) {
            let seen = self.seen.adapters.get(&adapter.device).into_iter().flat_map(|seen| &seen.addresses);
            let own = match adapter.ipv4 {
                Ipv4Config::Static { address, prefix } => Some((IpAddr::from(address), prefix)),
                Ipv4Config::None => None,
                Ipv4Config::Dhcp => seen.copied().find(|(address, _)| address.is_ipv4()),
            };
            let Some((address, prefix)) = own else { continue };
            let gateway = Ipv4Addr::UNSPECIFIED.into();
            let route = Route { network: network(address, prefix), prefix, gateway };
            four.push(entry(route, Some(&adapter.device)));
        }
        vim!(HostIpRouteTableInfo { ipRoute: four, ipv6Route: six })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(operation: &str, to: &str, prefix: i32, gateway: &str) -> Object {
        let entry = vim!(HostIpRouteEntry { network: to, prefixLength: prefix, gateway: gateway });
        vim!(HostIpRouteTableConfig { ipRoute: [HostIpRouteOp { changeOperation: operation, route: entry }] })
            .into()
    }

    fn changed(known: &mut NetworkConfig, operation: &str, to: &str, prefix: i32) -> Result<(), Fault> {
        known.change_routes(&read(&config(operation, to, prefix, "10.0.0.1"))?)
    }

    #[test]
    fn routes_come_and_go() {
        let mut known = NetworkConfig::default();
        changed(&mut known, "add", "192.168.0.0", 16).unwrap();
        changed(&mut known, "add", "192.168.0.0", 16).unwrap();
        assert_eq!(known.default_stack().routes.len(), 1);
        changed(&mut known, "add", "0.0.0.0", 0).unwrap();
        assert_eq!(known.default_stack().gateways.ipv4, Some([10, 0, 0, 1].into()));
        changed(&mut known, "remove", "192.168.0.0", 16).unwrap();
        changed(&mut known, "remove", "0.0.0.0", 0).unwrap();
        assert_eq!(*known.default_stack(), Stack::default());
        for (prefix, to) in [(16, "192.168.0.0"), (0, "0.0.0.0")] {
            assert!(
                changed(&mut known, "remove", to, prefix)
                    .is_err_and(|fault| fault.is_a(vim::data_id!(NotFound)))
            );
        }
    }

    #[test]
    fn what_is_no_route_is_refused() {
        for (operation, to, prefix) in [
            ("add", "192.168.0.1", 16),
            ("add", "fe80::", 64),
            ("add", "10.0.0.0", 33),
            ("move", "10.0.0.0", 8),
        ] {
            let refused = read(&config(operation, to, prefix, "10.0.0.1"));
            assert!(
                refused.is_err_and(|fault| fault.is_a(vim::data_id!(InvalidArgument))),
                "{operation} {to}/{prefix}"
            );
        }
    }
}
