//! Routes of TCP/IP stacks: reading changes of them, and applying them.

use std::net::IpAddr;

use vim::{Fault, Object, fault, field};
use vswitch::declare::{Gateways, Route, Stack, StackName};

use crate::config::NetworkConfig;
use crate::invalid;
use crate::prefix::network;

/// One step of a change of routes.
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
        let entry = op
            .get(field!(HostIpRouteOp.route))
            .ok_or_else(|| wrong("The operation names no route".into()))?;
        let address = |text: Option<&str>| {
            let text = text.unwrap_or_default();
            let read = text.trim().parse().ok().filter(|address: &IpAddr| address.is_ipv6() == is_six);
            read.ok_or_else(|| wrong(format!("\"{text}\" is not an address of this family")))
        };
        let most = if is_six { 128 } else { 32 };
        let prefix = entry.get(field!(HostIpRouteEntry.prefixLength)).unwrap_or_default();
        let prefix = u8::try_from(prefix).ok().filter(|prefix| *prefix <= most);
        let route = Route {
            network: address(entry.get(field!(HostIpRouteEntry.network)))?,
            prefix: prefix.ok_or_else(|| wrong(format!("The prefix length is out of range (0–{most})")))?,
            gateway: address(entry.get(field!(HostIpRouteEntry.gateway)))?,
        };
        if network(route.network, route.prefix) != route.network {
            let message =
                format!("{} has bits set beyond its prefix length of {}", route.network, route.prefix);
            return Err(wrong(message));
        }
        match op.get(field!(HostIpRouteOp.changeOperation)).unwrap_or_default() {
            "add" => changes.push(RouteChange::Add(route)),
            "remove" => changes.push(RouteChange::Remove(route)),
            "ignore" => {}
            other => {
                return Err(wrong(format!("\"{other}\" is unknown; the choices are add, remove and ignore")));
            }
        }
    }
    Ok(changes)
}

impl NetworkConfig {
    /// Changes the routes of the default stack.
    ///
    /// # Errors
    /// Those of [`change`].
    pub fn change_routes(&mut self, changes: &[RouteChange]) -> Result<(), Fault> {
        change(self.default_stack(), changes)
    }
}

/// Changes the routes of a stack. Adding an existing route does nothing.
///
/// # Errors
/// `NotFound` for a route to be removed that the stack does not have.
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
    fault!(NotFound {}, "The TCP/IP stack {stack} has no route to {network}/{prefix} via {gateway}")
}

#[cfg(test)]
mod tests {
    use vim::vim;

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
