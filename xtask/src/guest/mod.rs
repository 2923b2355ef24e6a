//! Makes the test guest (see `guest/README.md`): Debian's packages are unpacked, not installed; an initial
//! RAM file system is put together in memory; a disk with a FAT and an ext4 partition is written
//! without mounting anything. The image lies in the cache, and is made again when its sources change.

mod archive;
pub mod check;
mod disk;
mod initramfs;
mod modules;
mod packages;

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::{paths, process, setup};

/// Names an image that replaces the one made here.
pub const IMAGE_VARIABLE: &str = "ESFERA_GUEST_IMAGE";

/// The image's path; makes it first if it is missing or older than its sources.
pub fn image() -> Result<PathBuf> {
    if let Some(given) = env::var_os(IMAGE_VARIABLE).filter(|value| !value.is_empty()) {
        let path = PathBuf::from(given);
        if !path.is_file() {
            bail!("{IMAGE_VARIABLE} names {}, which is not a file", path.display());
        }
        return Ok(path);
    }
    let _alone = setup::lock("guest")?;
    let (image, stamp) = (paths::cache()?.join("guest.qcow2"), paths::cache()?.join("guest.key"));
    let key = key()?;
    if image.is_file() && fs::read_to_string(&stamp).is_ok_and(|found| found == key) {
        return Ok(image);
    }
    process::step("make the guest image", || build(&image))?;
    fs::write(&stamp, key).with_context(|| format!("cannot write {}", stamp.display()))?;
    Ok(image)
}

/// Changes when the guest's sources change or the code that makes it. A newer kernel in the
/// distribution does not count.
fn key() -> Result<String> {
    let mut inputs: Vec<Vec<u8>> = Vec::new();
    for directory in [sources(), paths::repository().join("xtask/src/guest")] {
        for file in files_below(&directory)? {
            inputs.push(file.to_string_lossy().into_owned().into_bytes());
            inputs.push(fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?);
        }
    }
    Ok(paths::fingerprint(inputs.iter().map(Vec::as_slice)))
}

fn sources() -> PathBuf {
    paths::repository().join("guest")
}

/// All files below a directory, sorted.
fn files_below(directory: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let entries = fs::read_dir(directory).with_context(|| format!("cannot list {}", directory.display()))?;
    for entry in entries {
        let path = entry.with_context(|| format!("cannot list {}", directory.display()))?.path();
        if path.is_dir() {
            files.extend(files_below(&path)?);
        } else {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn build(image: &Path) -> Result<()> {
    let work = paths::cache()?.join(format!("guest-build-{}", std::process::id()));
    fs::create_dir_all(&work).with_context(|| format!("cannot make {}", work.display()))?;
    let result = build_in(&work, image);
    fs::remove_dir_all(&work).with_context(|| format!("cannot remove {}", work.display()))?;
    result
}

fn build_in(work: &Path, image: &Path) -> Result<()> {
    let debian = packages::unpack(work)?;
    let initrd = initramfs::build(&debian, &sources(), work)?;
    let kernel = debian.file(&[&format!("boot/vmlinuz-{}", debian.kernel_version()?)])?;
    let parts = disk::Parts { kernel: &kernel, initrd: &initrd, debian: &debian, sources: &sources() };
    disk::write(&parts, work, image)
}
