//! The datastores of this host as clients know them: which there are, the files and disks on them, and how much room they
//! have.
//!
//! [`Storage`] is the service. `mount` adds, renames and removes datastores, `attention` notices that the
//! storage of one went or came back; `file_manager`, `disk_manager`, `browser` and
//! `folder_access` (HTTP) work on their files; `in_use` refuses what would take a file away from a running VM; `show` is the
//! only file that writes datastores into the tree.

mod attention;
mod browser;
mod datastore;
mod datastore_system;
mod disk_manager;
mod disks;
mod file_manager;
mod folder_access;
mod in_use;
mod mount;
mod place;
mod show;

use std::sync::{Arc, OnceLock};

use api::{Core, Manager, Table};
use vim::{Fault, MoRef};

use self::place::Place;
use crate::blocking::blocking;
use crate::datastores::Datastores;
use crate::engine::Images;
use crate::events::Events;

pub(crate) use attention::StorageUsers;
pub(crate) use browser::props as browser_props;
pub use datastore_system::me as datastore_system;
pub use disk_manager::me as virtual_disk_manager;
pub use file_manager::me as file_manager;
pub(crate) use in_use::{InUse, OpenFiles};
pub(crate) use place::{BROWSE, MANAGE};
pub(crate) use show::{capability, summary};

/// The managers of this slice that `ServiceContent` names.
pub(crate) const MANAGERS: [Manager<Arc<Storage>>; 2] = [file_manager::ROW, disk_manager::ROW];

/// The subsystems of this slice that `HostConfigManager` names.
pub(crate) const SUBSYSTEMS: [Manager<Arc<Storage>>; 1] = [datastore_system::ROW];

/// Enters the methods of the objects that no row stands for, since there are several of each: datastores and browsers.
pub(crate) fn register(table: &mut Table<'_, Arc<Storage>>) {
    datastore::register(table);
    browser::register(table);
}

/// The host's datastores and the files on them.
pub struct Storage {
    core: Arc<Core>,
    datastores: Arc<Datastores>,
    images: Arc<dyn Images>,
    /// Datastores are in memory, and the host has no directories.
    simulated: bool,
    in_use: Arc<InUse>,
    events: Arc<Events>,
    /// The VMs, once they are read.
    users: OnceLock<Box<dyn StorageUsers>>,
    /// Held while a datastore is added, renamed or removed.
    mounting: tokio::sync::Mutex<()>,
    looks: attention::Looks,
}

impl Storage {
    /// The service over these datastores. `images` works on disks that no VM runs on.
    pub(crate) fn new(
        core: Arc<Core>,
        datastores: Arc<Datastores>,
        images: Arc<dyn Images>,
        simulated: bool,
        in_use: Arc<InUse>,
        events: Arc<Events>,
    ) -> Self {
        let (users, mounting) = (OnceLock::new(), tokio::sync::Mutex::default());
        let looks = attention::Looks::default();
        Self { core, datastores, images, simulated, in_use, events, users, mounting, looks }
    }

    /// The datastores that are mounted now.
    pub(crate) fn datastores(&self) -> &Datastores {
        &self.datastores
    }

    /// Deletes a file, or a directory with everything in it.
    ///
    /// # Errors
    /// `FileLocked` if a VM has it open; those of the datastore.
    async fn delete(&self, place: Place) -> Result<(), Fault> {
        let (datastore, in_use) = (place.datastore(), self.in_use.clone());
        let deleted = blocking(move || {
            in_use.refuse_open(&place)?;
            place.on.store.delete(&place.file.path).map_err(|error| place.fault(&error))
        });
        self.changing(&[datastore], deleted).await
    }

    /// Does work that changes files on these datastores, and shows how much room they have afterwards, whether it
    /// succeeded or not.
    async fn changing<T>(
        &self,
        datastores: &[MoRef],
        work: impl Future<Output = Result<T, Fault>>,
    ) -> Result<T, Fault> {
        let done = work.await;
        self.show_space(datastores).await;
        done
    }
}
