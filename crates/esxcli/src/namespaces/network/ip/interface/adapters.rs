//! The VMkernel adapters that arguments name.

use std::net::{IpAddr, Ipv4Addr};

use host::Host;
use hostnet::{NetworkConfig, ipv4_mask};
use vswitch::declare::{Adapter, Ipv4Config};
use vswitch::vmkernel::AdapterState;

use crate::namespaces::network::ip::stacks::{declared, named};
use crate::table::{Arguments, CliFault, Field, Parameter, Row, boolean, text};

pub(super) const OF_ADAPTER: Parameter =
    Parameter::text("interface-name", 'i', "Only the VMkernel adapter of this name");
pub(super) const ADAPTER: Parameter =
    Parameter::text("interface-name", 'i', "The name of the VMkernel adapter").required();

/// The adapters that the arguments name, with their state. Without a stack, those of all stacks.
pub(super) fn adapters(
    host: &Host,
    config: &NetworkConfig,
    arguments: &Arguments,
) -> Result<Vec<(Adapter, Option<AdapterState>)>, CliFault> {
    arguments.text("netstack").map(|name| named(config, name)).transpose()?;
    let seen = host.network.fabric().seen();
    let wanted = |adapter: &&Adapter| {
        arguments.text("netstack").is_none_or(|stack| adapter.stack.as_str() == stack)
            && arguments.text("interfacename").is_none_or(|device| adapter.device == device)
    };
    let found: Vec<_> = config
        .adapters
        .iter()
        .filter(wanted)
        .map(|adapter| (adapter.clone(), seen.adapters.get(&adapter.device).cloned()))
        .collect();
    match arguments.text("interfacename") {
        Some(device) if found.is_empty() => {
            Err(CliFault(format!("Invalid interface: the host has no VMkernel adapter {device}")))
        }
        _ => Ok(found),
    }
}

/// An address and the length of its network's prefix.
pub(super) type Own = (Ipv4Addr, u8);

/// The IPv4 address of an adapter: the declared one or, with DHCP, that of the lease.
fn own_ipv4(adapter: &Adapter, state: Option<&AdapterState>) -> Option<Own> {
    match adapter.ipv4 {
        Ipv4Config::None => None,
        Ipv4Config::Static { address, prefix } => Some((address, prefix)),
        Ipv4Config::Dhcp => state?.addresses.iter().find_map(|(address, prefix)| match address {
            IpAddr::V4(four) => Some((*four, *prefix)),
            IpAddr::V6(_) => None,
        }),
    }
}

/// The fields of [`ipv4_rows`].
pub(super) const IPV4_FIELDS: &[Field] = &[
    text("Name"),
    text("IPv4 Address"),
    text("IPv4 Netmask"),
    text("IPv4 Broadcast"),
    text("Address Type"),
    text("Gateway"),
    boolean("DHCP DNS"),
];

fn ipv4_row(adapter: &Adapter, own: Option<Own>) -> Row {
    let mask = own.map(|(_, prefix)| ipv4_mask(prefix));
    let broadcast = own.zip(mask).map(|((address, _), mask)| address | !mask);
    let kind = match adapter.ipv4 {
        Ipv4Config::None => "NONE",
        Ipv4Config::Static { .. } => "STATIC",
        Ipv4Config::Dhcp => "DHCP",
    };
    Row::new()
        .put("Name", &adapter.device)
        .put("IPv4 Address", own.map(|(address, _)| address.to_string()))
        .put("IPv4 Netmask", mask.map(|mask| mask.to_string()))
        .put("IPv4 Broadcast", broadcast.map(|address| address.to_string()))
        .put("Address Type", kind)
}

/// The rows of the adapters, with their IPv4 addresses.
pub(super) fn ipv4_rows(host: &Host, arguments: &Arguments) -> Result<Vec<(Option<Own>, Row)>, CliFault> {
    let config = host.network.config();
    let row = |(adapter, state): (Adapter, Option<AdapterState>)| {
        let leased = state.as_ref().and_then(|state| state.lease.as_ref()).and_then(|lease| lease.router);
        let stack = declared(&config, &adapter.stack).and_then(|stack| stack.gateways.ipv4);
        let gateway = adapter.gateways.ipv4.or(stack).or(leased);
        let names = config.names.as_ref().and_then(|names| names.from.as_ref());
        let own = own_ipv4(&adapter, state.as_ref());
        let row = ipv4_row(&adapter, own)
            .put("Gateway", gateway.map(|gateway| gateway.to_string()))
            .put("DHCP DNS", names == Some(&adapter.device));
        (own, row)
    };
    Ok(adapters(host, &config, arguments)?.into_iter().map(row).collect())
}
