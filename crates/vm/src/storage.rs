//! The seam to the datastores of the host that has the VM.

use uuid::Uuid;
use vim::{Fault, MoRef};

use crate::file::FileRef;

/// Datastores by identity and name, and disk images on them. A datastore is known while it is mounted.
pub trait Storage {
    /// Reads `[datastore] dir/file`.
    ///
    /// # Errors
    /// `InvalidDatastorePath`, `InvalidDatastore`.
    fn parse(&self, text: &str) -> Result<FileRef, Fault>;

    /// A file as `[datastore] dir/file`, with the identity in place of the name if the datastore is not mounted.
    fn show(&self, file: &FileRef) -> String;

    /// Identity of the datastore that an object stands for.
    ///
    /// # Errors
    /// `ManagedObjectNotFound`.
    fn by_ref(&self, me: &MoRef) -> Result<Uuid, Fault>;

    /// Identity of the datastore with this name, escaped as in a path or not.
    fn by_name(&self, name: &str) -> Option<Uuid>;

    /// Name of a datastore, not escaped.
    fn name(&self, datastore: Uuid) -> Option<String>;

    /// URL of a datastore.
    fn url(&self, datastore: Uuid) -> Option<String>;

    /// Size that a guest sees of a disk image, bytes; `None` if the image cannot be read.
    fn capacity_bytes(&self, image: &FileRef) -> Option<u64>;

    /// Identity of a disk image; `None` if it was given none, or cannot be read.
    fn uuid(&self, image: &FileRef) -> Option<Uuid>;

    /// The images below a disk image, nearest first; none if the datastore is not mounted.
    ///
    /// # Errors
    /// If one of them cannot be read, is outside of the datastore, or the chain has no end.
    fn parents(&self, image: &FileRef) -> Result<Vec<FileRef>, datastore::Error>;
}
