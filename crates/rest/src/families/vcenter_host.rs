//! `com.vmware.vcenter.host`.

use api::Node;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use vapi::{Record, Value};
use vim::{MoRef, call, field, managed_id, prop};

use crate::inventory::{self, Wanted, above_of, already, filter, folder_of, id_at, name, state};
use crate::operation::{Ask, Family, Reply, Row};
use crate::pages;

pub(crate) const FAMILY: Family = Family {
    service: "vcenter.host",
    operations: &[
        Row { name: "list", handler: list, open: false },
        Row { name: "delete", handler: delete, open: false },
        Row { name: "connect", handler: connect, open: false },
        Row { name: "disconnect", handler: disconnect, open: false },
    ],
};

/// Hosts in one answer.
const MAX_LISTED: usize = 10_000;

fn connection(node: &Node) -> &'static str {
    let runtime = node.get(prop!(HostSystem.runtime));
    let at = runtime.and_then(|runtime| runtime.get(field!(HostRuntimeInfo.connectionState)));
    match at.map(|at| at.name()) {
        Some("connected") => "CONNECTED",
        Some("disconnected") => "DISCONNECTED",
        _ => "NOT_RESPONDING",
    }
}

fn power(node: &Node) -> Value {
    let runtime = node.get(prop!(HostSystem.runtime)).filter(|_| connection(node) == "CONNECTED");
    match runtime.and_then(|runtime| runtime.get(field!(HostRuntimeInfo.powerState))).map(|at| at.name()) {
        Some("poweredOn") => "POWERED_ON".into(),
        Some("poweredOff") => "POWERED_OFF".into(),
        Some("standBy") => "STANDBY".into(),
        _ => Value::Unset,
    }
}

fn uuid(node: &Node) -> Option<&str> {
    let hardware = node.get(prop!(HostSystem.summary))?.get(field!(HostListSummary.hardware))?;
    hardware.get(field!(HostHardwareSummary.uuid))
}

fn list(ask: Ask<'_>) -> BoxFuture<'_, Reply> {
    let listed = |ask: &Ask<'_>| {
        let of = |field| Wanted::of(filter(ask), field);
        let (ids, names, states, uuids) =
            (of("hosts"), of("names"), of("connection_states"), of("host_uuids"));
        let (folders, datacenters, clusters) = (of("folders"), of("datacenters"), of("clusters"));
        let standalone = pages::flag(filter(ask), "standalone");
        let cluster = managed_id!(ClusterComputeResource);
        inventory::list(
            ask,
            managed_id!(HostSystem),
            MAX_LISTED,
            |node, state| {
                ids.allows(node.me().id())
                    && names.allows(name(node))
                    && states.allows(connection(node))
                    && uuids.allows_any(|| uuid(node).into_iter().collect())
                    && folders.allows_any(|| folder_of(node, state))
                    && clusters.allows_any(|| above_of(node, state, cluster))
                    && datacenters.allows_any(|| above_of(node, state, managed_id!(Datacenter)))
                    && standalone.is_none_or(|alone| alone == above_of(node, state, cluster).is_empty())
            },
            |node| {
                Value::Record(Record::new(
                    "vcenter.host.summary",
                    [
                        ("host", node.me().id().into()),
                        ("name", name(node).into()),
                        ("connection_state", connection(node).into()),
                        ("power_state", power(node)),
                        ("host_uuid", uuid(node).map_or(Value::Unset, Value::from)),
                    ],
                ))
            },
        )
    };
    async move { listed(&ask) }.boxed()
}

/// Removes a host; one that stands alone goes with its compute resource.
fn delete(ask: Ask<'_>) -> BoxFuture<'_, Reply> {
    async move {
        let node = inventory::read(&ask, &state(&ask), managed_id!(HostSystem), "host", id_at(&ask, 0))?;
        let compute = node.get(prop!(ManagedEntity.parent));
        let alone = compute.filter(|compute| !compute.is_a(managed_id!(ClusterComputeResource)));
        let gone = alone.unwrap_or(node.me());
        inventory::task(&ask, gone, call!(Destroy_Task {})).await.map(|_| Value::Unset)
    }
    .boxed()
}

async fn switch(ask: &Ask<'_>, on: bool) -> Reply {
    let node = inventory::read(ask, &state(ask), managed_id!(HostSystem), "host", id_at(ask, 0))?;
    let me: &MoRef = node.me();
    match (on, connection(&node)) {
        (true, "CONNECTED") => Err(already(&format!("The host {} is connected", name(&node)))),
        (false, "DISCONNECTED") => Err(already(&format!("The host {} is disconnected", name(&node)))),
        (true, _) => inventory::task(ask, me, call!(ReconnectHost_Task {})).await.map(|_| Value::Unset),
        (false, _) => inventory::task(ask, me, call!(DisconnectHost_Task {})).await.map(|_| Value::Unset),
    }
}

fn connect(ask: Ask<'_>) -> BoxFuture<'_, Reply> {
    async move { switch(&ask, true).await }.boxed()
}

fn disconnect(ask: Ask<'_>) -> BoxFuture<'_, Reply> {
    async move { switch(&ask, false).await }.boxed()
}
