//! The VM to start, with what the host adds to its configuration.

use std::sync::Arc;
use vm::FileRef;
use vm::config::VmConfig;

use hostnet::Tap;

/// A VM to start.
#[derive(Debug, Clone)]
pub struct Launch {
    /// Id of its object, which names its runtime directory.
    pub vm: String,
    pub config: Arc<VmConfig>,
    /// Its `.vmx`.
    pub home: FileRef,
    /// Taps by the key of their adapter.
    pub taps: Vec<(i32, Tap)>,
    /// Saved state to go on from.
    pub resume_from: Option<FileRef>,
    /// File of the firmware's variables.
    pub nvram: FileRef,
    /// User of the QEMU process, counted from the engine's first user.
    pub user: u32,
}
