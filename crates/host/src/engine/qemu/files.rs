//! Files of datastores as they are given to a QEMU process, which runs as a user with a group of its own: what is one VM's is read by no
//! other, and directories are entered by name and not listed.

use std::fs::{OpenOptions, Permissions};
use std::io::ErrorKind;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use ::qemu::Error;
use ::qemu::spec::{ImageFormat, User};
use rustix::fs::OFlags;
use vm::FileRef;
use vm::machine::Files;

use super::Shared;
use crate::engine::Result;
use crate::engine::serial_file;

/// Mode of a file that is one VM's.
const PRIVATE: u32 = 0o600;
/// Reading a file or listing a directory, and entering a directory, as bits of the mode for the group.
const LIST: u32 = 0o040;
const ENTER: u32 = 0o010;

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

impl Shared {
    /// The user of a QEMU process, with a group of its own.
    pub(super) fn user(&self, number: u32) -> Option<User> {
        self.common()?;
        let id = self.users.saturating_add(1).saturating_add(number);
        Some(User { uid: id, gid: id })
    }

    /// The group that all VMs are in besides, for the files that several of them read.
    pub(super) fn common(&self) -> Option<u32> {
        self.options.first_user
    }

    /// Lets a VM into the directory of a file, where it finds what it knows by name, but sees no list. The directory is for its group
    /// alone, unless the file is shared or the directory is another VM's as well: then it is for the group of all.
    pub(super) fn let_in(&self, file: &FileRef, user: Option<User>, shared: bool) -> Result<PathBuf> {
        let path = self.path(file)?;
        let directory = path.parent().filter(|_| !file.directory().path.is_root());
        if let (Some(user), Some(common), Some(directory)) = (user, self.common(), directory) {
            let io = |source| Error::Io {
                what: format!("let machines into the directory of {}", file.path),
                source,
            };
            let group = std::fs::symlink_metadata(directory).map_err(io)?.gid();
            let others = group >= common && group != user.gid;
            let wanted = if shared || others { common } else { user.gid };
            std::os::unix::fs::lchown(directory, None, Some(wanted)).map_err(io)?;
            allow(directory, ENTER, ENTER | LIST).map_err(io)?;
        }
        Ok(path)
    }

    /// Makes a file the VM's own, which no other VM may read, and lets it into the directory.
    pub(super) fn give(&self, file: &FileRef, user: Option<User>) -> Result<PathBuf> {
        let path = self.let_in(file, user, false)?;
        if let Some(user) = user {
            let io = |source| Error::Io { what: format!("give {} to its machine", file.path), source };
            let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
            match OpenOptions::new().read(true).custom_flags(flags).open(&path) {
                Ok(file) => {
                    std::os::unix::fs::fchown(&file, Some(user.uid), None).map_err(io)?;
                    file.set_permissions(Permissions::from_mode(PRIVATE)).map_err(io)?;
                }
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(io(error)),
            }
        }
        Ok(path)
    }

    /// Lets the group of all VMs read a file that several may use.
    pub(super) fn share(&self, file: &FileRef, user: Option<User>) -> Result<PathBuf> {
        let path = self.let_in(file, user, true)?;
        if let (Some(_), Some(common)) = (user, self.common()) {
            let io = |source| Error::Io { what: format!("let machines read {}", file.path), source };
            std::os::unix::fs::lchown(&path, None, Some(common)).map_err(io)?;
            allow(&path, LIST, LIST).map_err(io)?;
        }
        Ok(path)
    }
}

/// Sets these bits of the mode for the group to what it needs, unless everybody has that already: then others use the place, too.
fn allow(path: &Path, needed: u32, bits: u32) -> std::io::Result<()> {
    let mode = std::fs::symlink_metadata(path)?.mode();
    let wanted = mode & !bits | needed;
    if mode & (needed >> 3) != 0 || mode == wanted {
        return Ok(());
    }
    std::fs::set_permissions(path, Permissions::from_mode(wanted & 0o7777))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use ::qemu::accel::AccelPolicy;
    use datastore::{Datastore, FilePath};

    use super::*;
    use crate::datastores::Datastores;
    use crate::engine::qemu::QemuOptions;
    use crate::engine::qemu::cgroup::Cgroups;

    #[test]
    fn qemu_a_file_that_one_machine_was_given_is_read_by_no_other() {
        let root = tempfile::tempdir().unwrap();
        let store = Arc::new(Datastore::mount(root.path()).unwrap());
        let datastores = Arc::new(Datastores::default());
        datastores.add("ds", store.clone()).unwrap();
        let options = QemuOptions {
            runtime: root.path().join("run"),
            accel: AccelPolicy::Tcg,
            first_user: Some(210_000),
            cgroup: None,
        };
        let cgroups = Cgroups::prepare(None, &options.runtime, 1000);
        let shared = Shared { options, users: 210_000, datastores, cgroups };
        std::fs::create_dir(root.path().join("vm")).unwrap();
        let file = |name: &str| FileRef { datastore: store.uuid(), path: FilePath::parse(name).unwrap() };
        for name in ["vm/disk.vmdk", "vm/image.iso"] {
            std::fs::write(root.path().join(name), b"x").unwrap();
            let mode = Permissions::from_mode(0o600);
            std::fs::set_permissions(root.path().join(name), mode).unwrap();
        }
        std::fs::set_permissions(root.path().join("vm"), Permissions::from_mode(0o750)).unwrap();
        std::fs::create_dir(root.path().join("open")).unwrap();
        std::fs::set_permissions(root.path().join("open"), Permissions::from_mode(0o755)).unwrap();
        let user = shared.user(7);
        shared.give(&file("vm/disk.vmdk"), user).unwrap();
        let group = |name: &str| std::fs::metadata(root.path().join(name)).unwrap().gid();
        assert_eq!(group("vm"), 210_008, "the directory is this machine's alone");
        shared.share(&file("vm/image.iso"), user).unwrap();
        shared.give(&file("vm/missing.nvram"), user).unwrap();
        let rights = |name: &str| {
            let facts = std::fs::metadata(root.path().join(name)).unwrap();
            (facts.uid(), facts.gid(), facts.mode() & 0o777)
        };
        assert_eq!(rights("vm/disk.vmdk"), (210_008, 0, 0o600));
        assert_eq!(rights("vm/image.iso"), (0, 210_000, 0o640));
        assert_eq!(rights("vm"), (0, 210_000, 0o710), "entered by name, not listed");
        shared.give(&file("open/disk.vmdk"), user).unwrap();
        assert_eq!(rights("open").2, 0o755, "a directory that is everybody's stays so");
        shared.give(&file("open/other.vmdk"), shared.user(8)).unwrap();
        shared.give(&file("open/disk.vmdk"), user).unwrap();
        assert_eq!(group("open"), 210_000, "a directory with the disks of two machines is for both");
    }
}
