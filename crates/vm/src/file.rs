//! Files on datastores.

use datastore::FilePath;
use uuid::Uuid;

/// A file on a datastore, by the datastore's identity, which a rename does not change.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileRef {
    /// Identity of the datastore.
    pub datastore: Uuid,
    /// Path within it.
    pub path: FilePath,
}

impl FileRef {
    /// A file in the same directory.
    ///
    /// # Errors
    /// If `name` cannot be the name of a file.
    pub fn sibling(&self, name: &str) -> Result<Self, datastore::PathError> {
        Ok(Self { datastore: self.datastore, path: self.path.sibling(name)? })
    }

    /// The directory of the file.
    pub fn directory(&self) -> Self {
        Self { datastore: self.datastore, path: self.path.parent().unwrap_or_default() }
    }
}
