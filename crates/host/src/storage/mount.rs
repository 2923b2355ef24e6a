//! Adding, renaming and removing datastores. Each change is on disk and in the tree before it returns, or has not
//! happened. The files always stay: a directory is taken out of the inventory, not cleared.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use datastore::Datastore;
use vim::{Fault, MoRef, data_id, fault};
use vm::faults::not_supported;

use super::Storage;
use crate::blocking::blocking;
use crate::datastores::remembered::{self, Remembered};
use crate::error::about_file;

/// The file that makes a directory a datastore (`FORMAT.md` of the crate `datastore`).
const MARKER: &str = ".esfera-datastore";

impl Storage {
    /// Makes a directory of the host a datastore, which is mounted again at every start.
    ///
    /// # Errors
    /// `FileNotFound`, `HostConfigFault` for a directory that cannot be one, `DuplicateName`, `InvalidName`;
    /// `NotSupported` on a simulated host.
    pub(super) async fn add(&self, name: &str, path: &Path) -> Result<MoRef, Fault> {
        if self.simulated {
            return Err(not_supported("A simulated host has no directories; its datastores are in memory"));
        }
        let _one = self.mounting.lock().await;
        let all = self.datastores.all();
        let taken: Vec<PathBuf> =
            all.iter().filter_map(|on| on.store.root_path().map(Path::to_owned)).collect();
        let path = path.to_owned();
        let (directory, mounted) = blocking(move || {
            let directory = usable(&path, &taken)?;
            let mounted = Datastore::mount(&directory).map_err(|error| refused(&directory, &error))?;
            Ok((directory, Arc::new(mounted)))
        })
        .await?;
        let me = self.datastores.add(name, mounted)?;
        let known = Remembered { name: name.into(), directory: Some(directory), place: None, renamed: true };
        if let Err(fault) = remembered::put(&self.core.store, &me, Some(&known)).await {
            self.datastores.remove(&me);
            return Err(fault);
        }
        self.show_added(&self.datastores.by_ref(&me)?);
        tracing::info!(datastore = name, "datastore added");
        Ok(me)
    }

    /// Gives a datastore another name for good. The paths that VMs on it show change with it.
    ///
    /// # Errors
    /// `DuplicateName`, `InvalidName`, `ManagedObjectNotFound`, those of the host's state.
    pub(super) async fn rename(&self, me: &MoRef, name: &str) -> Result<(), Fault> {
        let _one = self.mounting.lock().await;
        let before = self.datastores.by_ref(me)?;
        self.datastores.rename(me, name)?;
        let store = &self.core.store;
        let kept = async {
            let (directory, place) =
                remembered::find(store, me)?.map_or((None, None), |known| (known.directory, known.place));
            let known = Remembered { name: name.into(), directory, place, renamed: true };
            remembered::put(store, me, Some(&known)).await
        };
        if let Err(fault) = kept.await {
            self.datastores.rename(me, &before.name)?;
            return Err(fault);
        }
        self.show_renamed(&self.datastores.by_ref(me)?);
        self.in_use.vms().datastore_was_renamed();
        Ok(())
    }

    /// Takes a datastore out of the inventory. One that the command line names comes back at the next start.
    ///
    /// # Errors
    /// `ManagedObjectNotFound`, `ResourceInUse` while VMs are registered on it, those of the host's state.
    pub(super) async fn remove(&self, me: &MoRef) -> Result<(), Fault> {
        let _one = self.mounting.lock().await;
        let mounted = self.datastores.by_ref(me)?;
        if let Some(user) = self.in_use.vms().user_of(mounted.store.uuid()) {
            return Err(fault!(
                ResourceInUse { type: "Datastore", name: &mounted.name },
                "The datastore {} is used by the VM {user}; unregister or move it first",
                mounted.name
            ));
        }
        remembered::put(&self.core.store, me, None).await?;
        self.datastores.remove(me);
        self.show_removed(me);
        tracing::info!(datastore = mounted.name, "datastore removed");
        Ok(())
    }
}

/// The directory that a path names, if it can become a datastore: it is one already, or empty. So a client of the API
/// cannot reach the other files of the host.
fn usable(path: &Path, taken: &[PathBuf]) -> Result<PathBuf, Fault> {
    let shown = path.display().to_string();
    let missing = |why: &str| about_file(data_id!(FileNotFound), &shown, format!("{shown}: {why}"));
    if !path.is_absolute() {
        return Err(missing("the path of a directory on the host begins with /"));
    }
    let directory = std::fs::canonicalize(path).map_err(|_| missing("the host has no such directory"))?;
    if taken.iter().any(|other| directory.starts_with(other) || other.starts_with(&directory)) {
        return Err(fault!(
            HostConfigFault {},
            "{shown} is, or is part of, a datastore already, or has one in it"
        ));
    }
    let mut entries =
        std::fs::read_dir(&directory).map_err(|_| missing("it is not a directory that can be read"))?;
    let marked = std::fs::symlink_metadata(directory.join(MARKER)).is_ok_and(|marker| marker.is_file());
    if !marked && entries.next().is_some() {
        return Err(fault!(
            HostConfigFault {},
            "{shown} has files and was not a datastore before; give an empty directory"
        ));
    }
    Ok(directory)
}

fn refused(directory: &Path, error: &datastore::Error) -> Fault {
    match error {
        datastore::Error::Directory { .. } => fault!(HostConfigFault {}, "No datastore can be made: {error}"),
        error => fault!(HostConfigFault {}, "{} cannot be a datastore: {error}", directory.display()),
    }
}
