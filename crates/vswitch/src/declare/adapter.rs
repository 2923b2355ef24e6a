//! VMkernel adapters, the host's own interfaces on the switch, and the TCP/IP stacks that they are in.

use std::collections::BTreeSet;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Serialize};

use super::Service;
use crate::Mac;
use crate::limits::STACK_NAME;

/// A VMkernel adapter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Adapter {
    /// `vmk` and a number less than [`crate::limits::ADAPTERS`].
    pub device: String,
    /// Number of the port group.
    pub port_group: u32,
    pub mac: Mac,
    /// Largest payload of a frame, in bytes. A DHCP server may lower it.
    pub mtu: u32,
    pub stack: StackName,
    pub ipv4: Ipv4Config,
    /// `None` turns IPv6 off on the adapter.
    pub ipv6: Option<Ipv6Config>,
    /// Gateways for packets from this adapter's addresses, instead of the stack's.
    #[serde(default)]
    pub gateways: Gateways,
    /// The services that it carries.
    #[serde(default)]
    pub services: BTreeSet<Service>,
}

/// Where an adapter's IPv4 address comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Ipv4Config {
    /// No address.
    #[default]
    None,
    /// A declared address.
    Static {
        address: Ipv4Addr,
        /// Length of the network's prefix, at most 32.
        prefix: u8,
    },
    /// An address from a DHCP server.
    Dhcp,
}

/// The IPv6 addresses of an adapter besides its link-local one.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Ipv6Config {
    /// Addresses with the lengths of their networks' prefixes, at most 128.
    pub addresses: Vec<(Ipv6Addr, u8)>,
    /// Whether router advertisements give it addresses and routes.
    pub autoconf: bool,
    /// Whether a DHCPv6 server gives it an address. Routes then come from router advertisements.
    #[serde(default)]
    pub dhcp: bool,
}

/// Default gateways.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Gateways {
    pub ipv4: Option<Ipv4Addr>,
    /// A link-local gateway is reached through the stack's first adapter that has IPv6.
    pub ipv6: Option<Ipv6Addr>,
}

/// A TCP/IP stack: a set of addresses and routes of its own. An empty one need not be declared.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Stack {
    pub name: StackName,
    /// Without an IPv4 gateway here, a DHCP server may provide it.
    pub gateways: Gateways,
    #[serde(default)]
    pub routes: Vec<Route>,
    #[serde(default)]
    pub dns: Dns,
    /// vSphere's name of a congestion control algorithm (`newreno`, `cubic`); `None` keeps the kernel's default.
    #[serde(default)]
    pub congestion_control: Option<String>,
}

/// A static route.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Route {
    pub network: IpAddr,
    /// At most 32 or 128.
    pub prefix: u8,
    pub gateway: IpAddr,
}

/// How a stack resolves names. The switch sends the host's name to DHCP servers; it resolves nothing itself.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Dns {
    #[serde(default)]
    pub host_name: String,
    #[serde(default)]
    pub domain: String,
    #[serde(default)]
    pub servers: Vec<IpAddr>,
    #[serde(default)]
    pub search: Vec<String>,
}

/// The name (vSphere's key) of a TCP/IP stack.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct StackName(String);

impl StackName {
    /// The stack in the host's own network namespace.
    pub const DEFAULT: &'static str = "defaultTcpipStack";
    /// The stack for vMotion.
    pub const VMOTION: &'static str = "vmotion";
    /// The stack for cold migration and clones.
    pub const PROVISIONING: &'static str = "vSphereProvisioning";

    /// Whether the stack is in the host's own network namespace.
    pub fn is_default(&self) -> bool {
        self.0 == Self::DEFAULT
    }

    /// The text of the name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for StackName {
    fn default() -> Self {
        Self(Self::DEFAULT.into())
    }
}

impl fmt::Display for StackName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A text that cannot name a stack. The name becomes part of a file's name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} cannot name a TCP/IP stack; use up to {STACK_NAME} letters, digits, `-` and `_`")]
pub struct BadStackName(String);

impl TryFrom<String> for StackName {
    type Error = BadStackName;

    fn try_from(name: String) -> Result<Self, BadStackName> {
        let is_fit = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        if (1..=STACK_NAME).contains(&name.len()) && name.bytes().all(is_fit) {
            Ok(Self(name))
        } else {
            Err(BadStackName(name.chars().take(STACK_NAME).collect()))
        }
    }
}

impl From<StackName> for String {
    fn from(name: StackName) -> Self {
        name.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_stack_stays_in_its_directory() {
        for good in [StackName::DEFAULT, StackName::VMOTION, "backup-2"] {
            assert_eq!(StackName::try_from(good.to_owned()).unwrap().as_str(), good);
        }
        for bad in ["", "..", "a/b", "a b", "ü", &"a".repeat(STACK_NAME + 1)] {
            assert!(StackName::try_from(bad.to_owned()).is_err(), "{bad}");
        }
        assert!(StackName::default().is_default());
    }
}
