//! The state of a daemon on disk: nobody else reads it, and no second daemon uses it or anything else that two cannot share.

use std::fs::{DirBuilder, File, OpenOptions, Permissions, read_to_string, set_permissions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use rustix::fs::{FlockOperation, Mode, flock};
use rustix::io::Errno;

/// Locks on what belongs to the machine and not to a directory of state.
const LOCKS: &str = "/run/esfera/locks";
const LOCK: &str = "lock";
/// A directory of state.
pub const PRIVATE_DIRECTORY: u32 = 0o700;
const PRIVATE_FILE: u32 = 0o600;
/// Directories above those of state, and directories with the files of VMs' users: others enter, but see no list.
pub const ENTERED: u32 = 0o711;
/// The bits of a mode for everybody but the owner.
const OTHERS: u32 = 0o077;

/// Makes all files that the process makes from now on private; the few that others need are opened to them one by one. To be
/// called once, before anything is made.
pub fn keep_private() {
    rustix::process::umask(Mode::from_raw_mode(OTHERS));
}

/// A resource that this process has for itself until the value is dropped.
#[must_use]
pub struct Claim(#[allow(dead_code)] File);

/// Makes the directory of a daemon's state, which only its user may enter unless `mode` is [`ENTERED`], and claims it. A directory that exists and holds other
/// files than `database` keeps its mode: it may be meant for others.
///
/// # Errors
/// If it cannot be made, or another daemon uses it.
pub fn claim_data(data: &Path, database: &str, mode: u32) -> Result<Claim> {
    make_directory(data, mode)?;
    let empty = || std::fs::read_dir(data).is_ok_and(|mut entries| entries.next().is_none());
    let found = std::fs::metadata(data).with_context(|| format!("cannot read {}", data.display()))?.mode();
    if found & OTHERS & !mode != 0 && (data.join(database).exists() || empty()) {
        set_permissions(data, Permissions::from_mode(mode))
            .with_context(|| format!("cannot close {} to other users", data.display()))?;
    }
    claim(data, "choose another directory with --data")
}

/// Claims a directory, by a file in it.
///
/// # Errors
/// If another process has it; `otherwise` says how to do without it.
pub fn claim(directory: &Path, otherwise: &str) -> Result<Claim> {
    lock(&directory.join(LOCK), &format!("the directory {}", directory.display()), otherwise)
}

/// Claims something of the machine: `kind` and `name` identify it, `what` and `otherwise` tell of it if another process has it.
///
/// # Errors
/// If another process has it.
pub fn claim_on_machine(kind: &str, name: &str, what: &str, otherwise: &str) -> Result<Claim> {
    make_directory(Path::new(LOCKS), PRIVATE_DIRECTORY)?;
    let name = name.replace('%', "%25").replace('/', "%2f");
    lock(&Path::new(LOCKS).join(format!("{kind}-{name}")), what, otherwise)
}

/// Claims the network namespace of this process, in which a host gives its interfaces their names.
///
/// # Errors
/// If another host runs in it.
pub fn claim_network() -> Result<Claim> {
    let namespace = std::fs::metadata("/proc/self/ns/net").context("cannot find the network namespace")?;
    let what = "the network of this machine, with its switches and ports,";
    let otherwise = "a machine, or a network namespace, has one host";
    claim_on_machine("network", &namespace.ino().to_string(), what, otherwise)
}

/// Makes a directory with this mode, if it does not exist; others enter the missing ones above it.
///
/// # Errors
/// If that is impossible.
pub fn make_directory(path: &Path, mode: u32) -> Result<()> {
    let mut missing: Vec<&Path> = path.ancestors().take_while(|path| !path.exists()).collect();
    missing.retain(|path| !path.as_os_str().is_empty());
    for (above, directory) in missing.into_iter().enumerate().rev() {
        let mode = if above == 0 { mode } else { ENTERED };
        DirBuilder::new()
            .recursive(true)
            .mode(PRIVATE_DIRECTORY)
            .create(directory)
            .and_then(|()| set_permissions(directory, Permissions::from_mode(mode)))
            .with_context(|| format!("cannot make {}", directory.display()))?;
    }
    Ok(())
}

fn lock(path: &Path, what: &str, otherwise: &str) -> Result<Claim> {
    let cannot = || format!("cannot lock {}", path.display());
    let mut options = OpenOptions::new();
    let mut file = options
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(PRIVATE_FILE)
        .open(path)
        .with_context(cannot)?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(Errno::WOULDBLOCK) => {
            let holder = read_to_string(path).unwrap_or_default();
            let holder = holder.trim();
            let holder = if holder.is_empty() { "another process" } else { holder };
            bail!("{what} is in use by {holder}; end it, or {otherwise}");
        }
        Err(error) => return Err(error).with_context(cannot),
    }
    // Only for the message above: the kernel holds the lock.
    file.set_len(0).and_then(|()| file.write_all(holder().as_bytes())).with_context(cannot)?;
    Ok(Claim(file))
}

/// This process, as people find it.
fn holder() -> String {
    let mut words = std::env::args().skip(1);
    format!("`esfera {}` (process {})\n", words.next().unwrap_or_default(), std::process::id())
}

/// A path that names a directory on this machine in one spelling, whether it exists or not.
pub fn plain(path: &Path) -> PathBuf {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let existing = absolute.ancestors().find_map(|above| Some((above, above.canonicalize().ok()?)));
    let Some((above, real)) = existing else { return absolute };
    // By components: joining nothing would add a slash.
    let rest = absolute.strip_prefix(above).unwrap_or(Path::new(""));
    real.components().chain(rest.components()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        std::fs::metadata(path).unwrap().mode() & 0o777
    }

    #[test]
    fn the_second_daemon_of_a_directory_is_told_which_the_first_is() {
        let root = tempfile::tempdir().unwrap();
        let data = root.path().join("center");
        let first = claim_data(&data, "center.db", PRIVATE_DIRECTORY).unwrap();
        let refused = claim_data(&data, "center.db", PRIVATE_DIRECTORY).map(drop).unwrap_err().to_string();
        assert!(refused.contains(&*data.to_string_lossy()), "{refused}");
        assert!(refused.contains(&format!("process {}", std::process::id())), "{refused}");
        drop(first);
        drop(claim_data(&data, "center.db", PRIVATE_DIRECTORY).unwrap());
    }

    #[test]
    fn state_is_closed_to_others_and_what_is_above_it_is_entered() {
        let root = tempfile::tempdir().unwrap();
        let data = root.path().join("lib/esfera/host");
        drop(claim_data(&data, "host.db", PRIVATE_DIRECTORY).unwrap());
        assert_eq!((mode(&data), mode(&data.join(LOCK))), (0o700, 0o600));
        assert_eq!(mode(&root.path().join("lib/esfera")), 0o711);
    }

    #[test]
    fn state_of_an_earlier_version_is_closed_and_other_directories_stay_open() {
        let root = tempfile::tempdir().unwrap();
        for (name, file, expected) in [("ours", "host.db", 0o700), ("theirs", "letter", 0o755)] {
            let data = root.path().join(name);
            make_directory(&data, 0o755).unwrap();
            std::fs::write(data.join(file), "").unwrap();
            drop(claim_data(&data, "host.db", PRIVATE_DIRECTORY).unwrap());
            assert_eq!(mode(&data), expected, "{name}");
        }
    }

    #[test]
    fn the_users_of_vms_pass_through_state_that_their_datastore_lies_in() {
        let root = tempfile::tempdir().unwrap();
        let data = root.path().join("host");
        make_directory(&data, 0o755).unwrap();
        for expected in [0o711, 0o711] {
            drop(claim_data(&data, "host.db", ENTERED).unwrap());
            assert_eq!(mode(&data), expected);
        }
    }

    #[test]
    fn a_path_has_one_spelling() {
        let root = tempfile::tempdir().unwrap();
        let real = root.path().canonicalize().unwrap();
        std::os::unix::fs::symlink(&real, real.join("link")).unwrap();
        for (given, expected) in [("link/new/deep", "new/deep"), ("link/", "."), ("new", "new")] {
            let plain = plain(&real.join(given));
            assert_eq!(plain, real.join(expected).components().collect::<PathBuf>());
            assert!(!plain.to_string_lossy().ends_with('/'), "{}", plain.display());
        }
    }
}
