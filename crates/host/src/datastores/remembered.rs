//! The host's durable memory of its datastores: the directories that were added through the API, which are mounted again
//! at every start, and the names that datastores were given.

use std::collections::BTreeMap;
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Remembered {
    pub(crate) name: String,
    /// `None` if the command line names the directory.
    pub(crate) directory: Option<PathBuf>,
    /// Where it was mounted last, if the command line names the directory: what is there without an identity is not it.
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

/// Mounts the datastores of the command line and those that were added since. A directory that has a marker is the
/// datastore that its marker names, wherever that one was before. One whose storage is not where it was is inaccessible:
/// nothing new is made in its place, and it is looked for again. Gives the records to write.
///
/// # Errors
/// If one of the command line that is not known yet cannot be mounted.
pub(crate) fn mount_all(
    store: &Store,
    named: &[(String, PathBuf)],
    datastores: &Datastores,
) -> Result<Vec<(MoRef, Remembered)>> {
    let before: BTreeMap<Uuid, Remembered> = REMEMBERED
        .all(store)?
        .into_iter()
        .filter_map(|(uuid, known)| Some((Uuid::parse_str(&uuid).ok()?, known)))
        .collect();
    let mut mounting = Mounting { datastores, known: before.clone(), absent: Vec::new() };
    mounting.mount_named(named)?;
    mounting.mount_added();
    mounting.add_absent();
    let known = mounting.known.into_iter();
    let changed = known.filter(|(uuid, known)| before.get(uuid) != Some(known));
    Ok(changed.map(|(uuid, known)| (ids::datastore(uuid), known)).collect())
}

/// The mounting of all datastores when the host is opened.
struct Mounting<'a> {
    datastores: &'a Datastores,
    known: BTreeMap<Uuid, Remembered>,
    /// Those whose storage is not where it was, by name. They come last: what is there counts more.
    absent: Vec<(String, Datastore)>,
}

impl Mounting<'_> {
    /// Mounts the datastores of the command line, first those with a marker: then it is known which places are free.
    fn mount_named(&mut self, named: &[(String, PathBuf)]) -> Result<()> {
        let mut unmarked = Vec::new();
        for (name, directory) in named {
            warn_if_closed(name, directory);
            match Datastore::identity_at(directory) {
                Ok(Some(uuid)) => self.mount_marked(name, directory, uuid)?,
                Ok(None) | Err(_) => unmarked.push((name, directory)),
            }
        }
        unmarked.into_iter().try_for_each(|(name, directory)| self.mount_unmarked(name, directory))
    }

    /// Mounts a directory of the command line that has a marker.
    fn mount_marked(&mut self, name: &str, directory: &Path, uuid: Uuid) -> Result<()> {
        match Datastore::mount_known(directory, uuid) {
            Ok(mounted) => self.add_named(name, mounted),
            Err(error) if self.known.contains_key(&uuid) => {
                self.leave(name, &resolved(directory), uuid, &error);
                Ok(())
            }
            Err(source) => Err(Error::Datastore { name: name.to_owned(), source }),
        }
    }

    /// Mounts a directory of the command line that has no marker, or that cannot be looked at. If it is the place of a
    /// datastore that is nowhere else, it waits for that one; otherwise it becomes a new one.
    fn mount_unmarked(&mut self, name: &str, directory: &Path) -> Result<()> {
        let place = resolved(directory);
        if let Some(uuid) = self.expected_at(&place) {
            return match Datastore::mount_known(&place, uuid) {
                Ok(mounted) => self.add_named(name, mounted),
                Err(error) => {
                    self.leave(name, &place, uuid, &error);
                    Ok(())
                }
            };
        }
        let mounted = Datastore::mount(directory);
        self.add_named(name, mounted.map_err(|source| Error::Datastore { name: name.to_owned(), source })?)
    }

    /// The datastore that was at a place and is not mounted elsewhere.
    fn expected_at(&self, place: &Path) -> Option<Uuid> {
        let here = self.known.iter().filter(|(_, known)| known.place.as_deref() == Some(place));
        here.map(|(uuid, _)| *uuid).find(|uuid| self.datastores.by_uuid(*uuid).is_none())
    }

    /// Adds a datastore of the command line, and remembers that its place belongs to no other.
    fn add_named(&mut self, name: &str, mounted: Datastore) -> Result<()> {
        let uuid = mounted.uuid();
        let place = mounted.root_path().map(Path::to_owned);
        for (other, known) in &mut self.known {
            if *other != uuid && known.place == place {
                tracing::warn!(
                    datastore = known.name,
                    uuid = %other,
                    now = %uuid,
                    "another datastore is in the place of one that is known"
                );
                known.place = None;
            }
        }
        let new = || Remembered { name: name.to_owned(), directory: None, place: None, renamed: false };
        self.known.entry(uuid).or_insert_with(new).place = place;
        let name = self.name_of(uuid, name);
        self.datastores.add(&name, Arc::new(mounted))?;
        Ok(())
    }

    /// The name of a datastore of the command line.
    fn name_of(&self, uuid: Uuid, named: &str) -> String {
        let renamed = self.known.get(&uuid).filter(|known| known.renamed);
        renamed.map_or_else(|| named.to_owned(), |known| known.name.clone())
    }

    /// Mounts the datastores that clients added.
    fn mount_added(&mut self) {
        for (uuid, known) in self.known.clone() {
            let Some(directory) = &known.directory else { continue };
            if self.datastores.by_uuid(uuid).is_some() {
                continue;
            }
            warn_if_closed(&known.name, directory);
            match Datastore::mount_known(directory, uuid) {
                Ok(mounted) => self.add_or_leave_out(&known.name, mounted),
                Err(error) => self.leave(&known.name, directory, uuid, &error),
            }
        }
    }

    /// Notes that the storage of a datastore is not where it was.
    fn leave(&mut self, name: &str, place: &Path, uuid: Uuid, error: &datastore::Error) {
        let (name, at) = (self.name_of(uuid, name), place.display());
        tracing::error!(datastore = name, %uuid, %at, %error, "a datastore is not where it was");
        self.absent.push((name, Datastore::absent(place, uuid)));
    }

    /// Adds the datastores whose storage is not there, unless they are mounted elsewhere.
    fn add_absent(&mut self) {
        for (name, absent) in std::mem::take(&mut self.absent) {
            if self.datastores.by_uuid(absent.uuid()).is_none() {
                self.add_or_leave_out(&name, absent);
            }
        }
    }

    fn add_or_leave_out(&self, name: &str, datastore: Datastore) {
        if let Err(error) = self.datastores.add(name, Arc::new(datastore)) {
            tracing::error!(datastore = name, %error, "a datastore is left out; it is tried again at the next start");
        }
    }
}

/// A directory without symbolic links, whether it is there or only its parent is.
fn resolved(directory: &Path) -> PathBuf {
    let below = || Some(std::fs::canonicalize(directory.parent()?).ok()?.join(directory.file_name()?));
    std::fs::canonicalize(directory).ok().or_else(below).unwrap_or_else(|| directory.to_owned())
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

    /// A directory in which a datastore is made for the first time.
    fn made(at: &Path) -> Uuid {
        create_dir(at).unwrap();
        Datastore::mount(at).unwrap().uuid()
    }

    /// The names and identities of the datastores whose storage is there, by name.
    fn present(datastores: &Datastores) -> Vec<(String, Uuid)> {
        let there = datastores.all().into_iter().filter(|on| !on.store.is_absent());
        let mut there: Vec<_> = there.map(|on| (on.name.clone(), on.store.uuid())).collect();
        there.sort();
        there
    }

    #[tokio::test]
    async fn a_marker_counts_more_than_a_place() {
        let site = tempfile::tempdir().unwrap();
        let (a, b, away) = (site.path().join("a"), site.path().join("b"), site.path().join("away"));
        let (first, second) = (made(&a), made(&b));
        let store = Store::in_memory().unwrap();
        let named = vec![("a".to_owned(), a.clone()), ("b".to_owned(), b.clone())];
        start(&store, &named).await;
        // Both are swapped.
        for (from, to) in [(&a, &away), (&b, &a), (&away, &b)] {
            std::fs::rename(from, to).unwrap();
        }
        let swapped = [("a".to_owned(), second), ("b".to_owned(), first)];
        assert_eq!(present(&start(&store, &named).await), swapped);
        // The places are remembered anew.
        std::fs::rename(&a, &away).unwrap();
        let gone = start(&store, &named).await;
        assert_eq!(present(&gone), swapped[1..]);
        assert!(gone.by_uuid(second).unwrap().store.is_absent());
        assert_eq!(gone.by_uuid(second).unwrap().name, "a");
    }

    #[tokio::test]
    async fn a_directory_is_free_once_its_datastore_is_mounted_elsewhere() {
        let site = tempfile::tempdir().unwrap();
        let (old, new) = (site.path().join("old"), site.path().join("new"));
        let moved = made(&old);
        let store = Store::in_memory().unwrap();
        start(&store, &[("old".to_owned(), old.clone())]).await;
        std::fs::rename(&old, &new).unwrap();
        create_dir(&old).unwrap();
        let named = vec![("old".to_owned(), old.clone()), ("new".to_owned(), new.clone())];
        let all = start(&store, &named).await;
        let there = present(&all);
        assert_eq!(there.len(), 2);
        assert_eq!(there[0], ("new".to_owned(), moved));
        assert_eq!(there[1].0, "old");
        assert_eq!(present(&start(&store, &named).await), there);
    }

    #[tokio::test]
    async fn storage_that_is_mounted_over_a_datastore_made_by_mistake_is_taken() {
        let site = tempfile::tempdir().unwrap();
        let (at, away, real) = (site.path().join("ds"), site.path().join("away"), site.path().join("real"));
        let mistake = made(&at);
        let store = Store::in_memory().unwrap();
        let named = vec![("ds".to_owned(), at.clone())];
        assert_eq!(present(&start(&store, &named).await), [("ds".to_owned(), mistake)]);
        std::fs::rename(&at, &away).unwrap();
        let wanted = made(&real);
        std::fs::rename(&real, &at).unwrap();
        assert_eq!(present(&start(&store, &named).await), [("ds".to_owned(), wanted)]);
        // From now on the place is that of the real one.
        std::fs::rename(&at, &real).unwrap();
        let gone = start(&store, &named).await;
        assert!(present(&gone).is_empty());
        assert!(gone.by_uuid(wanted).is_some() && gone.by_uuid(mistake).is_none());
    }

    #[tokio::test]
    async fn one_that_is_gone_gives_its_name_to_one_that_is_there() {
        let site = tempfile::tempdir().unwrap();
        let (a, b) = (site.path().join("a"), site.path().join("b"));
        let (gone, _) = (made(&a), made(&b));
        let store = Store::in_memory().unwrap();
        start(&store, &[("a".to_owned(), a.clone())]).await;
        let me = ids::datastore(gone);
        let mut known = find(&store, &me).unwrap().unwrap();
        (known.name, known.renamed) = ("b".into(), true);
        put(&store, &me, Some(&known)).await.unwrap();
        std::fs::remove_dir_all(&a).unwrap();
        let all = start(&store, &[("a".to_owned(), a.clone()), ("b".to_owned(), b.clone())]).await;
        assert_eq!(names(&all), [("b".to_owned(), false)]);
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
