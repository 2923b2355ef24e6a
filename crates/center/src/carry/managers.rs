//! Operations on files by datastore path (`[datastore] directory/file`), which a host that reaches the datastore does:
//! the methods of the file manager, the virtual disk manager and the datastore browsers.

use std::sync::Arc;

use api::managers::Singletons;
use api::{Call, Guard, Manager, Methods, Table};
use vim::{
    Fault, ManagedId, MethodId, MoRef, Record as _, Value, fault, field, managed_id, method, props, schema,
};

use super::by::By;
use super::carrier::Carrier;
use crate::access::{BROWSE, MANAGE};
use crate::estate::datastore_name;
use crate::link::{LinkError, names};
use crate::reply::Reply;

const FILE_MANAGER: ManagedId = managed_id!(FileManager);
const DISK_MANAGER: ManagedId = managed_id!(VirtualDiskManager);
const BROWSER: ManagedId = managed_id!(HostDatastoreBrowser);

const FILE_METHODS: &[MethodId] = &[
    method!(MoveDatastoreFile_Task),
    method!(CopyDatastoreFile_Task),
    method!(DeleteDatastoreFile_Task),
    method!(MakeDirectory),
    method!(ChangeOwner),
];

const DISK_METHODS: &[MethodId] = &[
    method!(CreateVirtualDisk_Task),
    method!(DeleteVirtualDisk_Task),
    method!(MoveVirtualDisk_Task),
    method!(CopyVirtualDisk_Task),
    method!(ExtendVirtualDisk_Task),
    method!(QueryVirtualDiskFragmentation),
    method!(DefragmentVirtualDisk_Task),
    method!(ShrinkVirtualDisk_Task),
    method!(InflateVirtualDisk_Task),
    method!(EagerZeroVirtualDisk_Task),
    method!(ZeroFillVirtualDisk_Task),
    method!(SetVirtualDiskUuid),
    method!(QueryVirtualDiskUuid),
    method!(QueryVirtualDiskGeometry),
];

/// The managers that `ServiceContent` names and whose methods hosts do.
pub(crate) const MANAGERS: [Manager<Arc<Carrier>>; 2] = [
    Manager {
        me: |_| Singletons::center().file_manager,
        named: Some(field!(ServiceContent.fileManager).number()),
        properties: |_| Ok(props!(FileManager {})),
        register: |table| {
            for method in FILE_METHODS {
                table.guarded(FILE_MANAGER, *method, Guard::Asks(&[MANAGE]), |carrier, call| {
                    on_paths(carrier, call, names::file_manager())
                });
            }
        },
    },
    Manager {
        me: |_| Singletons::center().virtual_disk_manager,
        named: Some(field!(ServiceContent.virtualDiskManager).number()),
        properties: |_| Ok(props!(VirtualDiskManager {})),
        register: |table| {
            for method in DISK_METHODS {
                table.on(DISK_MANAGER, *method, |carrier, call| {
                    on_paths(carrier, call, names::virtual_disk_manager())
                });
            }
        },
    },
];

pub(super) fn register(methods: &mut Methods, carrier: &Arc<Carrier>) {
    let mut table = Table { methods, daemon: carrier };
    table.register(&MANAGERS);
    for method in [method!(SearchDatastore_Task), method!(SearchDatastoreSubFolders_Task)] {
        table.guarded(BROWSER, method, Guard::Asks(&[BROWSE]), |carrier, call| browse(carrier, call, BROWSE));
    }
    table.on(BROWSER, method!(DeleteFile), |carrier, call| browse(carrier, call, MANAGE));
}

/// Browsers take the privilege on the datastore that the path names.
async fn browse(carrier: Arc<Carrier>, call: Call, privilege: &'static str) -> Reply {
    carrier.may_browse(&call, privilege)?;
    let options = carrier.inventory.shared(&call);
    carrier.carry(call, options).await
}

async fn on_paths(carrier: Arc<Carrier>, call: Call, manager: MoRef) -> Reply {
    call.require_references()?;
    let method = schema().method(call.args.method);
    let needed = named_datastores(&call)?;
    for (name, datacenter) in &needed {
        let datastore = carrier.inventory.find_datastore(name, datacenter.as_ref())?;
        call.service.check(call.session()?, &datastore, MANAGE, &call.state())?;
    }
    let host = carrier.host_for(&needed)?;
    let args = call.args.clone();
    if !method.is_task {
        let by = By::caller(&call);
        return carrier.carry_remote(&host, &manager, &args, &by).await.map_err(LinkError::into_fault);
    }
    let options = carrier.inventory.shared(&call);
    call.task(options, move |running| async move {
        carrier.carry_remote(&host, &manager, &args, &By::task(&running)).await.map_err(LinkError::into_fault)
    })
    .await
}

/// The names of the datastores in the paths of a call, each with its datacenter if the call names one.
///
/// # Errors
/// `InvalidDatastorePath`.
fn named_datastores(call: &Call) -> Result<Vec<(String, Option<MoRef>)>, Fault> {
    let method = schema().method(call.args.method);
    let source = datacenter(call, &["datacenter", "sourceDatacenter"]);
    let target = datacenter(call, &["destinationDatacenter", "destDatacenter"]).or(source.clone());
    let mut named = Vec::new();
    for (number, value) in call.args.values() {
        let datacenter = match method.members()[usize::from(*number)].name {
            "name" | "sourceName" => &source,
            "destinationName" | "destName" => &target,
            _ => continue,
        };
        let path = value.as_str().unwrap_or_default();
        let name = datastore_name(path).ok_or_else(|| {
            fault!(
                InvalidDatastorePath { datastorePath: path },
                "{path:?} is not a datastore path, such as [datastore] directory/file"
            )
        })?;
        named.push((name.to_owned(), datacenter.clone()));
    }
    Ok(named)
}

fn datacenter(call: &Call, names: &[&str]) -> Option<MoRef> {
    let method = schema().method(call.args.method);
    let number = names.iter().find_map(|name| method.member(name))?;
    call.args.at(number).and_then(Value::as_ref).cloned()
}

impl Carrier {
    /// A browser shows and deletes files on the datastore that the path names, which need not be its own.
    fn may_browse(&self, call: &Call, privilege: &str) -> Result<(), Fault> {
        let path = call.args.at(0).and_then(Value::as_str).unwrap_or_default();
        let named = datastore_name(path).map(|name| self.inventory.datastores_named(name));
        let named = named.unwrap_or_default();
        // The center does not carry a request that it cannot check.
        if named.is_empty() {
            return Err(fault!(
                InvalidDatastorePath { datastorePath: path },
                "{path:?} does not name a datastore"
            ));
        }
        let session = call.session()?;
        let tree = call.state();
        // Of several datastores with the name, the caller must have the privilege on each: the host decides which it is.
        for datastore in named {
            call.service.check(session, &datastore, privilege, &tree)?;
        }
        Ok(())
    }
}
