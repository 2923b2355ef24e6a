//! The pins of maps and links: `<pins>/v<layout>` and `<pins>/links`.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::statfs;
use rustix::mount::{MountFlags, mount};

use crate::layout::LAYOUT;
use crate::{Error, Result};

/// `BPF_FS_MAGIC` (linux/magic.h).
const BPF_FS: i64 = 0xcafe_4a11;

/// Makes the directories of maps and links, and mounts a BPF file system at `pins` if necessary. Returns them in this
/// order.
pub(super) fn prepare(pins: &Path) -> Result<(PathBuf, PathBuf)> {
    let error = |source: io::Error| Error::Pins { path: pins.to_owned(), source };
    fs::create_dir_all(pins).map_err(error)?;
    if !is_bpf(pins).map_err(error)? {
        mount("bpf", pins, "bpf", MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC, c"mode=0700")
            .map_err(|errno| error(errno.into()))?;
        tracing::info!(path = %pins.display(), "mounted a BPF file system for the virtual switch");
    }
    let (maps, links) = (pins.join(format!("v{LAYOUT}")), pins.join("links"));
    for directory in [&maps, &links] {
        fs::create_dir_all(directory).map_err(error)?;
    }
    Ok((maps, links))
}

fn is_bpf(path: &Path) -> io::Result<bool> {
    Ok(statfs(path)?.f_type as i64 == BPF_FS)
}

/// Removes the maps of other layouts. Programs that still use them keep them until their links are taken over.
pub(super) fn forget_other_layouts(pins: &Path, maps: &Path) {
    for entry in fs::read_dir(pins).into_iter().flatten().flatten() {
        let path = entry.path();
        let is_layout =
            entry.file_name().to_string_lossy().strip_prefix('v').is_some_and(|n| n.parse::<u32>().is_ok());
        if is_layout
            && path != maps
            && let Err(error) = fs::remove_dir_all(&path)
        {
            tracing::warn!(path = %path.display(), %error, "cannot remove the maps of another version");
        }
    }
}
