//! VMkernel adapters: the host's own interfaces on the switch.
//!
//! An adapter is a veth pair. One end, `vmk0-port` in the host's network namespace, is an ordinary port of the switch; the other,
//! `vmk0`, is in the namespace of its TCP/IP stack and has the MAC, the addresses and the routes. The default stack is the
//! host's own namespace, the others are namespaces of ours.
//!
//! Like the rest of the switch it reconciles: [`pairs`] and [`plan`] say what differs, [`Adapters`] carries it out. What works
//! is not touched, so neither a daemon's restart nor a neighbour's change costs an adapter a packet.

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
pub use names::port_interface;
pub(crate) use netlink::Routing;
pub use source::Source;
pub use state::{AdapterState, StackState};
pub use takeover::{Takeover, takeover};

use std::collections::BTreeSet;

use self::names::device_number;
use crate::declare::{Adapter, Declaration, Ipv4Config, Port};
use crate::limits::{ADAPTERS, ADDRESSES, MAX_MTU, MIN_MTU, ROUTES, STACKS};
use crate::{Error, Result};

/// A declaration in which each adapter's end at the switch is a port.
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

/// Whether an interface is an end of an adapter, by its name.
pub(crate) fn is_end(interface: &str) -> bool {
    device_number(interface.strip_suffix("-port").unwrap_or(interface)).is_some()
}

/// Whether adapters and stacks can be as they are declared.
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
        let wrong =
            wrong(adapter).or((!devices.insert(&adapter.device)).then_some("there are two of that name"));
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
        (device_number(&adapter.device).is_none(), "a device is named `vmk` and a number from 0 to 255"),
        (adapter.mac.is_group() || adapter.mac == crate::Mac::ZERO, "its MAC is that of a group, or none"),
        (!(MIN_MTU..=MAX_MTU).contains(&adapter.mtu), "its MTU is not between 1280 and 9000"),
        (bad_ipv4, "its IPv4 address is none that an interface can have"),
        (
            adapter.ipv6.iter().flat_map(|ipv6| &ipv6.addresses).any(bad_ipv6),
            "an IPv6 address is none of an interface",
        ),
    ]
    .into_iter()
    .find_map(|(is_wrong, reason)| is_wrong.then_some(reason))
}
