//! HostDatastoreBrowser: looks for files on the datastores that it belongs to. `spec` reads what a client looks for,
//! `show` writes what was found.

mod show;
mod spec;

use std::sync::Arc;

use api::{Call, Guard, Table};
use vim::{
    Fault, Kind, List, ManagedId, MoRef, Props, Value, arg, data_id, fault, managed_id, method, prop, props,
};

use self::spec::Wanted;
use super::Storage;
use super::place::{BROWSE, Place};
use crate::blocking::blocking;

const BROWSER: ManagedId = managed_id!(HostDatastoreBrowser);

/// A search asks for the privilege on the datastore that its path names.
const ASKS: Guard = Guard::Asks(&[BROWSE]);

type Reply = Result<Option<Value>, Fault>;

/// A browser of these datastores.
pub(crate) fn props(datastores: Vec<MoRef>) -> Props {
    props!(HostDatastoreBrowser { datastore: datastores, supportedType: spec::supported() })
}

pub(super) fn register(table: &mut Table<'_, Arc<Storage>>) {
    table.guarded(BROWSER, method!(SearchDatastore_Task), ASKS, |storage, call| async move {
        let path = call.required(arg!(SearchDatastore_Task.datastorePath))?;
        let wanted = Wanted::read(call.arg(arg!(SearchDatastore_Task.searchSpec)), false)?;
        let place = place(&storage, &call, path, BROWSE)?;
        search(&call, place, wanted, |found| found.into_iter().next()).await
    });
    table.guarded(BROWSER, method!(SearchDatastoreSubFolders_Task), ASKS, |storage, call| async move {
        let path = call.required(arg!(SearchDatastoreSubFolders_Task.datastorePath))?;
        let wanted = Wanted::read(call.arg(arg!(SearchDatastoreSubFolders_Task.searchSpec)), true)?;
        let place = place(&storage, &call, path, BROWSE)?;
        let all = |found| {
            Some(Value::List(List::new(Kind::Data(data_id!(HostDatastoreBrowserSearchResults)), found)))
        };
        search(&call, place, wanted, all).await
    });
    table.on(BROWSER, method!(DeleteFile), |storage, call| async move {
        let path = call.required(arg!(DeleteFile.datastorePath))?;
        let place = place(&storage, &call, path, "Datastore.DeleteFile")?;
        storage.delete(place).await?;
        Ok(None)
    });
}

/// The place that a path names, which must be on a datastore of this browser.
fn place(storage: &Storage, call: &Call, path: &str, privilege: &str) -> Result<Place, Fault> {
    let place = Place::of(storage, call, path, privilege)?;
    let (state, datastore) = (call.state(), place.datastore());
    let mine = state.find(&call.this).and_then(|node| node.get(prop!(HostDatastoreBrowser.datastore)));
    if !mine.into_iter().flatten().any(|mine| *mine == datastore) {
        return Err(fault!(
            InvalidDatastore { datastore: datastore, name: &place.on.name },
            "This browser does not look at the datastore {}",
            place.on.name
        ));
    }
    Ok(place)
}

async fn search(
    call: &Call,
    place: Place,
    wanted: Wanted,
    result: impl FnOnce(Vec<Value>) -> Option<Value> + Send + 'static,
) -> Reply {
    let options = place.task(false);
    let work = async move |_| {
        let found = blocking(move || {
            let found = place.on.store.search(&place.file.path, &wanted.search);
            let found = found.map_err(|error| place.fault(&error))?;
            Ok(show::results(&place.on, found, &wanted))
        });
        Ok(result(found.await?))
    };
    call.task(options, work).await
}
