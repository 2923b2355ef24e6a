//! The content of a network namespace, as far as adapters are concerned.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::Mac;

/// The content of a namespace at one time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct View {
    /// By name.
    pub links: BTreeMap<String, Interface>,
    pub addresses: Vec<Address>,
    pub routes: Vec<Route>,
    /// Only Esfera's rules.
    pub rules: Vec<Rule>,
}

/// An interface.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Interface {
    pub index: u32,
    pub mac: Option<Mac>,
    pub mtu: u32,
    pub up: bool,
    /// Up, with a carrier.
    pub running: bool,
    pub alias: Option<String>,
    /// The other end of a veth pair; an index that may belong to another namespace.
    pub veth_peer: Option<u32>,
}

/// An address of an interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Address {
    pub index: u32,
    pub address: IpAddr,
    pub prefix: u8,
    /// `None` if the kernel keeps it for ever.
    pub lifetime: Option<Lifetime>,
    /// Link-local, made by the kernel.
    pub link_local: bool,
    /// Duplicate address detection found no other station with it (IPv6).
    pub settled: bool,
    /// Another station has it (IPv6), so the kernel does not use it.
    pub duplicate: bool,
}

/// For how many more seconds an address is valid, and for how many of those new connections use it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Lifetime {
    pub valid: u32,
    /// At most as long as `valid`.
    pub preferred: u32,
}

impl Lifetime {
    /// As long preferred as valid.
    pub(crate) fn whole(seconds: u32) -> Self {
        Self { valid: seconds, preferred: seconds }
    }

    /// Whether two lifetimes that were read at different times end at the same time.
    pub(crate) fn is_about(&self, other: &Self, slack: u32) -> bool {
        self.valid.abs_diff(other.valid) <= slack && self.preferred.abs_diff(other.preferred) <= slack
    }
}

impl Address {
    /// Whether a DHCPv6 server gave it: such an address has a lifetime and no network, which routers announce.
    pub(crate) fn is_leased(&self) -> bool {
        self.address.is_ipv6() && self.prefix == LEASED && self.lifetime.is_some()
    }
}

/// Prefix length of an address from a DHCPv6 server.
pub(crate) const LEASED: u8 = 128;

/// A unicast route to one interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Route {
    pub destination: IpAddr,
    pub prefix: u8,
    pub gateway: Option<IpAddr>,
    pub index: u32,
    pub table: u32,
    pub metric: u32,
    pub origin: Origin,
}

/// The maker of a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Origin {
    Ours,
    /// The kernel made it with an address or for a router advertisement.
    Kernel,
    Other,
}

/// A rule that routes packets from an address by a separate table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Rule {
    pub source: IpAddr,
    pub table: u32,
    pub priority: u32,
}

/// The main routing table (`RT_TABLE_MAIN`).
pub(crate) const MAIN: u32 = 254;

/// The prefix of all addresses of a family.
pub(crate) fn everywhere(like: IpAddr) -> IpAddr {
    match like {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    }
}

/// The network that an address is in.
pub(crate) fn network(address: IpAddr, prefix: u8) -> IpAddr {
    match address {
        IpAddr::V4(address) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(prefix.min(32))).unwrap_or(0);
            Ipv4Addr::from_bits(address.to_bits() & mask).into()
        }
        IpAddr::V6(address) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(prefix.min(128))).unwrap_or(0);
            Ipv6Addr::from_bits(address.to_bits() & mask).into()
        }
    }
}

/// Whether an address is in the network of another.
pub(crate) fn is_in(address: IpAddr, of: IpAddr, prefix: u8) -> bool {
    address.is_ipv4() == of.is_ipv4() && network(address, prefix) == network(of, prefix)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_of_all_lengths() {
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        for (address, prefix, expected) in [
            ("10.1.2.3", 24, "10.1.2.0"),
            ("10.1.2.3", 32, "10.1.2.3"),
            ("10.1.2.3", 0, "0.0.0.0"),
            ("fd00::1:2", 64, "fd00::"),
            ("fd00::1:2", 0, "::"),
            ("fd00::1:2", 128, "fd00::1:2"),
        ] {
            assert_eq!(network(ip(address), prefix), ip(expected), "{address}/{prefix}");
        }
        assert!(is_in(ip("10.1.2.9"), ip("10.1.2.3"), 24));
        assert!(!is_in(ip("10.1.3.9"), ip("10.1.2.3"), 24));
        assert!(!is_in(ip("::"), ip("0.0.0.0"), 0));
    }
}
