//! The host's durable memory of its datastores: the directories that were added through the API, which are mounted again
//! at every start, and the names that datastores were given.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use datastore::Datastore;
use serde::{Deserialize, Serialize};
use store::{Batch, Collection, Store};
use vim::{Fault, MoRef};

use super::Datastores;
use crate::error::store_fault;
use crate::{Error, Result};

/// A remembered datastore. The key of its record is its identity.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Remembered {
    pub(crate) name: String,
    /// `None` if the command line names the directory.
    pub(crate) directory: Option<PathBuf>,
}

const REMEMBERED: Collection<Remembered> = Collection::new("datastores");

/// Mounts the datastores of the command line and those that were added since.
///
/// # Errors
/// If one of the command line cannot be mounted. An added one that is gone is left out, and the log says so.
pub(crate) fn mount_all(store: &Store, named: &[(String, PathBuf)], datastores: &Datastores) -> Result<()> {
    let mount = |name: &str, directory: &Path| {
        if let Some(closed) = closed_directory(directory) {
            tracing::warn!(
                datastore = name,
                "the users that VMs run as cannot enter {}; allow it with: chmod o+x {0}",
                closed.display()
            );
        }
        let mounted = Datastore::mount(directory);
        mounted.map_err(|source| Error::Datastore { name: name.to_owned(), source })
    };
    for (name, directory) in named {
        let mounted = mount(name, directory)?;
        let renamed = REMEMBERED.get(store, &mounted.uuid().to_string())?.map(|known| known.name);
        datastores.add(renamed.as_deref().unwrap_or(name), Arc::new(mounted))?;
    }
    for (uuid, known) in REMEMBERED.all(store)? {
        let Some(directory) = &known.directory else { continue };
        if datastores.all().iter().any(|mounted| mounted.store.uuid().to_string() == uuid) {
            continue;
        }
        let mounted = mount(&known.name, directory)
            .and_then(|mounted| datastores.add(&known.name, Arc::new(mounted)).map_err(Error::from));
        if let Err(error) = mounted {
            tracing::error!(%error, "a datastore is left out; it is tried again at the next start");
        }
    }
    Ok(())
}

/// The first directory on the way to a datastore, itself included, that others than its owner cannot enter.
fn closed_directory(datastore: &Path) -> Option<&Path> {
    const ENTER: u32 = 0o001;
    let closed = |directory: &&Path| {
        std::fs::metadata(directory).is_ok_and(|known| known.permissions().mode() & ENTER == 0)
    };
    datastore.ancestors().filter(closed).last()
}

/// Finds a remembered datastore.
///
/// # Errors
/// `SystemError` if the host's state cannot be read.
pub(crate) fn find(store: &Store, datastore: &MoRef) -> Result<Option<Remembered>, Fault> {
    REMEMBERED.get(store, datastore.id()).map_err(|error| store_fault(&error))
}

/// Remembers a datastore; with `None`, forgets it.
///
/// # Errors
/// `NoDiskSpace`, `SystemError` if the host's state cannot be written.
pub(crate) async fn put(store: &Store, datastore: &MoRef, known: Option<&Remembered>) -> Result<(), Fault> {
    let mut batch = Batch::new();
    match known {
        Some(known) => {
            REMEMBERED.put(&mut batch, datastore.id(), known).map_err(|error| store_fault(&error))?
        }
        None => REMEMBERED.delete(&mut batch, datastore.id()),
    }
    store.commit(batch).await.map(drop).map_err(|error| store_fault(&error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{Permissions, create_dir, set_permissions};

    #[test]
    fn the_outermost_closed_directory_is_named() {
        let outer = tempfile::tempdir().unwrap();
        let (closed, open) = (outer.path().join("closed"), outer.path().join("closed/open"));
        for (directory, mode) in [(outer.path(), 0o755), (&closed, 0o700), (&open, 0o755)] {
            let _ = create_dir(directory);
            set_permissions(directory, Permissions::from_mode(mode)).unwrap();
        }
        assert_eq!(closed_directory(&open), Some(closed.as_path()));
        set_permissions(&closed, Permissions::from_mode(0o711)).unwrap();
        assert_eq!(closed_directory(&open), None);
    }
}
