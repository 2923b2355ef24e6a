//! How an engine is started.

use std::path::PathBuf;
use std::time::Duration;

use crate::discovery::System;
use crate::limits::{LEARNED_AGE, LOAD_TOO_MUCH, LOAD_WINDOW};

/// How an engine is started.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where maps and links are pinned: a directory that no other host uses, on a BPF file system or where the engine can mount
    /// one.
    pub pins: PathBuf,
    /// The file of the network namespace to work in; `None` for the daemon's own.
    pub namespace: Option<PathBuf>,
    /// A name that tells this host from others on the same Linux system. The names of its TCP/IP stacks' network namespaces
    /// begin with it.
    pub prefix: String,
    /// The announcement of this host that discovery protocols send to neighbours.
    pub system: System,
    /// Attach programs as filters even if the kernel has tcx, as on kernels before 6.6.
    pub without_tcx: bool,
    pub timing: Timing,
}

/// Times and bounds; the default is vSphere's, tests choose shorter ones.
#[derive(Debug, Clone)]
pub struct Timing {
    /// The switch forgets a learned MAC that has sent nothing for this long.
    pub learned_age: Duration,
    /// How long loads are added up before load balancing may move ports.
    pub load_window: Duration,
    /// The load above which an uplink is overloaded, in millionths of its speed.
    pub load_too_much: u64,
}

impl Default for Timing {
    fn default() -> Self {
        Self { learned_age: LEARNED_AGE, load_window: LOAD_WINDOW, load_too_much: LOAD_TOO_MUCH }
    }
}
