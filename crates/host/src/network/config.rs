//! UpdateNetworkConfig: many changes of the network at once, all or none.

use std::sync::Arc;

use api::Call;
use hostnet::{Around, NetworkConfig};
use vim::{Fault, Object, Value, arg, fault, field, vim};
use vm::faults::not_supported;
use vswitch::Mac;

use super::Network;
use super::adapters::new_mac;

/// A change of one switch, port group or adapter.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Operation {
    Add,
    Edit,
    Remove,
}

pub(super) async fn update(network: Arc<Network>, call: Call) -> Result<Option<Value>, Fault> {
    let mode = call.required(arg!(UpdateNetworkConfig.changeMode))?;
    if mode != "modify" {
        return Err(not_supported(
            "Networks are changed by changeMode \"modify\" only; say what to add, edit and remove",
        ));
    }
    let wanted = call.required(arg!(UpdateNetworkConfig.config))?.clone();
    refuse_others(&wanted)?;
    let own = network.own_names();
    let mut devices = Vec::new();
    network
        .change(|config, around| {
            devices = apply(config, &wanted, around)?;
            if let Some(names) = wanted.get(field!(HostNetworkConfig.dnsConfig)) {
                config.set_names(names, &own.host_name)?;
            }
            for stack in wanted.get(field!(HostNetworkConfig.netStackSpec)).into_iter().flatten() {
                config.edit_stack(stack, &own.host_name)?;
            }
            Ok(())
        })
        .await?;
    Ok(Some(Object::from(vim!(HostNetworkConfigResult { vnicDevice: devices })).into()))
}

/// Refuses settings that this method cannot change on this host, rather than ignoring them.
fn refuse_others(wanted: &Object) -> Result<(), Fault> {
    let is_set = [
        ("proxySwitch", wanted.get(field!(HostNetworkConfig.proxySwitch)).is_some()),
        ("consoleVnic", wanted.get(field!(HostNetworkConfig.consoleVnic)).is_some()),
        ("dhcp", wanted.get(field!(HostNetworkConfig.dhcp)).is_some()),
        ("nat", wanted.get(field!(HostNetworkConfig.nat)).is_some()),
        // IPv6 is always on; an adapter can do without.
        ("ipV6Enabled", wanted.get(field!(HostNetworkConfig.ipV6Enabled)) == Some(false)),
    ];
    match is_set.into_iter().find(|(_, is_set)| *is_set) {
        Some((name, _)) => {
            Err(not_supported(&format!("{name} cannot be changed by UpdateNetworkConfig on this host")))
        }
        None => Ok(()),
    }
}

/// Adds switches, then port groups, then adapters; removes adapters, then port groups, then switches. Gives the devices of the
/// added adapters.
fn apply(config: &mut NetworkConfig, wanted: &Object, around: &Around<'_>) -> Result<Vec<String>, Fault> {
    let switches: Vec<_> = wanted.get(field!(HostNetworkConfig.vswitch)).into_iter().flatten().collect();
    let groups: Vec<_> = wanted.get(field!(HostNetworkConfig.portgroup)).into_iter().flatten().collect();
    let nics: Vec<_> = wanted.get(field!(HostNetworkConfig.vnic)).into_iter().flatten().collect();
    for switch in &switches {
        let name = switch.get(field!(HostVirtualSwitchConfig.name)).unwrap_or_default();
        let spec = switch.get(field!(HostVirtualSwitchConfig.spec)).map(|spec| hostnet::switch_spec(spec));
        match operation(switch.get(field!(HostVirtualSwitchConfig.changeOperation)))? {
            Operation::Add => config.add_switch(name, spec.transpose()?.unwrap_or_default(), around)?,
            Operation::Edit => {
                config.update_switch(name, spec.unwrap_or_else(|| missing("vswitch.spec"))?, around)?
            }
            Operation::Remove => {}
        }
    }
    for group in &groups {
        let spec = || match group.get(field!(HostPortGroupConfig.spec)) {
            Some(spec) => hostnet::group_spec(spec),
            None => missing("portgroup.spec"),
        };
        match operation(group.get(field!(HostPortGroupConfig.changeOperation)))? {
            Operation::Add => config.add_group(spec()?)?,
            Operation::Edit => {
                let spec = spec()?;
                config.update_group(&spec.name.clone(), spec, around)?;
            }
            Operation::Remove => {}
        }
    }
    let mut devices = Vec::new();
    for nic in &nics {
        let device = nic.get(field!(HostVirtualNicConfig.device)).unwrap_or_default();
        let spec = || match nic.get(field!(HostVirtualNicConfig.spec)) {
            Some(spec) => hostnet::adapter_spec(spec),
            None => Ok(Default::default()),
        };
        match operation(nic.get(field!(HostVirtualNicConfig.changeOperation)))? {
            Operation::Add => {
                let group = nic.get(field!(HostVirtualNicConfig.portgroup)).unwrap_or_default();
                let mac: Mac = new_mac();
                devices.push(config.add_adapter(group, spec()?, mac)?);
            }
            Operation::Edit => {
                let mut spec = spec()?;
                let named = nic.get(field!(HostVirtualNicConfig.portgroup)).filter(|name| !name.is_empty());
                spec.port_group = spec.port_group.or(named.map(str::to_owned));
                config.update_adapter(device, spec)?;
            }
            Operation::Remove => config.remove_adapter(device)?,
        }
    }
    for group in &groups {
        if operation(group.get(field!(HostPortGroupConfig.changeOperation)))? == Operation::Remove {
            let spec = group.get(field!(HostPortGroupConfig.spec));
            let name = spec.and_then(|spec| spec.get(field!(HostPortGroupSpec.name))).unwrap_or_default();
            config.remove_group(name, around)?;
        }
    }
    for switch in &switches {
        if operation(switch.get(field!(HostVirtualSwitchConfig.changeOperation)))? == Operation::Remove {
            config.remove_switch(
                switch.get(field!(HostVirtualSwitchConfig.name)).unwrap_or_default(),
                around,
            )?;
        }
    }
    if let Some(routes) = wanted.get(field!(HostNetworkConfig.routeTableConfig)) {
        config.change_routes(&hostnet::route_changes(routes)?)?;
    }
    if let Some(route) = wanted.get(field!(HostNetworkConfig.ipRouteConfig)) {
        hostnet::GatewayChange::read(route)?.apply(&mut config.default_stack().gateways);
    }
    Ok(devices)
}

fn operation(word: Option<&str>) -> Result<Operation, Fault> {
    match word {
        Some("add") => Ok(Operation::Add),
        Some("edit") => Ok(Operation::Edit),
        Some("remove") => Ok(Operation::Remove),
        other => Err(fault!(
            InvalidArgument { invalidProperty: "config.changeOperation" },
            "changeOperation \"{}\" is not add, edit or remove",
            other.unwrap_or_default()
        )),
    }
}

fn missing<T>(what: &str) -> Result<T, Fault> {
    Err(fault!(InvalidArgument { invalidProperty: what }, "{what} is missing"))
}
