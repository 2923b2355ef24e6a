//! What the host remembers of its datastores: the directories that were added through the API, which are mounted again at
//! every start, and the names that datastores were given.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use datastore::Datastore;
use serde::{Deserialize, Serialize};
use store::{Batch, Collection, Store};
use vim::{Fault, MoRef};

use crate::datastores::Datastores;
use crate::error::store_fault;
use crate::{Error, Host, Result};

/// What is remembered of a datastore, by its identity.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Remembered {
    pub(crate) name: String,
    /// None if the command line names the directory.
    pub(crate) directory: Option<PathBuf>,
}

const REMEMBERED: Collection<Remembered> = Collection::new("datastores");

/// Mounts the datastores of the command line and those that were added since.
///
/// # Errors
/// If one of the command line cannot be mounted. One that was added and is gone is left out, with a word in the log.
pub(crate) fn mount_all(store: &Store, named: &[(String, PathBuf)], datastores: &Datastores) -> Result<()> {
    let mount = |name: &str, directory: &Path| {
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

impl Host {
    /// What is remembered of a datastore.
    pub(crate) fn remembered(&self, datastore: &MoRef) -> Result<Option<Remembered>, Fault> {
        REMEMBERED.get(&self.core.store, datastore.id()).map_err(|error| store_fault(&error))
    }

    /// Remembers a datastore, or forgets it.
    pub(crate) async fn remember(&self, datastore: &MoRef, known: Option<&Remembered>) -> Result<(), Fault> {
        let mut batch = Batch::new();
        match known {
            Some(known) => {
                REMEMBERED.put(&mut batch, datastore.id(), known).map_err(|error| store_fault(&error))?
            }
            None => REMEMBERED.delete(&mut batch, datastore.id()),
        }
        self.core.store.commit(batch).await.map(drop).map_err(|error| store_fault(&error))
    }
}
