//! HostNetworkSystem: standard switches and their port groups.

use std::sync::Arc;

use api::{Call, Guard, Manager, Table};
use hostnet::Scene;
use vim::{
    Fault, Kind, List, ManagedId, MoRef, Object, Props, Value, arg, data_id, fault, field, managed_id,
    method, props,
};

use super::{Network, show};

const SYSTEM: ManagedId = managed_id!(HostNetworkSystem);

/// The guard of the methods whose privilege the schema does not name.
pub(super) const CONFIGURE: Guard = Guard::Privilege("Host.Config.Network");

type Reply = Result<Option<Value>, Fault>;

/// The host's HostNetworkSystem.
pub fn me() -> MoRef {
    MoRef::new(SYSTEM, "networkSystem")
}

pub(super) const ROW: Manager<Arc<Network>> = Manager {
    me: |_| me(),
    named: Some(field!(HostConfigManager.networkSystem).number()),
    properties: |_| Ok(show::fixed()),
    register,
};

/// The properties that change with the network; `info` is that of the scene.
pub(super) fn props(scene: &Scene<'_>, info: &Object) -> Props {
    props!(HostNetworkSystem {
        networkInfo: info.clone(),
        networkConfig: scene.asked(),
        dnsConfig: scene.names(),
    })
}

fn register(table: &mut Table<'_, Arc<Network>>) {
    table.on(SYSTEM, method!(AddVirtualSwitch), |network, call| async move {
        let name = call.required(arg!(AddVirtualSwitch.vswitchName))?;
        let spec =
            call.arg(arg!(AddVirtualSwitch.spec)).map(|spec| hostnet::switch_spec(spec)).transpose()?;
        network.change(|config, around| config.add_switch(name, spec.unwrap_or_default(), around)).await?;
        Ok(None)
    });
    table.on(SYSTEM, method!(UpdateVirtualSwitch), |network, call| async move {
        let name = call.required(arg!(UpdateVirtualSwitch.vswitchName))?;
        let spec = hostnet::switch_spec(call.required(arg!(UpdateVirtualSwitch.spec))?)?;
        network.change(|config, around| config.update_switch(name, spec, around)).await?;
        Ok(None)
    });
    table.on(SYSTEM, method!(RemoveVirtualSwitch), |network, call| async move {
        let name = call.required(arg!(RemoveVirtualSwitch.vswitchName))?;
        network.change(|config, around| config.remove_switch(name, around)).await?;
        Ok(None)
    });
    table.on(SYSTEM, method!(AddPortGroup), |network, call| async move {
        let spec = hostnet::group_spec(call.required(arg!(AddPortGroup.portgrp))?)?;
        network.change(|config, _| config.add_group(spec)).await?;
        Ok(None)
    });
    table.on(SYSTEM, method!(UpdatePortGroup), |network, call| async move {
        let name = call.required(arg!(UpdatePortGroup.pgName))?;
        let spec = hostnet::group_spec(call.required(arg!(UpdatePortGroup.portgrp))?)?;
        network.change(|config, around| config.update_group(name, spec, around)).await?;
        Ok(None)
    });
    table.on(SYSTEM, method!(RemovePortGroup), |network, call| async move {
        let name = call.required(arg!(RemovePortGroup.pgName))?;
        network.change(|config, around| config.remove_group(name, around)).await?;
        Ok(None)
    });
    table.guarded(SYSTEM, method!(UpdateNetworkConfig), CONFIGURE, super::config::update);
    table.on(SYSTEM, method!(UpdateDnsConfig), |network, call| async move {
        let (names, own) = (call.required(arg!(UpdateDnsConfig.config))?, network.own_names());
        network.change(|config, _| config.set_names(names, &own.host_name)).await?;
        Ok(None)
    });
    table.on(SYSTEM, method!(QueryNetworkHint), |network, call| async move { hints(&network, &call) });
    table.on(SYSTEM, method!(RefreshNetworkSystem), |network, _: Call| async move {
        network.show();
        Ok(None)
    });
}

/// The hints that the network at the other end of each card has given about itself.
fn hints(network: &Network, call: &Call) -> Reply {
    let fabric = network.host_network.fabric();
    let nics = fabric.nics();
    let asked: Vec<&str> = match call.arg(arg!(QueryNetworkHint.device)) {
        Some(devices) => devices.iter().collect(),
        None => nics.iter().map(|nic| &*nic.name).collect(),
    };
    let hint = |device: &str| match nics.iter().any(|nic| nic.name == device) {
        true => {
            let hint = hostnet::hint(device, &fabric.other_end(device), &fabric.observed(device));
            Ok(Value::from(Object::from(hint)))
        }
        false => Err(fault!(NotFound {}, "The host has no physical network card {device}")),
    };
    let hints = asked.into_iter().map(hint).collect::<Result<Vec<Value>, Fault>>()?;
    Ok(Some(Value::List(List::new(Kind::Data(data_id!(PhysicalNicHintInfo)), hints))))
}
