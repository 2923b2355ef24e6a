//! The namespaces: a file for each, which has a row for each command. Folders follow the words of the command line.

mod network;
mod system;
mod vm;
mod words;
mod worlds;

use crate::table::Namespace;

/// All namespaces with commands.
static NAMESPACES: &[&Namespace] = &[
    &network::ip::connection::NAMESPACE,
    &network::ip::dns::search::NAMESPACE,
    &network::ip::dns::server::NAMESPACE,
    &network::ip::interface::NAMESPACE,
    &network::ip::interface::ipv4::NAMESPACE,
    &network::ip::interface::ipv4_address::NAMESPACE,
    &network::ip::interface::ipv6::NAMESPACE,
    &network::ip::interface::ipv6_address::NAMESPACE,
    &network::ip::interface::tag::NAMESPACE,
    &network::ip::neighbor::NAMESPACE,
    &network::ip::netstack::NAMESPACE,
    &network::ip::route::ipv4::NAMESPACE,
    &network::ip::route::ipv6::NAMESPACE,
    &network::mirror::session::NAMESPACE,
    &network::nic::NAMESPACE,
    &network::nic::stats::NAMESPACE,
    &network::port::learned::NAMESPACE,
    &network::port::stats::NAMESPACE,
    &network::vm::NAMESPACE,
    &network::vm::port::NAMESPACE,
    &network::vswitch::dvs::NAMESPACE,
    &network::vswitch::standard::NAMESPACE,
    &network::vswitch::standard::ipfix::NAMESPACE,
    &network::vswitch::standard::policy::failover::NAMESPACE,
    &network::vswitch::standard::policy::multicast::NAMESPACE,
    &network::vswitch::standard::policy::security::NAMESPACE,
    &network::vswitch::standard::policy::shaping::NAMESPACE,
    &network::vswitch::standard::portgroup::NAMESPACE,
    &network::vswitch::standard::portgroup::policy::failover::NAMESPACE,
    &network::vswitch::standard::portgroup::policy::ipfix::NAMESPACE,
    &network::vswitch::standard::portgroup::policy::learning::NAMESPACE,
    &network::vswitch::standard::portgroup::policy::security::NAMESPACE,
    &network::vswitch::standard::portgroup::policy::shaping::NAMESPACE,
    &network::vswitch::standard::uplink::NAMESPACE,
    &system::hostname::NAMESPACE,
    &system::uuid::NAMESPACE,
    &system::version::NAMESPACE,
    &vm::process::NAMESPACE,
];

/// Help for the groups of namespaces that have no commands themselves.
pub(crate) const GROUPS: [(&str, &str); 12] = [
    ("network", "The host's network"),
    ("network.ip", "VMkernel adapters and TCP/IP stacks"),
    ("network.ip.dns", "Resolving names"),
    ("network.ip.route", "Routes"),
    ("network.mirror", "Port mirroring"),
    ("network.port", "Ports of virtual switches"),
    ("network.vswitch", "Virtual switches"),
    ("network.vswitch.dvs", "Distributed virtual switches"),
    ("network.vswitch.standard.policy", "Policies of standard switches"),
    ("network.vswitch.standard.portgroup.policy", "Policies of port groups"),
    ("system", "The host itself"),
    ("vm", "Virtual machines"),
];

/// All namespaces with commands.
pub(crate) fn all() -> impl Iterator<Item = &'static Namespace> {
    NAMESPACES.iter().copied()
}

/// The namespace of this name, with dots between its words.
pub(crate) fn find(namespace: &str) -> Option<&'static Namespace> {
    all().find(|known| known.name == namespace)
}
