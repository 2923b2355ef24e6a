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

    fn names(datastores: &Datastores) -> Vec<(String, bool)> {
        datastores.all().into_iter().map(|on| (on.name.clone(), on.store.is_absent())).collect()
    }

    /// Opens the datastores, and keeps what is to be kept.
    async fn start(store: &Store, named: &[(String, PathBuf)]) -> Datastores {
        let datastores = Datastores::default();
        for (me, known) in mount_all(store, named, &datastores).unwrap() {
            put(store, &me, Some(&known)).await.unwrap();
        }
        datastores
    }

    #[tokio::test]
    async fn a_datastore_is_known_by_its_place_and_a_name_that_a_client_gave_counts_more() {
        let site = tempfile::tempdir().unwrap();
        let (at, away) = (site.path().join("ds"), site.path().join("away"));
        create_dir(&at).unwrap();
        let store = Store::in_memory().unwrap();
        let named = |name: &str| vec![(name.to_owned(), at.clone())];
        let first = start(&store, &named("one")).await.all().remove(0);
        assert_eq!(names(&start(&store, &named("two")).await), [("two".to_owned(), false)]);
        std::fs::rename(&at, &away).unwrap();
        let gone = start(&store, &named("two")).await;
        assert_eq!(names(&gone), [("two".to_owned(), true)]);
        assert_eq!(gone.all()[0].store.uuid(), first.store.uuid());
        let mut known = find(&store, &first.me()).unwrap().unwrap();
        (known.name, known.renamed) = ("client's".into(), true);
        put(&store, &first.me(), Some(&known)).await.unwrap();
        create_dir(&at).unwrap();
        assert_eq!(names(&start(&store, &named("two")).await), [("client's".to_owned(), true)]);
        // Once it is forgotten, the place is free for another.
        put(&store, &first.me(), None).await.unwrap();
        let other = start(&store, &named("two")).await;
        assert_eq!(names(&other), [("two".to_owned(), false)]);
        assert_ne!(other.all()[0].store.uuid(), first.store.uuid());
    }

    #[tokio::test]
    async fn one_that_a_client_added_stays_in_the_inventory_while_its_storage_is_gone() {
        let site = tempfile::tempdir().unwrap();
        let at = site.path().join("ds");
        create_dir(&at).unwrap();
        let store = Store::in_memory().unwrap();
        let me = ids::datastore(Datastore::mount(&at).unwrap().uuid());
        // As it was written before places were remembered.
        let old = serde_json::json!({"name": "added", "directory": at}).to_string();
        let mut batch = Batch::new();
        batch.put("datastores", me.id(), old.into_bytes());
        store.commit(batch).await.unwrap();
        assert_eq!(names(&start(&store, &[]).await), [("added".to_owned(), false)]);
        std::fs::remove_dir_all(&at).unwrap();
        create_dir(&at).unwrap();
        assert_eq!(names(&start(&store, &[]).await), [("added".to_owned(), true)]);
        assert!(std::fs::read_dir(&at).unwrap().next().is_none(), "nothing is made there");
    }
}
