//! Routing tables of TCP/IP stacks as the API shows them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use vim::{ty, vim};
use vswitch::declare::{Gateways, Ipv4Config, Route, StackName};

use super::Scene;
use crate::prefix::network;

impl Scene<'_> {
    /// The routes of a stack: default routes, those that were asked for, and those to the networks of its adapters.
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
