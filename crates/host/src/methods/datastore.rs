//! Datastore: its room, its name, and its end. The files stay: a directory is taken out of the inventory, not cleared.

use std::sync::Arc;

use api::{Call, Guard};
use vim::{Fault, ManagedId, MoRef, Value, arg, managed_id, method};

use super::{Table, datastore_system};
use crate::Host;
use crate::mounts::Remembered;

const DATASTORE: ManagedId = managed_id!(Datastore);

type Reply = Result<Option<Value>, Fault>;

pub(super) fn register(table: &mut Table<'_>) {
    for method in [method!(RefreshDatastore), method!(RefreshDatastoreStorageInfo)] {
        table.on(DATASTORE, method, |host, call| async move {
            host.datastores.by_ref(&call.this)?;
            host.refresh_space(std::slice::from_ref(&call.this)).await;
            Ok(None)
        });
    }
    table.on(DATASTORE, method!(RenameDatastore), |host, call| async move {
        let name = call.required(arg!(RenameDatastore.newName))?;
        rename(&host, &call.this, name).await.map(|()| None)
    });
    table.guarded(DATASTORE, method!(Rename_Task), Guard::Privilege("Datastore.Rename"), rename_task);
    table.on(DATASTORE, method!(DestroyDatastore), |host, call| async move {
        datastore_system::remove(&host, &call.this).await.map(|()| None)
    });
    table.guarded(
        DATASTORE,
        method!(Destroy_Task),
        Guard::Privilege("Datastore.Delete"),
        |host, call| async move {
            let (me, on) = (call.this.clone(), host.clone());
            let options = api::TaskOptions::exclusive(&me, host.datastores.by_ref(&me)?.name);
            call.task(options, async move |_| datastore_system::remove(&on, &me).await.map(|()| None)).await
        },
    );
}

async fn rename_task(host: Arc<Host>, call: Call) -> Reply {
    let name = call.required(arg!(Rename_Task.newName))?.to_owned();
    let (me, on) = (call.this.clone(), host.clone());
    let options = api::TaskOptions::exclusive(&me, host.datastores.by_ref(&me)?.name);
    call.task(options, async move |_| rename(&on, &me, &name).await.map(|()| None)).await
}

/// Gives a datastore another name, for ever. The paths of machines on it change with it.
async fn rename(host: &Arc<Host>, me: &MoRef, name: &str) -> Result<(), Fault> {
    let _one = host.mounting.lock().await;
    let before = host.datastores.by_ref(me)?;
    host.datastores.rename(me, name)?;
    let remembered = async {
        let directory = host.remembered(me)?.and_then(|known| known.directory);
        host.remember(me, Some(&Remembered { name: name.into(), directory })).await
    };
    if let Err(fault) = remembered.await {
        host.datastores.rename(me, &before.name)?;
        return Err(fault);
    }
    host.publish_datastore(&host.datastores.by_ref(me)?);
    for vm in host.all_vms() {
        host.publish(&vm);
    }
    Ok(())
}
