//! VMkernel adapters: the methods of HostNetworkSystem for them, and HostVirtualNicManager, which says what they carry.

use std::sync::Arc;

use api::Call;
use hostnet::Scene;
use vim::{Fault, ManagedId, Object, Props, Value, arg, managed_id, method, props};
use vswitch::Mac;
use vswitch::declare::Service;

use super::Table;
use super::network_system::CONFIGURE;
use crate::Host;

const SYSTEM: ManagedId = managed_id!(HostNetworkSystem);
const MANAGER: ManagedId = managed_id!(HostVirtualNicManager);
/// vSphere's prefix for the MAC addresses of adapters.
const ADAPTER_MACS: [u8; 4] = [0x00, 0x50, 0x56, 0x60];

type Reply = Result<Option<Value>, Fault>;

pub(super) fn register(table: &mut Table<'_>) {
    table.guarded(SYSTEM, method!(AddVirtualNic), CONFIGURE, add);
    table.guarded(SYSTEM, method!(UpdateVirtualNic), CONFIGURE, |host, call| async move {
        let device = call.required(arg!(UpdateVirtualNic.device))?;
        let spec = hostnet::adapter_spec(call.required(arg!(UpdateVirtualNic.nic))?)?;
        host.change_network(|config, _| config.update_adapter(device, spec)).await
    });
    table.on(SYSTEM, method!(RemoveVirtualNic), |host, call| async move {
        let device = call.required(arg!(RemoveVirtualNic.device))?;
        host.change_network(|config, _| config.remove_adapter(device)).await
    });
    table.on(SYSTEM, method!(UpdateIpRouteConfig), |host, call| async move {
        let gateways = hostnet::GatewayChange::read(call.required(arg!(UpdateIpRouteConfig.config))?)?;
        host.change_network(|config, _| {
            gateways.apply(&mut config.default_stack().gateways);
            Ok(())
        })
        .await
    });
    table.on(SYSTEM, method!(UpdateIpRouteTableConfig), |host, call| async move {
        let changes = hostnet::route_changes(call.required(arg!(UpdateIpRouteTableConfig.config))?)?;
        host.change_network(|config, _| config.change_routes(&changes)).await
    });
    table.on(MANAGER, method!(QueryNetConfig), |host, call| async move {
        let service = service(call.required(arg!(QueryNetConfig.nicType))?)?;
        let config = host.network.config();
        let shown = hostnet::net_config(&host.network_scene(&config, &|_| Vec::new()), service);
        Ok(Some(Object::from(shown).into()))
    });
    table.on(MANAGER, method!(SelectVnicForNicType), |host, call| async move {
        let service = service(call.required(arg!(SelectVnicForNicType.nicType))?)?;
        let device = call.required(arg!(SelectVnicForNicType.device))?;
        host.change_network(|config, _| config.select(device, service)).await
    });
    table.on(MANAGER, method!(DeselectVnicForNicType), |host, call| async move {
        let service = service(call.required(arg!(DeselectVnicForNicType.nicType))?)?;
        let device = call.required(arg!(DeselectVnicForNicType.device))?;
        host.change_network(|config, _| config.deselect(device, service)).await
    });
}

async fn add(host: Arc<Host>, call: Call) -> Reply {
    let group = call.required(arg!(AddVirtualNic.portgroup))?;
    let spec = hostnet::adapter_spec(call.required(arg!(AddVirtualNic.nic))?)?;
    let group = match spec.port_group.clone().filter(|_| group.is_empty()) {
        Some(named) => named,
        None => group.to_owned(),
    };
    let mac = new_mac();
    let mut device = String::new();
    host.change_network(|config, _| {
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
    name.parse().map_err(|error| vim::fault!(InvalidArgument { invalidProperty: "nicType" }, "{error}"))
}

/// The manager's properties.
pub(super) fn manager(scene: &Scene<'_>) -> Props {
    let services = Service::ALL.iter().filter(|service| !matches!(service, Service::Iscsi | Service::Nfs));
    let all: Vec<_> = services.map(|service| hostnet::net_config(scene, *service)).collect();
    props!(HostVirtualNicManager { info: HostVirtualNicManagerInfo { netConfig: all } })
}
