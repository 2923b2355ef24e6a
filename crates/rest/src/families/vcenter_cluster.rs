//! `com.vmware.vcenter.cluster`.

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use vapi::{Record, Value};
use vim::{MoRef, field, managed_id, prop};

use crate::inventory::{self, Wanted, above_of, filter, folder_of, id_at, name, state};
use crate::operation::{Ask, Family, Reply, Row};

pub(crate) const FAMILY: Family = Family {
    service: "vcenter.cluster",
    operations: &[
        Row { name: "get", handler: get, open: false },
        Row { name: "list", handler: list, open: false },
    ],
};

/// Clusters in one answer.
const MAX_LISTED: usize = 1_000;

fn list(ask: Ask<'_>) -> BoxFuture<'_, Reply> {
    let listed = |ask: &Ask<'_>| {
        let of = |field| Wanted::of(filter(ask), field);
        let (ids, names, folders, datacenters) =
            (of("clusters"), of("names"), of("folders"), of("datacenters"));
        inventory::list(
            ask,
            managed_id!(ClusterComputeResource),
            MAX_LISTED,
            |node, state| {
                ids.allows(node.me().id())
                    && names.allows(name(node))
                    && folders.allows_any(|| folder_of(node, state))
                    && datacenters.allows_any(|| above_of(node, state, managed_id!(Datacenter)))
            },
            |node| {
                let config = node.get(prop!(ClusterComputeResource.configuration));
                let ha = config.and_then(|config| config.get(field!(ClusterConfigInfo.dasConfig)));
                let ha = ha.and_then(|ha| ha.get(field!(ClusterDasConfigInfo.enabled)));
                let drs = config.and_then(|config| config.get(field!(ClusterConfigInfo.drsConfig)));
                let drs = drs.and_then(|drs| drs.get(field!(ClusterDrsConfigInfo.enabled)));
                Value::Record(Record::new(
                    "vcenter.cluster.summary",
                    [
                        ("cluster", node.me().id().into()),
                        ("name", name(node).into()),
                        ("ha_enabled", Value::Boolean(ha.unwrap_or_default())),
                        ("drs_enabled", Value::Boolean(drs.unwrap_or_default())),
                    ],
                ))
            },
        )
    };
    async move { listed(&ask) }.boxed()
}

fn get(ask: Ask<'_>) -> BoxFuture<'_, Reply> {
    let shown = |ask: &Ask<'_>| {
        let ty = managed_id!(ClusterComputeResource);
        let node = inventory::read(ask, &state(ask), ty, "cluster", id_at(ask, 0))?;
        let pool = node.get(prop!(ComputeResource.resourcePool)).map_or("", MoRef::id);
        let fields = [("name", name(&node).into()), ("resource_pool", pool.into())];
        Ok(Value::Record(Record::new("vcenter.cluster.info", fields)))
    };
    async move { shown(&ask) }.boxed()
}
