//! The datastores that this host has mounted, by name and by identity, and paths in the form of the API.
//!
//! [`Datastores`] is the register. `remembered` keeps it over restarts. Slice `storage` changes the register for
//! clients.

mod model;
mod mounted;
pub(crate) mod remembered;

use std::collections::BTreeMap;
use std::sync::Arc;

use datastore::{Datastore, DatastorePath, FilePath};
use parking_lot::RwLock;
use uuid::Uuid;
use vim::{Fault, MoRef, fault};
use vm::FileRef;

use crate::ids;

pub use mounted::Mounted;

/// All datastores of the host.
#[derive(Default)]
pub struct Datastores {
    mounted: RwLock<BTreeMap<Uuid, Mounted>>,
}

impl Datastores {
    /// Mounts a datastore under a name.
    ///
    /// # Errors
    /// `DuplicateName` if the name is taken or the datastore is mounted already, `InvalidName`.
    pub fn add(&self, name: &str, store: Arc<Datastore>) -> Result<MoRef, Fault> {
        check_name(name)?;
        let mut mounted = self.mounted.write();
        let me = ids::datastore(store.uuid());
        if let Some(other) = mounted.values().find(|m| m.name == name || m.store.uuid() == store.uuid()) {
            return Err(fault!(
                DuplicateName { name: name, object: other.me() },
                "The datastore {} is mounted already as {}",
                store.uuid(),
                other.name
            ));
        }
        mounted.insert(store.uuid(), Mounted { name: name.into(), store });
        Ok(me)
    }

    /// Gives a datastore another name.
    ///
    /// # Errors
    /// `DuplicateName`, `InvalidName`, `ManagedObjectNotFound`.
    pub fn rename(&self, me: &MoRef, name: &str) -> Result<(), Fault> {
        check_name(name)?;
        let mut mounted = self.mounted.write();
        if let Some(other) = mounted.values().find(|m| m.name == name && m.me() != *me) {
            return Err(fault!(
                DuplicateName { name: name, object: other.me() },
                "Another datastore is named {name} already"
            ));
        }
        match mounted.values_mut().find(|m| m.me() == *me) {
            Some(found) => found.name = name.into(),
            None => return Err(gone(me)),
        }
        Ok(())
    }

    /// Puts the datastore as it is now in the place of what was known of it: its storage came back, or went. Whether it
    /// was still known as `before`: if it was replaced or removed meanwhile, nothing changes.
    pub(crate) fn replace(&self, before: &Arc<Datastore>, now: Arc<Datastore>) -> bool {
        let mut mounted = self.mounted.write();
        let found = mounted.get_mut(&now.uuid()).filter(|found| Arc::ptr_eq(&found.store, before));
        match found {
            Some(found) => {
                found.store = now;
                true
            }
            None => false,
        }
    }

    /// Unmounts a datastore; its files stay where they are.
    pub fn remove(&self, me: &MoRef) {
        self.mounted.write().retain(|_, other| other.me() != *me);
    }

    pub fn all(&self) -> Vec<Mounted> {
        self.mounted.read().values().cloned().collect()
    }

    pub fn by_uuid(&self, uuid: Uuid) -> Option<Mounted> {
        self.mounted.read().get(&uuid).cloned()
    }

    /// The datastore with this name, escaped as in a path or not.
    pub fn by_name(&self, name: &str) -> Option<Mounted> {
        let escaped = datastore::escape_name(name);
        self.mounted.read().values().find(|m| datastore::escape_name(&m.name) == escaped).cloned()
    }

    /// The datastore that an object stands for.
    ///
    /// # Errors
    /// `ManagedObjectNotFound`.
    pub fn by_ref(&self, me: &MoRef) -> Result<Mounted, Fault> {
        let uuid = Uuid::parse_str(me.id()).ok();
        uuid.and_then(|uuid| self.by_uuid(uuid)).ok_or_else(|| gone(me))
    }

    /// Reads `[datastore] dir/file`.
    ///
    /// # Errors
    /// `InvalidDatastorePath`, also for a datastore that is not here.
    pub fn parse(&self, text: &str) -> Result<FileRef, Fault> {
        let path = DatastorePath::parse(text)
            .map_err(|error| fault!(InvalidDatastorePath { datastorePath: text }, "{error}"))?;
        match self.by_name(path.datastore()) {
            Some(mounted) => Ok(FileRef { datastore: mounted.store.uuid(), path: path.into_path() }),
            None => Err(fault!(
                InvalidDatastorePath { name: path.datastore(), datastorePath: text },
                "This host has no datastore {}",
                path.datastore()
            )),
        }
    }

    /// The datastore that a file is on.
    ///
    /// # Errors
    /// `InvalidDatastore` if it is not mounted.
    pub fn of(&self, file: &FileRef) -> Result<Mounted, Fault> {
        self.by_uuid(file.datastore).ok_or_else(|| {
            fault!(
                InvalidDatastore { name: file.datastore.to_string() },
                "The datastore {} is not mounted on this host; mount it here, or unregister its VMs if it is lost",
                file.datastore
            )
        })
    }

    /// A file as the API writes it, with the identity in the place of the name if the datastore is not mounted.
    pub fn show(&self, file: &FileRef) -> String {
        match self.by_uuid(file.datastore) {
            Some(mounted) => mounted.show(&file.path),
            None => format!("[{}] {}", file.datastore, file.path.as_str()),
        }
    }
}

fn check_name(name: &str) -> Result<(), Fault> {
    match DatastorePath::new(name, FilePath::root()) {
        Ok(_) => Ok(()),
        Err(_) => Err(fault!(InvalidName { name: name }, "\"{name}\" cannot be the name of a datastore")),
    }
}

fn gone(me: &MoRef) -> Fault {
    fault!(ManagedObjectNotFound { obj: me }, "The datastore {me} is not mounted; it may have been removed")
}
