//! Opening a host: the machines of the register are read, those that run are adopted, and what was interrupted is
//! finished or removed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use api::task::UnfinishedTask;
use datastore::FilePath;
use futures_util::future::join_all;
use vim::{DateTime, Fault, MoRef, Value, managed_id, method};
use vm::config::VmConfig;
use vm::device::{Kind, Medium};
use vm::{FileRef, Power};

use super::power::{PARTIAL, port_spec};
use super::{Outcome, blocking, files};
use crate::engine::{Error, Machine, Processors};
use crate::error::Result;
use crate::host::{Registered, VMS};
use crate::vms::Vm;
use crate::vms::usable;
use crate::{Host, ids};

/// What taking hold of a machine has given.
type Found = crate::engine::Result<Option<Arc<dyn Machine>>>;

impl Host {
    /// Brings the host to where the register, the files and the running machines say that it is.
    pub(crate) async fn recover(self: &Arc<Self>) -> Result<()> {
        let records = VMS.all(&self.core.store)?;
        let mut wanted = BTreeSet::new();
        for (id, record) in &records {
            if record.unfinished.is_none() {
                wanted.insert(id.clone());
            }
        }
        self.engine.reap(&wanted).await?;
        // All at once: each may be silent for a while.
        let mut asked = BTreeMap::new();
        for id in wanted {
            let engine = self.engine.clone();
            asked.insert(id.clone(), tokio::spawn(async move { engine.adopt(&id).await }));
        }
        for (id, record) in records {
            let Ok(number) = id.parse::<u64>() else { continue };
            if let Some(made) = &record.unfinished {
                self.finish_removal(number, made).await;
                continue;
            }
            let found = match asked.remove(&id) {
                Some(asked) => asked.await.unwrap_or_else(|error| Err(Error::Protocol(error.to_string()))),
                None => Ok(None),
            };
            self.recover_vm(number, record, found).await;
        }
        self.reconcile_ports().await;
        let outcome = |task: &UnfinishedTask| self.outcome(task);
        self.core.tasks.recover(outcome).await?;
        Ok(())
    }

    /// Removes what an unfinished creation made, or what an unfinished removal left.
    async fn finish_removal(&self, number: u64, made: &[(uuid::Uuid, String)]) {
        tracing::warn!(vm = number, "removing what an interrupted operation left");
        let made: Vec<FileRef> = made
            .iter()
            .filter_map(|(datastore, path)| {
                Some(FileRef { datastore: *datastore, path: FilePath::parse(path).ok()? })
            })
            .collect();
        self.clear_unfinished(number, &made).await;
        for directory in made.iter().map(FileRef::directory).collect::<BTreeSet<_>>() {
            self.remove_empty(&directory).await;
        }
        self.drop_record(number).await;
    }

    async fn recover_vm(self: &Arc<Self>, number: u64, record: Registered, found: Found) {
        let Ok(path) = FilePath::parse(&record.path) else {
            tracing::error!(vm = number, path = record.path, "the register names no path");
            return;
        };
        let home = FileRef { datastore: record.datastore, path };
        let pool = record
            .pool
            .as_ref()
            .map_or_else(ids::root_pool, |id| MoRef::new(managed_id!(ResourcePool), id.as_str()));
        // Pools of a host do not outlive it; the root pool does.
        let pool = if self.core.tree.snapshot().find(&pool).is_some() { pool } else { ids::root_pool() };
        let (datastores, at) = (self.datastores.clone(), home.clone());
        let loaded = blocking(move || files::load(&datastores, &at, DateTime::now())).await;
        let vm = match loaded {
            Ok(loaded) => {
                let vm = self.add_vm(number, &record, home, loaded.config, loaded.text, pool);
                let mut state = vm.state();
                state.snapshots = loaded.snapshots;
                state.frozen = loaded.frozen;
                drop(state);
                vm
            }
            Err(fault) => {
                tracing::error!(vm = number, %fault, "the configuration cannot be read");
                let config = VmConfig::new(home.path.stem(), DateTime::now());
                let vm = self.add_vm(number, &record, home, config, datastore::Dictionary::new(), pool);
                vm.state().broken = Some(fault.to_string());
                vm
            }
        };
        match found {
            Ok(Some(machine)) => self.adopt(&vm, machine, number, record).await,
            Ok(None) => self.find_saved_state(&vm, number, record).await,
            Err(error) => self.is_silent(&vm, &error).await,
        }
        self.recover_layers(&vm).await;
        self.look_at_files(&vm).await;
        self.publish(&vm);
    }

    /// Finishes the merging of layers that was interrupted, as far as that can be told.
    pub(super) async fn recover_layers(&self, vm: &Arc<Vm>) {
        if usable(&vm.state()).is_err() {
            return;
        }
        let finished = self.finish_merging(vm).await;
        self.look_at_layers(vm);
        if let Err(fault) = finished {
            tracing::error!(vm = vm.me.id(), %fault, "an interrupted merging of layers stays unfinished");
            vm.state().consolidation_needed = true;
        }
    }

    /// Takes hold of a machine that runs.
    pub(super) async fn adopt(
        self: &Arc<Self>,
        vm: &Arc<Vm>,
        machine: Arc<dyn Machine>,
        number: u64,
        record: Registered,
    ) {
        let suspended = vm.state().suspend_file.is_some();
        let mut stopped = false;
        match machine.processors().await {
            // The daemon died while it was being started: nobody was told that it is on, and a saved state that the
            // configuration still names is still good.
            Ok(Processors::NeverRan) => {
                self.end_unstarted(vm, &machine).await;
                return self.find_saved_state(vm, number, record).await;
            }
            Ok(Processors::Stopped) if suspended => return self.end_unstarted(vm, &machine).await,
            Ok(processors) => {
                if let Some(name) = &record.suspending {
                    self.give_up_suspending(vm, &machine, name).await;
                }
                stopped = processors == Processors::Stopped;
            }
            Err(error) => {
                tracing::warn!(vm = vm.me.id(), %error, "what the machine's processors do is not known");
            }
        }
        // Nobody follows them, and what they lead to would not be written down.
        if let Err(error) = machine.end_merging().await {
            tracing::error!(vm = vm.me.id(), %error, "a merging of layers goes on that nobody follows");
        }
        let mut config = VmConfig::clone(&vm.config());
        let mut repaired = suspended;
        let keys: Vec<i32> = config.disks().map(|(key, _)| key).collect();
        for key in keys {
            // The files that it has open are the truth: a snapshot may have been taken that the file does not know.
            let Ok(chain) = machine.chain(key).await else { continue };
            let mut chain = chain.into_iter();
            if let (Some(newest), Some(disk)) =
                (chain.next(), config.devices.get_mut(&key).and_then(|device| device.disk_mut()))
            {
                if disk.file != newest {
                    tracing::warn!(
                        vm = vm.me.id(),
                        key,
                        "the machine uses another layer than its configuration says"
                    );
                    disk.file = newest;
                    repaired = true;
                }
                disk.parents = chain.collect();
            }
        }
        connect_all(&mut config);
        self.lock_running(vm).await;
        {
            let mut state = vm.state();
            state.power = Power::On;
            state.machine = Some(machine.clone());
            state.booted = machine.booted();
            state.config = Arc::new(config.clone());
        }
        if repaired && let Err(fault) = self.save(vm, config, None).await {
            tracing::error!(vm = vm.me.id(), %fault, "the configuration of a running machine could not be repaired");
        }
        // Only now: what the guest writes must be found in the files that the configuration names.
        if stopped && let Err(error) = machine.resume().await {
            tracing::warn!(vm = vm.me.id(), %error, "the machine stays stopped");
        }
        self.engine.allot(vm.me.id(), &vm.config(), machine.pid()).await;
        self.watch(vm, machine);
    }

    /// Takes the lock of a machine that runs, unless it has it.
    pub(super) async fn lock_running(&self, vm: &Vm) {
        let home = {
            let state = vm.state();
            if state.lock.is_some() {
                return;
            }
            state.home.clone()
        };
        let Ok(on) = self.datastores.of(&home) else { return };
        let name = self.name.clone();
        let lock = blocking(move || on.store.lock_vm(&home.path, &name).map_err(|error| on.fault(&error)));
        match lock.await {
            Ok(lock) => vm.state().lock = Some(lock),
            Err(fault) => {
                tracing::warn!(vm = vm.me.id(), %fault, "the lock of a running machine cannot be taken");
            }
        }
    }

    /// The daemon died while it saved the machine's state: the machine goes on, and what was written goes before its
    /// processors run.
    async fn give_up_suspending(&self, vm: &Vm, machine: &Arc<dyn Machine>, name: &str) {
        tracing::warn!(vm = vm.me.id(), "giving up a suspending that was interrupted");
        if let Err(error) = machine.cancel_suspend().await {
            tracing::error!(vm = vm.me.id(), %error, "the saving of the state could not be given up");
        }
        let home = vm.state().home.clone();
        let left = [name.to_owned(), format!("{name}{PARTIAL}")];
        let left: Vec<FileRef> = left.iter().filter_map(|name| files::sibling(&home, name).ok()).collect();
        self.clear_away(&left).await;
        if let Err(fault) = self.note_suspending(vm, None).await {
            tracing::error!(vm = vm.me.id(), %fault, "the register still says that the machine is being suspended");
        }
    }

    async fn end_unstarted(&self, vm: &Vm, machine: &Arc<dyn Machine>) {
        tracing::warn!(vm = vm.me.id(), "ending a machine whose start was interrupted");
        if let Err(error) = machine.power_off().await {
            tracing::error!(vm = vm.me.id(), %error, "the machinery could not be ended");
        }
        if let Err(error) = self.engine.forget(vm.me.id()).await {
            tracing::warn!(vm = vm.me.id(), %error, "the runtime directory stays behind");
        }
    }

    /// A machine that does not run: it is off, or suspended if its state was saved whole.
    pub(super) async fn find_saved_state(&self, vm: &Arc<Vm>, number: u64, mut record: Registered) {
        if let Err(error) = self.engine.forget(vm.me.id()).await {
            tracing::warn!(vm = vm.me.id(), %error, "the runtime directory stays behind");
        }
        let Some(name) = record.suspending.clone() else { return };
        // What cannot be looked at now may be there another time.
        if vm.state().broken.is_some() {
            return;
        }
        let home = vm.state().home.clone();
        let Ok(file) = files::sibling(&home, &name) else { return };
        match self.has(&file) {
            Ok(true) => {
                let config = VmConfig::clone(&vm.config());
                let saved = self.save(vm, config, Some(&name)).await;
                vm.state().power = Power::Suspended;
                if let Err(fault) = saved {
                    tracing::error!(vm = number, %fault, "that a machine is suspended stays in the register");
                    vm.state().suspend_file = Some(name);
                    return;
                }
            }
            Ok(false) => {
                let partial = files::sibling(&home, &format!("{name}{PARTIAL}"));
                self.clear_away(&partial.into_iter().collect::<Vec<_>>()).await;
            }
            Err(fault) => {
                tracing::error!(vm = number, %fault, "whether a machine is suspended is not known");
                return;
            }
        }
        record.suspending = None;
        if let Err(fault) = self.write_record(number, &record).await {
            tracing::error!(vm = number, %fault, "the register could not be written");
        }
    }

    /// Removes the ports of machines that do not run.
    async fn reconcile_ports(&self) {
        let mut running = Vec::new();
        let vms = self.all_vms();
        // Asked first: the switch must not take a guest's own MAC from it in between.
        let macs = join_all(vms.iter().map(|vm| self.macs_of(vm))).await;
        for (vm, macs) in vms.iter().zip(macs) {
            let state = vm.state();
            if state.power == Power::On {
                let port = |(key, nic)| (port_spec(vm, key, nic), macs.get(&key).copied());
                running.extend(state.config.nics().map(port));
            }
        }
        if let Err(error) = self.network.adopt(running).await {
            tracing::error!(%error, "the network is not as it was declared");
        }
    }

    /// How a task that was interrupted has ended, as far as the state tells.
    fn outcome(&self, task: &UnfinishedTask) -> Outcome {
        let vm = task.entity().and_then(|entity| self.vm(entity).ok());
        let power = vm.as_ref().map(|vm| vm.power());
        let Some(method) = task.method() else { return task.interrupted() };
        if method == method!(CreateVM_Task) || method == method!(RegisterVM_Task) {
            return self.made_by(&task.task).map(|me| Some(Value::Ref(me))).ok_or_else(nothing_made);
        }
        let wanted = [
            (method!(PowerOnVM_Task), Some(Power::On)),
            (method!(PowerOffVM_Task), Some(Power::Off)),
            (method!(SuspendVM_Task), Some(Power::Suspended)),
            (method!(Destroy_Task), None),
        ];
        let done = wanted.contains(&(method, power));
        if done { Ok(None) } else { task.interrupted() }
    }

    /// The machine that a task made.
    fn made_by(&self, task: &MoRef) -> Option<MoRef> {
        let records = VMS.all(&self.core.store).ok()?;
        let (id, _) = records.into_iter().find(|(_, record)| record.task.as_deref() == Some(task.id()))?;
        Some(ids::vm(id.parse().ok()?))
    }
}

/// Connects the devices of a machine that runs as they are at power-on: what was changed since is not known.
pub(super) fn connect_all(config: &mut VmConfig) {
    for device in config.devices.values_mut() {
        let image = match &device.kind {
            Kind::Cdrom(cdrom) => matches!(cdrom.medium, Medium::Iso(_)),
            _ => true,
        };
        if let Some(connect) = &mut device.connect {
            connect.now = connect.at_start && image;
        }
    }
}

fn nothing_made() -> Fault {
    vim::fault!(
        SystemError { reason: "the server was restarted" },
        "The server was restarted while the machine was being made; nothing is left of it"
    )
}
