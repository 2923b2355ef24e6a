//! What an engine needs to start a machine: the configuration, with files and taps in place.

use hostnet::Tap;
use std::sync::Arc;
use vm::FileRef;
use vm::config::VmConfig;
use vm::device::{Cdrom, Device, Disk, Medium, Nic};

/// A machine to start.
#[derive(Debug, Clone)]
pub struct Launch {
    /// Id of its object, which names its runtime directory.
    pub vm: String,
    pub config: Arc<VmConfig>,
    /// Its directory.
    pub home: FileRef,
    /// Taps by the key of their adapter.
    pub taps: Vec<(i32, Tap)>,
    /// Saved state to go on from.
    pub resume_from: Option<FileRef>,
    /// File of the firmware's variables.
    pub nvram: FileRef,
    /// Where what the machinery says is kept.
    pub log: FileRef,
    /// Whom the process runs as, counted from the engine's first user.
    pub user: u32,
}

/// A disk to add to a running machine.
#[derive(Debug, Clone)]
pub struct DriveSpec {
    pub device: Device,
    pub disk: Disk,
}

/// An adapter to add to a running machine.
#[derive(Debug, Clone)]
pub struct NicSpec {
    pub device: Device,
    pub nic: Nic,
    pub tap: Option<Tap>,
}

/// What the engine calls a disk or CD-ROM drive.
pub fn drive_id(key: i32) -> String {
    format!("d{key}")
}

/// What the engine calls a network adapter.
pub fn nic_id(key: i32) -> String {
    format!("n{key}")
}

/// The key of the adapter that has this device id.
pub fn nic_key(id: &str) -> Option<i32> {
    id.strip_prefix('n')?.parse().ok()
}

/// The image that is in a drive at power-on.
pub(crate) fn inserted<'a>(device: &Device, cdrom: &'a Cdrom) -> Option<&'a FileRef> {
    match &cdrom.medium {
        Medium::Iso(file) if device.connect.is_none_or(|connect| connect.now) => Some(file),
        _ => None,
    }
}
