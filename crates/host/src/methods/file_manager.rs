//! The FileManager: files and directories of all datastores. A copy or move between datastores can be cancelled and
//! leaves nothing half done.

use std::sync::Arc;

use api::{Call, Guard, Manager};
use vim::{Fault, ManagedId, Value, arg, field, managed_id, method, props};

use super::place::{MANAGE, Place, blocking, follow};
use super::{Table, in_use};
use crate::error::not_supported;
use crate::{Host, ids};

const MANAGER: ManagedId = managed_id!(FileManager);

/// A path names the datastore on which a method asks.
const ASKS: Guard = Guard::Asks(&[MANAGE]);

type Reply = Result<Option<Value>, Fault>;

/// The FileManager.
pub(super) const ROW: Manager<Arc<Host>> = Manager {
    me: |_| ids::file_manager(),
    named: Some(field!(ServiceContent.fileManager).number()),
    properties: |_| Ok(props!(FileManager {})),
    register,
};

fn register(table: &mut Table<'_>) {
    table.guarded(MANAGER, method!(MakeDirectory), ASKS, make_directory);
    table.guarded(MANAGER, method!(DeleteDatastoreFile_Task), ASKS, |host, call| async move {
        let name = call.required(arg!(DeleteDatastoreFile_Task.name))?.to_owned();
        delete(host, call, name).await
    });
    table.guarded(MANAGER, method!(MoveDatastoreFile_Task), ASKS, |host, call| async move {
        let from = call.required(arg!(MoveDatastoreFile_Task.sourceName))?;
        let to = call.required(arg!(MoveDatastoreFile_Task.destinationName))?;
        let force = call.arg(arg!(MoveDatastoreFile_Task.force)).unwrap_or(false);
        let (from, to) = (Place::of(&host, &call, from, MANAGE)?, Place::of(&host, &call, to, MANAGE)?);
        carry(host, &call, from, to, force, true).await
    });
    table.guarded(MANAGER, method!(CopyDatastoreFile_Task), ASKS, |host, call| async move {
        let from = call.required(arg!(CopyDatastoreFile_Task.sourceName))?;
        let to = call.required(arg!(CopyDatastoreFile_Task.destinationName))?;
        let force = call.arg(arg!(CopyDatastoreFile_Task.force)).unwrap_or(false);
        let (from, to) = (Place::of(&host, &call, from, MANAGE)?, Place::of(&host, &call, to, MANAGE)?);
        carry(host, &call, from, to, force, false).await
    });
    table.guarded(MANAGER, method!(ChangeOwner), ASKS, |_, _| async {
        Err(not_supported("Files of a datastore belong to the host; their owner cannot be changed"))
    });
}

async fn make_directory(host: Arc<Host>, call: Call) -> Reply {
    let name = call.required(arg!(MakeDirectory.name))?;
    let parents = call.arg(arg!(MakeDirectory.createParentDirectories)).unwrap_or(false);
    let place = Place::of(&host, &call, name, MANAGE)?;
    blocking(move || {
        let made = place.on.store.make_directory(&place.file.path, parents);
        made.map_err(|error| place.fault(&error))
    })
    .await?;
    Ok(None)
}

/// Deletes a file or a directory with all that is in it.
pub(super) async fn delete(host: Arc<Host>, call: Call, name: String) -> Reply {
    let place = Place::of(&host, &call, &name, MANAGE)?;
    let options = place.task(false);
    let work = async move |_| {
        let at = place.clone();
        let on = host.clone();
        blocking(move || {
            in_use::refuse_open(&on, &at)?;
            at.on.store.delete(&at.file.path).map_err(|error| at.fault(&error))
        })
        .await?;
        host.refresh_space(&[place.datastore()]).await;
        Ok(None)
    };
    call.task(options, work).await
}

/// Copies or moves.
async fn carry(host: Arc<Host>, call: &Call, from: Place, to: Place, force: bool, moves: bool) -> Reply {
    let options = to.task(true);
    let work = async move |running: api::Running| {
        let on = host.clone();
        let datastores = [from.datastore(), to.datastore()];
        blocking(move || {
            if moves {
                in_use::refuse_open(&on, &from)?;
            }
            if force {
                in_use::refuse_open(&on, &to)?;
            }
            // Whose fault it is shows in which path an error names; one that is on both sides is the target's.
            let (source, target) = (&from.on.store, &to.on.store);
            let mut report = follow(running);
            let done = if moves {
                source.move_to(&from.file.path, target, &to.file.path, force, &mut report)
            } else {
                source.copy(&from.file.path, target, &to.file.path, force, &mut report)
            };
            done.map_err(|error| match &error {
                datastore::Error::NotFound(path) if from.file.path.contains(path) => from.fault(&error),
                _ => to.fault(&error),
            })
        })
        .await?;
        host.refresh_space(&datastores).await;
        Ok(None)
    };
    call.task(options, work).await
}
