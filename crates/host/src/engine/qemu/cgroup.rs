//! The share of the host that a VM may take, as a cgroup (version 2) of its QEMU process.
//!
//! Shares of processors become `cpu.weight`, their limit `cpu.max`. Nothing here counts what is reserved in all, so a
//! reservation of memory is `memory.low`, which the kernel keeps as long as it can, and not `memory.min`, for which it
//! would kill others. A limit of memory never kills a guest either: it is `memory.high`, and only where there is swap,
//! since a guest over it would otherwise stand still for ever. QEMU's own need beside the guest's memory comes on top.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;
use vm::config::VmConfig;

/// Shares of one processor at the level `normal`, and the weight that cgroups start with.
const NORMAL_SHARES: i64 = 1000;
const NORMAL_WEIGHT: i64 = 100;
/// `cpu.weight` reaches from 1 to this (kernel's `cgroup-v2.rst`).
const MAX_WEIGHT: i64 = 10_000;
/// In how many microseconds the quota of `cpu.max` is to be used.
const PERIOD_US: i64 = 100_000;
/// The kernel takes no smaller quota.
const MIN_QUOTA_US: i64 = 1000;
/// QEMU's own need beside the guest's memory: its heap, the display's, and the cache for translated code.
const OVERHEAD_MIB: i64 = 384;
const CONTROLLERS: [&str; 2] = ["cpu", "memory"];
/// How often and with which pause a group is removed whose process has just ended.
const REMOVALS: (u32, Duration) = (50, Duration::from_millis(20));

/// The cgroups of a host's VMs; they stand side by side, those of several hosts on one computer as well.
#[derive(Debug)]
pub(super) struct Cgroups {
    /// None where cgroups cannot be used.
    root: Option<PathBuf>,
    /// The beginning of the names of this host's groups.
    prefix: String,
    mhz: i64,
    swap: bool,
}

impl Cgroups {
    /// Makes the group of all VMs. Where that is impossible the log says so once, and nothing else happens.
    pub(super) fn prepare(root: Option<&Path>, runtime: &Path, mhz: u32) -> Self {
        let root = root.and_then(|root| match make_root(root) {
            Ok(()) => Some(root.to_owned()),
            Err(error) => {
                let root = root.display();
                tracing::warn!(%root, %error, "shares, reservations and limits of machines have no effect");
                None
            }
        });
        let mut prefix = runtime.to_string_lossy().trim_matches('/').replace('/', "-");
        prefix.push('-');
        Self { root, prefix, mhz: i64::from(mhz.max(1)), swap: has_swap() }
    }

    fn directory(&self, vm: &str) -> Option<PathBuf> {
        self.root.as_ref().map(|root| root.join(format!("{}{vm}", self.prefix)))
    }

    /// Gives a VM what its configuration says; `pid` is its process if it runs already. The directory of its group.
    pub(super) fn allot(&self, vm: &str, config: &VmConfig, pid: Option<i32>) -> Option<PathBuf> {
        let directory = self.directory(vm)?;
        let told = |file: &str, error: &io::Error| {
            tracing::warn!(vm, directory = %directory.display(), file, %error, "a resource setting has no effect");
        };
        match fs::create_dir(&directory) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                told("", &error);
                return None;
            }
            _ => {}
        }
        let enabled = self.root.as_deref().map(enabled).unwrap_or_default();
        for (file, value) in settings(config, self.mhz, self.swap) {
            if !enabled.iter().any(|controller| file.starts_with(&format!("{controller}."))) {
                continue;
            }
            if let Err(error) = fs::write(directory.join(file), &value) {
                told(file, &error);
            }
        }
        if let Some(pid) = pid
            && let Err(error) = fs::write(directory.join("cgroup.procs"), pid.to_string())
        {
            told("cgroup.procs", &error);
        }
        Some(directory)
    }

    /// Removes the groups of VMs that are not wanted; one that somebody is in stays. Blocking.
    pub(super) fn sweep(&self, wanted: &BTreeSet<String>) {
        let entries = self.root.as_ref().and_then(|root| fs::read_dir(root).ok());
        for entry in entries.into_iter().flatten().flatten() {
            let name = entry.file_name();
            let vm = name.to_str().and_then(|name| name.strip_prefix(&self.prefix));
            if vm.is_some_and(|vm| !wanted.contains(vm))
                && let Err(error) = fs::remove_dir(entry.path())
            {
                tracing::warn!(directory = %entry.path().display(), %error, "a cgroup stays behind");
            }
        }
    }

    /// Removes the group of a VM that has ended. Blocking.
    pub(super) fn remove(&self, vm: &str) {
        let Some(directory) = self.directory(vm) else { return };
        let (attempts, pause) = REMOVALS;
        for attempt in 1..=attempts {
            match fs::remove_dir(&directory) {
                Err(error) if error.kind() == io::ErrorKind::ResourceBusy && attempt < attempts => {
                    std::thread::sleep(pause);
                }
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    tracing::warn!(vm, directory = %directory.display(), %error, "a cgroup stays behind");
                    return;
                }
                _ => return,
            }
        }
    }
}

fn make_root(root: &Path) -> io::Result<()> {
    let parent = root.parent().ok_or_else(|| io::Error::other("it has no parent"))?;
    if !parent.join("cgroup.controllers").exists() {
        return Err(io::Error::other("no cgroups of version 2 are mounted there"));
    }
    match fs::create_dir(root) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    let available = words(&parent.join("cgroup.controllers"));
    let mut wanted = Vec::new();
    for controller in CONTROLLERS {
        if available.iter().any(|known| known == controller) {
            wanted.push(format!("+{controller}"));
        } else {
            tracing::warn!(controller, "cgroups of version 2 lack a controller: its settings have no effect");
        }
    }
    if !wanted.is_empty() {
        for directory in [parent, root] {
            fs::write(directory.join("cgroup.subtree_control"), wanted.join(" "))?;
        }
    }
    Ok(())
}

/// The controllers that groups below this one have.
fn enabled(root: &Path) -> Vec<String> {
    let names = words(&root.join("cgroup.subtree_control"));
    names.into_iter().map(|name| name.trim_start_matches('+').to_owned()).collect()
}

fn words(file: &Path) -> Vec<String> {
    fs::read_to_string(file).unwrap_or_default().split_whitespace().map(ToOwned::to_owned).collect()
}

fn has_swap() -> bool {
    fs::read_to_string("/proc/swaps").is_ok_and(|text| text.lines().count() > 1)
}

/// Names of files and what is written to them.
fn settings(config: &VmConfig, mhz: i64, swap: bool) -> [(&'static str, String); 4] {
    let weight = i64::from(config.cpu_shares()).saturating_mul(NORMAL_WEIGHT) / NORMAL_SHARES;
    let quota = match config.cpu.limit {
        limit if limit < 0 => "max".to_owned(),
        limit => (limit.saturating_mul(PERIOD_US) / mhz).max(MIN_QUOTA_US).to_string(),
    };
    let size = i64::try_from(config.memory_mib).unwrap_or(i64::MAX);
    let bytes = |mib: i64| mib.saturating_add(OVERHEAD_MIB).saturating_mul(1 << 20).to_string();
    let low = match config.memory.reservation {
        0 => "0".to_owned(),
        reserved => bytes(reserved.min(size)),
    };
    let high = match config.memory.limit {
        limit if swap && (0..size).contains(&limit) => bytes(limit),
        _ => "max".to_owned(),
    };
    [
        ("cpu.weight", weight.clamp(1, MAX_WEIGHT).to_string()),
        ("cpu.max", format!("{quota} {PERIOD_US}")),
        ("memory.low", low),
        ("memory.high", high),
    ]
}

#[cfg(test)]
mod tests {
    use vim::DateTime;

    use super::*;
    use vm::config::{Allocation, Shares};

    #[test]
    fn shares_reservations_and_limits_become_settings_that_kill_no_guest() {
        let normal = Allocation::default();
        let of = |shares, reservation, limit| Allocation { shares, reservation, limit };
        let (mib, extra) = (1i64 << 20, OVERHEAD_MIB);
        for (cpu, memory, swap, wanted) in [
            (normal, normal, true, ["200", "max 100000", "0", "max"].map(String::from)),
            (
                of(Shares::High, 500, 1000),
                of(Shares::Low, 256, 512),
                true,
                [
                    "400".into(),
                    "50000 100000".into(),
                    ((256 + extra) * mib).to_string(),
                    ((512 + extra) * mib).to_string(),
                ],
            ),
            // Without swap a limit would stop the guest; a limit above the guest's memory has no effect.
            (
                of(Shares::Low, 0, 4000),
                of(Shares::Normal, 0, 512),
                false,
                ["100", "200000 100000", "0", "max"].map(String::from),
            ),
            (
                of(Shares::Custom(1_000_000), 0, 0),
                of(Shares::Normal, 4096, 1024),
                true,
                ["10000".into(), "1000 100000".into(), ((1024 + extra) * mib).to_string(), "max".into()],
            ),
            (of(Shares::Custom(0), 0, -1), normal, true, ["1", "max 100000", "0", "max"].map(String::from)),
        ] {
            let mut config = VmConfig::new("vm", DateTime::now());
            (config.cpus, config.memory_mib, config.cpu, config.memory) = (2, 1024, cpu, memory);
            assert_eq!(settings(&config, 2000, swap).map(|(_, value)| value), wanted, "{cpu:?} {memory:?}");
        }
    }
}
