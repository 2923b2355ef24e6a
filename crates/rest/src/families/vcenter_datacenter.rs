//! `com.vmware.vcenter.datacenter`: which datacenters the user may see, and their folders.

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use vapi::{Error, ErrorKind, Record, Value};
use vim::{MoRef, managed_id, prop};

use crate::fault;
use crate::operation::{Ask, Family, Reply, Row};

pub(crate) const FAMILY: Family = Family {
    service: "vcenter.datacenter",
    operations: &[
        Row { name: "get", handler: get, open: false },
        Row { name: "list", handler: list, open: false },
    ],
};

/// Datacenters in one answer.
const MAX_LISTED: usize = 1_000;

/// Whether a field of a filter lets a value pass: one that is not set lets all pass.
fn passes(filter: Option<&Record>, field: &str, value: &str) -> bool {
    match filter.and_then(|filter| filter.get(field)) {
        Some(Value::List(wanted)) => wanted.iter().any(|wanted| wanted.as_str() == Some(value)),
        _ => true,
    }
}

fn list(ask: Ask<'_>) -> BoxFuture<'_, Reply> {
    let listed = |ask: &Ask<'_>| -> Reply {
        let (session, service) = (ask.session()?, ask.door.service());
        let state = service.core.tree.snapshot();
        let filter = ask.input.first().and_then(Value::as_record);
        let mut found = Vec::new();
        for node in state.iter().filter(|node| node.me().is_a(managed_id!(Datacenter))) {
            let name = node.get(prop!(Datacenter.name)).unwrap_or_default();
            let folder = node.get(prop!(Datacenter.parent)).map_or("", MoRef::id);
            let wanted = passes(filter, "datacenters", node.me().id())
                && passes(filter, "names", name)
                && passes(filter, "folders", folder);
            if wanted && service.check(session, node.me(), "System.Read", &state).is_ok() {
                let fields = [("datacenter", node.me().id().into()), ("name", name.into())];
                found.push(Value::Record(Record::new("vcenter.datacenter.summary", fields)));
            }
        }
        if found.len() > MAX_LISTED {
            let text =
                format!("{} datacenters match; set a filter that leaves at most {MAX_LISTED}", found.len());
            return Err(Error::new(ErrorKind::UnableToAllocateResource, "esfera.too_many", text));
        }
        Ok(Value::List(found))
    };
    async move { listed(&ask) }.boxed()
}

fn get(ask: Ask<'_>) -> BoxFuture<'_, Reply> {
    let shown = |ask: &Ask<'_>| -> Reply {
        let (session, service) = (ask.session()?, ask.door.service());
        let id = ask.input.first().and_then(Value::as_str).unwrap_or_default();
        let me = MoRef::new(managed_id!(Datacenter), id);
        let state = service.core.tree.snapshot();
        let Some(node) = state.find(&me) else {
            return Err(Error::new(
                ErrorKind::NotFound,
                "esfera.not_found",
                format!("The datacenter {id} does not exist"),
            ));
        };
        service.check(session, &me, "System.Read", &state).map_err(|denied| fault::to_error(&denied))?;
        let folder = |reference: Option<&MoRef>| Value::from(reference.map_or("", MoRef::id));
        Ok(Value::Record(Record::new(
            "vcenter.datacenter.info",
            [
                ("name", node.get(prop!(Datacenter.name)).unwrap_or_default().into()),
                ("datastore_folder", folder(node.get(prop!(Datacenter.datastoreFolder)))),
                ("host_folder", folder(node.get(prop!(Datacenter.hostFolder)))),
                ("network_folder", folder(node.get(prop!(Datacenter.networkFolder)))),
                ("vm_folder", folder(node.get(prop!(Datacenter.vmFolder)))),
            ],
        )))
    };
    async move { shown(&ask) }.boxed()
}
