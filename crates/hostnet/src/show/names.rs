//! The host's name and name servers as the API shows them.

use std::net::IpAddr;

use vim::{Object, vim};
use vswitch::State;
use vswitch::declare::Dns;

use crate::config::Names;

/// The `HostDnsConfig`: the names that a client set, or else those of the Linux system.
pub(crate) fn shown(said: Option<&Names>, seen: &State, own: &Dns) -> Object {
    let names = said.map_or_else(|| own.clone(), |said| said.effective(seen).unwrap_or(said.given.clone()));
    vim!(HostDnsConfig {
        dhcp: said.is_some_and(Names::are_leased),
        virtualNicDevice: said.and_then(|said| said.from.as_deref()),
        ipv6VirtualNicDevice: said.and_then(|said| said.from_v6.as_deref()),
        hostName: names.host_name,
        domainName: names.domain,
        address: names.servers.iter().map(IpAddr::to_string).collect::<Vec<_>>(),
        searchDomain: names.search,
    })
    .into()
}
