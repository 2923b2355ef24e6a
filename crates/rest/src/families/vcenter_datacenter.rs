//! `com.vmware.vcenter.datacenter`.

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use vapi::{Record, Value};
use vim::{MoRef, call, managed_id, prop};

use crate::inventory::{self, Wanted, filter, folder_of, id_at, made, name, spec_at, state};
use crate::operation::{Ask, Family, Reply, Row};
use crate::pages::text;

pub(crate) const FAMILY: Family = Family {
    service: "vcenter.datacenter",
    operations: &[
        Row { name: "create", handler: create, open: false },
        Row { name: "delete", handler: delete, open: false },
        Row { name: "get", handler: get, open: false },
        Row { name: "list", handler: list, open: false },
    ],
};

/// Datacenters in one answer.
const MAX_LISTED: usize = 1_000;

fn list(ask: Ask<'_>) -> BoxFuture<'_, Reply> {
    let listed = |ask: &Ask<'_>| {
        let of = |field| Wanted::of(filter(ask), field);
        let (ids, names, folders) = (of("datacenters"), of("names"), of("folders"));
        inventory::list(
            ask,
            managed_id!(Datacenter),
            MAX_LISTED,
            |node, state| {
                ids.allows(node.me().id())
                    && names.allows(name(node))
                    && folders.allows_any(|| folder_of(node, state))
            },
            |node| {
                let fields = [("datacenter", node.me().id().into()), ("name", name(node).into())];
                Value::Record(Record::new("vcenter.datacenter.summary", fields))
            },
        )
    };
    async move { listed(&ask) }.boxed()
}

fn get(ask: Ask<'_>) -> BoxFuture<'_, Reply> {
    let shown = |ask: &Ask<'_>| {
        let node = inventory::read(ask, &state(ask), managed_id!(Datacenter), "datacenter", id_at(ask, 0))?;
        let folder = |reference: Option<&MoRef>| Value::from(reference.map_or("", MoRef::id));
        Ok(Value::Record(Record::new(
            "vcenter.datacenter.info",
            [
                ("name", name(&node).into()),
                ("datastore_folder", folder(node.get(prop!(Datacenter.datastoreFolder)))),
                ("host_folder", folder(node.get(prop!(Datacenter.hostFolder)))),
                ("network_folder", folder(node.get(prop!(Datacenter.networkFolder)))),
                ("vm_folder", folder(node.get(prop!(Datacenter.vmFolder)))),
            ],
        )))
    };
    async move { shown(&ask) }.boxed()
}

fn create(ask: Ask<'_>) -> BoxFuture<'_, Reply> {
    async move {
        let spec = spec_at(&ask, 0);
        let field = |name| spec.and_then(|spec| text(spec, name));
        let folder = match field("folder") {
            Some(id) => MoRef::new(managed_id!(Folder), id),
            None => ask.ids.root_folder.clone(),
        };
        let args = call!(CreateDatacenter { name: field("name").unwrap_or_default() });
        made(inventory::call(&ask, &folder, args).await?.as_ref())
    }
    .boxed()
}

fn delete(ask: Ask<'_>) -> BoxFuture<'_, Reply> {
    async move {
        let me = MoRef::new(managed_id!(Datacenter), id_at(&ask, 0));
        // Without force, a datacenter goes only when it is empty.
        if ask.input.get(1) != Some(&Value::Boolean(true)) {
            let state = state(&ask);
            let node = inventory::read(&ask, &state, managed_id!(Datacenter), "datacenter", me.id())?;
            let holds = |kind: vim::ManagedId| {
                state
                    .iter()
                    .any(|other| other.me().is_a(kind) && inventory::above(other, &state).contains(node.me()))
            };
            if holds(managed_id!(HostSystem)) || holds(managed_id!(VirtualMachine)) {
                return Err(vapi::Error::new(
                    vapi::ErrorKind::ResourceInUse,
                    "esfera.resource_in_use",
                    format!("The datacenter {} is not empty", name(&node)),
                ));
            }
        }
        inventory::task(&ask, &me, call!(Destroy_Task {})).await.map(|_| Value::Unset)
    }
    .boxed()
}
