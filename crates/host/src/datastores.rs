//! The datastores that this host has mounted, by name and by identity, and paths in the form of the API.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use datastore::{Datastore, DatastorePath, FilePath, Space};
use uuid::Uuid;
use vim::{Fault, MoRef, fault};
use vm::FileRef;

use crate::error::file_fault;
use crate::ids;

/// A datastore with its name in the inventory.
#[derive(Clone)]
pub struct Mounted {
    /// As it was given, not escaped.
    pub name: String,
    pub store: Arc<Datastore>,
}

impl Mounted {
    /// Its object.
    pub fn me(&self) -> MoRef {
        ids::datastore(self.store.uuid())
    }

    /// A path on it as the API writes it.
    pub fn show(&self, path: &FilePath) -> String {
        let text = DatastorePath::new(&self.name, path.clone()).map(|path| path.to_string());
        text.unwrap_or_else(|_| format!("[] {path}"))
    }

    /// Capacity and free space.
    ///
    /// # Errors
    /// If the storage does not answer.
    pub fn space(&self) -> Result<Space, Fault> {
        self.store.space().map_err(|error| file_fault(self, &error))
    }

    /// The fault for an error of this datastore.
    pub fn fault(&self, error: &datastore::Error) -> Fault {
        file_fault(self, error)
    }
}

/// All datastores of the host.
#[derive(Default)]
pub struct Datastores {
    mounted: RwLock<BTreeMap<Uuid, Mounted>>,
}

impl Datastores {
    /// Mounts a datastore under a name.
    ///
    /// # Errors
    /// `DuplicateName` if the name or the datastore is there already, `InvalidName`.
    pub fn add(&self, name: &str, store: Arc<Datastore>) -> Result<MoRef, Fault> {
        if DatastorePath::new(name, FilePath::root()).is_err() {
            return Err(fault!(InvalidName { name: name }, "\"{name}\" cannot be the name of a datastore"));
        }
        let mut mounted = self.mounted.write().unwrap_or_else(PoisonError::into_inner);
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
        if DatastorePath::new(name, FilePath::root()).is_err() {
            return Err(fault!(InvalidName { name: name }, "\"{name}\" cannot be the name of a datastore"));
        }
        let mut mounted = self.mounted.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(other) = mounted.values().find(|m| m.name == name && m.me() != *me) {
            return Err(fault!(
                DuplicateName { name: name, object: other.me() },
                "There is a datastore {name} already"
            ));
        }
        match mounted.values_mut().find(|m| m.me() == *me) {
            Some(found) => found.name = name.into(),
            None => return Err(gone(me)),
        }
        Ok(())
    }

    /// Takes a datastore out; its files stay where they are.
    pub fn remove(&self, me: &MoRef) {
        let mut mounted = self.mounted.write().unwrap_or_else(PoisonError::into_inner);
        mounted.retain(|_, other| other.me() != *me);
    }

    pub fn all(&self) -> Vec<Mounted> {
        self.mounted.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    pub fn by_uuid(&self, uuid: Uuid) -> Option<Mounted> {
        self.mounted.read().unwrap_or_else(PoisonError::into_inner).get(&uuid).cloned()
    }

    /// The datastore with this name, escaped as in a path or not.
    pub fn by_name(&self, name: &str) -> Option<Mounted> {
        let escaped = datastore::escape_name(name);
        let mounted = self.mounted.read().unwrap_or_else(PoisonError::into_inner);
        mounted.values().find(|m| datastore::escape_name(&m.name) == escaped).cloned()
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
    /// `InvalidDatastorePath`, `InvalidDatastore`.
    pub fn parse(&self, text: &str) -> Result<FileRef, Fault> {
        let path = DatastorePath::parse(text)
            .map_err(|error| fault!(InvalidDatastorePath { datastorePath: text }, "{error}"))?;
        match self.by_name(path.datastore()) {
            Some(mounted) => Ok(FileRef { datastore: mounted.store.uuid(), path: path.into_path() }),
            None => Err(fault!(
                InvalidDatastore { name: path.datastore() },
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
                "The datastore {} is not mounted on this host",
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

fn gone(me: &MoRef) -> Fault {
    fault!(ManagedObjectNotFound { obj: me }, "There is no {me}; it may have been unmounted")
}
