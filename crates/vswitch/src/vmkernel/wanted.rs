//! What a TCP/IP stack is to have: from what is declared, and from what DHCP servers gave.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use super::names::device_number;
use crate::Mac;
use crate::declare::{self, Gateways, Ipv4Config, StackName};
use crate::limits::MIN_MTU;

/// A stack with its adapters.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// By number.
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
    /// What a DHCP server gave before is kept until it is known whether it is still ours.
    pub keeps_lease: bool,
    /// Router advertisements may give it addresses.
    pub autoconf: bool,
    pub speaks_ipv6: bool,
    pub gateways: Gateways,
}

/// An address, and for how many more seconds it is to be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Address {
    pub address: IpAddr,
    pub prefix: u8,
    pub valid: Option<u32>,
}

/// What a DHCP server gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Given {
    /// Nothing is known yet: what is there may still be ours.
    Unknown,
    /// Nothing.
    Nothing,
    Lease {
        address: Ipv4Addr,
        prefix: u8,
        /// Seconds that are left.
        valid: u32,
        router: Option<Ipv4Addr>,
        mtu: Option<u32>,
    },
}

/// The stack of this name.
pub(crate) fn wanted(
    name: &StackName,
    adapters: &[declare::Adapter],
    stacks: &[declare::Stack],
    given: impl Fn(&str) -> Given,
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
            autoconf: adapter.ipv6.as_ref().is_some_and(|ipv6| ipv6.autoconf),
            speaks_ipv6: adapter.ipv6.is_some(),
            gateways: adapter.gateways,
        };
        match adapter.ipv4 {
            Ipv4Config::None => {}
            Ipv4Config::Static { address, prefix } => {
                made.addresses.push(Address { address: address.into(), prefix, valid: None });
            }
            Ipv4Config::Dhcp => match given(&adapter.device) {
                Given::Unknown => made.keeps_lease = true,
                Given::Nothing => {}
                Given::Lease { address, prefix, valid, router, mtu } => {
                    made.addresses.push(Address { address: address.into(), prefix, valid: Some(valid) });
                    // A network that carries less than we were told must not become a black hole.
                    made.mtu = mtu.map_or(made.mtu, |mtu| made.mtu.min(mtu.max(MIN_MTU)));
                    routers.extend(router.map(|router| (number, router)));
                }
            },
        }
        let ipv6 = adapter.ipv6.iter().flat_map(|ipv6| &ipv6.addresses);
        made.addresses.extend(ipv6.map(|(address, prefix)| Address {
            address: (*address).into(),
            prefix: *prefix,
            valid: None,
        }));
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
        let without = wanted(&name, &adapters, &[], given);
        assert_eq!(without.gateways.ipv4, Some(Ipv4Addr::new(10, 0, 0, 252)), "of the first adapter");
        assert_eq!((without.adapters[&2].mtu, without.adapters[&10].mtu), (1450, 1280));
        let gateways = Gateways { ipv4: Some(Ipv4Addr::new(10, 0, 0, 9)), ipv6: None };
        let stack = Stack { gateways, ..Stack::default() };
        assert_eq!(wanted(&name, &adapters, &[stack], given).gateways, gateways);
    }

    #[test]
    fn an_adapter_whose_lease_is_unknown_keeps_what_it_has() {
        let adapters = [adapter("vmk0", Ipv4Config::Dhcp)];
        let of = |given: Given| wanted(&StackName::default(), &adapters, &[], move |_| given.clone());
        assert!(of(Given::Unknown).adapters[&0].keeps_lease);
        assert!(!of(Given::Nothing).adapters[&0].keeps_lease);
        assert!(of(Given::Nothing).adapters[&0].addresses.is_empty());
    }
}
