//! Files that another program makes (`qemu-img`): it writes them in a place for unfinished transfers, and the datastore
//! gives them their names when they are whole.

use std::path::PathBuf;
use std::sync::Arc;

use rustix::io::Errno;

use crate::local::{ELSEWHERE, Local, keep_raw, unkept};
use crate::transfer::{SLOTS, Slot};
use crate::{Error, FilePath, Result};

/// A place for a file under construction. Dropped without [`Staged::finish`] it leaves nothing; after a crash the next
/// mount removes it.
pub struct Staged {
    local: Arc<Local>,
    slot: Slot,
    path: FilePath,
    overwrite: bool,
}

impl Staged {
    pub(crate) fn begin(local: &Arc<Local>, path: FilePath, overwrite: bool) -> Result<Self> {
        let slot = local.slot(&path)?;
        Ok(Self { local: local.clone(), slot, path, overwrite })
    }

    /// The path at which the other program makes the file. No file is there yet.
    pub fn host_path(&self) -> PathBuf {
        self.local.root_path().join(SLOTS).join(self.slot.content())
    }

    /// Keeps with the file that it is a raw image.
    ///
    /// # Errors
    /// [`Error::NotFound`] if the file was not made, [`Error::Unfit`] if the file system does not keep user attributes.
    pub fn keep_raw(&self) -> Result<()> {
        keep_raw(&self.slot.open_file(&self.path)?).map_err(|e| unkept(&self.path, e, ELSEWHERE))
    }

    /// Makes the file durable and gives it its name.
    ///
    /// # Errors
    /// [`Error::NotFound`] if the file was not made, [`Error::AlreadyExists`] if the name was taken meanwhile.
    pub fn finish(self) -> Result<()> {
        let Self { local, slot, path, overwrite } = self;
        let fail = |e: Errno| Error::system(&path, e);
        slot.open_file(&path)?.sync_all().map_err(|e| Error::system(&path, e))?;
        let parent = local.parent(&path)?;
        slot.place_as(&parent, path.name(), overwrite).map_err(fail)?;
        rustix::fs::fsync(&parent).map_err(fail)
    }
}
