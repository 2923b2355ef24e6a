//! `esxcli network ip route`: routes, as the kernel has them.

pub(crate) mod ipv4;
pub(crate) mod ipv6;

use std::net::IpAddr;

use serde_json::Value as Json;

use super::stacks::word;

/// Network and prefix of a route.
fn destination(route: &Json, all: IpAddr) -> Option<(IpAddr, u8)> {
    let text = word(route, "dst")?;
    if text == "default" {
        return Some((all, 0));
    }
    match text.split_once('/') {
        Some((address, prefix)) => Some((address.parse().ok()?, prefix.parse().ok()?)),
        None => {
            let address: IpAddr = text.parse().ok()?;
            Some((address, if address.is_ipv4() { 32 } else { 128 }))
        }
    }
}
