//! TCP/IP stacks and their default gateways: reading specifications of them, and editing them.

use std::net::{Ipv4Addr, Ipv6Addr};

use vim::{Fault, Object, fault, field};
use vswitch::declare::Gateways;

use super::route;
use crate::config::{NetworkConfig, stack_of};
use crate::invalid;

/// vSphere's names of algorithms of congestion control.
const ALGORITHMS: [&str; 2] = ["newreno", "cubic"];

/// The default gateways in a `HostIpRouteConfig`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GatewayChange {
    /// Unset removes it.
    ipv4: Option<Ipv4Addr>,
    /// Unset leaves it, for clients that know IPv4 only. Empty removes it.
    ipv6: Option<Option<Ipv6Addr>>,
}

impl GatewayChange {
    /// Reads a `HostIpRouteConfig`.
    ///
    /// # Errors
    /// `InvalidArgument`.
    pub fn read(config: &Object) -> Result<Self, Fault> {
        let ipv4 = config.get(field!(HostIpRouteConfig.defaultGateway)).unwrap_or_default();
        let ipv6 = config.get(field!(HostIpRouteConfig.ipV6DefaultGateway));
        Ok(Self {
            ipv4: address(ipv4, "config.defaultGateway")?,
            ipv6: ipv6.map(|text| address(text, "config.ipV6DefaultGateway")).transpose()?,
        })
    }

    /// Makes the change.
    pub fn apply(self, gateways: &mut Gateways) {
        gateways.ipv4 = self.ipv4;
        gateways.ipv6 = self.ipv6.unwrap_or(gateways.ipv6);
    }
}

/// Reads an address; `None` for an empty text.
fn address<A: std::str::FromStr>(text: &str, property: &str) -> Result<Option<A>, Fault> {
    let read = |text: &str| {
        text.parse()
            .map_err(|_| invalid(property, format_args!("\"{text}\" is not an address of this family")))
    };
    Some(text.trim()).filter(|text| !text.is_empty()).map(read).transpose()
}

impl NetworkConfig {
    /// Edits an existing stack as a `HostNetworkConfigNetStackSpec` says.
    ///
    /// # Errors
    /// `NotFound`, `NotSupported`, `InvalidArgument`.
    pub fn edit_stack(&mut self, spec: &Object, own_name: &str) -> Result<(), Fault> {
        let stack = spec.get(field!(HostNetworkConfigNetStackSpec.netStackInstance));
        let stack = stack.ok_or_else(|| {
            invalid("netStackSpec.netStackInstance", "netStackSpec.netStackInstance is missing")
        })?;
        if spec.get(field!(HostNetworkConfigNetStackSpec.operation)).is_some_and(|word| word != "edit") {
            return Err(fault!(
                NotSupported {},
                "TCP/IP stacks come and go with their adapters; a client can only edit them"
            ));
        }
        let key = stack.get(field!(HostNetStackInstance.key)).unwrap_or_default();
        let name = self.stack_names().into_iter().find(|name| name.as_str() == key);
        let name = name.ok_or_else(|| fault!(NotFound {}, "The host has no TCP/IP stack {key}"))?;
        if stack.get(field!(HostNetStackInstance.ipV6Enabled)) == Some(false) {
            return Err(fault!(
                NotSupported {},
                "A TCP/IP stack always has IPv6; turn it off for single adapters",
            ));
        }
        if let Some(names) = stack.get(field!(HostNetStackInstance.dnsConfig)) {
            if !name.is_default() {
                return Err(fault!(
                    NotSupported {},
                    "Only the default TCP/IP stack can have its own DNS configuration"
                ));
            }
            self.set_names(names, own_name)?;
        }
        if let Some(most) = stack.get(field!(HostNetStackInstance.requestedMaxNumberOfConnections)) {
            if most < 1 {
                let property = "netStackInstance.requestedMaxNumberOfConnections";
                return Err(invalid(
                    property,
                    format_args!("The maximum of {most} connections is not positive"),
                ));
            }
            self.connections.insert(key.into(), most);
        }
        let edited = stack_of(&mut self.stacks, &name);
        if let Some(algorithm) = stack.get(field!(HostNetStackInstance.congestionControlAlgorithm)) {
            if !ALGORITHMS.contains(&algorithm) {
                let possible = ALGORITHMS.join(" and ");
                return Err(invalid(
                    "netStackInstance.congestionControlAlgorithm",
                    format_args!("\"{algorithm}\" is unknown; the choices are {possible}"),
                ));
            }
            edited.congestion_control = Some(algorithm.into());
        }
        if let Some(route) = stack.get(field!(HostNetStackInstance.ipRouteConfig)) {
            GatewayChange::read(route)?.apply(&mut edited.gateways);
        }
        if let Some(routes) = stack.get(field!(HostNetStackInstance.routeTableConfig)) {
            route::change(edited, &route::read(routes)?)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use vim::{DataId, data_id, ty, vim};
    use vswitch::declare::StackName;

    use super::*;

    fn edit(config: &mut NetworkConfig, stack: impl Into<Object>) -> Result<(), Fault> {
        let spec = vim!(HostNetworkConfigNetStackSpec { netStackInstance: stack.into(), operation: "edit" });
        config.edit_stack(&spec.into(), "esx")
    }

    #[test]
    fn stacks_are_edited_by_their_keys() {
        let mut config = NetworkConfig::default();
        let wanted = vim!(HostNetStackInstance {
            key: StackName::VMOTION,
            ipRouteConfig: HostIpRouteConfig { defaultGateway: "10.0.0.1", ipV6DefaultGateway: "fe80::1" },
            congestionControlAlgorithm: "cubic",
            requestedMaxNumberOfConnections: 12_000,
        });
        edit(&mut config, wanted).unwrap();
        let stack = config.stacks[0].clone();
        assert_eq!((stack.name.as_str(), config.stacks.len()), (StackName::VMOTION, 1));
        let gateways = Gateways { ipv4: Some([10, 0, 0, 1].into()), ipv6: "fe80::1".parse().ok() };
        assert_eq!((stack.gateways, stack.congestion_control.as_deref()), (gateways, Some("cubic")));
        assert_eq!(config.connections[StackName::VMOTION], 12_000);

        let route = HostIpRoute::new("10.0.0.2", None);
        edit(&mut config, vim!(HostNetStackInstance { key: StackName::VMOTION, ipRouteConfig: route.0 }))
            .unwrap();
        let now = config.stacks[0].gateways;
        assert_eq!(
            (now.ipv4, now.ipv6),
            (Some([10, 0, 0, 2].into()), gateways.ipv6),
            "nothing was said of IPv6"
        );
        let route = HostIpRoute::new("", Some(""));
        edit(&mut config, vim!(HostNetStackInstance { key: StackName::VMOTION, ipRouteConfig: route.0 }))
            .unwrap();
        assert_eq!(config.stacks[0].gateways, Gateways::default());
    }

    struct HostIpRoute(ty!(HostIpRouteConfig));

    impl HostIpRoute {
        fn new(ipv4: &str, ipv6: Option<&str>) -> Self {
            Self(vim!(HostIpRouteConfig { defaultGateway: ipv4, ipV6DefaultGateway: ipv6 }))
        }
    }

    #[test]
    fn what_a_stack_cannot_be_is_refused() {
        let refused = |stack: Object, ty: DataId| {
            let mut config = NetworkConfig::default();
            let fault = edit(&mut config, stack).expect_err("it is refused");
            assert!(fault.is_a(ty), "{fault}");
        };
        let key = StackName::DEFAULT;
        refused(vim!(HostNetStackInstance { key: "nowhere" }).into(), data_id!(NotFound));
        refused(vim!(HostNetStackInstance { key: key, ipV6Enabled: false }).into(), data_id!(NotSupported));
        let names = vim!(HostDnsConfig { dhcp: false, hostName: "x", domainName: "" });
        refused(
            vim!(HostNetStackInstance { key: StackName::VMOTION, dnsConfig: names }).into(),
            data_id!(NotSupported),
        );
        let algorithm = vim!(HostNetStackInstance { key: key, congestionControlAlgorithm: "bbr" });
        refused(algorithm.into(), data_id!(InvalidArgument));
        let none = vim!(HostNetStackInstance { key: key, requestedMaxNumberOfConnections: 0 });
        refused(none.into(), data_id!(InvalidArgument));
        for (ipv4, ipv6) in [("fe80::1", None), ("10.0.0.1", Some("10.0.0.1"))] {
            let route = HostIpRoute::new(ipv4, ipv6);
            refused(
                vim!(HostNetStackInstance { key: key, ipRouteConfig: route.0 }).into(),
                data_id!(InvalidArgument),
            );
        }
    }
}
