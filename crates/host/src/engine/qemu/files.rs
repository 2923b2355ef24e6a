//! Files of datastores as they are given to a QEMU process.

use std::path::PathBuf;

use ::qemu::Error;
use ::qemu::spec::{ImageFormat, User};
use vm::FileRef;
use vm::machine::Files;

use super::Shared;
use crate::engine::Result;
use crate::engine::serial_file;

/// The files of one VM, lent to the user of its process.
pub(super) struct Lent<'a> {
    pub(super) shared: &'a Shared,
    pub(super) user: Option<User>,
}

impl Files for Lent<'_> {
    fn own(&self, file: &FileRef) -> Result<PathBuf> {
        self.shared.give(file, self.user)
    }

    fn shared(&self, file: &FileRef) -> Result<PathBuf> {
        self.shared.share(file, self.user)
    }

    fn output(&self, file: &FileRef) -> Result<PathBuf> {
        serial_file::check(&self.shared.mounted(file)?, &file.path).map_err(Error::Spec)?;
        self.shared.give(file, self.user)
    }

    fn parents(&self, image: &FileRef) -> Result<Vec<FileRef>> {
        self.shared.parents_for_guest(image)
    }

    fn format(&self, image: &FileRef) -> Result<ImageFormat> {
        self.shared.format_for_guest(image)
    }
}
