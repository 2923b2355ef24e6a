//! Reading and writing the contents of files: [`Reader`] with ranges, [`Upload`] whose file appears whole or never.
//!
//! On a local datastore an upload is written in `.esfera-tmp` under the root, beside a lock file that its process keeps
//! locked. At the next mount, the host that mounts removes what no process holds any more.

use std::fs::File;
use std::io::Write;
use std::ops::Range;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::SystemTime;

use rustix::fs::{AtFlags, Dir, Mode, OFlags, SeekFrom};
use rustix::io::Errno;
use uuid::Uuid;

use crate::datastore::Backend;
use crate::local::{DIRECTORY_MODE, ELSEWHERE, FILE_MODE, Local, keep_raw, place, remove_tree, unkept};
use crate::lock::{is_range_locked, is_still_there, try_lock};
use crate::memory::{Memory, Sparse};
use crate::{Datastore, Error, FilePath, Result};

/// Directory of unfinished transfers, in the root.
pub(crate) const SLOTS: &str = ".esfera-tmp";
const LOCK: &str = ".lock";
const CONTENT: &str = ".content";
/// How many times a lock file that a cleaner took meanwhile is made anew.
const ATTEMPTS: usize = 16;

/// An open file.
pub struct Reader {
    source: Source,
    path: FilePath,
    len_bytes: u64,
    modified: SystemTime,
}

enum Source {
    Local(File),
    Memory(Arc<Sparse>),
}

impl Reader {
    pub(crate) fn local(file: File, path: FilePath) -> Result<Self> {
        let metadata = file.metadata().map_err(|e| Error::system(&path, e))?;
        if !metadata.is_file() {
            return Err(Error::NotAFile(path));
        }
        let modified = metadata.modified().map_err(|e| Error::system(&path, e))?;
        Ok(Self { source: Source::Local(file), path, len_bytes: metadata.len(), modified })
    }

    pub(crate) fn memory(content: Arc<Sparse>, path: FilePath, modified: SystemTime) -> Self {
        Self { len_bytes: content.len_bytes(), source: Source::Memory(content), path, modified }
    }

    /// Length at the time of opening.
    pub fn len_bytes(&self) -> u64 {
        self.len_bytes
    }

    /// Time of its last change.
    pub fn modified(&self) -> SystemTime {
        self.modified
    }

    /// Reads from `offset` on, as much as exists and fits; 0 at the end.
    pub fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize> {
        if i64::try_from(offset.saturating_add(buffer.len() as u64)).is_err() {
            // Beyond any file's size; the system would call it an invalid argument.
            return Ok(0);
        }
        match &self.source {
            Source::Memory(content) => Ok(content.read_at(buffer, offset)),
            Source::Local(file) => loop {
                match file.read_at(buffer, offset) {
                    Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                    other => return other.map_err(|e| Error::system(&self.path, e)),
                }
            },
        }
    }

    /// The whole file, which must not exceed `limit_bytes`.
    pub fn read_all(&self, limit_bytes: u64) -> Result<Vec<u8>> {
        let mut all = Vec::new();
        let mut buffer = vec![0; 64 << 10];
        loop {
            let read = self.read_at(&mut buffer, all.len() as u64)?;
            if read == 0 {
                return Ok(all);
            }
            all.extend_from_slice(&buffer[..read]);
            if all.len() as u64 > limit_bytes {
                return Err(Error::TooMany { path: self.path.clone(), what: "bytes", limit: limit_bytes });
            }
        }
    }

    /// The next stretch of data from `offset` on, as start and end; `None` if only zeros follow.
    pub(crate) fn next_data(&self, offset: u64) -> Result<Option<(u64, u64)>> {
        match &self.source {
            Source::Memory(content) => Ok(content.next_data(offset)),
            Source::Local(_) if offset >= self.len_bytes => Ok(None),
            Source::Local(file) => {
                let start = match rustix::fs::seek(file, SeekFrom::Data(offset)) {
                    Ok(start) => start,
                    Err(Errno::NXIO) => return Ok(None),
                    // This file system cannot tell holes: all is data.
                    Err(Errno::INVAL | Errno::OPNOTSUPP) => return Ok(Some((offset, self.len_bytes))),
                    Err(error) => return Err(Error::system(&self.path, error)),
                };
                let end = rustix::fs::seek(file, SeekFrom::Hole(start))
                    .map_err(|e| Error::system(&self.path, e))?;
                Ok((start < self.len_bytes).then_some((start, end.min(self.len_bytes))))
            }
        }
    }

    /// Whether another program holds a lock on some of these bytes, as QEMU does on images that it has open
    /// (open-file-description locks, which network file systems carry between hosts). Never in memory.
    pub fn is_locked(&self, bytes: Range<u64>) -> Result<bool> {
        match &self.source {
            Source::Local(file) => is_range_locked(file, bytes).map_err(|e| Error::system(&self.path, e)),
            Source::Memory(_) => Ok(false),
        }
    }

    /// The file itself, to be sent or passed on; `None` in memory.
    pub fn into_file(self) -> Option<File> {
        match self.source {
            Source::Local(file) => Some(file),
            Source::Memory(_) => None,
        }
    }
}

/// A place for an unfinished transfer; its content is removed when it is dropped.
pub(crate) struct Slot {
    slots: OwnedFd,
    name: String,
    _lock: File,
}

impl Local {
    /// Claims a new place for the transfer of `path`.
    pub(crate) fn slot(&self, path: &FilePath) -> Result<Slot> {
        let fail = |e: Errno| Error::system(path, e);
        let slots = match self.slots() {
            Err(Errno::NOENT) => {
                match rustix::fs::mkdirat(&self.fd, SLOTS, DIRECTORY_MODE) {
                    Ok(()) | Err(Errno::EXIST) => {}
                    Err(error) => return Err(fail(error)),
                }
                self.slots().map_err(fail)?
            }
            other => other.map_err(fail)?,
        };
        for _ in 0..ATTEMPTS {
            let name = Uuid::new_v4().to_string();
            let lock_name = format!("{name}{LOCK}");
            let lock = rustix::fs::openat(
                &slots,
                lock_name.as_str(),
                OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC,
                FILE_MODE,
            );
            let lock = File::from(lock.map_err(fail)?);
            // A cleaner may have taken and removed it before it was locked.
            if try_lock(&lock).map_err(|e| Error::system(path, e))?
                && is_still_there(&slots, &lock_name, &lock)
            {
                return Ok(Slot { slots, name, _lock: lock });
            }
        }
        Err(Error::Busy(path.clone()))
    }

    fn slots(&self) -> rustix::io::Result<OwnedFd> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        rustix::fs::openat(&self.fd, SLOTS, flags, Mode::empty())
    }

    /// Removes the places of dead transfers, and returns their number.
    pub(crate) fn remove_leftovers(&self) -> Result<usize> {
        let fail = |e: Errno| Error::system(&FilePath::root(), e);
        let slots = match self.slots() {
            Err(Errno::NOENT) => return Ok(0),
            other => other.map_err(fail)?,
        };
        let mut removed = 0;
        for found in Dir::read_from(&slots).map_err(fail)? {
            let found = found.map_err(fail)?;
            let Some(name) = found.file_name().to_str().ok().and_then(|name| name.strip_suffix(LOCK)) else {
                continue;
            };
            let lock_name = format!("{name}{LOCK}");
            let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let Ok(lock) = rustix::fs::openat(&slots, lock_name.as_str(), flags, Mode::empty()) else {
                continue;
            };
            let lock = File::from(lock);
            if !matches!(try_lock(&lock), Ok(true)) {
                continue;
            }
            // Dropping a place that this process now holds removes it.
            let slots = slots.try_clone().map_err(|e| Error::system(&FilePath::root(), e))?;
            drop(Slot { slots, name: name.to_owned(), _lock: lock });
            removed += 1;
        }
        Ok(removed)
    }
}

impl Slot {
    /// Name of the file under construction, in [`SLOTS`].
    pub(crate) fn content(&self) -> String {
        format!("{}{CONTENT}", self.name)
    }

    pub(crate) fn create_file(&self, path: &FilePath) -> Result<File> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&self.slots, self.content(), flags, FILE_MODE);
        Ok(File::from(file.map_err(|e| Error::system(path, e))?))
    }

    pub(crate) fn open_file(&self, path: &FilePath) -> Result<File> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&self.slots, self.content(), flags, Mode::empty());
        Ok(File::from(file.map_err(|e| Error::system(path, e))?))
    }

    pub(crate) fn link_as(&self, directory: &OwnedFd, name: &str) -> rustix::io::Result<()> {
        rustix::fs::linkat(&self.slots, self.content(), directory, name, AtFlags::empty())
    }

    pub(crate) fn place_as(
        &self,
        directory: &OwnedFd,
        name: &str,
        overwrite: bool,
    ) -> rustix::io::Result<()> {
        place(self.slots.as_fd(), &self.content(), directory.as_fd(), name, overwrite)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        // The content first: without its lock no cleaner would find it.
        match remove_tree(self.slots.as_fd(), &self.content(), 0) {
            Ok(()) | Err(Errno::NOENT) => {
                let _ = rustix::fs::unlinkat(&self.slots, format!("{}{LOCK}", self.name), AtFlags::empty());
            }
            Err(error) => tracing::warn!(%error, "an unfinished transfer stays until the next mount"),
        }
    }
}

/// A file being written. Dropped without [`Upload::finish`] it leaves nothing.
pub struct Upload {
    target: Target,
    path: FilePath,
    overwrite: bool,
    position: u64,
}

enum Target {
    Local { local: Arc<Local>, slot: Slot, file: File },
    Memory { memory: Arc<Memory>, content: Sparse, raw: bool },
}

impl Upload {
    pub(crate) fn begin(datastore: &Datastore, path: FilePath, overwrite: bool) -> Result<Self> {
        let target = match datastore.backend()? {
            Backend::Local(local) => {
                let slot = local.slot(&path)?;
                let file = slot.create_file(&path)?;
                Target::Local { local: local.clone(), slot, file }
            }
            Backend::Memory(memory) => {
                Target::Memory { memory: memory.clone(), content: Sparse::default(), raw: false }
            }
        };
        Ok(Self { target, path, overwrite, position: 0 })
    }

    /// Bytes written and skipped so far.
    pub fn position_bytes(&self) -> u64 {
        self.position
    }

    /// Writes the next bytes.
    ///
    /// # Errors
    /// [`Error::NoSpace`]; the upload should then be dropped.
    pub fn write(&mut self, bytes: &[u8]) -> Result<()> {
        match &mut self.target {
            Target::Local { file, .. } => {
                file.write_all_at(bytes, self.position).map_err(|e| Error::system(&self.path, e))?;
            }
            Target::Memory { memory, content, .. } => {
                memory.require(&self.path, content.allocated_bytes() + bytes.len() as u64)?;
                content.write_at(bytes, self.position);
            }
        }
        self.position += bytes.len() as u64;
        Ok(())
    }

    /// Makes the next bytes zeros that occupy no space.
    pub fn skip(&mut self, bytes: u64) -> Result<()> {
        self.position = self
            .position
            .checked_add(bytes)
            .filter(|end| i64::try_from(*end).is_ok())
            .ok_or_else(|| Error::NoSpace(self.path.clone()))?;
        Ok(())
    }

    /// Copies the next bytes from a reader, in the kernel if both are local.
    pub(crate) fn copy_from(&mut self, reader: &Reader, mut offset: u64, mut bytes: u64) -> Result<()> {
        if let (Source::Local(from), Target::Local { file, .. }) = (&reader.source, &self.target) {
            while bytes > 0 {
                let want = usize::try_from(bytes).unwrap_or(usize::MAX);
                let (mut source_at, mut target_at) = (offset, self.position);
                match rustix::fs::copy_file_range(
                    from,
                    Some(&mut source_at),
                    file,
                    Some(&mut target_at),
                    want,
                ) {
                    Ok(0) => break,
                    Ok(copied) => {
                        let copied = copied as u64;
                        (offset, bytes) = (offset + copied, bytes - copied);
                        self.position += copied;
                    }
                    Err(Errno::INTR) => {}
                    // These file systems cannot do it between them: copy through this process.
                    Err(Errno::XDEV | Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => break,
                    Err(error) => return Err(Error::system(&self.path, error)),
                }
            }
        }
        let mut buffer = vec![0; usize::try_from(bytes).unwrap_or(usize::MAX).min(1 << 20)];
        while bytes > 0 {
            let want = usize::try_from(bytes).unwrap_or(usize::MAX).min(buffer.len());
            let read = reader.read_at(&mut buffer[..want], offset)?;
            if read == 0 {
                // The source shrank; the rest stays zero, as in any copy of a file in use.
                return self.skip(bytes);
            }
            self.write(&buffer[..read])?;
            offset += read as u64;
            bytes -= read as u64;
        }
        Ok(())
    }

    /// Keeps with the file that it is a raw image.
    pub(crate) fn keep_raw(&mut self) -> Result<()> {
        match &mut self.target {
            Target::Local { file, .. } => keep_raw(file).map_err(|e| unkept(&self.path, e, ELSEWHERE))?,
            Target::Memory { raw, .. } => *raw = true,
        }
        Ok(())
    }

    /// Makes the file durable and gives it its name.
    ///
    /// # Errors
    /// [`Error::AlreadyExists`] if the name was taken meanwhile, [`Error::NoSpace`].
    pub fn finish(self) -> Result<()> {
        let Self { target, path, overwrite, position } = self;
        let fail = |e: Errno| Error::system(&path, e);
        match target {
            Target::Local { local, slot, mut file } => {
                let finish = |file: &mut File| {
                    file.set_len(position)?;
                    file.flush()?;
                    file.sync_all()
                };
                finish(&mut file).map_err(|e| Error::system(&path, e))?;
                let parent = local.parent(&path)?;
                slot.place_as(&parent, path.name(), overwrite).map_err(fail)?;
                rustix::fs::fsync(&parent).map_err(fail)
            }
            Target::Memory { memory, mut content, raw } => {
                content.set_len(position);
                memory.insert(&path, content, raw, overwrite)
            }
        }
    }
}
