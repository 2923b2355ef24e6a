//! Switching machines on, off and over. Before a machine's processors run, its `.vmx` no longer names a saved state:
//! a state that was gone on from must never be gone on from again, because the disks have changed since. For the same
//! reason the register then says no more that the machine is being suspended.

use std::sync::Arc;

use hostnet::{PortSpec, Tap};
use vim::{DateTime, Fault, fault};
use vm::config::VmConfig;
use vm::device::{Kind, Medium, Nic, key};
use vm::{FileRef, Power};

use super::{blocking, files};
use crate::Host;
use crate::engine::{Error, ExitReason, Launch, Machine};
use crate::error::{machine_fault, not_supported};
use crate::events;
use crate::host::{Registered, VMS};
use crate::vms::Vm;
use crate::vms::{State, usable};

/// Most of the machinery's words that are kept when a machine ends, bytes.
const LOG_BYTES: usize = 1 << 20;
/// What a saved state's name ends in until it is whole.
pub(super) const PARTIAL: &str = ".partial";
const _: () = assert!(hostnet::NIC_KEY == key::NIC, "ports are numbered by the keys of their adapters");

/// The port of a machine's adapter.
pub(super) fn port_spec(vm: &Vm, key: i32, nic: &Nic) -> PortSpec {
    PortSpec { vm: vm.me.id().to_owned(), key, mac: nic.mac.clone(), network: nic.network.clone() }
}

impl Host {
    /// Switches a machine on, or lets a suspended one go on.
    pub(crate) async fn power_on(self: &Arc<Self>, vm: &Arc<Vm>, who: &events::Who) -> Result<(), Fault> {
        let _one = vm.changing.lock().await;
        vm.can_power_on()?;
        let (power, home, before) = {
            let state = vm.state();
            (state.power, state.home.clone(), state.config.clone())
        };
        if before.template {
            return Err(not_supported("A template cannot be powered on; make it a virtual machine first"));
        }
        self.post(vm, events::Vm::Starting, who).await;
        let config = self.ready_config(vm, &before)?;
        let on = self.datastores.of(&home)?;
        let (path, name) = (home.path.clone(), self.name.clone());
        let lock = blocking(move || on.store.lock_vm(&path, &name).map_err(|error| on.fault(&error))).await?;
        let resume_from = match power {
            Power::Suspended => Some(self.saved_state(vm)?),
            _ => None,
        };
        let taps = self.plug_all(vm, &config).await?;
        let started = self.start(vm, &config, &home, taps, resume_from.clone()).await;
        let machine = match started {
            Ok(machine) => machine,
            Err(fault) => {
                self.unplug_all(vm, &config).await;
                return Err(fault);
            }
        };
        // From here on the saved state is worthless.
        let stored = async {
            self.save(vm, config.clone(), None).await?;
            self.forget_suspending(vm, resume_from.as_ref()).await
        };
        let runs = match stored.await {
            Ok(()) => machine.resume().await.map_err(|error| machine_fault(&vm.me, &error)),
            Err(fault) => Err(fault),
        };
        if let Err(fault) = runs {
            self.stop_for_good(vm, &machine, &config).await;
            return Err(fault);
        }
        {
            let mut state = vm.state();
            state.power = Power::On;
            state.machine = Some(machine.clone());
            state.ending = false;
            state.lock = Some(lock);
            state.booted = Some(DateTime::now());
            state.suspended = None;
            state.clean_power_off = None;
            state.guest = None;
            state.cpu_ms = 0;
        }
        self.watch(vm, machine);
        if let Some(file) = resume_from {
            self.clear_away(&[file]).await;
        }
        self.look_at_files(vm).await;
        self.publish(vm);
        self.post(vm, events::Vm::PoweredOn, who).await;
        if let Some(warning) = vm::efi::warning(&config).filter(|_| !self.engine.info().simulated) {
            self.post(vm, events::Vm::Warning(warning.into()), who).await;
        }
        Ok(())
    }

    /// The configuration as it is to be while the machine runs: what connects at power-on is connected.
    fn ready_config(&self, _vm: &Vm, before: &VmConfig) -> Result<VmConfig, Fault> {
        let mut config = before.clone();
        for device in config.devices.values_mut() {
            let can = match &device.kind {
                Kind::Cdrom(cdrom) => match &cdrom.medium {
                    Medium::Iso(file) => self.has(file)?,
                    _ => false,
                },
                _ => true,
            };
            if let Some(connect) = &mut device.connect {
                connect.now = connect.at_start && can;
            }
        }
        config.boot.setup = false;
        for (_, disk) in config.disks() {
            if !self.has(&disk.file)? {
                let file = self.datastores.show(&disk.file);
                return Err(fault!(FileNotFound { file: &*file }, "The disk {file} does not exist"));
            }
        }
        Ok(config)
    }

    pub(super) fn has(&self, file: &FileRef) -> Result<bool, Fault> {
        let on = self.datastores.of(file)?;
        on.store.exists(&file.path).map_err(|error| on.fault(&error))
    }

    /// The file that a suspended machine goes on from.
    fn saved_state(&self, vm: &Vm) -> Result<FileRef, Fault> {
        let (home, name) = {
            let state = vm.state();
            (state.home.clone(), state.suspend_file.clone())
        };
        let name = name.ok_or_else(|| fault!(InvalidState {}, "The machine's saved state is not known"))?;
        let file = files::sibling(&home, &name)?;
        if !self.has(&file)? {
            let name = self.datastores.show(&file);
            return Err(fault!(
                FileNotFound { file: &*name },
                "The saved state {name} is gone; power the machine off to start it anew"
            ));
        }
        Ok(file)
    }

    async fn start(
        &self,
        vm: &Vm,
        config: &VmConfig,
        home: &FileRef,
        taps: Vec<(i32, Tap)>,
        resume_from: Option<FileRef>,
    ) -> Result<Arc<dyn Machine>, Fault> {
        let user = vm.state().user;
        let launch = Launch {
            vm: vm.me.id().to_owned(),
            config: Arc::new(config.clone()),
            home: home.clone(),
            taps,
            resume_from,
            nvram: files::sibling(home, &vm::vmx::nvram(config, home))?,
            user,
        };
        self.engine.start(launch).await.map_err(|error| match &error {
            Error::NoSpace { .. } => self.image_fault(home, &error),
            Error::AlreadyRunning(_) => fault!(
                InvalidState {},
                "The machinery of {} runs already; restart the host daemon to find out why",
                config.name
            ),
            other => machine_fault(&vm.me, other),
        })
    }

    /// Connects all adapters.
    async fn plug_all(&self, vm: &Vm, config: &VmConfig) -> Result<Vec<(i32, Tap)>, Fault> {
        let mut taps = Vec::new();
        for (key, _) in config.nics() {
            match self.plug_one(vm, config, key).await {
                Ok(Some(tap)) => taps.push((key, tap)),
                Ok(None) => {}
                Err(fault) => {
                    self.unplug_all(vm, config).await;
                    return Err(fault);
                }
            }
        }
        Ok(taps)
    }

    /// Connects one adapter.
    pub(crate) async fn plug_one(&self, vm: &Vm, config: &VmConfig, key: i32) -> Result<Option<Tap>, Fault> {
        let Some(nic) = config.devices.get(&key).and_then(|device| device.nic()) else { return Ok(None) };
        let is_there = self.network.unread().is_some() || self.network.has(&nic.network);
        if nic.network.is_empty() || !is_there {
            tracing::warn!(
                vm = config.name,
                network = nic.network,
                "the adapter is on no network of this host"
            );
            return Ok(None);
        }
        let port = port_spec(vm, key, nic);
        let owner = self.engine.user(vm.state().user);
        self.network.plug(&port, owner).await.map_err(|error| {
            fault!(
                GenericVmConfigFault { reason: error.to_string() },
                "The network adapter cannot be connected: {error}"
            )
        })
    }

    /// Takes all adapters off their networks.
    pub(crate) async fn unplug_all(&self, vm: &Vm, config: &VmConfig) {
        for (key, _) in config.nics() {
            if let Err(error) = self.network.unplug(vm.me.id(), key).await {
                tracing::warn!(vm = config.name, %error, "a port stays behind");
            }
        }
    }

    /// Ends a machine that could not be brought up.
    async fn stop_for_good(&self, vm: &Vm, machine: &Arc<dyn Machine>, config: &VmConfig) {
        if let Err(error) = machine.power_off().await {
            tracing::error!(vm = config.name, %error, "the machinery could not be ended");
        }
        self.unplug_all(vm, config).await;
        if let Err(error) = self.engine.forget(vm.me.id()).await {
            tracing::warn!(vm = config.name, %error, "the runtime directory stays behind");
        }
    }

    /// Switches a machine off at once; a suspended one loses its saved state.
    pub(crate) async fn power_off(self: &Arc<Self>, vm: &Arc<Vm>, who: &events::Who) -> Result<(), Fault> {
        let _one = vm.changing.lock().await;
        let (power, machine) = {
            let state = vm.state();
            (state.power, state.machine.clone())
        };
        match (power, machine) {
            (Power::On, Some(machine)) => {
                self.forget_suspending(vm, None).await?;
                vm.state().ending = true;
                let reason = match machine.power_off().await {
                    Ok(reason) => reason,
                    Err(error) if machine.ended().is_some() => {
                        tracing::debug!(%error, "it ended by itself meanwhile");
                        ExitReason::Quit
                    }
                    Err(error) => {
                        vm.state().ending = false;
                        return Err(machine_fault(&vm.me, &error));
                    }
                };
                self.has_ended(vm, &reason, who).await;
                Ok(())
            }
            (Power::On, None) => self.end_silent(vm, who).await,
            (Power::Suspended, _) => {
                usable(&vm.state())?;
                let file = self.saved_state(vm).ok();
                let config = VmConfig::clone(&vm.config());
                self.save(vm, config, None).await?;
                self.forget_suspending(vm, None).await?;
                {
                    let mut state = vm.state();
                    state.power = Power::Off;
                    state.suspended = None;
                }
                if let Some(file) = file {
                    self.clear_away(&[file]).await;
                }
                self.look_at_files(vm).await;
                self.publish(vm);
                self.post(vm, events::Vm::PoweredOff(None), who).await;
                Ok(())
            }
            _ => vm.require(Power::On),
        }
    }

    /// Does what there is to do when a machine has ended, whoever ended it. It is suspended if it was being suspended
    /// and its state was saved whole.
    pub(crate) async fn has_ended(&self, vm: &Arc<Vm>, reason: &ExitReason, who: &events::Who) {
        // Told late of the end of an earlier machine, or told already.
        let told = match &*vm.state() {
            State { machine: Some(machine), .. } => machine.ended().is_none(),
            State { silent, .. } => silent.is_none(),
        };
        if told {
            return;
        }
        let file = match self.suspending_to(vm) {
            Ok(file) => file.filter(|file| self.has(file).unwrap_or(false)),
            Err(fault) => {
                tracing::error!(vm = vm.me.id(), %fault, "whether a machine was being suspended is not known");
                None
            }
        };
        match file {
            Some(file) => self.is_suspended(vm, file.path.name(), who).await,
            None => self.ended_as(vm, reason, who, false).await,
        }
    }

    async fn ended_as(&self, vm: &Arc<Vm>, reason: &ExitReason, who: &events::Who, suspended: bool) {
        let config = {
            let mut state = vm.state();
            if state.machine.is_none() && state.silent.is_none() {
                return;
            }
            let mut config = VmConfig::clone(&state.config);
            for device in config.devices.values_mut() {
                if let Some(connect) = &mut device.connect {
                    connect.now = false;
                }
            }
            state.config = Arc::new(config);
            state.machine = None;
            state.silent = None;
            state.ending = false;
            state.guest = None;
            state.question = None;
            state.statistics = vm::observed::Statistics::default();
            state.booted = None;
            state.lock = None;
            state.power = if suspended { Power::Suspended } else { Power::Off };
            state.suspended = suspended.then(DateTime::now);
            state.clean_power_off = Some(matches!(reason, ExitReason::GuestShutdown | ExitReason::Quit));
            state.config.clone()
        };
        self.unplug_all(vm, &config).await;
        self.keep_log(vm).await;
        if let Err(error) = self.engine.forget(vm.me.id()).await {
            tracing::warn!(vm = config.name, %error, "the runtime directory stays behind");
        }
        self.look_at_files(vm).await;
        self.publish(vm);
        let event = match reason {
            _ if suspended => events::Vm::Suspended,
            ExitReason::Quit => events::Vm::PoweredOff(None),
            ExitReason::GuestShutdown => events::Vm::PoweredOff(Some("the guest shut down".into())),
            other => events::Vm::PoweredOff(Some(other.to_string())),
        };
        self.post(vm, event, who).await;
    }

    /// Keeps what the machinery said beside the machine's files.
    async fn keep_log(&self, vm: &Vm) {
        let Some(mut log) = self.engine.log(vm.me.id()) else { return };
        if log.is_empty() {
            return;
        }
        let surplus = log.len().saturating_sub(LOG_BYTES);
        log.drain(..surplus);
        let home = vm.state().home.clone();
        let Ok(file) = files::sibling(&home, "vmware.log") else { return };
        let Some(on) = self.datastores.by_uuid(file.datastore) else { return };
        let kept = blocking(move || on.store.write(&file.path, &log).map_err(|error| on.fault(&error)));
        if let Err(fault) = kept.await {
            tracing::warn!(vm = vm.me.id(), %fault, "the log could not be kept");
        }
    }

    /// Presses the reset button.
    pub(crate) async fn reset(self: &Arc<Self>, vm: &Arc<Vm>, who: &events::Who) -> Result<(), Fault> {
        let _one = vm.changing.lock().await;
        let machine = vm.running()?;
        self.post(vm, events::Vm::Resetting, who).await;
        machine.reset().await.map_err(|error| machine_fault(&vm.me, &error))?;
        {
            let mut state = vm.state();
            state.guest = None;
            state.booted = Some(DateTime::now());
        }
        self.publish(vm);
        Ok(())
    }

    /// Saves the machine's state and ends it.
    pub(crate) async fn suspend(
        self: &Arc<Self>,
        vm: &Arc<Vm>,
        who: &events::Who,
        progress: &(dyn Fn(u8) + Sync),
    ) -> Result<(), Fault> {
        let _one = vm.changing.lock().await;
        let machine = vm.running()?;
        let has = {
            let config = vm.config();
            (config.cpus, config.memory_mib)
        };
        if machine.started_with() != has {
            return Err(not_supported(
                "A machine that was given processors or memory while it ran cannot be suspended until it was off once",
            ));
        }
        self.post(vm, events::Vm::Suspending, who).await;
        let home = vm.state().home.clone();
        let name = format!("{}-{:08x}.vmss", home.path.stem(), rand::random::<u32>());
        let file = files::sibling(&home, &name)?;
        let on = self.datastores.of(&file)?;
        let bytes = vm.config().memory_mib << 20;
        let used = machine.usage().map_or(bytes, |usage| usage.resident_bytes.min(bytes));
        on.store.require_space(&file.path, used).map_err(|error| on.fault(&error))?;
        self.note_suspending(vm, Some(&name)).await?;
        vm.state().ending = true;
        if let Err(error) = machine.suspend(&file, progress).await {
            let whole = self.has(&file).unwrap_or(true);
            let ended = machine.ended();
            match (&ended, whole) {
                // All was done but to say so.
                (Some(_), true) => {}
                (Some(reason), false) => {
                    self.has_ended(vm, reason, who).await;
                    self.forget_suspending(vm, None).await?;
                    return Err(self.image_fault(&file, &error));
                }
                // The state is saved and the machine about to end: its end is noticed, and then it is suspended.
                (None, true) => {
                    vm.state().ending = false;
                    return Err(self.image_fault(&file, &error));
                }
                (None, false) => {
                    vm.state().ending = false;
                    self.forget_suspending(vm, None).await?;
                    return Err(self.image_fault(&file, &error));
                }
            }
        }
        self.is_suspended(vm, &name, who).await;
        Ok(())
    }

    /// Notes that a machine has ended whose state was saved whole to `name`.
    async fn is_suspended(&self, vm: &Arc<Vm>, name: &str, who: &events::Who) {
        let config = VmConfig::clone(&vm.config());
        let saved = self.save(vm, config, Some(name)).await;
        if saved.is_err() {
            vm.state().suspend_file = Some(name.to_owned());
        }
        self.ended_as(vm, &ExitReason::Quit, who, true).await;
        let noted = match saved {
            Ok(()) => self.note_suspending(vm, None).await,
            // The register goes on to say it in the place of the configuration.
            Err(fault) => Err(fault),
        };
        if let Err(fault) = noted {
            tracing::error!(vm = vm.me.id(), %fault, "that the machine is suspended stays in the register");
        }
    }

    /// What the register says that the machine is being suspended to.
    fn suspending_to(&self, vm: &Vm) -> Result<Option<FileRef>, Fault> {
        let record =
            VMS.get(&self.core.store, vm.me.id()).map_err(|error| crate::error::store_fault(&error))?;
        let Some(name) = record.and_then(|record| record.suspending) else { return Ok(None) };
        files::sibling(&vm.state().home, &name).map(Some)
    }

    /// Makes the register forget that a machine was being suspended, and removes what was saved, but not `keep`.
    pub(crate) async fn forget_suspending(&self, vm: &Vm, keep: Option<&FileRef>) -> Result<(), Fault> {
        let Some(file) = self.suspending_to(vm)? else { return Ok(()) };
        self.note_suspending(vm, None).await?;
        let mut left: Vec<FileRef> =
            files::sibling(&file, &format!("{}{PARTIAL}", file.path.name())).into_iter().collect();
        if keep != Some(&file) {
            left.push(file);
        }
        self.clear_away(&left).await;
        Ok(())
    }

    /// Notes in the register that a state is being saved.
    pub(super) async fn note_suspending(&self, vm: &Vm, file: Option<&str>) -> Result<(), Fault> {
        let file = file.map(ToOwned::to_owned);
        self.amend_record(vm, |record| record.suspending = file).await
    }

    /// Changes what the register says of a machine, if it still tells of it.
    pub(super) async fn amend_record(
        &self,
        vm: &Vm,
        change: impl FnOnce(&mut Registered),
    ) -> Result<(), Fault> {
        let number: u64 = vm.me.id().parse().unwrap_or_default();
        let record =
            VMS.get(&self.core.store, vm.me.id()).map_err(|error| crate::error::store_fault(&error))?;
        let Some(mut record) = record else { return Ok(()) };
        change(&mut record);
        self.write_record(number, &record).await
    }

    /// Asks the guest to shut down or to reboot.
    pub(crate) async fn ask_guest(&self, vm: &Arc<Vm>, reboot: bool, who: &events::Who) -> Result<(), Fault> {
        let machine = vm.running()?;
        let event = if reboot { events::Vm::GuestReboot } else { events::Vm::GuestShutdown };
        let asked = if reboot { machine.reboot_guest().await } else { machine.shutdown_guest().await };
        asked.map_err(|error| match error {
            Error::AgentSilent { .. } | Error::Agent { .. } => fault!(
                ToolsUnavailable {},
                "No guest agent answers in {}; install and start qemu-guest-agent there",
                vm.name()
            ),
            other => machine_fault(&vm.me, &other),
        })?;
        self.post(vm, event, who).await;
        Ok(())
    }
}
