//! The datastore: one type over its two kinds of storage, with the rules that both share.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use uuid::Uuid;

use crate::limits::{MAX_DICTIONARY_BYTES, MEMORY_BYTES};
use crate::local::Local;
use crate::memory::Memory;
use crate::{Error, FileKind, FilePath, LockOwner, Reader, Result, Staged, Upload, VmLock};

/// A place for the files of virtual machines. It has an identity but no name: names belong to the inventory.
pub struct Datastore {
    uuid: Uuid,
    /// Where it is mounted, or was.
    root: Option<PathBuf>,
    /// None while its storage is not there.
    backend: Option<Backend>,
}

pub(crate) enum Backend {
    Local(Arc<Local>),
    Memory(Arc<Memory>),
}

/// The space of a datastore, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    /// The total.
    pub capacity_bytes: u64,
    /// The space that unprivileged users can still take.
    pub free_bytes: u64,
}

/// A file or directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Name, the last component of its path.
    pub name: String,
    /// Its kind.
    pub kind: FileKind,
    /// Length in bytes; 0 for directories.
    pub size_bytes: u64,
    /// Bytes that it occupies on the storage; less than the length for sparse files.
    pub allocated_bytes: u64,
    /// Time of its last change.
    pub modified: SystemTime,
    /// Numeric user that owns it.
    pub owner: u32,
}

impl Entry {
    /// True for directories.
    pub fn is_folder(&self) -> bool {
        self.kind == FileKind::Folder
    }
}

impl Datastore {
    /// Opens a directory as a datastore, gives it an identity if it has none, and removes the remains of uploads and copies
    /// whose process died.
    ///
    /// # Errors
    /// [`Error::NotFound`] or [`Error::NotADirectory`] (of the root), [`Error::Marker`], [`Error::NoSpace`],
    /// [`Error::Io`].
    pub fn mount(directory: impl AsRef<Path>) -> Result<Self> {
        let local = Local::open(directory.as_ref())?;
        let uuid = local.identity()?;
        Self::mounted(uuid, local)
    }

    /// Opens the directory of a datastore that is known. A directory without an identity, or with another one, stays as it
    /// is: the storage is not mounted there now.
    ///
    /// # Errors
    /// [`Error::Inaccessible`] with the reason and the way out.
    pub fn mount_known(directory: impl AsRef<Path>, uuid: Uuid) -> Result<Self> {
        let directory = directory.as_ref();
        let absent = |error: Error| missing(directory, &error.to_string());
        let local = Local::open(directory).map_err(absent)?;
        match local.known_identity().map_err(absent)? {
            Some(found) if found == uuid => Self::mounted(uuid, local),
            Some(other) => Err(missing(directory, &format!("the datastore {other} is in its place"))),
            None => Err(missing(directory, "its directory has no identity")),
        }
    }

    /// The identity of the datastore in a directory; none if the directory is not one. Nothing is changed.
    ///
    /// # Errors
    /// [`Error::Directory`] if the directory cannot be opened, [`Error::Marker`], [`Error::NewerMarker`], [`Error::Io`].
    pub fn identity_at(directory: impl AsRef<Path>) -> Result<Option<Uuid>> {
        Local::open(directory.as_ref())?.known_identity()
    }

    /// A datastore whose storage is not at `directory` now. Every use of it fails with [`Error::Inaccessible`].
    pub fn absent(directory: impl Into<PathBuf>, uuid: Uuid) -> Self {
        Self { uuid, root: Some(directory.into()), backend: None }
    }

    /// Opens it again where it was mounted.
    ///
    /// # Errors
    /// [`Error::Inaccessible`] if its storage is not there.
    pub fn mount_again(&self) -> Result<Self> {
        match &self.root {
            Some(root) => Self::mount_known(root, self.uuid),
            None => Err(Error::Inaccessible("it is in memory".into())),
        }
    }

    /// Whether its storage is there: it answers, and its directory still leads to it.
    ///
    /// # Errors
    /// [`Error::Inaccessible`] or [`Error::Io`] if not.
    pub fn reach(&self) -> Result<()> {
        match self.backend()? {
            Backend::Local(local) => local.reach(),
            Backend::Memory(_) => Ok(()),
        }
    }

    /// Whether it was opened without its storage.
    pub fn is_absent(&self) -> bool {
        self.backend.is_none()
    }

    pub(crate) fn backend(&self) -> Result<&Backend> {
        const WHY: &str = "its storage is not mounted";
        self.backend.as_ref().ok_or_else(|| match &self.root {
            Some(root) => missing(root, WHY),
            None => Error::Inaccessible(WHY.into()),
        })
    }

    fn mounted(uuid: Uuid, local: Local) -> Result<Self> {
        let leftovers = local.remove_leftovers()?;
        if leftovers > 0 {
            tracing::info!(datastore = %uuid, leftovers, "removed the remains of unfinished transfers");
        }
        let root = Some(local.root_path().to_owned());
        Ok(Self { uuid, root, backend: Some(Backend::Local(Arc::new(local))) })
    }

    /// A datastore in memory, for simulated hosts. Zeros take no memory, so disks of any size may be made; only written
    /// bytes count against `capacity_bytes` and [`MEMORY_BYTES`].
    pub fn memory(uuid: Uuid, capacity_bytes: u64) -> Self {
        let backend = Backend::Memory(Arc::new(Memory::new(capacity_bytes, MEMORY_BYTES)));
        Self { uuid, root: None, backend: Some(backend) }
    }

    /// Identity of the datastore: the same on every host that mounts the same directory.
    pub fn uuid(&self) -> Uuid {
        self.uuid
    }

    /// `ds:///vmfs/volumes/<uuid>/`
    pub fn url(&self) -> String {
        format!("ds:///vmfs/volumes/{}/", self.uuid)
    }

    /// Where the datastore is mounted, or was while its storage was there; `None` in memory.
    pub fn root_path(&self) -> Option<&Path> {
        self.root.as_deref()
    }

    /// Capacity and free space.
    ///
    /// # Errors
    /// As [`Self::reach`].
    pub fn space(&self) -> Result<Space> {
        match self.backend()? {
            Backend::Local(local) => {
                local.reach()?;
                local.space()
            }
            Backend::Memory(memory) => Ok(memory.space()),
        }
    }

    /// Fails with [`Error::NoSpace`] unless `bytes` fit now.
    pub fn require_space(&self, path: &FilePath, bytes: u64) -> Result<()> {
        if self.space()?.free_bytes < bytes { Err(Error::NoSpace(path.clone())) } else { Ok(()) }
    }

    /// One file or directory.
    pub fn entry(&self, path: &FilePath) -> Result<Entry> {
        match self.backend()? {
            Backend::Local(local) => local.entry(path),
            Backend::Memory(memory) => memory.entry(path),
        }
    }

    /// Whether the file or directory exists.
    pub fn exists(&self, path: &FilePath) -> Result<bool> {
        match self.entry(path) {
            Ok(_) => Ok(true),
            Err(Error::NotFound(_) | Error::NotADirectory(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The entries of a directory in the order of their names, up to [`crate::limits::MAX_LISTED`]. Symbolic links,
    /// special files and names that cannot be in a path are left out.
    pub fn list(&self, directory: &FilePath) -> Result<Vec<Entry>> {
        match self.backend()? {
            Backend::Local(local) => local.list(directory),
            Backend::Memory(memory) => memory.list(directory),
        }
    }

    /// Makes a directory; with `parents` also its missing parents.
    ///
    /// # Errors
    /// [`Error::AlreadyExists`] if it exists, [`Error::NotFound`] if its parent does not.
    pub fn make_directory(&self, path: &FilePath, parents: bool) -> Result<()> {
        if path.is_root() {
            return Err(Error::AlreadyExists(path.clone()));
        }
        match self.backend()? {
            Backend::Local(local) => local.make_directory(path, parents),
            Backend::Memory(memory) => memory.make_directory(path, parents),
        }
    }

    /// Moves a file or directory within the datastore. With `force` an existing file is replaced.
    pub fn rename(&self, from: &FilePath, to: &FilePath, force: bool) -> Result<()> {
        self.check_pair(from, to)?;
        match self.backend()? {
            Backend::Local(local) => local.rename(from, to, force),
            Backend::Memory(memory) => memory.rename(from, to, force),
        }
    }

    /// Refuses to put something into itself.
    pub(crate) fn check_pair(&self, from: &FilePath, to: &FilePath) -> Result<()> {
        if from.is_root() || to.is_root() {
            return Err(Error::Root);
        }
        if from.contains(to) {
            return Err(Error::IntoItself { from: from.clone(), to: to.clone() });
        }
        Ok(())
    }

    /// Removes a file, or a directory with all its content.
    pub fn delete(&self, path: &FilePath) -> Result<()> {
        if path.is_root() {
            return Err(Error::Root);
        }
        match self.backend()? {
            Backend::Local(local) => local.delete(path),
            Backend::Memory(memory) => memory.delete(path),
        }
    }

    /// Opens a file for reading.
    pub fn open(&self, path: &FilePath) -> Result<Reader> {
        match self.backend()? {
            Backend::Local(local) => local.open_file(path),
            Backend::Memory(memory) => memory.open_file(path),
        }
    }

    /// Begins to write a file that appears under its name at [`Upload::finish`], whole and durable, and never in
    /// part. If `size_bytes` is known, the space is checked first.
    ///
    /// # Errors
    /// [`Error::AlreadyExists`] unless `overwrite`, [`Error::NotFound`] if the directory does not exist,
    /// [`Error::NoSpace`].
    pub fn upload(&self, path: &FilePath, overwrite: bool, size_bytes: Option<u64>) -> Result<Upload> {
        self.check_new(path, overwrite, size_bytes)?;
        Upload::begin(self, path.clone(), overwrite)
    }

    /// Whether a file may be created there now.
    fn check_new(&self, path: &FilePath, overwrite: bool, size_bytes: Option<u64>) -> Result<()> {
        if path.is_root() {
            return Err(Error::Root);
        }
        match self.entry(path) {
            Ok(entry) if entry.is_folder() => return Err(Error::NotAFile(path.clone())),
            Ok(_) if !overwrite => return Err(Error::AlreadyExists(path.clone())),
            Ok(_) => {}
            Err(Error::NotFound(_)) => {
                let parent = path.parent().unwrap_or_default();
                if !self.entry(&parent)?.is_folder() {
                    return Err(Error::NotADirectory(parent));
                }
            }
            Err(error) => return Err(error),
        }
        if let Some(bytes) = size_bytes {
            self.require_space(path, bytes)?;
        }
        Ok(())
    }

    /// A place in which another program may make a file, which then appears under its name like an upload; `None`
    /// in memory.
    ///
    /// # Errors
    /// As [`Datastore::upload`].
    pub fn stage(&self, path: &FilePath, overwrite: bool, size_bytes: Option<u64>) -> Result<Option<Staged>> {
        self.check_new(path, overwrite, size_bytes)?;
        match self.backend()? {
            Backend::Local(local) => Staged::begin(local, path.clone(), overwrite).map(Some),
            Backend::Memory(_) => Ok(None),
        }
    }

    /// Writes a small file, whole and durable, replacing an existing one.
    pub fn write(&self, path: &FilePath, content: &[u8]) -> Result<()> {
        let mut upload = self.upload(path, true, None)?;
        upload.write(content)?;
        upload.finish()
    }

    /// Reads a file of up to `limit_bytes`.
    pub fn read(&self, path: &FilePath, limit_bytes: u64) -> Result<Vec<u8>> {
        let reader = self.open(path)?;
        if reader.len_bytes() > limit_bytes {
            return Err(Error::TooMany { path: path.clone(), what: "bytes", limit: limit_bytes });
        }
        reader.read_all(limit_bytes)
    }

    /// Makes a file of zeros that occupies no space yet.
    pub fn create_sparse(&self, path: &FilePath, size_bytes: u64) -> Result<()> {
        let mut upload = self.upload(path, false, None)?;
        upload.skip(size_bytes)?;
        upload.finish()
    }

    /// Reads and parses a `.vmx` file.
    pub fn read_vmx(&self, path: &FilePath) -> Result<crate::Dictionary> {
        let text = self.read(path, MAX_DICTIONARY_BYTES as u64)?;
        crate::vmx::parse(&text).map_err(|error| Error::Dictionary { path: path.clone(), error })
    }

    /// Reads and parses a `.vmsd` file; a missing file lists no snapshots.
    pub fn read_vmsd(&self, path: &FilePath) -> Result<crate::vmsd::SnapshotList> {
        match self.read(path, MAX_DICTIONARY_BYTES as u64) {
            Ok(text) => {
                crate::vmsd::parse(&text).map_err(|error| Error::Dictionary { path: path.clone(), error })
            }
            Err(Error::NotFound(_)) => Ok(crate::vmsd::SnapshotList::default()),
            Err(error) => Err(error),
        }
    }

    /// The path of a file for another program (QEMU) that opens it itself; `None` in memory. The path was free of symbolic
    /// links when this returned; its directory must exist, the file need not.
    pub fn host_path(&self, path: &FilePath) -> Result<Option<PathBuf>> {
        match self.backend()? {
            Backend::Local(local) => local.host_path(path).map(Some),
            Backend::Memory(_) => Ok(None),
        }
    }

    /// The identity that was given to a disk. It moves with the file and is not copied.
    pub fn identity_of(&self, path: &FilePath) -> Result<Option<Uuid>> {
        match self.backend()? {
            Backend::Local(local) => local.identity_of(path),
            Backend::Memory(memory) => memory.identity_of(path),
        }
    }

    /// Gives a disk an identity.
    ///
    /// # Errors
    /// [`Error::Io`] if the file system does not keep user attributes.
    pub fn identify(&self, path: &FilePath, uuid: Uuid) -> Result<()> {
        match self.backend()? {
            Backend::Local(local) => local.identify(path, uuid),
            Backend::Memory(memory) => memory.identify(path, uuid),
        }
    }

    /// Whether [`crate::disk_image::keep_raw`] has kept that a file is a raw image. It moves with the file, and is copied.
    pub(crate) fn is_kept_raw(&self, path: &FilePath) -> Result<bool> {
        match self.backend()? {
            Backend::Local(local) => local.is_kept_raw(path),
            Backend::Memory(memory) => memory.is_kept_raw(path),
        }
    }

    pub(crate) fn keep_raw(&self, path: &FilePath) -> Result<()> {
        match self.backend()? {
            Backend::Local(local) => local.keep_raw(path),
            Backend::Memory(memory) => memory.keep_raw(path),
        }
    }

    /// Takes the lock of a virtual machine for this host, until the returned value is dropped or the process ends.
    ///
    /// # Errors
    /// [`Error::Locked`] with the holder.
    pub fn lock_vm(&self, vmx: &FilePath, host: &str) -> Result<VmLock> {
        match self.backend()? {
            Backend::Local(local) => local.lock_vm(vmx, host),
            Backend::Memory(memory) => memory.lock_vm(vmx, host),
        }
    }

    /// The holder of a virtual machine's lock; `None` if it is free.
    pub fn vm_lock_owner(&self, vmx: &FilePath) -> Result<Option<LockOwner>> {
        match self.backend()? {
            Backend::Local(local) => local.vm_lock_owner(vmx),
            Backend::Memory(memory) => Ok(memory.vm_lock_owner(vmx)),
        }
    }
}

/// The error of a datastore whose storage is not at `directory`, with the way out.
fn missing(directory: &Path, why: &str) -> Error {
    let at = directory.display();
    Error::Inaccessible(format!(
        "{why}. Mount its storage at {at}; if that is lost for good, unregister its VMs and remove the datastore"
    ))
}

impl std::fmt::Debug for Datastore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Datastore").field("uuid", &self.uuid).field("root", &self.root_path()).finish()
    }
}
