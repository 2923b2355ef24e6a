//! The FileManager: files and directories of all datastores. A copy or move between datastores can be cancelled and
//! leaves nothing half done.

use std::sync::Arc;

use api::{Call, Guard, Manager, Running, Table};
use vim::{Fault, ManagedId, MoRef, Value, arg, field, managed_id, method, props};
use vm::faults::not_supported;

use super::Storage;
use super::place::{MANAGE, Place, follow};
use crate::blocking::blocking;

const MANAGER: ManagedId = managed_id!(FileManager);

/// The methods ask for the privilege on the datastore that a path names.
const ASKS: Guard = Guard::Asks(&[MANAGE]);

type Reply = Result<Option<Value>, Fault>;

/// The host's FileManager.
pub fn me() -> MoRef {
    MoRef::new(MANAGER, "ha-nfc-file-manager")
}

pub(super) const ROW: Manager<Arc<Storage>> = Manager {
    me: |_| me(),
    named: Some(field!(ServiceContent.fileManager).number()),
    properties: |_| Ok(props!(FileManager {})),
    register,
};

fn register(table: &mut Table<'_, Arc<Storage>>) {
    table.guarded(MANAGER, method!(MakeDirectory), ASKS, make_directory);
    table.guarded(MANAGER, method!(DeleteDatastoreFile_Task), ASKS, |storage, call| async move {
        let name = call.required(arg!(DeleteDatastoreFile_Task.name))?.to_owned();
        delete(storage, call, name).await
    });
    table.guarded(MANAGER, method!(MoveDatastoreFile_Task), ASKS, |storage, call| async move {
        let from = call.required(arg!(MoveDatastoreFile_Task.sourceName))?;
        let to = call.required(arg!(MoveDatastoreFile_Task.destinationName))?;
        let force = call.arg(arg!(MoveDatastoreFile_Task.force)).unwrap_or(false);
        let (from, to) = (Place::of(&storage, &call, from, MANAGE)?, Place::of(&storage, &call, to, MANAGE)?);
        carry(storage, &call, from, to, force, true).await
    });
    table.guarded(MANAGER, method!(CopyDatastoreFile_Task), ASKS, |storage, call| async move {
        let from = call.required(arg!(CopyDatastoreFile_Task.sourceName))?;
        let to = call.required(arg!(CopyDatastoreFile_Task.destinationName))?;
        let force = call.arg(arg!(CopyDatastoreFile_Task.force)).unwrap_or(false);
        let (from, to) = (Place::of(&storage, &call, from, MANAGE)?, Place::of(&storage, &call, to, MANAGE)?);
        carry(storage, &call, from, to, force, false).await
    });
    table.guarded(MANAGER, method!(ChangeOwner), ASKS, |_, _| async {
        Err(not_supported("Files of a datastore belong to the host; their owner cannot be changed"))
    });
}

async fn make_directory(storage: Arc<Storage>, call: Call) -> Reply {
    let name = call.required(arg!(MakeDirectory.name))?;
    let parents = call.arg(arg!(MakeDirectory.createParentDirectories)).unwrap_or(false);
    let place = Place::of(&storage, &call, name, MANAGE)?;
    blocking(move || {
        let made = place.on.store.make_directory(&place.file.path, parents);
        made.map_err(|error| place.fault(&error))
    })
    .await?;
    Ok(None)
}

/// Deletes a file, or a directory with everything in it.
async fn delete(storage: Arc<Storage>, call: Call, name: String) -> Reply {
    let place = Place::of(&storage, &call, &name, MANAGE)?;
    let options = place.task(false);
    let work = async move |_| {
        storage.delete(place).await?;
        Ok(None)
    };
    call.task(options, work).await
}

/// Copies or moves.
async fn carry(
    storage: Arc<Storage>,
    call: &Call,
    from: Place,
    to: Place,
    force: bool,
    moves: bool,
) -> Reply {
    let options = to.task(true);
    let work = async move |running: Running| {
        let datastores = [from.datastore(), to.datastore()];
        let in_use = storage.in_use.clone();
        let carried = blocking(move || {
            if moves {
                in_use.refuse_open(&from)?;
            }
            if force {
                in_use.refuse_open(&to)?;
            }
            let (source, target) = (&from.on.store, &to.on.store);
            let mut report = follow(running);
            let done = if moves {
                source.move_to(&from.file.path, target, &to.file.path, force, &mut report)
            } else {
                source.copy(&from.file.path, target, &to.file.path, force, &mut report)
            };
            // The path in an error tells which side failed; a path that is on both sides is the target's.
            done.map_err(|error| match &error {
                datastore::Error::NotFound(path) if from.file.path.contains(path) => from.fault(&error),
                _ => to.fault(&error),
            })
        });
        storage.changing(&datastores, carried).await?;
        Ok(None)
    };
    call.task(options, work).await
}
