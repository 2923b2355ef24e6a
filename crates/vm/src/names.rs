//! Names that the API's values need and a configuration does not have.

use crate::file::FileRef;
use crate::storage::Storage;

/// Where names are looked up.
pub struct Names<'a> {
    pub storage: &'a dyn Storage,
    /// Id of the VM's object.
    pub vm: &'a str,
}

impl Names<'_> {
    /// A file as `[datastore] path`.
    pub fn file(&self, file: &FileRef) -> String {
        self.storage.show(file)
    }
}

/// A number of bytes where the API has a signed one.
pub(crate) fn signed(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}
