//! The BPF file system in which the hosts' virtual switches outlive their daemons. Each daemon runs in a mount namespace that ends
//! with it, so the lab mounts the file system in its own, which the daemons inherit.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

/// A mounted BPF file system with a directory for each host.
pub struct Pins(PathBuf);

impl Pins {
    /// Mounts it, replacing that of an earlier lab.
    pub fn mount(at: &Path) -> Result<Self> {
        let pins = Self(at.to_owned());
        pins.remove();
        fs::create_dir_all(at).with_context(|| format!("cannot make {}", at.display()))?;
        let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
        mount("bpf", at, "bpf", flags, c"mode=0700")
            .with_context(|| format!("cannot mount a BPF file system on {}", at.display()))?;
        Ok(pins)
    }

    /// The directory of a host; the namespaces of its TCP/IP stacks begin with its name.
    pub fn of_host(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Forgets all switches; their namespaces must be gone.
    pub fn remove(&self) {
        // It may not be mounted.
        let _ = unmount(&self.0, UnmountFlags::DETACH);
        let _ = fs::remove_dir(&self.0);
    }
}
