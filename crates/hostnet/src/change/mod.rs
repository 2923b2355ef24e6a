//! Changes of a declared network, each all or nothing: pure functions from a configuration and what a client asks for to the next
//! configuration, or to the fault that says why not. Each file reads one kind of the API's specifications and applies it.

mod adapter;
mod extras;
mod group;
mod mirror;
mod names;
mod pin;
mod policy;
mod route;
mod stack;
mod switch;

use vim::{Fault, fault};
use vswitch::limits::{MAX_MTU, MIN_MTU};

pub use adapter::{AdapterSpec, read as adapter_spec};
pub use group::{GroupSpec, read as group_spec};
pub use route::{RouteChange, read as route_changes};
pub use stack::GatewayChange;
pub use switch::{SwitchSpec, read as switch_spec};

use crate::invalid;

/// The surroundings that a change checks besides the configuration.
pub struct Around<'a> {
    /// Whether the host has a physical network card of this name.
    pub has_nic: &'a dyn Fn(&str) -> bool,
    /// The user of a port group, in words, if it has one.
    pub user: &'a dyn Fn(&str) -> Option<String>,
}

fn no_switch(name: &str) -> Fault {
    fault!(NotFound {}, "The host has no standard switch {name}")
}

fn no_group(name: &str) -> Fault {
    fault!(NotFound {}, "The host has no port group {name}")
}

fn no_adapter(device: &str) -> Fault {
    fault!(NotFound {}, "The host has no VMkernel adapter {device}")
}

fn check_name(name: &str, most: usize, property: &str) -> Result<(), Fault> {
    if name.trim().is_empty() {
        return Err(invalid(property, "The name is empty"));
    }
    if name.chars().count() > most {
        return Err(invalid(property, format_args!("The name has more than {most} characters")));
    }
    match name.chars().any(char::is_control) {
        true => Err(invalid(property, "The name has control characters")),
        false => Ok(()),
    }
}

/// An MTU in bytes, as far as the switch forwards it.
fn mtu(mtu: i32, property: &str) -> Result<u32, Fault> {
    let fits = u32::try_from(mtu).ok().filter(|mtu| (MIN_MTU..=MAX_MTU).contains(mtu));
    fits.ok_or_else(|| invalid(property, format_args!("MTU {mtu} is out of range ({MIN_MTU}–{MAX_MTU})")))
}
