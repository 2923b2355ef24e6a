//! What the host calls itself, and whom it asks for names. Until a client has said it, that is the machine's own business; from
//! then on the host sees to it.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use vim::{Fault, Object, data_id, fault, field, vim};
use vswitch::State;
use vswitch::declare::{Adapter, Dns, Ipv4Config};
use vswitch::limits::DOMAIN_NAME;

use super::config::NetworkConfig;
use super::spec::invalid;

/// Most name servers, and most domains that are searched. (glibc asks the first three.)
const MOST_SERVERS: usize = 16;
const MOST_DOMAINS: usize = 32;
/// Longest part of a name between dots, and longest name of a Linux machine.
const LABEL: usize = 63;
const HOST_NAME: usize = 64;

/// What a client has said.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Names {
    /// The VMkernel adapter whose DHCP server gives the domain and the servers; none if they are given.
    #[serde(default)]
    pub from: Option<String>,
    /// The VMkernel adapter whose DHCPv6 server gives more servers and, unless they are given, the domains that are searched.
    #[serde(default)]
    pub from_v6: Option<String>,
    pub given: Dns,
}

impl Names {
    /// What it comes to; none as long as there is no lease that would say it.
    pub(super) fn effective(&self, seen: &State) -> Option<Dns> {
        if !self.are_leased() {
            return Some(self.given.clone());
        }
        let state = |device: &Option<String>| seen.adapters.get(device.as_ref()?);
        let four = state(&self.from).and_then(|state| state.lease.as_ref());
        let six = state(&self.from_v6).and_then(|state| state.lease6.as_ref());
        if four.is_none() && six.is_none() {
            return None;
        }
        let mut names = Dns { domain: String::new(), servers: Vec::new(), ..self.given.clone() };
        if let Some(lease) = four {
            names.domain = lease.domain.clone().unwrap_or_default();
            names.servers.extend(lease.dns.iter().copied().map(IpAddr::from));
        }
        if let Some(lease) = six {
            // A link-local one is none without its link, which a list of servers does not say.
            let usable = lease.dns.iter().filter(|server| !server.is_unicast_link_local());
            names.servers.extend(usable.copied().map(IpAddr::from));
            if names.search.is_empty() {
                names.search = lease.search.iter().take(MOST_DOMAINS).cloned().collect();
            }
        }
        names.servers.truncate(MOST_SERVERS);
        Some(names)
    }

    /// Whether DHCP servers give them.
    fn are_leased(&self) -> bool {
        self.from.is_some() || self.from_v6.is_some()
    }
}

/// As the API shows it: what was said, or else what the machine has.
pub(super) fn shown(said: Option<&Names>, seen: &State, own: &Dns) -> Object {
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

impl NetworkConfig {
    /// Says what a `HostDnsConfig` says. A host name that is empty stays as it is, `own` if nobody has said another.
    ///
    /// # Errors
    /// `InvalidArgument`; `NotFound` for an adapter that is not there; `NotSupported`.
    pub fn set_names(&mut self, config: &Object, own: &str) -> Result<(), Fault> {
        if config.is_a(data_id!(HostDnsConfigSpec)) {
            return Err(fault!(
                NotSupported {},
                "Name adapters by virtualNicDevice and ipv6VirtualNicDevice: connections are not supported"
            ));
        }
        let text = |text: Option<&str>| text.unwrap_or_default().trim().to_owned();
        let host_name = match text(config.get(field!(HostDnsConfig.hostName))) {
            empty if empty.is_empty() => {
                self.names.as_ref().map_or_else(|| own.to_owned(), |said| said.given.host_name.clone())
            }
            name if name.len() <= HOST_NAME && is_name(&name, false) => name,
            name => return Err(invalid("config.hostName", format_args!("\"{name}\" is no name of a host"))),
        };
        let search = config.get(field!(HostDnsConfig.searchDomain)).into_iter().flatten();
        let search = search.map(|name| domain(name, "config.searchDomain")).collect::<Result<Vec<_>, _>>()?;
        if search.len() > MOST_DOMAINS {
            return Err(invalid("config.searchDomain", format_args!("There may be {MOST_DOMAINS} at most")));
        }
        let mut names = Names { given: Dns { host_name, search, ..Dns::default() }, ..Names::default() };
        if config.get(field!(HostDnsConfig.dhcp)).unwrap_or_default() {
            let named = |device: Option<&str>| device.filter(|device| !device.is_empty()).map(str::to_owned);
            names.from = named(config.get(field!(HostDnsConfig.virtualNicDevice)));
            names.from_v6 = named(config.get(field!(HostDnsConfig.ipv6VirtualNicDevice)));
            self.check_leased(&names)?;
        } else {
            names.given.domain = match text(config.get(field!(HostDnsConfig.domainName))) {
                empty if empty.is_empty() => empty,
                name => domain(&name, "config.domainName")?,
            };
            names.given.servers = servers(config)?;
        }
        self.names = Some(names);
        Ok(())
    }

    /// Whether the adapters that names are to come from are in the default stack and have their addresses from DHCP servers.
    fn check_leased(&self, names: &Names) -> Result<(), Fault> {
        if !names.are_leased() {
            return Err(invalid(
                "config.virtualNicDevice",
                "Say which VMkernel adapter's DHCP server gives the names",
            ));
        }
        let leased4: &dyn Fn(&Adapter) -> bool = &|adapter| adapter.ipv4 == Ipv4Config::Dhcp;
        let leased6: &dyn Fn(&Adapter) -> bool =
            &|adapter| adapter.ipv6.as_ref().is_some_and(|ipv6| ipv6.dhcp);
        for (device, property, is_leased) in [
            (&names.from, "config.virtualNicDevice", leased4),
            (&names.from_v6, "config.ipv6VirtualNicDevice", leased6),
        ] {
            let Some(device) = device else { continue };
            let adapter = self.adapter(device);
            let adapter =
                adapter.ok_or_else(|| fault!(NotFound {}, "The host has no VMkernel adapter {device}"))?;
            if !(is_leased(adapter) && adapter.stack.is_default()) {
                return Err(invalid(
                    property,
                    format_args!(
                        "{device} gets no such address from a DHCP server in the default TCP/IP stack"
                    ),
                ));
            }
        }
        Ok(())
    }
}

fn servers(config: &Object) -> Result<Vec<IpAddr>, Fault> {
    let mut servers = Vec::new();
    for text in config.get(field!(HostDnsConfig.address)).into_iter().flatten() {
        let address: IpAddr = text.trim().parse().map_err(|_| {
            invalid("config.address", format_args!("\"{text}\" is no address of a name server"))
        })?;
        if address.is_unspecified() || address.is_multicast() {
            return Err(invalid("config.address", format_args!("{address} is no address of a name server")));
        }
        servers.push(address);
    }
    match servers.len() > MOST_SERVERS {
        true => Err(invalid("config.address", format_args!("There may be {MOST_SERVERS} at most"))),
        false => Ok(servers),
    }
}

fn domain(name: &str, property: &str) -> Result<String, Fault> {
    let name = name.trim().trim_end_matches('.');
    match is_name(name, true) {
        true => Ok(name.to_owned()),
        false => Err(invalid(property, format_args!("\"{name}\" is no name of a domain"))),
    }
}

/// Labels of letters, digits and hyphens (RFC 1123), in names of domains also underscores.
fn is_name(name: &str, underscores: bool) -> bool {
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || (underscores && byte == b'_');
    let label = |label: &str| {
        let ends = !label.starts_with('-') && !label.ends_with('-');
        ends && (1..=LABEL).contains(&label.len()) && label.bytes().all(letter)
    };
    name.len() <= DOMAIN_NAME && name.split('.').all(label)
}

/// What a `resolv.conf` says.
pub(super) fn read_resolv_conf(text: &str) -> Dns {
    let mut dns = Dns::default();
    for line in text.lines() {
        let mut words = line.split_whitespace();
        let key = words.next().unwrap_or_default();
        match key {
            // An address of the machine's own scope (`%eth0`) is one for itself only.
            "nameserver" => dns.servers.extend(words.next().and_then(|text| text.parse::<IpAddr>().ok())),
            "domain" => dns.domain = words.next().unwrap_or_default().to_owned(),
            // The last one counts.
            "search" => dns.search = words.map(str::to_owned).collect(),
            _ => {}
        }
    }
    dns.servers.truncate(MOST_SERVERS);
    dns.search.truncate(MOST_DOMAINS);
    dns
}

/// A `resolv.conf` that says it.
pub(super) fn resolv_conf(dns: &Dns) -> String {
    let mut text = String::from("# Written by the host daemon of Esfera: set by UpdateDnsConfig.\n");
    let domain = (!dns.domain.is_empty()).then_some(&dns.domain);
    let search: Vec<&str> = if dns.search.is_empty() {
        domain.into_iter().map(|name| &**name).collect()
    } else {
        dns.search.iter().map(|name| &**name).collect()
    };
    if !search.is_empty() {
        text += &format!("search {}\n", search.join(" "));
    }
    for server in &dns.servers {
        text += &format!("nameserver {server}\n");
    }
    text
}

#[cfg(test)]
#[path = "dns_tests.rs"]
mod tests;
