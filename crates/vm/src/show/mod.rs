//! From types to the API's values: one file for each part of what a virtual machine shows.

pub mod config;
pub mod device;
pub mod machine;

use crate::device::FileRef;
use crate::storage::Storage;

/// The virtual hardware that new machines get.
pub const HARDWARE_KEY: &str = "vmx-21";

/// What names in values are looked up by.
pub struct Names<'a> {
    pub storage: &'a dyn Storage,
    /// Id of the machine's object.
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
