//! One mounted datastore, and the faults that its errors become.

use std::sync::Arc;

use datastore::{Datastore, DatastorePath, Error, FilePath, Space};
use vim::{Fault, MoRef, data_id, fault};

use crate::error::about_file;
use crate::ids;

/// A datastore with its name in the inventory.
#[derive(Clone)]
pub struct Mounted {
    /// The name as it was given, not escaped.
    pub name: String,
    pub store: Arc<Datastore>,
}

impl Mounted {
    /// The datastore's object.
    pub fn me(&self) -> MoRef {
        ids::datastore(self.store.uuid())
    }

    /// A path on the datastore as the API writes it.
    pub fn show(&self, path: &FilePath) -> String {
        let text = DatastorePath::new(&self.name, path.clone()).map(|path| path.to_string());
        text.unwrap_or_else(|_| format!("[] {path}"))
    }

    /// Capacity and free space.
    ///
    /// # Errors
    /// If the storage does not answer.
    pub fn space(&self) -> Result<Space, Fault> {
        self.store.space().map_err(|error| self.fault(&error))
    }

    /// The fault for an error of this datastore. It names the file as the API writes it.
    pub fn fault(&self, error: &Error) -> Fault {
        use Error as E;
        let show = |path: &FilePath| {
            DatastorePath::new(&self.name, path.clone())
                .map_or_else(|_| path.to_string(), |path| path.to_string())
        };
        let message = format!("[{}] {error}", self.name);
        match error {
            E::Path(_) => {
                fault!(InvalidDatastorePath { name: &*self.name, datastorePath: "" }, "{message}")
            }
            E::NotFound(path) | E::NotADirectory(path) => {
                about_file(data_id!(FileNotFound), &show(path), message)
            }
            E::AlreadyExists(path) => about_file(data_id!(FileAlreadyExists), &show(path), message),
            E::Unfit { path, .. } => about_file(data_id!(IncorrectFileType), &show(path), message),
            E::Locked { path, .. } | E::Busy(path) => about_file(data_id!(FileLocked), &show(path), message),
            E::NoSpace(path) => {
                fault!(NoDiskSpace { file: show(path), datastore: &*self.name }, "{message}")
            }
            E::Escapes(path)
            | E::Denied(path)
            | E::NotAFile(path)
            | E::Dictionary { path, .. }
            | E::TooMany { path, .. }
            | E::Io { path, .. } => about_file(data_id!(CannotAccessFile), &show(path), message),
            E::IntoItself { from, .. } => about_file(data_id!(CannotAccessFile), &show(from), message),
            E::Directory { .. } | E::Root | E::Marker(_) | E::NewerMarker(_) | E::RestlessMarker => {
                about_file(data_id!(CannotAccessFile), &format!("[{}]", self.name), message)
            }
            E::Inaccessible(reason) => {
                fault!(
                    InaccessibleDatastore { name: &*self.name, datastore: self.me(), detail: &**reason },
                    "{message}"
                )
            }
            E::Cancelled => fault!(RequestCanceled {}, "The request was cancelled"),
            E::Pattern => fault!(InvalidArgument { invalidProperty: "matchPattern" }, "{message}"),
        }
    }
}
