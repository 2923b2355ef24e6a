//! The desired content of a TCP/IP stack: from the declaration, and from the leases of DHCP servers.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::names::device_number;
use super::view::{LEASED, Lifetime};
use crate::Mac;
use crate::declare::{self, Gateways, Ipv4Config, StackName};
use crate::limits::MIN_MTU;

/// A stack with its adapters.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// By index.
    pub adapters: BTreeMap<u32, Adapter>,
    pub gateways: Gateways,
    pub routes: Vec<declare::Route>,
}

/// An adapter in its stack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Adapter {
    pub device: String,
    pub mac: Mac,
    pub mtu: u32,
    pub addresses: Vec<Address>,
    /// The address of an earlier DHCP lease stays until it is known whether it is still leased.
    pub keeps_lease: bool,
    /// The same for DHCPv6.
    pub keeps_lease6: bool,
    /// Router advertisements may give it addresses.
    pub autoconf: bool,
    /// Router advertisements may give it routes.
    pub hears_routers: bool,
    pub speaks_ipv6: bool,
    pub gateways: Gateways,
}

/// An address, and how long it stays; `None` is for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Address {
    pub address: IpAddr,
    pub prefix: u8,
    pub lifetime: Option<Lifetime>,
}

/// The lease of a DHCP server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Given {
    /// Not known yet: the interface's address may still be leased.
    Unknown,
    /// No lease.
    Nothing,
    Lease {
        address: Ipv4Addr,
        prefix: u8,
        /// Remaining seconds.
        valid: u32,
        router: Option<Ipv4Addr>,
        mtu: Option<u32>,
    },
}

/// The lease of a DHCPv6 server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Given6 {
    /// Not known yet: the interface's address may still be leased.
    Unknown,
    /// No lease.
    Nothing,
    /// An address, and its remaining lifetime.
    Lease(Ipv6Addr, Lifetime),
}

/// The desired content of the stack with this name.
pub(crate) fn wanted(
    name: &StackName,
    adapters: &[declare::Adapter],
    stacks: &[declare::Stack],
    given: impl Fn(&str) -> Given,
    given6: impl Fn(&str) -> Given6,
) -> Wanted {
    let declared = stacks.iter().find(|stack| stack.name == *name);
    let mut wanted = Wanted {
        gateways: declared.map(|stack| stack.gateways).unwrap_or_default(),
        routes: declared.map(|stack| stack.routes.clone()).unwrap_or_default(),
        ..Wanted::default()
    };
    let mut routers = BTreeMap::new();
    for adapter in adapters.iter().filter(|adapter| adapter.stack == *name) {
        let Some(number) = device_number(&adapter.device) else { continue };
        let mut made = Adapter {
            device: adapter.device.clone(),
            mac: adapter.mac,
            mtu: adapter.mtu,
            addresses: Vec::new(),
            keeps_lease: false,
            keeps_lease6: false,
            autoconf: adapter.ipv6.as_ref().is_some_and(|ipv6| ipv6.autoconf),
            hears_routers: adapter.ipv6.as_ref().is_some_and(|ipv6| ipv6.autoconf || ipv6.dhcp),
            speaks_ipv6: adapter.ipv6.is_some(),
            gateways: adapter.gateways,
        };
        match adapter.ipv4 {
            Ipv4Config::None => {}
            Ipv4Config::Static { address, prefix } => {
                made.addresses.push(Address { address: address.into(), prefix, lifetime: None });
            }
            Ipv4Config::Dhcp => match given(&adapter.device) {
                Given::Unknown => made.keeps_lease = true,
                Given::Nothing => {}
                Given::Lease { address, prefix, valid, router, mtu } => {
                    let lifetime = Some(Lifetime::whole(valid));
                    made.addresses.push(Address { address: address.into(), prefix, lifetime });
                    // A network whose server announces a smaller MTU must not become a black hole.
                    made.mtu = mtu.map_or(made.mtu, |mtu| made.mtu.min(mtu.max(MIN_MTU)));
                    routers.extend(router.map(|router| (number, router)));
                }
            },
        }
        let ipv6 = adapter.ipv6.iter().flat_map(|ipv6| &ipv6.addresses);
        made.addresses.extend(ipv6.map(|(address, prefix)| Address {
            address: (*address).into(),
            prefix: *prefix,
            lifetime: None,
        }));
        if adapter.ipv6.as_ref().is_some_and(|ipv6| ipv6.dhcp) {
            match given6(&adapter.device) {
                Given6::Unknown => made.keeps_lease6 = true,
                Given6::Nothing => {}
                // A leased address that is also declared counts as declared.
                Given6::Lease(address, _) if made.addresses.iter().any(|own| own.address == address) => {}
                Given6::Lease(address, lifetime) => {
                    made.addresses.push(Address {
                        address: address.into(),
                        prefix: LEASED,
                        lifetime: Some(lifetime),
                    });
                }
            }
        }
        wanted.adapters.insert(number, made);
    }
    if wanted.gateways.ipv4.is_none() {
        wanted.gateways.ipv4 = routers.into_values().next();
    }
    wanted
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::declare::Stack;

    fn adapter(device: &str, ipv4: Ipv4Config) -> declare::Adapter {
        declare::Adapter {
            device: device.into(),
            port_group: 1,
            mac: Mac([2, 0, 0, 0, 0, 1]),
            mtu: 9000,
            stack: StackName::default(),
            ipv4,
            ipv6: None,
            gateways: Gateways::default(),
            services: [].into(),
        }
    }

    fn lease(last: u8, mtu: Option<u32>) -> Given {
        let (address, router) = (Ipv4Addr::new(10, 0, 0, last), Some(Ipv4Addr::new(10, 0, 0, 254 - last)));
        Given::Lease { address, prefix: 24, valid: 60, router, mtu }
    }

    #[test]
    fn the_router_of_a_lease_is_used_where_no_gateway_is_declared() {
        let adapters = [adapter("vmk10", Ipv4Config::Dhcp), adapter("vmk2", Ipv4Config::Dhcp)];
        let given = |device: &str| if device == "vmk2" { lease(2, Some(1450)) } else { lease(1, Some(68)) };
        let name = StackName::default();
        let without = wanted(&name, &adapters, &[], given, |_| Given6::Nothing);
        assert_eq!(without.gateways.ipv4, Some(Ipv4Addr::new(10, 0, 0, 252)), "of the first adapter");
        assert_eq!((without.adapters[&2].mtu, without.adapters[&10].mtu), (1450, 1280));
        let gateways = Gateways { ipv4: Some(Ipv4Addr::new(10, 0, 0, 9)), ipv6: None };
        let stack = Stack { gateways, ..Stack::default() };
        assert_eq!(wanted(&name, &adapters, &[stack], given, |_| Given6::Nothing).gateways, gateways);
    }

    #[test]
    fn an_adapter_whose_lease_is_unknown_keeps_what_it_has() {
        let adapters = [adapter("vmk0", Ipv4Config::Dhcp)];
        let name = StackName::default();
        let of = |given: Given| wanted(&name, &adapters, &[], move |_| given.clone(), |_| Given6::Nothing);
        assert!(of(Given::Unknown).adapters[&0].keeps_lease);
        assert!(!of(Given::Nothing).adapters[&0].keeps_lease);
        assert!(of(Given::Nothing).adapters[&0].addresses.is_empty());
    }

    #[test]
    fn a_dhcpv6_address_is_of_no_network_and_gives_way_to_a_declared_one() {
        let (own, other): (Ipv6Addr, Ipv6Addr) = ("fd00::5".parse().unwrap(), "fd00::6".parse().unwrap());
        let mut adapters = [adapter("vmk0", Ipv4Config::None)];
        let six = declare::Ipv6Config { addresses: vec![(other, 64)], autoconf: false, dhcp: true };
        adapters[0].ipv6 = Some(six.clone());
        let of = |adapters: &[declare::Adapter], given: Given6| {
            let name = StackName::default();
            wanted(&name, adapters, &[], |_| Given::Nothing, move |_| given.clone()).adapters[&0].clone()
        };
        let left = Lifetime { valid: 60, preferred: 40 };
        let declared = Address { address: other.into(), prefix: 64, lifetime: None };
        let leased = Address { address: own.into(), prefix: 128, lifetime: Some(left) };
        let made = of(&adapters, Given6::Lease(own, left));
        assert_eq!(made.addresses, [declared, leased]);
        assert!(made.hears_routers && !made.autoconf && !made.keeps_lease6);
        assert_eq!(of(&adapters, Given6::Lease(other, left)).addresses, [declared]);
        assert!(of(&adapters, Given6::Unknown).keeps_lease6);
        adapters[0].ipv6 = Some(declare::Ipv6Config { dhcp: false, ..six });
        let made = of(&adapters, Given6::Unknown);
        assert!(!made.hears_routers && !made.keeps_lease6);
    }
}
