//! Opening a host: the machines of the register are read, those that run are adopted, and what was interrupted is
//! finished or removed.

use std::collections::BTreeSet;
use std::sync::Arc;

use api::task::UnfinishedTask;
use datastore::FilePath;
use vim::{DateTime, Fault, MoRef, Value, managed_id, method};

use super::power::PARTIAL;
use super::{Outcome, blocking, files};
use crate::engine::Processors;
use crate::error::Result;
use crate::host::{Registered, VMS};
use crate::network::PortSpec;
use crate::vm::Vm;
use crate::vm::config::VmConfig;
use crate::vm::device::{FileRef, Kind, Medium};
use crate::vm::state::Power;
use crate::{Host, ids};

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
        for (id, record) in records {
            let Ok(number) = id.parse::<u64>() else { continue };
            match &record.unfinished {
                Some(made) => self.finish_removal(number, made).await,
                None => self.recover_vm(number, record).await,
            }
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

    async fn recover_vm(self: &Arc<Self>, number: u64, record: Registered) {
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
                let vm = self.add_vm(number, &record, home, loaded.config, loaded.file, loaded.text, pool);
                let mut state = vm.state();
                state.snapshots = loaded.snapshots;
                state.frozen = loaded.frozen;
                drop(state);
                vm
            }
            Err(fault) => {
                tracing::error!(vm = number, %fault, "the configuration cannot be read");
                let config = VmConfig::new(home.path.stem(), DateTime::now());
                let file = datastore::vmx::VmxConfig::new("");
                let vm =
                    self.add_vm(number, &record, home, config, file, datastore::vmx::Dictionary::new(), pool);
                vm.state().broken = Some(fault.to_string());
                vm
            }
        };
        match self.engine.adopt(vm.me.id()).await {
            Ok(Some(machine)) => self.adopt(&vm, machine, number, record).await,
            Ok(None) => self.find_saved_state(&vm, number, record).await,
            Err(error) => {
                tracing::error!(vm = vm.me.id(), %error, "the running machine cannot be adopted");
                vm.state().broken = Some(error.to_string());
            }
        }
        self.look_at_files(&vm).await;
        self.publish(&vm);
    }

    /// Takes hold of a machine that runs.
    async fn adopt(
        self: &Arc<Self>,
        vm: &Arc<Vm>,
        machine: Arc<dyn crate::engine::Machine>,
        number: u64,
        record: Registered,
    ) {
        let suspended = vm.state().file.suspend_file.is_some();
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
                if processors == Processors::Stopped
                    && let Err(error) = machine.resume().await
                {
                    tracing::warn!(vm = vm.me.id(), %error, "the machine stays stopped");
                }
            }
            Err(error) => {
                tracing::warn!(vm = vm.me.id(), %error, "what the machine's processors do is not known");
            }
        }
        let (home, mut config) = {
            let state = vm.state();
            (state.home.clone(), VmConfig::clone(&state.config))
        };
        let mut repaired = suspended;
        let keys: Vec<i32> = config.disks().map(|(key, _)| key).collect();
        for key in keys {
            // The files that it has open are the truth: a snapshot may have been taken that the file does not know.
            let Ok(chain) = machine.chain(key).await else { continue };
            let mut chain = chain.into_iter();
            if let (Some(newest), Some(disk)) =
                (chain.next(), config.devices.get_mut(&key).and_then(|device| device.disk_mut()))
                && disk.file != newest
            {
                tracing::warn!(
                    vm = vm.me.id(),
                    key,
                    "the machine uses another layer than its configuration says"
                );
                disk.file = newest;
                disk.parents = chain.collect();
                repaired = true;
            }
        }
        for device in config.devices.values_mut() {
            let image = match &device.kind {
                Kind::Cdrom(cdrom) => matches!(cdrom.medium, Medium::Iso(_)),
                _ => true,
            };
            if let Some(connect) = &mut device.connect {
                connect.now = connect.at_start && image;
            }
        }
        let lock = self.datastores.of(&home).ok().map(|on| on.store.lock_vm(&home.path, &self.name));
        {
            let mut state = vm.state();
            state.power = Power::On;
            state.machine = Some(machine.clone());
            state.booted = machine.booted();
            state.config = Arc::new(config.clone());
            state.lock = match lock {
                Some(Ok(lock)) => Some(lock),
                Some(Err(error)) => {
                    tracing::warn!(vm = vm.me.id(), %error, "the lock of a running machine cannot be taken");
                    None
                }
                None => None,
            };
        }
        if repaired && let Err(fault) = self.save(vm, config, None).await {
            tracing::error!(vm = vm.me.id(), %fault, "the configuration of a running machine could not be repaired");
        }
        self.watch(vm, machine);
    }

    /// The daemon died while it saved the machine's state: the machine goes on, and what was written goes before its
    /// processors run.
    async fn give_up_suspending(&self, vm: &Vm, machine: &Arc<dyn crate::engine::Machine>, name: &str) {
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

    async fn end_unstarted(&self, vm: &Vm, machine: &Arc<dyn crate::engine::Machine>) {
        tracing::warn!(vm = vm.me.id(), "ending a machine whose start was interrupted");
        if let Err(error) = machine.power_off().await {
            tracing::error!(vm = vm.me.id(), %error, "the machinery could not be ended");
        }
        if let Err(error) = self.engine.forget(vm.me.id()).await {
            tracing::warn!(vm = vm.me.id(), %error, "the runtime directory stays behind");
        }
    }

    /// A machine that does not run: it is off, or suspended if its state was saved whole.
    async fn find_saved_state(&self, vm: &Arc<Vm>, number: u64, mut record: Registered) {
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
                    vm.state().file.suspend_file = Some(name);
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
        for vm in self.all_vms() {
            let state = vm.state();
            if state.power == Power::On {
                running.extend(state.config.nics().map(|(key, nic)| PortSpec::new(&vm, key, nic)));
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

fn nothing_made() -> Fault {
    vim::fault!(
        SystemError { reason: "the server was restarted" },
        "The server was restarted while the machine was being made; nothing is left of it"
    )
}
