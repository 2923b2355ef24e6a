//! HostDatastoreSystem: which directories of the host are datastores.

use std::path::Path;
use std::sync::Arc;

use api::{Manager, Table};
use vim::{ManagedId, MoRef, Value, arg, field, managed_id, method, props};

use super::Storage;

const SYSTEM: ManagedId = managed_id!(HostDatastoreSystem);

/// The host's HostDatastoreSystem.
pub fn me() -> MoRef {
    MoRef::new(SYSTEM, "ha-datastoresystem")
}

pub(super) const ROW: Manager<Arc<Storage>> = Manager {
    me: |_| me(),
    named: Some(field!(HostConfigManager.datastoreSystem).number()),
    properties: |_| {
        Ok(props!(HostDatastoreSystem {
            datastore: Vec::<MoRef>::new(),
            capabilities: HostDatastoreSystemCapabilities {
                nfsMountCreationRequired: false,
                nfsMountCreationSupported: false,
                localDatastoreSupported: true,
                vmfsExtentExpansionSupported: false,
            },
        }))
    },
    register,
};

fn register(table: &mut Table<'_, Arc<Storage>>) {
    table.on(SYSTEM, method!(CreateLocalDatastore), |storage, call| async move {
        let name = call.required(arg!(CreateLocalDatastore.name))?;
        let path = Path::new(call.required(arg!(CreateLocalDatastore.path))?);
        Ok(Some(Value::Ref(storage.add(name, path).await?)))
    });
    table.on(SYSTEM, method!(RemoveDatastore), |storage, call| async move {
        storage.remove(call.required(arg!(RemoveDatastore.datastore))?).await?;
        Ok(None)
    });
    // The host never offers one of its disks for VMFS.
    table.on(SYSTEM, method!(QueryAvailableDisksForVmfs), |_, _| async { Ok(None) });
}
