//! A local directory as a datastore. Every path is resolved by `openat2` beneath the descriptor of the root, without
//! following symbolic links, so neither `..` nor a link, nor one swapped in between, leads out.

use std::fs::File;
use std::io::ErrorKind;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, RenameFlags, ResolveFlags, Stat, XattrFlags};
use rustix::io::Errno;
use uuid::Uuid;

use crate::limits::{MAX_DEPTH, MAX_LISTED};
use crate::marker::{MARKER, MAX_MARKER_BYTES, new_marker, read_marker};
use crate::path::check_component;
use crate::{Entry, Error, FileKind, FilePath, LockOwner, Reader, Result, Space, VmLock};

/// Files belong to root; the host gives a virtual machine's user the files that it needs.
pub(crate) const FILE_MODE: Mode = Mode::from_raw_mode(0o640);
pub(crate) const DIRECTORY_MODE: Mode = Mode::from_raw_mode(0o750);
const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);
/// The attribute that holds a disk's identity.
const IDENTITY: &str = "user.esfera.uuid";
/// The attribute that keeps that an image is raw, and its value.
const FORMAT: &str = "user.esfera.format";
const RAW: &[u8] = b"raw";
/// How many times `openat2` is retried when a rename elsewhere disturbs it.
const ATTEMPTS: usize = 16;

/// A local directory.
pub(crate) struct Local {
    root: PathBuf,
    pub(crate) fd: OwnedFd,
}

impl Local {
    pub(crate) fn open(directory: &Path) -> Result<Self> {
        let fail = |e: std::io::Error| {
            let reason = match e.kind() {
                ErrorKind::NotFound => "does not exist; make it first".to_owned(),
                ErrorKind::NotADirectory => "is not a directory".to_owned(),
                _ => format!("cannot be opened: {e}"),
            };
            Error::Directory { directory: directory.to_owned(), reason }
        };
        let root = std::fs::canonicalize(directory).map_err(fail)?;
        let fd = rustix::fs::open(&root, DIRECTORY, Mode::empty()).map_err(|e| fail(e.into()))?;
        Ok(Self { root, fd })
    }

    pub(crate) fn root_path(&self) -> &Path {
        &self.root
    }

    /// Fails unless the directory still leads to the storage that was opened: another may be mounted there since, or none.
    pub(crate) fn reach(&self) -> Result<()> {
        let (opened, now) = (rustix::fs::fstat(&self.fd), rustix::fs::stat(&self.root));
        let fail = |e: Errno| Error::Inaccessible(std::io::Error::from(e).to_string());
        let (opened, now) = (opened.map_err(fail)?, now.map_err(fail)?);
        if (opened.st_dev, opened.st_ino) == (now.st_dev, now.st_ino) {
            return Ok(());
        }
        Err(Error::Inaccessible("its directory leads to other storage now, or to none".into()))
    }

    /// Reads the marker; none if the directory has none.
    pub(crate) fn known_identity(&self) -> Result<Option<Uuid>> {
        let root = FilePath::root();
        match self.resolve(MARKER, OFlags::RDONLY, Mode::empty()) {
            Ok(fd) => {
                let reader = Reader::local(File::from(fd), root).map_err(|e| Error::Marker(e.to_string()))?;
                read_marker(&reader.read_all(MAX_MARKER_BYTES)?).map(Some)
            }
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(Error::system(&root, error)),
        }
    }

    /// Reads the marker, or makes one. If several hosts do so at once, one wins and all see the same.
    pub(crate) fn identity(&self) -> Result<Uuid> {
        let root = FilePath::root();
        for _ in 0..ATTEMPTS {
            if let Some(uuid) = self.known_identity()? {
                return Ok(uuid);
            }
            let slot = self.slot(&root)?;
            let mut file = slot.create_file(&root)?;
            std::io::Write::write_all(&mut file, &new_marker())
                .and_then(|()| file.sync_all())
                .map_err(|e| Error::system(&root, e))?;
            // A link, unlike a rename, never replaces a marker that another host has made meanwhile.
            match slot.link_as(&self.fd, MARKER) {
                Ok(()) => rustix::fs::fsync(&self.fd).map_err(|e| Error::system(&root, e))?,
                Err(Errno::EXIST) => {}
                Err(error) => return Err(Error::system(&root, error)),
            }
        }
        Err(Error::RestlessMarker)
    }

    pub(crate) fn space(&self) -> Result<Space> {
        let stat = rustix::fs::fstatvfs(&self.fd).map_err(|e| Error::system(&FilePath::root(), e))?;
        Ok(Space {
            capacity_bytes: stat.f_blocks.saturating_mul(stat.f_frsize),
            free_bytes: stat.f_bavail.saturating_mul(stat.f_frsize),
        })
    }

    /// Opens a path beneath the root.
    fn resolve(&self, path: &str, flags: OFlags, mode: Mode) -> rustix::io::Result<OwnedFd> {
        let path = if path.is_empty() { "." } else { path };
        let how = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        let mut result = Err(Errno::AGAIN);
        for _ in 0..ATTEMPTS {
            result = rustix::fs::openat2(&self.fd, path, flags | OFlags::CLOEXEC, mode, how);
            if !matches!(result, Err(Errno::AGAIN | Errno::INTR)) {
                break;
            }
        }
        result
    }

    pub(crate) fn directory(&self, path: &FilePath) -> Result<OwnedFd> {
        self.resolve(path.as_str(), DIRECTORY, Mode::empty()).map_err(|e| Error::system(path, e))
    }

    /// The directory that holds `path`.
    pub(crate) fn parent(&self, path: &FilePath) -> Result<OwnedFd> {
        self.directory(&path.parent().ok_or(Error::Root)?)
    }

    pub(crate) fn entry(&self, path: &FilePath) -> Result<Entry> {
        let stat = if path.is_root() {
            rustix::fs::fstat(&self.fd)
        } else {
            rustix::fs::statat(self.parent(path)?, path.name(), AtFlags::SYMLINK_NOFOLLOW)
        };
        let stat = stat.map_err(|e| Error::system(path, e))?;
        entry(path.name(), &stat).ok_or_else(|| Error::Escapes(path.clone()))
    }

    pub(crate) fn list(&self, path: &FilePath) -> Result<Vec<Entry>> {
        let fail = |e| Error::system(path, e);
        let directory = self.directory(path)?;
        let mut entries = Vec::new();
        for found in Dir::read_from(&directory).map_err(fail)? {
            let found = found.map_err(fail)?;
            let Ok(name) = found.file_name().to_str() else { continue };
            if check_component(name).is_err() {
                continue;
            }
            match rustix::fs::statat(&directory, name, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(stat) => entries.extend(entry(name, &stat)),
                // Removed since the listing.
                Err(Errno::NOENT) => {}
                Err(error) => return Err(fail(error)),
            }
            if entries.len() > MAX_LISTED {
                return Err(Error::TooMany { path: path.clone(), what: "entries", limit: MAX_LISTED as u64 });
            }
        }
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(entries)
    }

    pub(crate) fn make_directory(&self, path: &FilePath, parents: bool) -> Result<()> {
        let mut above = Vec::new();
        let mut next = path.parent();
        while let Some(parent) = next.filter(|p| parents && !p.is_root()) {
            next = parent.parent();
            above.push(parent);
        }
        for parent in above.into_iter().rev() {
            match self.make_one_directory(&parent) {
                Ok(()) | Err(Error::AlreadyExists(_)) => {}
                Err(error) => return Err(error),
            }
        }
        self.make_one_directory(path)
    }

    fn make_one_directory(&self, path: &FilePath) -> Result<()> {
        let parent = self.parent(path)?;
        rustix::fs::mkdirat(&parent, path.name(), DIRECTORY_MODE)
            .and_then(|()| rustix::fs::fsync(&parent))
            .map_err(|e| Error::system(path, e))
    }

    pub(crate) fn rename(&self, from: &FilePath, to: &FilePath, force: bool) -> Result<()> {
        // Refuses links before they are moved. Only a file may replace one.
        let force = force && !self.entry(from)?.is_folder();
        let (old, new) = (self.parent(from)?, self.parent(to)?);
        place(old.as_fd(), from.name(), new.as_fd(), to.name(), force).map_err(|error| match error {
            Errno::NOENT => Error::NotFound(from.clone()),
            Errno::XDEV => {
                Error::Io { path: from.clone(), reason: "it would move to another file system".into() }
            }
            error => Error::system(to, error),
        })?;
        rustix::fs::fsync(&new).and_then(|()| rustix::fs::fsync(&old)).map_err(|e| Error::system(to, e))
    }

    pub(crate) fn delete(&self, path: &FilePath) -> Result<()> {
        let parent = self.parent(path)?;
        remove_tree(parent.as_fd(), path.name(), 0).and_then(|()| rustix::fs::fsync(&parent)).map_err(
            |error| {
                match error {
                    // Another process puts new files into it.
                    Errno::NOTEMPTY => Error::Busy(path.clone()),
                    error => Error::system(path, error),
                }
            },
        )
    }

    pub(crate) fn open_file(&self, path: &FilePath) -> Result<Reader> {
        if path.is_root() {
            return Err(Error::NotAFile(path.clone()));
        }
        // Without waiting: a pipe in its place must not hang the caller.
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
        let fd = self.resolve(path.as_str(), flags, Mode::empty()).map_err(|e| Error::system(path, e))?;
        Reader::local(File::from(fd), path.clone())
    }

    pub(crate) fn identity_of(&self, path: &FilePath) -> Result<Option<Uuid>> {
        let file = self.readable(path)?;
        let mut text = [0; uuid::fmt::Hyphenated::LENGTH];
        match rustix::fs::fgetxattr(&file, IDENTITY, &mut text) {
            // A value that is not a UUID belongs to another program.
            Ok(count) => Ok(std::str::from_utf8(&text[..count]).ok().and_then(|t| Uuid::parse_str(t).ok())),
            Err(Errno::NODATA | Errno::RANGE | Errno::OPNOTSUPP) => Ok(None),
            Err(error) => Err(Error::system(path, error)),
        }
    }

    pub(crate) fn identify(&self, path: &FilePath, uuid: Uuid) -> Result<()> {
        let file = self.readable(path)?;
        rustix::fs::fsetxattr(&file, IDENTITY, uuid.to_string().as_bytes(), XattrFlags::empty())
            .and_then(|()| rustix::fs::fsync(&file))
            .map_err(|error| Error::system(path, error))
    }

    pub(crate) fn is_kept_raw(&self, path: &FilePath) -> Result<bool> {
        let mut value = [0; RAW.len()];
        match rustix::fs::fgetxattr(&self.readable(path)?, FORMAT, &mut value) {
            Ok(count) => Ok(&value[..count] == RAW),
            Err(Errno::NODATA | Errno::RANGE | Errno::OPNOTSUPP) => Ok(false),
            Err(error) => Err(Error::system(path, error)),
        }
    }

    pub(crate) fn keep_raw(&self, path: &FilePath) -> Result<()> {
        keep_raw(&self.readable(path)?).map_err(|error| {
            unkept(path, error, "copy it with CopyVirtualDisk, which converts it, and use the copy")
        })
    }

    fn readable(&self, path: &FilePath) -> Result<File> {
        self.open_file(path)?.into_file().ok_or_else(|| Error::NotAFile(path.clone()))
    }

    pub(crate) fn host_path(&self, path: &FilePath) -> Result<PathBuf> {
        match self.entry(path) {
            Ok(_) => {}
            Err(Error::NotFound(_)) => drop(self.parent(path)?),
            Err(error) => return Err(error),
        }
        Ok(self.root.join(path.as_str()))
    }

    pub(crate) fn lock_vm(&self, vmx: &FilePath, host: &str) -> Result<VmLock> {
        VmLock::take(self.parent(vmx)?, vmx.sibling(&format!("{}.lck", vmx.name()))?.name(), vmx, host)
    }

    pub(crate) fn vm_lock_owner(&self, vmx: &FilePath) -> Result<Option<LockOwner>> {
        let directory = self.parent(vmx)?;
        VmLock::owner(&directory, vmx.sibling(&format!("{}.lck", vmx.name()))?.name(), vmx)
    }
}

/// Keeps with a file that it is a raw image.
pub(crate) fn keep_raw(file: &File) -> rustix::io::Result<()> {
    rustix::fs::fsetxattr(file, FORMAT, RAW, XattrFlags::empty()).and_then(|()| rustix::fs::fsync(file))
}

/// Why it could not be kept that a file is a raw image; the remedy is for a file system that keeps no user attributes.
pub(crate) fn unkept(path: &FilePath, error: Errno, remedy: &'static str) -> Error {
    match error {
        Errno::OPNOTSUPP => Error::Unfit {
            path: path.clone(),
            format: "a raw disk on a file system that keeps no user attributes",
            remedy,
        },
        error => Error::system(path, error),
    }
}

/// The remedy for a raw disk that is being made where this cannot be kept.
pub(crate) const ELSEWHERE: &str = "make a sparse one (thin), or use a datastore on a file system that keeps user attributes, as ext4, XFS and NFS 4.2 do";

/// Moves `from` to `to`; replaces an existing file only with `force`, and never a directory.
pub(crate) fn place(
    old: BorrowedFd<'_>,
    from: &str,
    new: BorrowedFd<'_>,
    to: &str,
    force: bool,
) -> rustix::io::Result<()> {
    if force {
        return match rustix::fs::renameat(old, from, new, to) {
            Err(Errno::ISDIR | Errno::NOTDIR) => Err(Errno::EXIST),
            other => other,
        };
    }
    match rustix::fs::renameat_with(old, from, new, to, RenameFlags::NOREPLACE) {
        // File systems without that flag (NFS).
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
            match rustix::fs::statat(new, to, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(_) => Err(Errno::EXIST),
                Err(Errno::NOENT) => rustix::fs::renameat(old, from, new, to),
                Err(error) => Err(error),
            }
        }
        other => other,
    }
}

/// Removes a file, or a directory with all its content; a link itself, not its target.
pub(crate) fn remove_tree(parent: BorrowedFd<'_>, name: &str, depth: usize) -> rustix::io::Result<()> {
    match rustix::fs::unlinkat(parent, name, AtFlags::empty()) {
        Err(Errno::ISDIR | Errno::PERM) => {}
        other => return other,
    }
    // Directories of other programs may be deeper than paths can be.
    if depth > MAX_DEPTH * 2 {
        return Err(Errno::NAMETOOLONG);
    }
    let directory = rustix::fs::openat(parent, name, DIRECTORY | OFlags::NOFOLLOW, Mode::empty())?;
    for found in Dir::read_from(&directory)? {
        let found = found?;
        if matches!(found.file_name().to_bytes(), b"." | b"..") {
            continue;
        }
        match found.file_name().to_str() {
            Ok(name) => match remove_tree(directory.as_fd(), name, depth + 1) {
                Err(Errno::NOENT) => {}
                other => other?,
            },
            // Names that are not UTF-8 can only be plain leftovers of other programs.
            Err(_) => rustix::fs::unlinkat(&directory, found.file_name(), AtFlags::empty())?,
        }
    }
    rustix::fs::unlinkat(parent, name, AtFlags::REMOVEDIR)
}

/// The listing's entry for a file; `None` for links and special files.
fn entry(name: &str, stat: &Stat) -> Option<Entry> {
    let (kind, size_bytes) = match FileType::from_raw_mode(stat.st_mode) {
        FileType::Directory => (FileKind::Folder, 0),
        FileType::RegularFile => (FileKind::of_name(name), u64::try_from(stat.st_size).unwrap_or(0)),
        _ => return None,
    };
    let allocated_bytes = u64::try_from(stat.st_blocks).unwrap_or(0).saturating_mul(512);
    let seconds = u64::try_from(stat.st_mtime).unwrap_or(0);
    let nanoseconds = u32::try_from(stat.st_mtime_nsec).unwrap_or(0);
    let modified = UNIX_EPOCH.checked_add(Duration::new(seconds, nanoseconds)).unwrap_or(UNIX_EPOCH);
    Some(Entry { name: name.to_owned(), kind, size_bytes, allocated_bytes, modified, owner: stat.st_uid })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn storage_that_keeps_no_attributes_is_named_with_what_to_do() {
        let path = FilePath::parse("d/a.vmdk").unwrap();
        let error = unkept(&path, Errno::OPNOTSUPP, ELSEWHERE);
        assert!(matches!(error, Error::Unfit { .. }), "{error}");
        assert!(error.to_string().contains("keeps user attributes"), "{error}");
        assert!(matches!(unkept(&path, Errno::NOSPC, ELSEWHERE), Error::NoSpace(_)));
    }
}
