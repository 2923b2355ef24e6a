//! Operations on files by datastore path (`[datastore] directory/file`), which a host that reaches the datastore does:
//! the methods of the file manager, the virtual disk manager and the datastore browsers.

use std::sync::Arc;

use api::{Call, Methods};
use vim::{Fault, ManagedId, MethodId, MoRef, Record as _, Value, fault, managed_id, method, schema};

use super::by::By;
use super::carrier::Carrier;
use crate::access::{BROWSE, MANAGE};
use crate::estate::datastore_name;
use crate::link::{LinkError, names};
use crate::table::{Reply, Table};

const FILE_MANAGER: ManagedId = managed_id!(FileManager);
const DISK_MANAGER: ManagedId = managed_id!(VirtualDiskManager);
const BROWSER: ManagedId = managed_id!(HostDatastoreBrowser);

/// The methods of the two managers, which take datastore paths.
const ON_PATHS: &[(ManagedId, MethodId)] = &[
    (FILE_MANAGER, method!(MoveDatastoreFile_Task)),
    (FILE_MANAGER, method!(CopyDatastoreFile_Task)),
    (FILE_MANAGER, method!(DeleteDatastoreFile_Task)),
    (FILE_MANAGER, method!(MakeDirectory)),
    (FILE_MANAGER, method!(ChangeOwner)),
    (DISK_MANAGER, method!(CreateVirtualDisk_Task)),
    (DISK_MANAGER, method!(DeleteVirtualDisk_Task)),
    (DISK_MANAGER, method!(MoveVirtualDisk_Task)),
    (DISK_MANAGER, method!(CopyVirtualDisk_Task)),
    (DISK_MANAGER, method!(ExtendVirtualDisk_Task)),
    (DISK_MANAGER, method!(QueryVirtualDiskFragmentation)),
    (DISK_MANAGER, method!(DefragmentVirtualDisk_Task)),
    (DISK_MANAGER, method!(ShrinkVirtualDisk_Task)),
    (DISK_MANAGER, method!(InflateVirtualDisk_Task)),
    (DISK_MANAGER, method!(EagerZeroVirtualDisk_Task)),
    (DISK_MANAGER, method!(ZeroFillVirtualDisk_Task)),
    (DISK_MANAGER, method!(SetVirtualDiskUuid)),
    (DISK_MANAGER, method!(QueryVirtualDiskUuid)),
    (DISK_MANAGER, method!(QueryVirtualDiskGeometry)),
];

/// The methods of datastore browsers, with the privilege on the datastore that the path names.
const OF_BROWSERS: &[(MethodId, &str)] = &[
    (method!(SearchDatastore_Task), BROWSE),
    (method!(SearchDatastoreSubFolders_Task), BROWSE),
    (method!(DeleteFile), MANAGE),
];

pub(super) fn register(methods: &mut Methods, carrier: &Arc<Carrier>) {
    let mut table = Table::new(methods, carrier);
    for (manager, method) in ON_PATHS.iter().copied() {
        table.on(manager, method, on_paths);
    }
    for (method, privilege) in OF_BROWSERS.iter().copied() {
        table.on(BROWSER, method, move |carrier, call| async move {
            carrier.may_browse(&call, privilege)?;
            let options = carrier.inventory.shared(&call);
            carrier.carry(call, options).await
        });
    }
}

async fn on_paths(carrier: Arc<Carrier>, call: Call) -> Reply {
    let method = schema().method(call.args.method);
    let needed = named_datastores(&call)?;
    for (name, datacenter) in &needed {
        let datastore = carrier.inventory.find_datastore(name, datacenter.as_ref())?;
        call.service.check(call.session()?, &datastore, MANAGE, &call.state())?;
    }
    let host = carrier.host_for(&needed)?;
    let manager =
        if call.this.is_a(FILE_MANAGER) { names::file_manager() } else { names::virtual_disk_manager() };
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
