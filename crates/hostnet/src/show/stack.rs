//! TCP/IP stacks as the API shows them.

use vim::{ty, vim};
use vswitch::declare::{Gateways, Stack, StackName};

use super::Scene;
use super::adapter::adapter_key;

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

    /// All stacks. The requested maximum of connections is shown, not enforced: Linux has no such limit.
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

    /// The `HostRuntimeInfoNetworkRuntimeInfo`: the stacks in use, and their adapters.
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
