//! `com.vmware.vcenter.network`.

use api::Node;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use vapi::{Record, Value};
use vim::managed_id;

use crate::inventory::{self, Wanted, above_of, filter, folder_of, name};
use crate::operation::{Ask, Family, Reply, Row};

pub(crate) const FAMILY: Family =
    Family { service: "vcenter.network", operations: &[Row { name: "list", handler: list, open: false }] };

/// Networks in one answer.
const MAX_LISTED: usize = 10_000;

fn kind(node: &Node) -> &'static str {
    if node.me().is_a(managed_id!(DistributedVirtualPortgroup)) {
        "DISTRIBUTED_PORTGROUP"
    } else if node.me().is_a(managed_id!(OpaqueNetwork)) {
        "OPAQUE_NETWORK"
    } else {
        "STANDARD_PORTGROUP"
    }
}

fn list(ask: Ask<'_>) -> BoxFuture<'_, Reply> {
    let listed = |ask: &Ask<'_>| {
        let of = |field| Wanted::of(filter(ask), field);
        let (ids, names, types) = (of("networks"), of("names"), of("types"));
        let (folders, datacenters) = (of("folders"), of("datacenters"));
        inventory::list(
            ask,
            managed_id!(Network),
            MAX_LISTED,
            |node, state| {
                ids.allows(node.me().id())
                    && names.allows(name(node))
                    && types.allows(kind(node))
                    && folders.allows_any(|| folder_of(node, state))
                    && datacenters.allows_any(|| above_of(node, state, managed_id!(Datacenter)))
            },
            |node| {
                let id = node.me().id();
                let fields =
                    [("network", id.into()), ("name", name(node).into()), ("type", kind(node).into())];
                Value::Record(Record::new("vcenter.network.summary", fields))
            },
        )
    };
    async move { listed(&ask) }.boxed()
}
