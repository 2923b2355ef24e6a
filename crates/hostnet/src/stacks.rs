//! TCP/IP stacks as the API edits and shows them. What they are in the kernel is `vswitch::vmkernel`'s.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, Ipv6Addr};

use vim::{Fault, Object, fault, field, ty, vim};
use vswitch::declare::{Gateways, Stack, StackName};

use super::config::NetworkConfig;
use super::routes::{self, stack_of};
use super::show::{Scene, adapter_key};
use super::spec::invalid;

/// Stacks that are shown although nothing is in them yet, as on ESXi.
const SYSTEM: [&str; 3] = [StackName::DEFAULT, StackName::VMOTION, StackName::PROVISIONING];
/// vSphere's names of algorithms of congestion control.
const ALGORITHMS: [&str; 2] = ["newreno", "cubic"];

/// What a `HostIpRouteConfig` says of gateways.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GatewayChange {
    /// Unset removes it.
    ipv4: Option<Ipv4Addr>,
    /// Not said leaves it: clients that know IPv4 only say nothing of it. Empty removes it.
    ipv6: Option<Option<Ipv6Addr>>,
}

impl GatewayChange {
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

    pub fn apply(self, gateways: &mut Gateways) {
        gateways.ipv4 = self.ipv4;
        gateways.ipv6 = self.ipv6.unwrap_or(gateways.ipv6);
    }
}

/// The address that a text says; none if it is empty.
fn address<A: std::str::FromStr>(text: &str, property: &str) -> Result<Option<A>, Fault> {
    let read = |text: &str| {
        text.parse().map_err(|_| invalid(property, format_args!("\"{text}\" is no address of its kind")))
    };
    Some(text.trim()).filter(|text| !text.is_empty()).map(read).transpose()
}

impl NetworkConfig {
    /// Does what a `HostNetworkConfigNetStackSpec` says of a stack that is there.
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
                "TCP/IP stacks come and go with their adapters; they can be edited"
            ));
        }
        let key = stack.get(field!(HostNetStackInstance.key)).unwrap_or_default();
        let name = self.stack_names().into_iter().find(|name| name.as_str() == key);
        let name = name.ok_or_else(|| fault!(NotFound {}, "The host has no TCP/IP stack {key}"))?;
        if stack.get(field!(HostNetStackInstance.ipV6Enabled)) == Some(false) {
            return Err(fault!(
                NotSupported {},
                "IPv6 cannot be turned off for a TCP/IP stack; adapters can go without",
            ));
        }
        if let Some(names) = stack.get(field!(HostNetStackInstance.dnsConfig)) {
            if !name.is_default() {
                return Err(fault!(NotSupported {}, "Only the default TCP/IP stack has names of its own"));
            }
            self.set_names(names, own_name)?;
        }
        if let Some(most) = stack.get(field!(HostNetStackInstance.requestedMaxNumberOfConnections)) {
            if most < 1 {
                let property = "netStackInstance.requestedMaxNumberOfConnections";
                return Err(invalid(property, format_args!("{most} connections")));
            }
            self.connections.insert(key.into(), most);
        }
        let edited = stack_of(&mut self.stacks, &name);
        if let Some(algorithm) = stack.get(field!(HostNetStackInstance.congestionControlAlgorithm)) {
            if !ALGORITHMS.contains(&algorithm) {
                let possible = ALGORITHMS.join(" and ");
                return Err(invalid(
                    "netStackInstance.congestionControlAlgorithm",
                    format_args!("\"{algorithm}\": {possible} are possible"),
                ));
            }
            edited.congestion_control = Some(algorithm.into());
        }
        if let Some(route) = stack.get(field!(HostNetStackInstance.ipRouteConfig)) {
            GatewayChange::read(route)?.apply(&mut edited.gateways);
        }
        if let Some(routes) = stack.get(field!(HostNetStackInstance.routeTableConfig)) {
            routes::change(edited, &routes::read(routes)?)?;
        }
        Ok(())
    }

    /// The system's stacks, those that adapters are in, and those of which something was said.
    fn stack_names(&self) -> BTreeSet<StackName> {
        let system = SYSTEM.into_iter().filter_map(|name| StackName::try_from(name.to_owned()).ok());
        let used = self.adapters.iter().map(|adapter| adapter.stack.clone());
        system.chain(used).chain(self.stacks.iter().map(|stack| stack.name.clone())).collect()
    }
}

impl Scene<'_> {
    fn declared(&self, name: &StackName) -> Option<&Stack> {
        self.config.stacks.iter().find(|known| known.name == *name)
    }

    /// The default gateways of a stack.
    pub(super) fn gateways(&self, name: &StackName) -> ty!(HostIpRouteConfig) {
        let Gateways { ipv4, ipv6 } = self.declared(name).map(|stack| stack.gateways).unwrap_or_default();
        vim!(HostIpRouteConfig {
            defaultGateway: ipv4.map(|gateway| gateway.to_string()),
            ipV6DefaultGateway: ipv6.map(|gateway| gateway.to_string()),
        })
    }

    /// All stacks. What was asked of connections is shown, and not enforced: Linux has no such limit.
    pub(super) fn stacks(&self) -> Vec<ty!(HostNetStackInstance)> {
        let stack = |name: StackName| {
            let algorithm = self.declared(&name).and_then(|stack| stack.congestion_control.as_deref());
            vim!(HostNetStackInstance {
                key: name.as_str(),
                name: name.as_str(),
                dnsConfig: name.is_default().then(|| self.names()),
                ipRouteConfig: self.gateways(&name),
                requestedMaxNumberOfConnections: self.config.connections.get(name.as_str()).copied(),
                congestionControlAlgorithm: algorithm,
                ipV6Enabled: true,
            })
        };
        self.config.stack_names().into_iter().map(stack).collect()
    }

    /// Which stacks are in use, and by which adapters.
    pub fn runtime(&self) -> ty!(HostRuntimeInfoNetworkRuntimeInfo) {
        let stack = |name: StackName| {
            let inside = self.config.adapters.iter().filter(|adapter| adapter.stack == name);
            let keys: Vec<String> = inside.map(|adapter| adapter_key(&adapter.device)).collect();
            let state = match name.is_default() || !keys.is_empty() {
                true => "active",
                false => "inactive",
            };
            vim!(HostRuntimeInfoNetStackInstanceRuntimeInfo {
                netStackInstanceKey: name.as_str(),
                state: state,
                vmknicKeys: keys,
                currentIpV6Enabled: true,
            })
        };
        let stacks: Vec<_> = self.config.stack_names().into_iter().map(stack).collect();
        vim!(HostRuntimeInfoNetworkRuntimeInfo { netStackInstanceRuntimeInfo: stacks })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use vim::{DataId, data_id};

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
