//! `esfera net vmk`: VMkernel adapters of a host, and the services that they carry.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use clap::builder::PossibleValuesParser;
use clap::{Args, Subcommand};
use serde_json::json;
use vim::{Object, Value, call, field, vim};
use vswitch::declare::Service;

use super::network::Network;
use crate::client::failure::Failure;
use crate::client::inventory::Inventory;
use crate::client::output::{Table, text, words};
use crate::client::target::OnHost;
use crate::client::terminal;

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
        /// Service that it carries; may be repeated
        #[arg(long, value_parser = service_names())]
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
    /// Set whether a VMkernel adapter carries a service
    Service {
        device: String,
        /// vSphere's name of the service
        #[arg(value_parser = service_names())]
        service: String,
        /// Take the service from the adapter
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
    address: Option<Address>,
    /// Ask a DHCP server for the IPv4 address
    #[arg(long)]
    dhcp: bool,
    /// Largest payload of a frame in bytes
    #[arg(long)]
    mtu: Option<i32>,
    /// Its own default gateway, instead of its stack's; `none` takes it away again
    #[arg(long, value_parser = gateway)]
    gateway: Option<Option<Ipv4Addr>>,
    /// Uplink of its switch that it uses while that works; empty for those of its port group
    #[arg(long, value_name = "NIC")]
    pinned_nic: Option<String>,
}

/// The services that vSphere has a name for.
fn service_names() -> PossibleValuesParser {
    let named = Service::ALL.iter().filter(|service| !matches!(service, Service::Iscsi | Service::Nfs));
    PossibleValuesParser::new(named.map(|service| service.as_str()))
}

/// An IPv4 address in its network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address {
    address: Ipv4Addr,
    mask: Ipv4Addr,
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

pub async fn run(command: VmkCommand) -> Result<(), Failure> {
    match command {
        VmkCommand::Ls(on) => list(&on).await,
        VmkCommand::Add { portgroup, settings, mac, stack, service, on } => {
            let network = Network::of(&on).await?;
            let mut spec = spec(&settings);
            spec.set(field!(HostVirtualNicSpec.mac), mac);
            spec.set(field!(HostVirtualNicSpec.netStackInstanceKey), stack);
            let made = network.answer(call!(AddVirtualNic { portgroup: portgroup, nic: spec })).await?;
            let device = made.as_ref().and_then(Value::as_str).unwrap_or_default();
            terminal::line(device)?;
            for service in &service {
                select(&network, device, service, true).await?;
            }
            Ok(())
        }
        VmkCommand::Set { device, portgroup, settings, on } => {
            let network = Network::of(&on).await?;
            let mut spec = spec(&settings);
            spec.set(field!(HostVirtualNicSpec.portgroup), portgroup);
            network.answer(call!(UpdateVirtualNic { device: device, nic: spec })).await.map(drop)
        }
        VmkCommand::Rm { device, on } => {
            let network = Network::of(&on).await?;
            network.answer(call!(RemoveVirtualNic { device: device })).await.map(drop)
        }
        VmkCommand::Service { device, service, off, on } => {
            select(&Network::of(&on).await?, &device, &service, !off).await
        }
    }
}

/// The given settings as a specification; the rest is unset, and stays.
fn spec(settings: &VmkSettings) -> Object {
    let mut spec = Object::from(vim!(HostVirtualNicSpec {}));
    if let Some(given) = settings.address {
        let ip = vim!(HostIpConfig {
            dhcp: false,
            ipAddress: given.address.to_string(),
            subnetMask: given.mask.to_string(),
        });
        spec.set(field!(HostVirtualNicSpec.ip), ip);
    } else if settings.dhcp {
        spec.set(field!(HostVirtualNicSpec.ip), vim!(HostIpConfig { dhcp: true }));
    }
    spec.set(field!(HostVirtualNicSpec.mtu), settings.mtu);
    spec.set(field!(HostVirtualNicSpec.pinnedPnic), settings.pinned_nic.as_deref());
    if let Some(gateway) = settings.gateway {
        let route = vim!(HostVirtualNicIpRouteSpec {
            ipRouteConfig: HostIpRouteConfig { defaultGateway: gateway.map(|own| own.to_string()) },
        });
        spec.set(field!(HostVirtualNicSpec.ipRouteSpec), route);
    }
    spec
}

async fn select(network: &Network, device: &str, service: &str, on: bool) -> Result<(), Failure> {
    let call = match on {
        true => call!(SelectVnicForNicType { nicType: service, device: device }),
        false => call!(DeselectVnicForNicType { nicType: service, device: device }),
    };
    network.client.invoke(&network.adapters, &call).await?;
    Ok(())
}

/// The services of each adapter.
async fn services(network: &Network) -> Result<BTreeMap<String, Vec<String>>, Failure> {
    let inventory = Inventory::of(&network.client).await?;
    let found = inventory.read(&network.adapters, &["info"]).await?;
    let info = found.at(0).and_then(Value::as_object);
    let mut carried: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let kinds = info.and_then(|info| info.get(field!(HostVirtualNicManagerInfo.netConfig)));
    for kind in kinds.into_iter().flatten() {
        let Some(service) = kind.get(field!(VirtualNicManagerNetConfig.nicType)) else { continue };
        let selected: Vec<&str> =
            kind.get(field!(VirtualNicManagerNetConfig.selectedVnic)).into_iter().flatten().collect();
        for nic in kind.get(field!(VirtualNicManagerNetConfig.candidateVnic)).into_iter().flatten() {
            if nic.get(field!(HostVirtualNic.key)).is_some_and(|key| selected.contains(&key)) {
                let device = nic.get(field!(HostVirtualNic.device)).unwrap_or_default();
                carried.entry(device.into()).or_default().push(service.into());
            }
        }
    }
    Ok(carried)
}

async fn list(on: &OnHost) -> Result<(), Failure> {
    let network = Network::of(on).await?;
    let carried = services(&network).await?;
    let mut table = Table::new(&["name", "port_group", "address", "dhcp", "mtu", "mac", "stack", "services"]);
    for nic in network.info.get(field!(HostNetworkInfo.vnic)).into_iter().flatten() {
        let device = nic.get(field!(HostVirtualNic.device)).unwrap_or_default();
        let spec = nic.get(field!(HostVirtualNic.spec));
        let ip = spec.and_then(|spec| spec.get(field!(HostVirtualNicSpec.ip)));
        let services = carried.get(device).map(|names| names.iter().map(String::as_str).collect());
        table.row(vec![
            text(Some(device)),
            text(nic.get(field!(HostVirtualNic.portgroup))),
            json!(ip.and_then(|ip| in_its_network(ip))),
            json!(ip.and_then(|ip| ip.get(field!(HostIpConfig.dhcp)))),
            json!(spec.and_then(|spec| spec.get(field!(HostVirtualNicSpec.mtu)))),
            text(spec.and_then(|spec| spec.get(field!(HostVirtualNicSpec.mac)))),
            text(spec.and_then(|spec| spec.get(field!(HostVirtualNicSpec.netStackInstanceKey)))),
            words(services),
        ]);
    }
    table.print(on.target.json)
}

/// The IPv4 address with the length of its prefix.
fn in_its_network(ip: &Object) -> Option<String> {
    let address = ip.get(field!(HostIpConfig.ipAddress)).filter(|text| !text.is_empty())?;
    let mask: Ipv4Addr = ip.get(field!(HostIpConfig.subnetMask))?.parse().ok()?;
    Some(format!("{address}/{}", u32::from(mask).leading_ones()))
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
