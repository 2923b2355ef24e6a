//! VMkernel adapters as the API shows them.

use std::net::IpAddr;

use vim::{Kind, List, Object, Value, data_id, field, ty, vim};
use vswitch::declare::{Adapter, Gateways, Ipv4Config, Service};
use vswitch::vmkernel::AdapterState;

use super::Scene;
use crate::prefix::ipv4_mask;
use crate::words::DHCP;

impl Scene<'_> {
    /// The VMkernel adapters.
    pub fn adapters(&self) -> Vec<ty!(HostVirtualNic)> {
        self.config.adapters.iter().map(|adapter| self.adapter(adapter)).collect()
    }

    fn adapter(&self, adapter: &Adapter) -> ty!(HostVirtualNic) {
        let seen = self.seen.adapters.get(&adapter.device);
        let group = self.config.groups().find(|(_, group)| group.number == adapter.port_group);
        let group = group.map_or("", |(_, group)| &group.name);
        vim!(HostVirtualNic {
            device: &adapter.device,
            key: adapter_key(&adapter.device),
            portgroup: group,
            spec: HostVirtualNicSpec {
                ip: ip(adapter, seen),
                mac: adapter.mac.to_string(),
                portgroup: group,
                mtu: i32::try_from(adapter.mtu).unwrap_or(i32::MAX),
                tsoEnabled: true,
                netStackInstanceKey: adapter.stack.as_str(),
                pinnedPnic: self.config.pinned.get(&adapter.device).map(String::as_str),
                ipRouteSpec: own_route(adapter),
            },
        })
    }
}

pub(super) fn adapter_key(device: &str) -> String {
    format!("key-vim.host.VirtualNic-{device}")
}

/// The adapter's own gateways, if it has any.
fn own_route(adapter: &Adapter) -> Option<ty!(HostVirtualNicIpRouteSpec)> {
    let Gateways { ipv4, ipv6 } = adapter.gateways;
    (ipv4.is_some() || ipv6.is_some()).then(|| {
        vim!(HostVirtualNicIpRouteSpec {
            ipRouteConfig: HostIpRouteConfig {
                defaultGateway: ipv4.map(|gateway| gateway.to_string()),
                ipV6DefaultGateway: ipv6.map(|gateway| gateway.to_string()),
            },
        })
    })
}

/// An adapter's addresses: the declared ones or, with DHCP, those of the lease.
pub(crate) fn ip(adapter: &Adapter, seen: Option<&AdapterState>) -> ty!(HostIpConfig) {
    let has = |is_it: fn(&IpAddr) -> bool| {
        let all = seen.into_iter().flat_map(|seen| &seen.addresses);
        all.filter(move |(address, _)| is_it(address)).copied()
    };
    let four = match adapter.ipv4 {
        Ipv4Config::None => None,
        Ipv4Config::Static { address, prefix } => Some((IpAddr::from(address), prefix)),
        Ipv4Config::Dhcp => has(IpAddr::is_ipv4).next(),
    };
    let mask = four.map(|(_, prefix)| ipv4_mask(prefix));
    let six = adapter.ipv6.as_ref().map(|six| {
        let declared = six.addresses.iter().map(|(address, prefix)| (IpAddr::from(*address), *prefix));
        let others = has(IpAddr::is_ipv6).filter(|own| !declared.clone().any(|known| known == *own));
        // An address of a DHCPv6 server comes without a network.
        let given = |prefix: u8| if six.dhcp && prefix == 128 { DHCP } else { "other" };
        let others = others.map(|own| (own, given(own.1)));
        let all = declared.clone().map(|own| (own, "manual")).chain(others);
        // A declared address is in use, or another station has it.
        let state = |address: &IpAddr| {
            let seen = seen?;
            if seen.conflicts.contains_key(address) {
                return Some("duplicate");
            }
            if seen.deprecated.contains(address) {
                return Some("deprecated");
            }
            seen.addresses.iter().any(|(has, _)| has == address).then_some("preferred")
        };
        let addresses = all.map(|((address, prefix), origin)| {
            vim!(HostIpConfigIpV6Address {
                ipAddress: address.to_string(),
                prefixLength: i32::from(prefix),
                origin: origin,
                dadState: state(&address),
            })
        });
        vim!(HostIpConfigIpV6AddressConfiguration {
            ipV6Address: addresses.collect::<Vec<_>>(),
            autoConfigurationEnabled: six.autoconf,
            dhcpV6Enabled: six.dhcp,
        })
    });
    vim!(HostIpConfig {
        dhcp: adapter.ipv4 == Ipv4Config::Dhcp,
        ipAddress: four.map(|(address, _)| address.to_string()),
        subnetMask: mask.map(|mask| mask.to_string()),
        ipV6Config: six,
    })
}

/// The adapters that can carry a service, and those that do.
pub fn net_config(scene: &Scene<'_>, service: Service) -> ty!(VirtualNicManagerNetConfig) {
    let carry = scene.config.adapters.iter().filter(|adapter| adapter.services.contains(&service));
    let selected = carry.map(|adapter| format!("{service}.{}", adapter_key(&adapter.device)));
    let candidates = scene.adapters().into_iter().map(|adapter| {
        let mut adapter = Object::from(adapter);
        let key = format!("{service}.{}", adapter.get(field!(HostVirtualNic.key)).unwrap_or_default());
        adapter.set(field!(HostVirtualNic.key), key);
        adapter
    });
    vim!(VirtualNicManagerNetConfig {
        nicType: service.as_str(),
        multiSelectAllowed: true,
        candidateVnic: List::new(
            Kind::Data(data_id!(HostVirtualNic)),
            candidates.map(Value::from).collect::<Vec<_>>()
        ),
        selectedVnic: selected.collect::<Vec<_>>(),
    })
}
