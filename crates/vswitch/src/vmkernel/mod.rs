//! VMkernel adapters: the host's own interfaces on the switch.
//!
//! An adapter is a veth pair. One end, `vmk0-port` in the host's network namespace, is an ordinary port of the switch;
//! the other, `vmk0`, is in the namespace of its TCP/IP stack and has the MAC, the addresses and the routes. The
//! default stack is the host's own namespace; the engine makes the namespaces of the others.
//!
//! Like the rest of the switch, adapters are reconciled: [`pairs`] and [`plan`] compute the difference, [`Adapters`]
//! applies it. Correct parts stay untouched, so neither a daemon's restart nor a neighbour's change costs an adapter a
//! packet.

mod adapters;
mod arp;
mod client;
pub mod dhcp;
pub mod dhcp6;
mod guard;
mod guards;
mod hop;
mod leases;
mod leases6;
mod names;
mod namespace;
mod netlink;
mod pairs;
mod plan;
mod settings;
mod source;
mod stacks;
mod state;
mod takeover;
mod view;
mod wanted;

pub(crate) use adapters::Adapters;
pub use arp::Arp;
pub(crate) use hop::Hop;
pub(crate) use names::device_number;
pub use names::port_interface;
pub(crate) use netlink::Routing;
pub use source::Source;
pub use state::{AdapterState, StackState};
pub use takeover::{Takeover, takeover};

use std::collections::BTreeSet;

use crate::declare::{Adapter, Declaration, Ipv4Config, Port};
use crate::limits::{ADAPTERS, ADDRESSES, MAX_MTU, MIN_MTU, ROUTES, STACKS};
use crate::{Error, Result};

/// The declaration, with a port added for each adapter.
pub(crate) fn with_ports(mut declared: Declaration) -> Declaration {
    let ports = declared.adapters.iter().map(|adapter| Port {
        interface: port_interface(&adapter.device),
        port_group: adapter.port_group,
        mac: adapter.mac,
        guest_mac: None,
        blocked: false,
    });
    declared.ports.extend(ports);
    declared
}

/// Whether an interface's name is that of an end of an adapter.
pub(crate) fn is_end(interface: &str) -> bool {
    device_number(interface.strip_suffix("-port").unwrap_or(interface)).is_some()
}

/// Validates the declared adapters and stacks.
pub(crate) fn check(declared: &Declaration) -> Result<()> {
    let most = |what, asked, most| {
        if asked > most { Err(Error::Limit { what, asked, most }) } else { Ok(()) }
    };
    most("VMkernel adapters of a host", declared.adapters.len(), ADAPTERS)?;
    most("TCP/IP stacks of a host", declared.stacks.len(), STACKS)?;
    for stack in &declared.stacks {
        most("routes of a TCP/IP stack", stack.routes.len(), ROUTES)?;
    }
    let mut devices = BTreeSet::new();
    for adapter in &declared.adapters {
        most(
            "IPv6 addresses of an adapter",
            adapter.ipv6.as_ref().map_or(0, |ipv6| ipv6.addresses.len()),
            ADDRESSES,
        )?;
        let wrong = wrong(adapter)
            .or((!devices.insert(&adapter.device)).then_some("another adapter has the same name"));
        if let Some(reason) = wrong {
            return Err(Error::Adapter { device: adapter.device.clone(), reason: reason.into() });
        }
    }
    Ok(())
}

fn wrong(adapter: &Adapter) -> Option<&'static str> {
    let bad_ipv6 = |(address, prefix): &(std::net::Ipv6Addr, u8)| *prefix > 128 || address.is_multicast();
    let bad_ipv4 = match adapter.ipv4 {
        Ipv4Config::Static { address, prefix } => {
            prefix > 32 || address.is_multicast() || address.is_broadcast() || address.is_unspecified()
        }
        _ => false,
    };
    [
        (device_number(&adapter.device).is_none(), "its name must be `vmk` and a number from 0 to 255"),
        (
            adapter.mac.is_group() || adapter.mac == crate::Mac::ZERO,
            "its MAC must be a station's, not a group's or all zeroes",
        ),
        (!(MIN_MTU..=MAX_MTU).contains(&adapter.mtu), "its MTU is out of range (1280–9000)"),
        (bad_ipv4, "its IPv4 address must be a station's, with a prefix of at most 32"),
        (
            adapter.ipv6.iter().flat_map(|ipv6| &ipv6.addresses).any(bad_ipv6),
            "its IPv6 addresses must be unicast, with prefixes of at most 128",
        ),
    ]
    .into_iter()
    .find_map(|(is_wrong, reason)| is_wrong.then_some(reason))
}
