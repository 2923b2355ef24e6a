//! The methods of `Datastore` objects.

use std::sync::Arc;

use api::{Call, Guard, Table, TaskOptions};
use vim::{Fault, ManagedId, Value, arg, managed_id, method};

use super::Storage;

const DATASTORE: ManagedId = managed_id!(Datastore);

type Reply = Result<Option<Value>, Fault>;

pub(super) fn register(table: &mut Table<'_, Arc<Storage>>) {
    for method in [method!(RefreshDatastore), method!(RefreshDatastoreStorageInfo)] {
        table.on(DATASTORE, method, |storage, call| async move {
            storage.datastores().by_ref(&call.this)?;
            storage.look_again(&call.this).await;
            storage.show_space(std::slice::from_ref(&call.this)).await;
            Ok(None)
        });
    }
    table.on(DATASTORE, method!(RenameDatastore), |storage, call| async move {
        let name = call.required(arg!(RenameDatastore.newName))?;
        storage.rename(&call.this, name).await?;
        Ok(None)
    });
    table.guarded(DATASTORE, method!(Rename_Task), Guard::Privilege("Datastore.Rename"), rename_task);
    table.on(DATASTORE, method!(DestroyDatastore), |storage, call| async move {
        storage.remove(&call.this).await?;
        Ok(None)
    });
    table.guarded(DATASTORE, method!(Destroy_Task), Guard::Privilege("Datastore.Delete"), destroy_task);
}

async fn rename_task(storage: Arc<Storage>, call: Call) -> Reply {
    let name = call.required(arg!(Rename_Task.newName))?.to_owned();
    let me = call.this.clone();
    let options = TaskOptions::exclusive(&me, storage.datastores().by_ref(&me)?.name);
    call.task(options, async move |_| storage.rename(&me, &name).await.map(|()| None)).await
}

async fn destroy_task(storage: Arc<Storage>, call: Call) -> Reply {
    let me = call.this.clone();
    let options = TaskOptions::exclusive(&me, storage.datastores().by_ref(&me)?.name);
    call.task(options, async move |_| storage.remove(&me).await.map(|()| None)).await
}
