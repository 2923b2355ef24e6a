//! VMkernel adapters: the methods of HostNetworkSystem for them, and HostVirtualNicManager, which tells the services that
//! each carries.

use std::sync::Arc;

use api::{Call, Manager, Table};
use hostnet::Scene;
use vim::{Fault, ManagedId, MoRef, Object, Props, Value, arg, fault, field, managed_id, method, props};
use vswitch::Mac;
use vswitch::declare::Service;

use super::Network;
use super::system::CONFIGURE;

const SYSTEM: ManagedId = managed_id!(HostNetworkSystem);
const MANAGER: ManagedId = managed_id!(HostVirtualNicManager);
/// vSphere's prefix for the MAC addresses of adapters.
const ADAPTER_MACS: [u8; 4] = [0x00, 0x50, 0x56, 0x60];

type Reply = Result<Option<Value>, Fault>;

/// The host's HostVirtualNicManager.
pub fn me() -> MoRef {
    MoRef::new(MANAGER, "ha-vnic-mgr")
}

pub(super) const ROW: Manager<Arc<Network>> = Manager {
    me: |_| me(),
    named: Some(field!(HostConfigManager.virtualNicManager).number()),
    // The first `Network::show` adds them.
    properties: |_| Ok(props!(HostVirtualNicManager {})),
    register,
};

fn register(table: &mut Table<'_, Arc<Network>>) {
    table.guarded(SYSTEM, method!(AddVirtualNic), CONFIGURE, add);
    table.guarded(SYSTEM, method!(UpdateVirtualNic), CONFIGURE, |network, call| async move {
        let device = call.required(arg!(UpdateVirtualNic.device))?;
        let spec = hostnet::adapter_spec(call.required(arg!(UpdateVirtualNic.nic))?)?;
        network.change(|config, _| config.update_adapter(device, spec)).await?;
        Ok(None)
    });
    table.on(SYSTEM, method!(RemoveVirtualNic), |network, call| async move {
        let device = call.required(arg!(RemoveVirtualNic.device))?;
        network.change(|config, _| config.remove_adapter(device)).await?;
        Ok(None)
    });
    table.on(SYSTEM, method!(UpdateIpRouteConfig), |network, call| async move {
        let gateways = hostnet::GatewayChange::read(call.required(arg!(UpdateIpRouteConfig.config))?)?;
        network
            .change(|config, _| {
                gateways.apply(&mut config.default_stack().gateways);
                Ok(())
            })
            .await?;
        Ok(None)
    });
    table.on(SYSTEM, method!(UpdateIpRouteTableConfig), |network, call| async move {
        let changes = hostnet::route_changes(call.required(arg!(UpdateIpRouteTableConfig.config))?)?;
        network.change(|config, _| config.change_routes(&changes)).await?;
        Ok(None)
    });
    table.on(MANAGER, method!(QueryNetConfig), |network, call| async move {
        let service = service(call.required(arg!(QueryNetConfig.nicType))?)?;
        let config = network.host_network.config();
        let shown = hostnet::net_config(&network.scene(&config, &|_| Vec::new()), service);
        Ok(Some(Object::from(shown).into()))
    });
    table.on(MANAGER, method!(SelectVnicForNicType), |network, call| async move {
        let service = service(call.required(arg!(SelectVnicForNicType.nicType))?)?;
        let device = call.required(arg!(SelectVnicForNicType.device))?;
        network.change(|config, _| config.select(device, service)).await?;
        Ok(None)
    });
    table.on(MANAGER, method!(DeselectVnicForNicType), |network, call| async move {
        let service = service(call.required(arg!(DeselectVnicForNicType.nicType))?)?;
        let device = call.required(arg!(DeselectVnicForNicType.device))?;
        network.change(|config, _| config.deselect(device, service)).await?;
        Ok(None)
    });
}

async fn add(network: Arc<Network>, call: Call) -> Reply {
    let group = call.required(arg!(AddVirtualNic.portgroup))?;
    let spec = hostnet::adapter_spec(call.required(arg!(AddVirtualNic.nic))?)?;
    let group = match spec.port_group.clone().filter(|_| group.is_empty()) {
        Some(named) => named,
        None => group.to_owned(),
    };
    let mac = new_mac();
    let mut device = String::new();
    network
        .change(|config, _| {
            device = config.add_adapter(&group, spec, mac)?;
            Ok(())
        })
        .await?;
    Ok(Some(device.into()))
}

/// A MAC address for an adapter that was given none.
pub(super) fn new_mac() -> Mac {
    let [a, b, c, d] = ADAPTER_MACS;
    Mac([a, b, c, d, rand::random(), rand::random()])
}

fn service(name: &str) -> Result<Service, Fault> {
    name.parse().map_err(|error| fault!(InvalidArgument { invalidProperty: "nicType" }, "{error}"))
}

/// The manager's properties.
pub(super) fn props(scene: &Scene<'_>) -> Props {
    let services = Service::ALL.iter().filter(|service| !matches!(service, Service::Iscsi | Service::Nfs));
    let all: Vec<_> = services.map(|service| hostnet::net_config(scene, *service)).collect();
    props!(HostVirtualNicManager { info: HostVirtualNicManagerInfo { netConfig: all } })
}
