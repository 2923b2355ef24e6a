//! Refuses changes of files that VMs have open, so that none is taken away from a running VM.
//!
//! Three signs count: the files that this host's running VMs use, as the register of VMs knows them; the locks that QEMU
//! keeps on every image it has open, which on shared storage tell of other hosts' VMs too; and the locks of VMs beside
//! their configurations.

use std::ops::Range;
use std::sync::Arc;

use datastore::{Error, FileKind, FilePath, Search};
use uuid::Uuid;
use vim::{Fault, MoRef, fault};
use vm::FileRef;

use super::place::Place;
use crate::datastores::{Datastores, Mounted};

/// The bytes of QEMU's locks on an image (`block/file-posix.c`): one for each permission that it holds from 100 on, and
/// one for each that it denies others from 200 on.
const IMAGE_LOCKS: Range<u64> = 100..300;
/// The byte that QEMU locks while it may write.
const WRITER: Range<u64> = 101..102;

/// The VMs of the host as storage asks about them: the register of VMs is one.
pub(crate) trait OpenFiles: Send + Sync {
    /// The first file at this place or below it that a running VM has open; those of the VM `but` are left out.
    fn open_within(&self, place: &FileRef, but: Option<&MoRef>) -> Option<FileRef>;

    /// The name of a VM that has files on this datastore, running or not.
    fn user_of(&self, datastore: Uuid) -> Option<String>;

    /// A disk image, which no running VM has open, was given another identity.
    fn disk_was_identified(&self, image: &FileRef, uuid: Uuid);

    /// Shows all VMs again: the paths that they show begin with the name of a datastore, and one was renamed.
    fn datastore_was_renamed(&self);
}

/// Tells which files VMs have open.
pub(crate) struct InUse {
    datastores: Arc<Datastores>,
    vms: Arc<dyn OpenFiles>,
}

impl InUse {
    pub(crate) fn new(datastores: Arc<Datastores>, vms: Arc<dyn OpenFiles>) -> Self {
        Self { datastores, vms }
    }

    pub(super) fn vms(&self) -> &dyn OpenFiles {
        &*self.vms
    }

    /// Refuses to take away or replace a place that a VM has open. Blocking: it looks at the files.
    ///
    /// # Errors
    /// `FileLocked`, or the fault of a file that cannot be read.
    pub(super) fn refuse_open(&self, place: &Place) -> Result<(), Fault> {
        self.refuse_place(place, None)
    }

    /// As `refuse_open`, for a file on a mounted datastore.
    ///
    /// # Errors
    /// As `refuse_open`.
    pub(crate) fn refuse_open_file(&self, on: &Mounted, file: &FileRef) -> Result<(), Fault> {
        self.refuse_open(&Place { on: on.clone(), file: file.clone() })
    }

    /// As `refuse_open`, for the files of a VM that is off: the VM itself does not count. Files on datastores that are not
    /// mounted are left out.
    ///
    /// # Errors
    /// As `refuse_open`.
    pub(crate) fn refuse_open_files<'a>(
        &self,
        vm: &MoRef,
        files: impl IntoIterator<Item = &'a FileRef>,
    ) -> Result<(), Fault> {
        for file in files {
            if let Some(on) = self.datastores.by_uuid(file.datastore) {
                self.refuse_place(&Place { on, file: file.clone() }, Some(vm))?;
            }
        }
        Ok(())
    }

    fn refuse_place(&self, place: &Place, but: Option<&MoRef>) -> Result<(), Fault> {
        refuse_known(self.vms.open_within(&place.file, but).as_ref(), &place.file, &place.show())?;
        refuse_locks(place)
    }

    /// Refuses to read a disk that a VM is writing: the copy would show no single moment of it.
    ///
    /// # Errors
    /// `FileLocked`, or the fault of a file that cannot be read.
    pub(super) fn refuse_written(&self, place: &Place, layers: &[FilePath]) -> Result<(), Fault> {
        let locked = |file: &str| locked(file, "a running VM writes to it");
        // A VM in memory keeps no locks: there the newest layer of each disk counts.
        if place.on.store.root_path().is_none()
            && self.vms.open_within(&place.file, None).as_ref() == Some(&place.file)
        {
            return Err(locked(&place.show()));
        }
        for path in std::iter::once(&place.file.path).chain(layers) {
            if image_lock(place, path, WRITER)? {
                return Err(locked(&place.on.show(path)));
            }
        }
        Ok(())
    }
}

fn refuse_locks(place: &Place) -> Result<(), Fault> {
    let store = &place.on.store;
    let fault = |error: Error| place.fault(&error);
    let entry = match store.entry(&place.file.path) {
        Ok(entry) => entry,
        Err(Error::NotFound(_) | Error::NotADirectory(_)) => return Ok(()),
        Err(error) => return Err(fault(error)),
    };
    if !entry.is_folder() {
        return refuse_locked(place, &place.file.path, entry.kind);
    }
    let kinds = vec![FileKind::VmConfig, FileKind::Disk];
    let search = Search { kinds, sub_folders: true, ..Search::default() };
    for folder in store.search(&place.file.path, &search).map_err(fault)? {
        for entry in &folder.entries {
            let path = folder.folder.join(&entry.name).map_err(|error| fault(error.into()))?;
            refuse_locked(place, &path, entry.kind)?;
        }
    }
    Ok(())
}

/// Refuses a place if this file, which is there or in it, is open.
fn refuse_known(open: Option<&FileRef>, place: &FileRef, shown: &str) -> Result<(), Fault> {
    match open {
        Some(open) if open.path == place.path => Err(locked(shown, "a running VM uses it")),
        Some(open) => Err(locked(shown, &format!("a running VM uses {} in it", open.path))),
        None => Ok(()),
    }
}

/// Refuses a file that is locked, by any host.
fn refuse_locked(place: &Place, path: &FilePath, kind: FileKind) -> Result<(), Fault> {
    let store = &place.on.store;
    match kind {
        FileKind::VmConfig => match store.vm_lock_owner(path) {
            Ok(Some(owner)) => {
                Err(locked(&place.on.show(path), &format!("the VM is open on host {}", owner.host)))
            }
            Ok(None) | Err(Error::NotFound(_)) => Ok(()),
            Err(error) => Err(place.fault(&error)),
        },
        FileKind::Disk | FileKind::Iso => match image_lock(place, path, IMAGE_LOCKS)? {
            true => Err(locked(&place.on.show(path), "a VM has it open")),
            false => Ok(()),
        },
        _ => Ok(()),
    }
}

/// Whether a process holds a lock on these bytes of a file.
fn image_lock(place: &Place, path: &FilePath, bytes: Range<u64>) -> Result<bool, Fault> {
    match place.on.store.open(path).and_then(|reader| reader.is_locked(bytes)) {
        Ok(locked) => Ok(locked),
        Err(Error::NotFound(_)) => Ok(false),
        Err(error) => Err(place.fault(&error)),
    }
}

/// `FileLocked` with the reason.
pub(super) fn locked(file: &str, why: &str) -> Fault {
    fault!(FileLocked { file: file }, "{file} cannot be used: {why}")
}
