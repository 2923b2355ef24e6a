//! The host's durable memory of its datastores: the directories that were added through the API, which are mounted again
//! at every start, and the names that datastores were given.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use datastore::Datastore;
use serde::{Deserialize, Serialize};
use store::{Batch, Collection, Store};
use uuid::Uuid;
use vim::{Fault, MoRef};

use super::Datastores;
use crate::error::store_fault;
use crate::{Error, Result, ids};

/// A remembered datastore. The key of its record is its identity.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Remembered {
    pub(crate) name: String,
    /// `None` if the command line names the directory.
    pub(crate) directory: Option<PathBuf>,
    /// Where it was mounted last, if the command line names the directory: what is there without its identity is not it.
    #[serde(default)]
    pub(crate) place: Option<PathBuf>,
    /// A client gave it the name, which then counts more than the one of the command line.
    #[serde(default = "yes")]
    pub(crate) renamed: bool,
}

fn yes() -> bool {
    true
}

const REMEMBERED: Collection<Remembered> = Collection::new("datastores");

/// A datastore that was mounted, and its record if that has changed.
type Mounted = (Datastore, String, Option<Remembered>);

/// Mounts the datastores of the command line and those that were added since. One whose storage is not where it was is
/// inaccessible: nothing new is made in its place, and it is looked for again. Gives the records to write.
///
/// # Errors
/// If one of the command line that is not known yet cannot be mounted.
pub(crate) fn mount_all(
    store: &Store,
    named: &[(String, PathBuf)],
    datastores: &Datastores,
) -> Result<Vec<(MoRef, Remembered)>> {
    let mut changed = Vec::new();
    let known: Vec<(Uuid, Remembered)> = REMEMBERED
        .all(store)?
        .into_iter()
        .filter_map(|(uuid, known)| Some((Uuid::parse_str(&uuid).ok()?, known)))
        .collect();
    for (name, directory) in named {
        let (mounted, name, record) = mount_named(name, directory, &known)?;
        if let Some(record) = record {
            changed.push((ids::datastore(mounted.uuid()), record));
        }
        datastores.add(&name, Arc::new(mounted))?;
    }
    for (uuid, known) in known {
        let Some(directory) = &known.directory else { continue };
        if datastores.by_uuid(uuid).is_some() {
            continue;
        }
        if let Err(error) = datastores.add(&known.name, Arc::new(mount_known(&known.name, directory, uuid))) {
            tracing::error!(datastore = known.name, %error, "a datastore is left out; it is tried again at the next start");
        }
    }
    Ok(changed)
}

/// Mounts a datastore of the command line.
fn mount_named(name: &str, directory: &Path, known: &[(Uuid, Remembered)]) -> Result<Mounted> {
    let place = resolved(directory);
    if let Some((uuid, known)) = known.iter().find(|(_, known)| known.place.as_ref() == Some(&place)) {
        let name = if known.renamed { &known.name } else { name };
        return Ok((mount_known(name, &place, *uuid), name.to_owned(), None));
    }
    warn_if_closed(name, directory);
    let mounted = Datastore::mount(directory);
    let mounted = mounted.map_err(|source| Error::Datastore { name: name.to_owned(), source })?;
    let before = known.iter().find(|(uuid, _)| *uuid == mounted.uuid()).map(|(_, known)| known.clone());
    let place = mounted.root_path().map(Path::to_owned);
    let record = match before {
        Some(before) => Remembered { place, ..before },
        None => Remembered { name: name.to_owned(), directory: None, place, renamed: false },
    };
    let name = if record.renamed { record.name.clone() } else { name.to_owned() };
    Ok((mounted, name, Some(record)))
}

/// A directory without symbolic links, whether it is there or only its parent is.
fn resolved(directory: &Path) -> PathBuf {
    let below = || Some(std::fs::canonicalize(directory.parent()?).ok()?.join(directory.file_name()?));
    std::fs::canonicalize(directory).ok().or_else(below).unwrap_or_else(|| directory.to_owned())
}

/// Mounts a datastore where it was; without its storage if that is not there.
fn mount_known(name: &str, directory: &Path, uuid: Uuid) -> Datastore {
    warn_if_closed(name, directory);
    Datastore::mount_known(directory, uuid).unwrap_or_else(|error| {
        let at = directory.display();
        tracing::error!(datastore = name, %uuid, %at, %error, "a datastore is not where it was");
        Datastore::absent(directory, uuid)
    })
}

fn warn_if_closed(name: &str, directory: &Path) {
    if let Some(closed) = closed_directory(directory) {
        tracing::warn!(
            datastore = name,
            "the users that VMs run as cannot enter {}; allow it with: chmod o+x {0}",
            closed.display()
        );
    }
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
