//! A VM's configuration as its `.vmx` says it, which is the truth, and back. A setting that has no key of VMware's gets
//! one that begins with `esfera.`; keys that nothing here understands stay as they are. Devices read and write their own
//! keys, in [`crate::device`].

mod own;
mod read;
mod write;

use datastore::Dictionary;

pub use crate::text::{ReadError, file_name, resolve};
pub(crate) use own::{DISK_UUID, is_field, is_hosts};
pub use read::read;
pub use write::{nvram, write};

/// Name of the file with the state of a suspended VM.
pub fn suspend_file(file: &Dictionary) -> Option<String> {
    file.get(own::SUSPEND_FILE).filter(|name| !name.is_empty()).map(str::to_owned)
}
