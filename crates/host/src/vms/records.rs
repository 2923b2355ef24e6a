//! The durable records of the VMs of this host: [`Records`] is a collection of the host's store, by the number of the VM.

use std::ops::Range;

use datastore::FilePath;
use serde::{Deserialize, Serialize};
use store::{Batch, Collection, Store};
use uuid::Uuid;
use vim::{Fault, MoRef};
use vm::FileRef;

use super::pools::MEMBERS;
use crate::error::store_fault;
use crate::ids;

const VMS: Collection<Registered> = Collection::new("vms");
/// Counter of the numbers of VMs.
const NUMBERS: &str = "vm";
/// Users that QEMU processes run as; two VMs may only share one after so many were made.
const USERS: u64 = 60_000;

/// A VM of this host on disk; its `.vmx` has the rest.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Registered {
    /// Datastore of the `.vmx`.
    pub(crate) datastore: Uuid,
    /// Path of the `.vmx`.
    pub(crate) path: String,
    /// Number of the user that the QEMU process runs as.
    pub(crate) user: u32,
    /// The VM is being made or destroyed: after a crash, recovery removes these files and directories, by datastore and
    /// path.
    #[serde(default)]
    pub(crate) unfinished: Option<Vec<(Uuid, String)>>,
    /// The VM is being suspended to this file: if the file is there and whole, the VM is suspended.
    #[serde(default)]
    pub(crate) suspending: Option<String>,
    /// A layer of a disk is being merged: after a crash, recovery does the rest, if all was merged.
    #[serde(default)]
    pub(crate) merging: Option<Merging>,
    /// The files that its disks lie on and that may be others', by datastore and path.
    #[serde(default)]
    pub(crate) bases: Vec<(Uuid, String)>,
    /// The task that made it.
    #[serde(default)]
    pub(crate) task: Option<String>,
}

impl Registered {
    /// A VM that is there.
    pub(super) fn finished(home: &FileRef) -> Self {
        Self {
            datastore: home.datastore,
            path: home.path.as_str().to_owned(),
            user: 0,
            unfinished: None,
            suspending: None,
            merging: None,
            bases: Vec::new(),
            task: None,
        }
    }

    /// Gives the QEMU process of the VM with this number a user.
    pub(super) fn give_user(&mut self, number: u64) {
        self.user = u32::try_from(number % USERS).unwrap_or_default();
    }

    /// A VM that `task` makes. Recovery removes the files `unfinished`, unless the record is written without them.
    pub(super) fn new(home: &FileRef, unfinished: &[FileRef], task: &MoRef) -> Self {
        Self {
            unfinished: Some(unfinished.iter().map(named).collect()),
            task: Some(task.id().to_owned()),
            ..Self::finished(home)
        }
    }
}

/// A layer that is merged into the file below it, by datastore and path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Merging {
    layer: (Uuid, String),
    base: (Uuid, String),
}

impl Merging {
    pub(super) fn new(layer: &FileRef, base: &FileRef) -> Self {
        Self { layer: named(layer), base: named(base) }
    }

    /// The layer and the file below it; none if a path is unreadable.
    pub(super) fn files(&self) -> Option<(FileRef, FileRef)> {
        Some((file(&self.layer)?, file(&self.base)?))
    }
}

/// A file as records name it.
pub(super) fn named(file: &FileRef) -> (Uuid, String) {
    (file.datastore, file.path.as_str().to_owned())
}

/// The file that a record names.
pub(super) fn file((datastore, path): &(Uuid, String)) -> Option<FileRef> {
    Some(FileRef { datastore: *datastore, path: FilePath::parse(path).ok()? })
}

/// The number of a VM, by which records know it.
pub(super) fn number(vm: &MoRef) -> u64 {
    vm.id().parse().unwrap_or_default()
}

/// The records of all VMs.
pub(super) struct Records {
    store: Store,
}

impl Records {
    pub(super) fn new(store: Store) -> Self {
        Self { store }
    }

    /// All records with their ids.
    ///
    /// # Errors
    /// The store's.
    pub(super) fn all(&self) -> store::Result<Vec<(String, Registered)>> {
        VMS.all(&self.store)
    }

    /// The record of a VM.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub(super) fn get(&self, vm: &MoRef) -> Result<Option<Registered>, Fault> {
        VMS.get(&self.store, vm.id()).map_err(|error| store_fault(&error))
    }

    /// Takes a number for a VM, gives its QEMU process a user, and writes its record.
    ///
    /// # Errors
    /// If the store cannot be written.
    pub(super) async fn begin(&self, record: &mut Registered) -> Result<u64, Fault> {
        let number = self.reserve(1).await?.start;
        record.give_user(number);
        self.write(number, record).await?;
        Ok(number)
    }

    /// Takes numbers for VMs.
    ///
    /// # Errors
    /// If the store cannot be written.
    pub(super) async fn reserve(&self, count: usize) -> Result<Range<u64>, Fault> {
        let mut batch = Batch::new();
        batch.reserve(NUMBERS, count as u64);
        let reserved = self.store.commit(batch).await.map_err(|error| store_fault(&error))?;
        Ok(reserved.reserved.first().cloned().unwrap_or(1..1 + count as u64))
    }

    /// Writes the records of many VMs at once.
    ///
    /// # Errors
    /// If the store cannot be written.
    pub(super) async fn write_all(&self, records: &[(u64, Registered)]) -> Result<(), Fault> {
        let mut batch = Batch::new();
        for (number, record) in records {
            VMS.put(&mut batch, &number.to_string(), record).map_err(|error| store_fault(&error))?;
        }
        self.store.commit(batch).await.map(drop).map_err(|error| store_fault(&error))
    }

    /// # Errors
    /// If the store cannot be written.
    pub(super) async fn write(&self, number: u64, record: &Registered) -> Result<(), Fault> {
        let mut batch = Batch::new();
        VMS.put(&mut batch, &number.to_string(), record).map_err(|error| store_fault(&error))?;
        self.store.commit(batch).await.map(drop).map_err(|error| store_fault(&error))
    }

    /// Changes the record of a VM, if it still has one.
    ///
    /// # Errors
    /// If the store cannot be read or written.
    pub(super) async fn amend(&self, vm: &MoRef, change: impl FnOnce(&mut Registered)) -> Result<(), Fault> {
        let Some(mut record) = self.get(vm)? else { return Ok(()) };
        change(&mut record);
        self.write(number(vm), &record).await
    }

    /// Removes a record.
    ///
    /// # Errors
    /// If the store cannot be written.
    pub(super) async fn remove(&self, number: u64) -> Result<(), Fault> {
        let mut batch = Batch::new();
        VMS.delete(&mut batch, &number.to_string());
        MEMBERS.delete(&mut batch, &number.to_string());
        self.store.commit(batch).await.map(drop).map_err(|error| store_fault(&error))
    }

    /// Removes a record of which nothing is left. If it cannot be removed now, recovery does so.
    pub(super) async fn forget(&self, number: u64) {
        if let Err(fault) = self.remove(number).await {
            tracing::error!(vm = number, %fault, "the record of a VM could not be removed");
        }
    }

    /// The VM that a task made.
    pub(super) fn made_by(&self, task: &MoRef) -> Option<MoRef> {
        let records = self.all().ok()?;
        let (id, _) = records.into_iter().find(|(_, record)| record.task.as_deref() == Some(task.id()))?;
        Some(ids::vm(id.parse().ok()?))
    }
}
