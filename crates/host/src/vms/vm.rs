//! A VM as the host keeps it at run time: its configuration, its QEMU process, and what was observed of both.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ::datastore::vmsd::SnapshotList;
use ::datastore::{Dictionary, DictionaryError, VmLock};
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
    pub(crate) fn read(&self) -> Result<Dictionary, DictionaryError> {
        Dictionary::parse(self.0.as_bytes())
    }
}

/// Everything that changes.
pub(crate) struct State {
    /// The `.vmx`.
    pub(crate) home: FileRef,
    pub(crate) config: Arc<VmConfig>,
    /// File with the state of a suspended VM, beside the `.vmx`.
    pub(crate) suspend_file: Option<String>,
    pub(crate) text: VmxText,
    pub(crate) power: Power,
    pub(crate) machine: Option<Arc<dyn Machine>>,
    /// Somebody has asked the machine to end: its end is no surprise.
    pub(crate) ending: bool,
    pub(crate) snapshots: SnapshotList,
    /// The configuration of each snapshot.
    pub(crate) frozen: BTreeMap<u32, Arc<VmConfig>>,
    /// Snapshots that were taken with the guest's file systems at rest.
    pub(crate) quiesced: BTreeSet<u32>,
    /// Layers are there that no snapshot needs.
    pub(crate) consolidation_needed: bool,
    pub(crate) guest: Option<GuestReport>,
    /// An agent has answered since the machine was registered.
    pub(crate) tools_seen: bool,
    pub(crate) booted: Option<DateTime>,
    pub(crate) suspended: Option<DateTime>,
    pub(crate) clean_power_off: Option<bool>,
    pub(crate) question: Option<Question>,
    pub(crate) statistics: Statistics,
    pub(crate) statistics_at: DateTime,
    /// Processor time at the last look, ms.
    pub(crate) cpu_ms: u64,
    pub(crate) files: Vec<OwnFile>,
    pub(crate) files_at: DateTime,
    pub(crate) pool: MoRef,
    /// Number of the user that its machine runs as.
    pub(crate) user: u32,
    pub(crate) lock: Option<VmLock>,
    /// Why the configuration cannot be read.
    pub(crate) broken: Option<String>,
    /// Why nobody has hold of a machine that is on: it runs, but does not answer.
    pub(crate) silent: Option<String>,
}

/// A virtual machine of this host.
pub struct Vm {
    /// Its object.
    pub me: MoRef,
    state: Mutex<State>,
    /// Held by whoever changes the machine.
    pub(crate) changing: tokio::sync::Mutex<()>,
}

impl Vm {
    pub(crate) fn new(me: MoRef, state: State) -> Self {
        Self { me, state: Mutex::new(state), changing: tokio::sync::Mutex::default() }
    }

    /// The state, for a moment: never across a wait.
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Its configuration.
    pub fn config(&self) -> Arc<VmConfig> {
        self.state().config.clone()
    }

    /// Its name.
    pub fn name(&self) -> String {
        self.state().config.name.clone()
    }

    /// Its `.vmx`.
    pub fn home(&self) -> FileRef {
        self.state().home.clone()
    }

    /// What its guest reported last.
    pub fn guest(&self) -> Option<GuestReport> {
        self.state().guest.clone()
    }

    /// Whether it is on.
    pub fn power(&self) -> Power {
        self.state().power
    }

    /// What runs it.
    pub fn machine(&self) -> Option<Arc<dyn Machine>> {
        self.state().machine.clone()
    }

    /// What runs it, which must be there.
    ///
    /// # Errors
    /// `InvalidPowerState`.
    pub(crate) fn running(&self) -> Result<Arc<dyn Machine>, Fault> {
        let state = self.state();
        match (&state.machine, state.power) {
            (Some(machine), Power::On) => Ok(machine.clone()),
            _ => Err(answering(&state).err().unwrap_or_else(|| invalid_power(&state, Power::On))),
        }
    }

    /// Refuses unless the machine is in this state.
    ///
    /// # Errors
    /// `InvalidPowerState`, `InvalidState` if its configuration cannot be read.
    pub(crate) fn require(&self, power: Power) -> Result<(), Fault> {
        let state = self.state();
        readable(&state)?;
        if state.power == power { Ok(()) } else { Err(invalid_power(&state, power)) }
    }
}

/// Refuses a machine whose configuration cannot be read, or that runs and does not answer.
pub(crate) fn usable(state: &State) -> Result<(), Fault> {
    readable(state)?;
    answering(state)
}

fn answering(state: &State) -> Result<(), Fault> {
    match &state.silent {
        Some(reason) => Err(fault!(
            InvalidState {},
            "{} is on but does not answer ({reason}). It is asked again and again: try later, or power it off",
            state.config.name
        )),
        None => Ok(()),
    }
}

fn readable(state: &State) -> Result<(), Fault> {
    match &state.broken {
        Some(reason) => Err(fault!(
            InvalidState {},
            "The configuration of {} cannot be read: {reason}",
            state.config.name
        )),
        None => Ok(()),
    }
}

fn invalid_power(state: &State, wanted: Power) -> Fault {
    fault!(
        InvalidPowerState { requestedState: wanted.value(), existingState: state.power.value() },
        "{} is {}; the operation needs it to be {}",
        state.config.name,
        state.power.value().name(),
        wanted.value().name()
    )
}

impl Vm {
    /// Refuses a machine that runs already, before a task is made of it.
    ///
    /// # Errors
    /// `InvalidPowerState`, `InvalidState`.
    pub(crate) fn can_power_on(&self) -> Result<(), Fault> {
        let state = self.state();
        readable(&state)?;
        if state.power == Power::On { Err(invalid_power(&state, Power::Off)) } else { Ok(()) }
    }
}

impl State {
    /// The part of the state that the VM's object shows.
    pub(crate) fn shown<'a>(&'a self, me: &'a MoRef) -> Shown<'a> {
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
