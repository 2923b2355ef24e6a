//! `com.vmware.vcenter.folder`.

use api::Node;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use vapi::{Record, Value};
use vim::{managed_id, prop};

use crate::inventory::{self, Wanted, above_of, filter, folder_of, name};
use crate::operation::{Ask, Family, Reply, Row};
use crate::pages::text;

pub(crate) const FAMILY: Family =
    Family { service: "vcenter.folder", operations: &[Row { name: "list", handler: list, open: false }] };

/// Folders in one answer.
const MAX_LISTED: usize = 10_000;

/// The kind of objects that a folder may hold.
fn kind(node: &Node) -> &'static str {
    let has = |name: &str| {
        node.get(prop!(Folder.childType))
            .into_iter()
            .flatten()
            .any(|ty| ty.trim_start_matches("vim.") == name)
    };
    if has("VirtualMachine") {
        "VIRTUAL_MACHINE"
    } else if has("ComputeResource") {
        "HOST"
    } else if has("Datastore") {
        "DATASTORE"
    } else if has("Network") {
        "NETWORK"
    } else {
        "DATACENTER"
    }
}

fn list(ask: Ask<'_>) -> BoxFuture<'_, Reply> {
    let listed = |ask: &Ask<'_>| {
        let of = |field| Wanted::of(filter(ask), field);
        let (ids, names, parents, datacenters) =
            (of("folders"), of("names"), of("parent_folders"), of("datacenters"));
        let wanted = filter(ask).and_then(|filter| text(filter, "type"));
        inventory::list(
            ask,
            managed_id!(Folder),
            MAX_LISTED,
            |node, state| {
                !node.me().is_a(managed_id!(StoragePod))
                    && ids.allows(node.me().id())
                    && names.allows(name(node))
                    && wanted.is_none_or(|wanted| wanted == kind(node))
                    && parents.allows_any(|| folder_of(node, state))
                    && datacenters.allows_any(|| above_of(node, state, managed_id!(Datacenter)))
            },
            |node| {
                let id = node.me().id();
                let fields =
                    [("folder", id.into()), ("name", name(node).into()), ("type", kind(node).into())];
                Value::Record(Record::new("vcenter.folder.summary", fields))
            },
        )
    };
    async move { listed(&ask) }.boxed()
}
