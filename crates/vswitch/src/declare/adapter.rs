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
    /// Largest payload of a frame, in bytes. A DHCP server may ask for less.
    pub mtu: u32,
    pub stack: StackName,
    pub ipv4: Ipv4Config,
    /// None if the adapter speaks no IPv6 at all.
    pub ipv6: Option<Ipv6Config>,
    /// Instead of its stack's, for what is sent from this adapter's addresses.
    #[serde(default)]
    pub gateways: Gateways,
    /// What it carries.
    #[serde(default)]
    pub services: BTreeSet<Service>,
}

/// Where an adapter's IPv4 address comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Ipv4Config {
    /// It has none.
    #[default]
    None,
    /// It is declared.
    Static {
        address: Ipv4Addr,
        /// Length of the network's prefix, at most 32.
        prefix: u8,
    },
    /// A DHCP server gives it.
    Dhcp,
}

/// The IPv6 addresses of an adapter besides its link-local one.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Ipv6Config {
    /// Addresses with the lengths of their networks' prefixes, at most 128.
    pub addresses: Vec<(Ipv6Addr, u8)>,
    /// Whether router advertisements give it addresses and routes.
    pub autoconf: bool,
    /// Whether a DHCPv6 server gives it an address. Routes are advertised by routers, which are heard then too.
    #[serde(default)]
    pub dhcp: bool,
}

/// Default gateways.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Gateways {
    pub ipv4: Option<Ipv4Addr>,
    /// A link-local one is looked for on the stack's first adapter that speaks IPv6.
    pub ipv6: Option<Ipv6Addr>,
}

/// A TCP/IP stack: a set of addresses and routes of its own. One that no adapter is in need not be declared.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Stack {
    pub name: StackName,
    /// An IPv4 gateway that is none may come from a DHCP server.
    pub gateways: Gateways,
    #[serde(default)]
    pub routes: Vec<Route>,
    #[serde(default)]
    pub dns: Dns,
    /// vSphere's name of a congestion control algorithm (`newreno`, `cubic`); none leaves the kernel's.
    #[serde(default)]
    pub congestion_control: Option<String>,
}

/// A route besides those to connected networks and to the default gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Route {
    pub network: IpAddr,
    /// At most 32 or 128.
    pub prefix: u8,
    pub gateway: IpAddr,
}

/// How a stack resolves names. The switch tells a DHCP server the host's name; resolving is for others.
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
    /// The stack that is the host's own network namespace.
    pub const DEFAULT: &'static str = "defaultTcpipStack";
    /// The stack for moving VMs.
    pub const VMOTION: &'static str = "vmotion";
    /// The stack for moving VMs that are off, and for clones.
    pub const PROVISIONING: &'static str = "vSphereProvisioning";

    /// Whether it is the host's own network namespace.
    pub fn is_default(&self) -> bool {
        self.0 == Self::DEFAULT
    }

    /// As it is written.
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

/// A text that is no name of a stack. It becomes part of a file's name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no name of a TCP/IP stack; use up to {STACK_NAME} letters, digits, `-` and `_`")]
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
