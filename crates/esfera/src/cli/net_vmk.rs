//! `esfera net vmk …`: VMkernel adapters of a host, and what they carry.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use serde_json::json;
use vim::{Object, Value, call, field, vim};

use super::failure::Failure;
use super::inventory::Inventory;
use super::net::{Network, text, words};
use super::net_args::OnHost;
use super::net_vmk_args::{VmkCommand, VmkSettings};
use super::output::Table;

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
            println!("{device}");
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

/// What is said of an adapter; the rest is unset, and stays.
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

/// What each adapter carries.
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
    table.print(on.target.json);
    Ok(())
}

/// The IPv4 address with the length of its prefix.
fn in_its_network(ip: &Object) -> Option<String> {
    let address = ip.get(field!(HostIpConfig.ipAddress)).filter(|text| !text.is_empty())?;
    let mask: Ipv4Addr = ip.get(field!(HostIpConfig.subnetMask))?.parse().ok()?;
    Some(format!("{address}/{}", u32::from(mask).leading_ones()))
}
