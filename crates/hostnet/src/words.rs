//! Words and keys of the API that are both read and shown.

use vswitch::declare::{Balancing, Discovery, DiscoveryOperation, DiscoveryProtocol};

/// The origin of an IPv6 address that a DHCPv6 server gave.
pub(crate) const DHCP: &str = "dhcp";

/// Begins the key of a physical network card.
const NIC_KEY: &str = "key-vim.host.PhysicalNic-";

/// The key of a physical network card.
pub(crate) fn nic_key(name: &str) -> String {
    format!("{NIC_KEY}{name}")
}

/// The card that a client names by its device or, as libvirt does, by its key.
pub(crate) fn nic_named(given: &str) -> &str {
    given.strip_prefix(NIC_KEY).unwrap_or(given)
}

/// Words of the API for discovery.
pub(crate) const PROTOCOLS: [(&str, DiscoveryProtocol); 2] =
    [("cdp", DiscoveryProtocol::Cdp), ("lldp", DiscoveryProtocol::Lldp)];
pub(crate) const OPERATIONS: [(&str, DiscoveryOperation); 4] = [
    ("none", DiscoveryOperation::None),
    ("listen", DiscoveryOperation::Listen),
    ("advertise", DiscoveryOperation::Advertise),
    ("both", DiscoveryOperation::Both),
];

/// The API's words for protocol and operation.
pub(crate) fn discovery_words(discovery: Discovery) -> (&'static str, &'static str) {
    let protocol = PROTOCOLS.iter().find(|(_, known)| *known == discovery.protocol);
    let operation = OPERATIONS.iter().find(|(_, known)| *known == discovery.operation);
    (protocol.expect("all are in the list").0, operation.expect("all are in the list").0)
}

/// Words of the API for how traffic is spread.
const BALANCING: [(&str, Balancing); 5] = [
    ("loadbalance_srcid", Balancing::Port),
    ("loadbalance_srcmac", Balancing::SourceMac),
    ("loadbalance_ip", Balancing::IpHash),
    ("failover_explicit", Balancing::Explicit),
    // vSphere has it on distributed switches only.
    ("loadbalance_loadbased", Balancing::Load),
];

/// How traffic is spread, by the API's word.
pub(crate) fn balancing(name: &str) -> Option<Balancing> {
    BALANCING.iter().find(|(word, _)| *word == name).map(|(_, balancing)| *balancing)
}

/// The API's word for how traffic is spread.
pub(crate) fn balancing_word(balancing: Balancing) -> &'static str {
    BALANCING.iter().find(|(_, known)| *known == balancing).expect("all are in the list").0
}

/// All words for how traffic is spread.
pub(crate) fn balancings() -> Vec<&'static str> {
    BALANCING.iter().map(|(word, _)| *word).collect()
}
