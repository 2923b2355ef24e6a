//! One VM of this host. Its state is reached for reading by [`Vm::read`] and for writing by [`Vm::change`] alone, which
//! shows the VM as it is then: no operation can change a VM and forget to show it.

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::{Mutex, MutexGuard};
use vim::{DateTime, Fault, MoRef, fault};
use vm::config::VmConfig;
use vm::observed::{GuestReport, Statistics};
use vm::{FileRef, Power};

use super::index::Keys;
use super::state::State;
use super::view::{Last, View};
use crate::engine::Machine;

/// A VM of this host.
pub struct Vm {
    /// Its object.
    pub me: MoRef,
    inner: Mutex<Inner>,
    /// A client has asked the VM to end, and the operation for it follows the end.
    ending: AtomicBool,
    /// Held by the operation that changes the VM.
    pub(crate) changing: tokio::sync::Mutex<()>,
    view: Arc<View>,
}

struct Inner {
    state: State,
    last: Last,
    /// Its keys in the index; none while it is not registered.
    indexed: Option<Keys>,
}

/// The state of a VM for a moment: never across a wait.
pub(crate) struct Reading<'a>(MutexGuard<'a, Inner>);

impl Deref for Reading<'_> {
    type Target = State;

    fn deref(&self) -> &State {
        &self.0.state
    }
}

impl Vm {
    /// A VM that is not shown before [`Self::appear`].
    pub(super) fn new(me: MoRef, state: State, view: Arc<View>) -> Arc<Self> {
        let inner = Mutex::new(Inner { state, last: Last::NotYet, indexed: None });
        let changing = tokio::sync::Mutex::default();
        Arc::new(Self { me, inner, ending: AtomicBool::new(false), changing, view })
    }

    /// Its state.
    pub(crate) fn read(&self) -> Reading<'_> {
        Reading(self.inner.lock())
    }

    /// Changes its state and shows it. The state stays locked until the tree has it, so that changes are shown in their
    /// order.
    pub(super) fn change<R>(&self, change: impl FnOnce(&mut State) -> R) -> R {
        let Inner { state, last, indexed } = &mut *self.inner.lock();
        let result = change(state);
        if let Some(keys) = indexed {
            self.view.index.renew(&self.me, keys, state);
        }
        self.view.show(&self.me, state, last);
        result
    }

    /// The register finds the VM from now on by what it uses.
    pub(super) fn enlist(&self) {
        let Inner { state, indexed, .. } = &mut *self.inner.lock();
        self.view.index.renew(&self.me, indexed.get_or_insert_default(), state);
    }

    /// The register finds the VM no more.
    pub(super) fn delist(&self) {
        if let Some(mut keys) = self.inner.lock().indexed.take() {
            self.view.index.forget(&self.me, &mut keys);
        }
    }

    /// Shows the VM from now on.
    pub(super) fn appear(&self) {
        let Inner { state, last, .. } = &mut *self.inner.lock();
        self.view.appear(&self.me, state, last);
    }

    /// Shows the VM no more, whatever changes.
    pub(super) fn vanish(&self) {
        self.view.vanish(&self.me, &mut self.inner.lock().last);
    }

    /// Shows the VM anew, because names have changed that it shows.
    pub(super) fn show_again(&self) {
        self.change(|_| ());
    }

    /// Notes its use of the host, on processors of `mhz` each. The time of the look is shown with the next news.
    pub(super) fn look_at_use(&self, mhz: u32) {
        let Inner { state, last, .. } = &mut *self.inner.lock();
        let Some(usage) = state.machine.as_ref().and_then(|machine| machine.usage()) else { return };
        let now = DateTime::now();
        let elapsed_us = now.as_micros().saturating_sub(state.statistics_at.as_micros()).max(1);
        let elapsed_ms = u64::try_from(elapsed_us / 1000).unwrap_or(1).max(1);
        let used_ms = usage.cpu_ms.saturating_sub(state.cpu_ms);
        let seen = Statistics {
            resident_bytes: usage.resident_bytes,
            cpu_mhz: if state.cpu_ms == 0 { 0 } else { used_ms.saturating_mul(mhz.into()) / elapsed_ms },
        };
        state.cpu_ms = usage.cpu_ms;
        state.statistics_at = now;
        if std::mem::replace(&mut state.statistics, seen) != seen {
            self.view.show(&self.me, state, last);
        }
    }

    /// Begins an operation that does not wait for another one to end.
    ///
    /// # Errors
    /// `InvalidState` if another operation changes the VM at this moment.
    pub(super) fn begin(&self) -> Result<tokio::sync::MutexGuard<'_, ()>, Fault> {
        self.changing.try_lock().map_err(|_| {
            let name = self.name();
            fault!(InvalidState {}, "Another operation changes {name}; try again when it has ended")
        })
    }

    /// Says whether a client has asked the VM to end.
    pub(super) fn expect_end(&self, expected: bool) {
        self.ending.store(expected, Ordering::Release);
    }

    pub(super) fn end_is_expected(&self) -> bool {
        self.ending.load(Ordering::Acquire)
    }

    /// Its configuration.
    pub fn config(&self) -> Arc<VmConfig> {
        self.read().config.clone()
    }

    /// Its name.
    pub fn name(&self) -> String {
        self.read().config.name.clone()
    }

    /// Whether it is on.
    pub fn power(&self) -> Power {
        self.read().power
    }

    /// Its `.vmx`.
    pub fn home(&self) -> FileRef {
        self.read().home.clone()
    }

    /// The last report of its guest.
    pub fn guest(&self) -> Option<GuestReport> {
        self.read().guest.clone()
    }

    /// Its QEMU process, while the host has hold of it.
    pub fn machine(&self) -> Option<Arc<dyn Machine>> {
        self.read().machine.clone()
    }

    /// Its QEMU process, which must run.
    ///
    /// # Errors
    /// `InvalidPowerState`; `InvalidState` if it does not answer.
    pub(super) fn running(&self) -> Result<Arc<dyn Machine>, Fault> {
        let state = self.read();
        match (&state.machine, state.power) {
            (Some(machine), Power::On) => Ok(machine.clone()),
            _ => Err(state.answering().err().unwrap_or_else(|| state.invalid_power(Power::On))),
        }
    }

    /// Refuses unless the VM is in this state.
    ///
    /// # Errors
    /// `InvalidPowerState`; `InvalidState` if its configuration cannot be read.
    pub(super) fn require(&self, power: Power) -> Result<(), Fault> {
        let state = self.read();
        state.readable()?;
        if state.power == power { Ok(()) } else { Err(state.invalid_power(power)) }
    }

    /// Refuses a VM that is on, before a task is made of it.
    ///
    /// # Errors
    /// `InvalidPowerState`, `InvalidState`.
    pub(super) fn can_power_on(&self) -> Result<(), Fault> {
        let state = self.read();
        state.readable()?;
        if state.power == Power::On { Err(state.invalid_power(Power::Off)) } else { Ok(()) }
    }
}
