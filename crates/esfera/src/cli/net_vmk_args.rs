//! Arguments of `esfera net vmk`.

use std::net::Ipv4Addr;

use clap::builder::PossibleValuesParser;
use clap::{Args, Subcommand};
use vswitch::declare::Service;

use super::net_args::OnHost;

#[derive(Subcommand)]
pub enum VmkCommand {
    /// List VMkernel adapters
    Ls(OnHost),
    /// Make a VMkernel adapter on a port group, and print its name
    Add {
        portgroup: String,
        #[command(flatten)]
        settings: VmkSettings,
        /// MAC address [default: one is chosen]
        #[arg(long)]
        mac: Option<String>,
        /// TCP/IP stack, for instance vmotion
        #[arg(long)]
        stack: Option<String>,
        /// What it carries; may be repeated
        #[arg(long, value_parser = services())]
        service: Vec<String>,
        #[command(flatten)]
        on: OnHost,
    },
    /// Change a VMkernel adapter; what is not named stays
    Set {
        /// vmk0, vmk1, …
        device: String,
        /// Move it to this port group
        #[arg(long)]
        portgroup: Option<String>,
        #[command(flatten)]
        settings: VmkSettings,
        #[command(flatten)]
        on: OnHost,
    },
    /// Remove a VMkernel adapter
    Rm {
        device: String,
        #[command(flatten)]
        on: OnHost,
    },
    /// Say what a VMkernel adapter carries
    Service {
        device: String,
        /// vSphere's name of it
        #[arg(value_parser = services())]
        service: String,
        /// It does not carry it any more
        #[arg(long)]
        off: bool,
        #[command(flatten)]
        on: OnHost,
    },
}

#[derive(Args)]
pub struct VmkSettings {
    /// IPv4 address with the length of its prefix: 10.0.0.11/24
    #[arg(long, value_parser = address, conflicts_with = "dhcp")]
    pub address: Option<Address>,
    /// Ask a DHCP server for the IPv4 address
    #[arg(long)]
    pub dhcp: bool,
    /// Largest payload of a frame in bytes
    #[arg(long)]
    pub mtu: Option<i32>,
    /// Its own default gateway, instead of its stack's; `none` takes it away again
    #[arg(long, value_parser = gateway)]
    pub gateway: Option<Option<Ipv4Addr>>,
    /// Uplink of its switch that it uses while that one works; empty for those of its port group
    #[arg(long, value_name = "NIC")]
    pub pinned_nic: Option<String>,
}

/// Those that vSphere has a name for.
fn services() -> PossibleValuesParser {
    let named = Service::ALL.iter().filter(|service| !matches!(service, Service::Iscsi | Service::Nfs));
    PossibleValuesParser::new(named.map(|service| service.as_str()))
}

/// An IPv4 address in its network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address {
    pub address: Ipv4Addr,
    pub mask: Ipv4Addr,
}

fn gateway(text: &str) -> Result<Option<Ipv4Addr>, String> {
    if text == "none" {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|_| "give an IPv4 address, or none".into())
}

fn address(text: &str) -> Result<Address, String> {
    const SHAPE: &str = "give an address with the length of its prefix: 10.0.0.11/24";
    let (address, prefix) = text.split_once('/').ok_or(SHAPE)?;
    let address = address.parse().map_err(|_| SHAPE)?;
    let prefix: u32 = prefix.parse().ok().filter(|prefix| (1..=32).contains(prefix)).ok_or(SHAPE)?;
    let mask = u32::MAX.checked_shl(32 - prefix).unwrap_or_default();
    Ok(Address { address, mask: mask.into() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_says_its_network() {
        for (text, mask) in [
            ("10.0.0.11/24", "255.255.255.0"),
            ("10.0.0.1/32", "255.255.255.255"),
            ("1.2.3.4/1", "128.0.0.0"),
        ] {
            assert_eq!(address(text).map(|read| read.mask.to_string()), Ok(mask.into()), "{text}");
        }
        for text in ["10.0.0.11", "10.0.0.11/0", "10.0.0.11/33", "10.0.0/24", "fe80::1/64", "a/b"] {
            assert!(address(text).is_err(), "{text}");
        }
    }
}
