//! The host's name, domain and name servers: reading a `HostDnsConfig`, and setting it.

use std::net::IpAddr;

use vim::{Fault, Object, data_id, fault, field};
use vswitch::declare::{Adapter, Dns, Ipv4Config};
use vswitch::limits::DOMAIN_NAME;

use super::no_adapter;
use crate::config::{Names, NetworkConfig};
use crate::invalid;
use crate::limits::{HOST_NAME, LABEL, MOST_DOMAINS, MOST_SERVERS};

impl NetworkConfig {
    /// Sets the names as a `HostDnsConfig` says. An empty host name leaves the current one, which is `own` until a client sets one.
    ///
    /// # Errors
    /// `InvalidArgument`; `NotFound` for an unknown adapter; `NotSupported`.
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
            name => return Err(invalid("config.hostName", format_args!("\"{name}\" is not a host name"))),
        };
        let search = config.get(field!(HostDnsConfig.searchDomain)).into_iter().flatten();
        let search = search.map(|name| domain(name, "config.searchDomain")).collect::<Result<Vec<_>, _>>()?;
        if search.len() > MOST_DOMAINS {
            return Err(invalid(
                "config.searchDomain",
                format_args!("More than {MOST_DOMAINS} search domains"),
            ));
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

    /// Checks that the adapters that names are to come from are in the default stack and ask DHCP servers for their addresses.
    fn check_leased(&self, names: &Names) -> Result<(), Fault> {
        if !names.are_leased() {
            return Err(invalid(
                "config.virtualNicDevice",
                "Name the VMkernel adapter whose DHCP server gives the names",
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
            let adapter = adapter.ok_or_else(|| no_adapter(device))?;
            if !(is_leased(adapter) && adapter.stack.is_default()) {
                return Err(invalid(
                    property,
                    format_args!(
                        "{device} does not ask a DHCP server for this address in the default TCP/IP stack"
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
            invalid("config.address", format_args!("\"{text}\" is not the address of a name server"))
        })?;
        if address.is_unspecified() || address.is_multicast() {
            return Err(invalid(
                "config.address",
                format_args!("{address} is not the address of a name server"),
            ));
        }
        servers.push(address);
    }
    match servers.len() > MOST_SERVERS {
        true => Err(invalid("config.address", format_args!("More than {MOST_SERVERS} name servers"))),
        false => Ok(servers),
    }
}

fn domain(name: &str, property: &str) -> Result<String, Fault> {
    let name = name.trim().trim_end_matches('.');
    match is_name(name, true) {
        true => Ok(name.to_owned()),
        false => Err(invalid(property, format_args!("\"{name}\" is not a domain name"))),
    }
}

/// Whether the name consists of labels of letters, digits and hyphens (RFC 1123), in domain names also of underscores.
fn is_name(name: &str, underscores: bool) -> bool {
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || (underscores && byte == b'_');
    let label = |label: &str| {
        let ends = !label.starts_with('-') && !label.ends_with('-');
        ends && (1..=LABEL).contains(&label.len()) && label.bytes().all(letter)
    };
    name.len() <= DOMAIN_NAME && name.split('.').all(label)
}

#[cfg(test)]
#[path = "names_tests.rs"]
mod tests;
