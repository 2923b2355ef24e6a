//! The files that the checks of the tree look at.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::paths;

/// Tracked files and those that the next `git add` would track, relative to the repository's root.
pub fn tracked() -> Result<Vec<PathBuf>> {
    let output = Command::new("git")
        .current_dir(paths::repository())
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .output()
        .context("cannot start git")?;
    if !output.status.success() {
        bail!("`git ls-files` failed: {}", String::from_utf8_lossy(&output.stderr).trim_end());
    }
    let names = output.stdout.split(|byte| *byte == 0).filter(|name| !name.is_empty());
    Ok(names.map(|name| Path::new(OsStr::from_bytes(name)).to_owned()).collect())
}
