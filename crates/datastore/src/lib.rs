//! Directories of virtual machine files: paths, datastores, locks between hosts, `.vmx` and `.vmsd`.
//!
//! A [`Datastore`] is a local directory, reached only through a descriptor of its root so that no path and no link
//! leads out of it, or a tree in memory for simulated hosts. All calls are synchronous: long ones belong on a blocking
//! thread. Parsers of untrusted input: [`DatastorePath::parse`], [`vmx::parse`], [`vmsd::parse`].
#![forbid(unsafe_code)]

mod copy;
mod datastore;
mod dictionary;
pub mod disk_image;
mod error;
mod glob;
mod kind;
pub mod limits;
mod local;
mod lock;
mod marker;
mod memory;
mod path;
mod search;
mod staged;
mod transfer;
pub mod vmsd;
pub mod vmx;

pub use copy::Progress;
pub use datastore::{Datastore, Entry, Space};
pub use dictionary::{Dictionary, DictionaryError};
pub use error::{Error, Result};
pub use glob::Pattern;
pub use kind::{FileKind, delta_name, disk_chain_names, is_disk, next_delta_name, split_disk_name};
pub use lock::{LockOwner, VmLock};
pub use path::{DatastorePath, FilePath, PathError, PathFault, escape_name};
pub use search::{Found, Search};
pub use staged::Staged;
pub use transfer::{Reader, Upload};

#[cfg(test)]
mod tests {
    /// Long operations run on blocking threads while others read.
    #[test]
    fn everything_that_is_open_can_go_to_another_thread() {
        fn check<T: Send + Sync + 'static>() {}
        check::<crate::Datastore>();
        check::<crate::Upload>();
        check::<crate::Reader>();
        check::<crate::VmLock>();
        check::<crate::Error>();
    }
}
