//! The observed state of adapters and stacks.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::PathBuf;

use super::dhcp::Lease;
use super::dhcp6;
use super::view::{Address, View};
use crate::Mac;
use crate::declare::{Adapter, Service, StackName};

/// The observed state of an adapter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AdapterState {
    pub stack: StackName,
    /// The file of its stack's network namespace; `None` for the daemon's own.
    pub namespace: Option<PathBuf>,
    /// Addresses in use, with the lengths of their prefixes: IPv4 before IPv6, link-local ones last.
    pub addresses: Vec<(IpAddr, u8)>,
    pub mac: Option<Mac>,
    pub mtu: u32,
    /// Up, with a carrier.
    pub carrier: bool,
    pub services: BTreeSet<Service>,
    /// Those addresses that only existing connections should use: the server or router has not extended them.
    pub deprecated: BTreeSet<IpAddr>,
    /// The lease from a DHCP server.
    pub lease: Option<Lease>,
    /// The lease from a DHCPv6 server.
    pub lease6: Option<dhcp6::Lease>,
    /// Addresses that other stations have too, with their MACs; for IPv6 the kernel detects conflicts and reports no
    /// MAC.
    pub conflicts: BTreeMap<IpAddr, Option<Mac>>,
    /// Why it differs from its declaration.
    pub error: Option<String>,
}

/// The observed state of a stack.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StackState {
    /// The file of its network namespace; `None` for the daemon's own.
    pub namespace: Option<PathBuf>,
    /// Why it differs from its declaration.
    pub error: Option<String>,
}

impl AdapterState {
    pub(super) fn seen(
        adapter: &Adapter,
        view: Option<&View>,
        namespace: Option<PathBuf>,
        error: Option<String>,
    ) -> Self {
        let services = adapter.services.clone();
        let unseen = Self { stack: adapter.stack.clone(), namespace, services, error, ..Self::default() };
        let Some((view, link)) = view.and_then(|view| Some((view, view.links.get(&adapter.device)?))) else {
            return unseen;
        };
        let of_link = || view.addresses.iter().filter(|address| address.index == link.index);
        let conflicts =
            of_link().filter(|address| address.duplicate).map(|own| (own.address, None)).collect();
        let is_old = |own: &&Address| own.settled && own.lifetime.is_some_and(|left| left.preferred == 0);
        let deprecated = of_link().filter(is_old).map(|own| own.address).collect();
        let own = of_link().filter(|address| address.settled);
        let mut own: Vec<_> = own.collect();
        own.sort_by_key(|own| (own.link_local, own.address.is_ipv6(), own.address, own.prefix));
        let addresses = own.into_iter().map(|own| (own.address, own.prefix)).collect();
        let (mac, mtu, carrier) = (link.mac, link.mtu, link.running);
        Self { addresses, deprecated, mac, mtu, carrier, conflicts, ..unseen }
    }
}
