//! The engine that runs VMs: QEMU, or pure memory for simulated hosts. Everything above this trait is the same for
//! both, so that there is one definition of what each operation of the API means.

mod faults;
mod launch;
mod qemu;
pub(crate) mod serial_file;
mod simulated;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use hostnet::Tap;
use tokio::sync::broadcast;
use tokio_util::sync::CancellationToken;
use vim::DateTime;
use vm::FileRef;
use vm::config::VmConfig;
use vswitch::Mac;

pub(crate) use self::faults::{image_fault, machine_fault};
pub use self::launch::Launch;
pub use self::qemu::{QemuEngine, QemuOptions};
pub use self::simulated::SimulatedEngine;
pub use ::qemu::accel::AccelPolicy;
pub use ::qemu::{Error, ExitReason};
pub use vm::machine::{drive_id, nic_id, nic_key};
pub use vm::observed::{GuestInterface, GuestReport};

pub type Result<T> = std::result::Result<T, Error>;

/// Events kept for a slow listener before it is told that it lost some.
pub(crate) const EVENTS: usize = 256;

/// Describes an engine, for people and for `HostSystem`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineInfo {
    /// No guest really runs.
    pub simulated: bool,
    /// `kvm`, `tcg` or `none`.
    pub accelerator: &'static str,
    /// Why it was chosen.
    pub reason: String,
}

/// Runs VMs.
#[async_trait]
pub trait Engine: Send + Sync {
    /// Describes the engine.
    fn info(&self) -> EngineInfo;

    /// Works on disk images that no QEMU process has open.
    fn images(&self) -> Arc<dyn Images>;

    /// Starts a VM, whose processors do not run yet. A start that fails leaves nothing.
    async fn start(&self, launch: Launch) -> Result<Arc<dyn Machine>>;

    /// Takes hold of the QEMU process of a VM that runs already; none if none runs. An error says that one runs, or
    /// may run, but does not answer.
    async fn adopt(&self, vm: &str) -> Result<Option<Arc<dyn Machine>>>;

    /// Ends the QEMU process that runs but does not answer; succeeds if none runs.
    async fn end(&self, vm: &str) -> Result<()>;

    /// Kills the QEMU processes that are not wanted, and clears up after those that have ended.
    async fn reap(&self, wanted: &BTreeSet<String>) -> Result<()>;

    /// Gives the running VM with this process the share of the host that its configuration says, as far as the
    /// host can.
    async fn allot(&self, vm: &str, config: &VmConfig, pid: i32);

    /// Clears away the files that an ended QEMU process left in the runtime directory.
    async fn forget(&self, vm: &str) -> Result<()>;

    /// Keeps the text of a VM's configuration beside its QEMU process, as long as that lives; without one, nothing. The text
    /// is what the VM runs with, whatever becomes of the datastore that its `.vmx` is on.
    ///
    /// # Errors
    /// If it cannot be written; what was kept before is still there.
    fn keep(&self, _vm: &str, _text: &str) -> Result<()> {
        Ok(())
    }

    /// The text that is kept.
    fn kept(&self, _vm: &str) -> Option<Vec<u8>> {
        None
    }

    /// The user that the QEMU process with this number runs as; none for the daemon's own.
    fn user(&self, number: u32) -> Option<u32>;

    /// The log of a QEMU process, until it is forgotten.
    fn log(&self, vm: &str) -> Option<Vec<u8>>;
}

/// An event of a running VM.
#[derive(Debug, Clone, PartialEq)]
pub enum Happening {
    /// The processors run, or were stopped, or the guest started anew: look at the state.
    Changed,
    /// The guest started anew.
    Reset { by_guest: bool },
    /// A disk could not be written; QEMU may have stopped the VM for it.
    DiskError { drive: String, no_space: bool, stopped: bool, reason: String },
    /// A tray was moved by the guest or from here.
    Tray { drive: String, open: bool },
    /// The guest's agent came or went.
    Agent { open: bool },
    /// It has ended; nothing follows.
    Ended(ExitReason),
}

/// The resources that a running VM uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    pub resident_bytes: u64,
    /// Since its start.
    pub cpu_ms: u64,
}

/// The state of the virtual processors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Processors {
    Running,
    Stopped,
    /// They have not run yet.
    NeverRan,
    /// Stopped because a disk could not be written.
    DiskError,
}

/// A disk to add or to lay a layer on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layer {
    /// Key of the disk.
    pub disk: i32,
    /// The new file.
    pub file: FileRef,
}

/// One VM that runs.
#[async_trait]
pub trait Machine: Send + Sync {
    /// The events from now on.
    fn events(&self) -> broadcast::Receiver<Happening>;
    /// How it ended, if it has.
    fn ended(&self) -> Option<ExitReason>;
    /// The resources in use; none if it has ended.
    fn usage(&self) -> Option<Usage>;
    /// Id of the QEMU process; 0 without a process.
    fn pid(&self) -> i32;
    /// When it was started.
    fn booted(&self) -> Option<DateTime>;

    async fn processors(&self) -> Result<Processors>;
    /// Lets the processors run again.
    async fn resume(&self) -> Result<()>;
    async fn reset(&self) -> Result<()>;
    async fn power_off(&self) -> Result<ExitReason>;
    /// Saves the state to a file and ends.
    async fn suspend(&self, file: &FileRef, progress: &(dyn Fn(u8) + Sync)) -> Result<()>;
    /// Gives up a suspending that nobody follows any more; the processors stay stopped.
    async fn cancel_suspend(&self) -> Result<()>;
    /// Asks the guest to shut down.
    async fn shutdown_guest(&self) -> Result<()>;
    /// Asks the guest to reboot.
    async fn reboot_guest(&self) -> Result<()>;

    /// Adds the disk with this key of the configuration.
    async fn add_disk(&self, config: &VmConfig, key: i32) -> Result<()>;
    async fn remove_disk(&self, key: i32) -> Result<()>;
    async fn resize_disk(&self, key: i32, bytes: u64) -> Result<()>;
    /// Adds the network adapter with this key of the configuration, on its tap.
    async fn add_nic(&self, config: &VmConfig, key: i32, tap: Option<&Tap>) -> Result<()>;
    async fn remove_nic(&self, key: i32) -> Result<()>;
    async fn set_link(&self, key: i32, up: bool) -> Result<()>;
    /// Whether its guest may become another one by itself: else nobody needs to ask it again and again.
    fn changes_by_itself(&self) -> bool {
        true
    }
    /// The MACs that adapters have now, by key: the guest may have set others. None where nobody can.
    async fn macs(&self) -> Result<BTreeMap<i32, Mac>> {
        Ok(BTreeMap::new())
    }
    async fn change_medium(&self, key: i32, iso: Option<&FileRef>) -> Result<()>;
    async fn add_memory(&self, mib: u64) -> Result<()>;
    async fn add_processors(&self, count: u32) -> Result<()>;
    /// Processors and memory (MiB) that it was started with; what it was given since comes on top.
    fn started_with(&self) -> (u32, u64);

    /// Makes the files of new layers, empty, over what the disks have open. Nothing is left if one cannot be made.
    async fn make_layers(&self, layers: &[Layer]) -> Result<()>;
    /// Lays layers that were made on their disks in one instant. All or none, which [`Self::chain`] tells after an
    /// error that is undecided; the files stay in any case.
    async fn snapshot(&self, layers: &[Layer]) -> Result<()>;
    /// The files of a disk as they are open now, newest first.
    async fn chain(&self, key: i32) -> Result<Vec<FileRef>>;
    /// Merges a disk's layers from `top` (none: the newest) down into `base`. When that was the newest, and it gives
    /// true, the processors stand still until [`Self::resume`], so that the guest writes nothing to `base` before it
    /// is named everywhere.
    async fn commit(
        &self,
        key: i32,
        top: Option<&FileRef>,
        base: &FileRef,
        progress: &(dyn Fn(u8) + Sync),
    ) -> Result<bool>;
    /// Ends the merging that nobody follows any more; [`Self::chain`] tells what came of it. Whether there was any.
    async fn end_merging(&self) -> Result<bool>;
    /// Freezes the guest's file systems, which may take `within`; an error if no agent is there to do it.
    async fn freeze(&self, within: Duration) -> Result<()>;
    async fn thaw(&self) -> Result<()>;

    /// Asks the guest about itself; none while nobody answers.
    async fn guest(&self) -> Option<GuestReport>;
    /// The screen as PNG.
    async fn screenshot(&self) -> Result<Vec<u8>>;
    /// Unix socket of the VNC server.
    fn console(&self) -> Option<PathBuf>;
    /// Unix socket of the serial port.
    fn serial(&self) -> Option<PathBuf>;
}

/// The form of a copy of a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CopyOptions {
    pub room: Room,
    /// Whether a file in the way is replaced.
    pub overwrite: bool,
}

/// How a disk takes its room on the datastore.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Room {
    /// As it is written.
    Thin,
    /// All at once, zeroed as it is first used.
    Thick,
    /// All at once, written with zeros.
    EagerThick,
}

/// Why a disk was not copied.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    #[error(transparent)]
    Storage(#[from] datastore::Error),
    #[error(transparent)]
    Engine(#[from] Error),
    #[error("cancelled")]
    Cancelled,
}

/// Works on disk images that no QEMU process has open.
#[async_trait]
pub trait Images: Send + Sync {
    /// Copies a disk with everything under it into one new file, which appears whole or not at all. Onto itself, with
    /// `overwrite`, it is written anew in its own format. `progress` is told per cent.
    async fn copy(
        &self,
        from: &FileRef,
        to: &FileRef,
        options: CopyOptions,
        progress: &(dyn Fn(u8) + Sync),
        cancel: &CancellationToken,
    ) -> std::result::Result<(), CopyError>;
    /// Makes an empty disk. Nothing is left if it fails.
    async fn create(&self, file: &FileRef, bytes: u64, thin: bool, eager: bool) -> Result<()>;
    /// Makes an empty layer over `base`.
    async fn create_layer(&self, file: &FileRef, base: &FileRef, bytes: u64) -> Result<()>;
    /// Grows a disk.
    async fn grow(&self, file: &FileRef, bytes: u64) -> Result<()>;
    /// Writes a layer down into the file under it, which then holds what the layer showed.
    async fn commit(&self, file: &FileRef, base: &FileRef) -> Result<()>;
    /// Lays a layer on another file that holds the same.
    async fn rebase(&self, file: &FileRef, base: &FileRef) -> Result<()>;
}
