//! Everything that the host knows of one VM at this moment.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use datastore::vmsd::SnapshotList;
use datastore::{Dictionary, DictionaryError, VmLock};
use vim::{DateTime, Fault, MoRef, fault};
use vm::config::VmConfig;
use vm::observed::{GuestReport, OwnFile, Question, Statistics};
use vm::show::machine::Shown;
use vm::{FileRef, Power};

use crate::engine::Machine;

/// The text of a `.vmx`, kept as it is: taken apart it would need several times the room, and it is seldom looked at.
#[derive(Clone)]
pub(crate) struct VmxText(Arc<str>);

impl From<&Dictionary> for VmxText {
    fn from(dictionary: &Dictionary) -> Self {
        Self(dictionary.to_string().into())
    }
}

impl VmxText {
    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    pub(crate) fn read(&self) -> Result<Dictionary, DictionaryError> {
        Dictionary::parse(self.0.as_bytes())
    }
}

/// The state of a VM. [`super::Vm`] keeps it, and shows every change.
pub(crate) struct State {
    /// The `.vmx`.
    pub(crate) home: FileRef,
    pub(crate) config: Arc<VmConfig>,
    /// File with the state of a suspended VM, beside the `.vmx`.
    pub(crate) suspend_file: Option<String>,
    pub(crate) text: VmxText,
    pub(crate) power: Power,
    /// The QEMU process, while the host has hold of it.
    pub(crate) machine: Option<Arc<dyn Machine>>,
    pub(crate) snapshots: SnapshotList,
    /// The configuration of each snapshot.
    pub(crate) frozen: BTreeMap<u32, Arc<VmConfig>>,
    /// Snapshots that were taken with the guest's file systems at rest.
    pub(crate) quiesced: BTreeSet<u32>,
    /// Disks have layers that no snapshot needs.
    pub(crate) consolidation_needed: bool,
    pub(crate) guest: Option<GuestReport>,
    /// An agent has answered since the VM was registered.
    pub(crate) tools_seen: bool,
    pub(crate) booted: Option<DateTime>,
    /// The guest was asked to reboot, which the history says already.
    pub(crate) reboot_asked: bool,
    /// When the reset button was pressed last.
    pub(crate) reset_at: Option<Instant>,
    pub(crate) suspended: Option<DateTime>,
    pub(crate) clean_power_off: Option<bool>,
    pub(crate) question: Option<Question>,
    pub(crate) statistics: Statistics,
    pub(crate) statistics_at: DateTime,
    /// Processor time at the last look, ms.
    pub(crate) cpu_ms: u64,
    /// The files that its disks lie on and that may be others', as its record names them.
    pub(crate) bases: BTreeSet<FileRef>,
    pub(crate) files: Vec<OwnFile>,
    pub(crate) files_at: DateTime,
    pub(crate) pool: MoRef,
    /// Number of the user that the QEMU process runs as.
    pub(crate) user: u32,
    pub(crate) lock: Option<VmLock>,
    /// Why the configuration cannot be read.
    pub(crate) broken: Option<String>,
    /// The configuration stands for one that was never read: it must not be written.
    pub(crate) unread: bool,
    /// Why the host has no hold of a VM that is on: its QEMU process runs, but does not answer.
    pub(crate) silent: Option<String>,
}

impl State {
    /// The state of a VM that is off, or suspended if its `.vmx` names a saved state.
    pub(crate) fn new(home: FileRef, config: VmConfig, text: &Dictionary, pool: MoRef) -> Self {
        let now = DateTime::now();
        let suspend_file = vm::vmx::suspend_file(text);
        let power = at_rest(suspend_file.as_deref());
        Self {
            home,
            config: Arc::new(config),
            power,
            suspend_file,
            text: text.into(),
            machine: None,
            snapshots: SnapshotList::default(),
            frozen: BTreeMap::new(),
            quiesced: BTreeSet::new(),
            consolidation_needed: false,
            guest: None,
            tools_seen: false,
            booted: None,
            reboot_asked: false,
            reset_at: None,
            suspended: None,
            clean_power_off: None,
            question: None,
            statistics: Statistics::default(),
            statistics_at: now,
            cpu_ms: 0,
            bases: BTreeSet::new(),
            files: Vec::new(),
            files_at: now,
            pool,
            user: 0,
            lock: None,
            broken: None,
            unread: false,
            silent: None,
        }
    }

    /// The power state of the VM while no QEMU process runs: suspended if its `.vmx` names a saved state.
    pub(super) fn power_at_rest(&self) -> Power {
        at_rest(self.suspend_file.as_deref())
    }

    /// Refuses a VM whose configuration cannot be read, or whose QEMU process does not answer.
    ///
    /// # Errors
    /// `InvalidState`.
    pub(crate) fn usable(&self) -> Result<(), Fault> {
        self.readable()?;
        self.answering()
    }

    /// Refuses a VM whose configuration cannot be read.
    ///
    /// # Errors
    /// `InvalidState`.
    pub(super) fn readable(&self) -> Result<(), Fault> {
        match &self.broken {
            Some(reason) => Err(fault!(
                InvalidState {},
                "The configuration of {} cannot be read: {reason}",
                self.config.name
            )),
            None => Ok(()),
        }
    }

    /// Refuses a VM whose QEMU process does not answer.
    ///
    /// # Errors
    /// `InvalidState`.
    pub(super) fn answering(&self) -> Result<(), Fault> {
        match &self.silent {
            Some(reason) => Err(fault!(
                InvalidState {},
                "{} is on but does not answer ({reason}). The host goes on asking: try later, or power the VM off",
                self.config.name
            )),
            None => Ok(()),
        }
    }

    /// `InvalidPowerState`, for an operation that needs the power state `wanted`.
    pub(super) fn invalid_power(&self, wanted: Power) -> Fault {
        fault!(
            InvalidPowerState { requestedState: wanted.value(), existingState: self.power.value() },
            "{} is {}; the operation needs it to be {}",
            self.config.name,
            self.power.value().name(),
            wanted.value().name()
        )
    }

    /// The part of the state that the VM's object shows.
    pub(super) fn shown<'a>(&'a self, me: &'a MoRef) -> Shown<'a> {
        Shown {
            me,
            home: &self.home,
            config: &self.config,
            power: self.power,
            snapshots: &self.snapshots,
            frozen: &self.frozen,
            quiesced: &self.quiesced,
            consolidation_needed: self.consolidation_needed,
            guest: self.guest.as_ref(),
            tools_seen: self.tools_seen,
            booted: self.booted,
            suspended: self.suspended,
            clean_power_off: self.clean_power_off,
            question: self.question.as_ref(),
            statistics: self.statistics,
            statistics_at: self.statistics_at,
            files: &self.files,
            files_at: self.files_at,
            pool: &self.pool,
            broken: self.broken.is_some(),
            silent: self.silent.is_some(),
        }
    }
}

fn at_rest(suspend_file: Option<&str>) -> Power {
    if suspend_file.is_some() { Power::Suspended } else { Power::Off }
}
