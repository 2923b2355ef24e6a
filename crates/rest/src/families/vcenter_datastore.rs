//! `com.vmware.vcenter.datastore`.

use api::Node;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use vapi::{Record, Value};
use vim::{field, managed_id, prop};

use crate::inventory::{self, Wanted, above_of, filter, folder_of, id_at, name, state};
use crate::operation::{Ask, Family, Reply, Row};

pub(crate) const FAMILY: Family = Family {
    service: "vcenter.datastore",
    operations: &[
        Row { name: "get", handler: get, open: false },
        Row { name: "list", handler: list, open: false },
    ],
};

/// Datastores in one answer.
const MAX_LISTED: usize = 10_000;

fn kind(node: &Node) -> String {
    let summary = node.get(prop!(Datastore.summary));
    let kind = summary.and_then(|summary| summary.get(field!(DatastoreSummary.type))).unwrap_or_default();
    kind.to_uppercase()
}

fn accessible(node: &Node) -> bool {
    let summary = node.get(prop!(Datastore.summary));
    summary.and_then(|summary| summary.get(field!(DatastoreSummary.accessible))).unwrap_or_default()
}

/// The free space, and the capacity: unset while the datastore cannot be reached.
fn space(node: &Node) -> (Value, Value) {
    let summary = node.get(prop!(Datastore.summary)).filter(|_| accessible(node));
    let long = |bytes: Option<i64>| bytes.map_or(Value::Unset, Value::Long);
    (
        long(summary.and_then(|summary| summary.get(field!(DatastoreSummary.freeSpace)))),
        long(summary.and_then(|summary| summary.get(field!(DatastoreSummary.capacity)))),
    )
}

fn list(ask: Ask<'_>) -> BoxFuture<'_, Reply> {
    let listed = |ask: &Ask<'_>| {
        let of = |field| Wanted::of(filter(ask), field);
        let (ids, names, types) = (of("datastores"), of("names"), of("types"));
        let (folders, datacenters) = (of("folders"), of("datacenters"));
        inventory::list(
            ask,
            managed_id!(Datastore),
            MAX_LISTED,
            |node, state| {
                ids.allows(node.me().id())
                    && names.allows(name(node))
                    && types.allows_any(|| vec![kind(node)])
                    && folders.allows_any(|| folder_of(node, state))
                    && datacenters.allows_any(|| above_of(node, state, managed_id!(Datacenter)))
            },
            |node| {
                let (free, capacity) = space(node);
                Value::Record(Record::new(
                    "vcenter.datastore.summary",
                    [
                        ("datastore", node.me().id().into()),
                        ("name", name(node).into()),
                        ("type", kind(node).into()),
                        ("free_space", free),
                        ("capacity", capacity),
                    ],
                ))
            },
        )
    };
    async move { listed(&ask) }.boxed()
}

fn get(ask: Ask<'_>) -> BoxFuture<'_, Reply> {
    let shown = |ask: &Ask<'_>| {
        let node = inventory::read(ask, &state(ask), managed_id!(Datastore), "datastore", id_at(ask, 0))?;
        let summary = node.get(prop!(Datastore.summary));
        let many = summary.and_then(|summary| summary.get(field!(DatastoreSummary.multipleHostAccess)));
        let capability = node.get(prop!(Datastore.capability));
        let thin = capability.and_then(|capability| {
            capability.get(field!(DatastoreCapability.perFileThinProvisioningSupported))
        });
        Ok(Value::Record(Record::new(
            "vcenter.datastore.info",
            [
                ("name", name(&node).into()),
                ("type", kind(&node).into()),
                ("accessible", Value::Boolean(accessible(&node))),
                ("free_space", space(&node).0),
                ("multiple_host_access", Value::Boolean(many.unwrap_or_default())),
                ("thin_provisioning_supported", Value::Boolean(thin.unwrap_or_default())),
            ],
        )))
    };
    async move { shown(&ask) }.boxed()
}
