//! Taking hold of the QEMU process of a VM that runs already, and of the saved state of one that does not.

use std::sync::Arc;

use vm::config::VmConfig;
use vm::device::{Kind, Medium};
use vm::{FileRef, Power};

use crate::blocking::blocking;
use crate::engine::{Machine, Processors};
use crate::vms::files::sibling;
use crate::vms::records::{self, Registered};
use crate::vms::saved_state::{self, PARTIAL};
use crate::vms::service::Vms;
use crate::vms::vm::Vm;
use crate::vms::watch::watch;
use crate::vms::{layers, merge};

/// Takes hold of a QEMU process that runs.
pub(super) async fn adopt(vms: &Arc<Vms>, vm: &Arc<Vm>, machine: Arc<dyn Machine>, record: Registered) {
    let suspended = vm.read().suspend_file.is_some();
    let mut stopped = false;
    match machine.processors().await {
        // The daemon died while the process was being started: no client was told that the VM is on, and a saved state
        // that the configuration still names is still good.
        Ok(Processors::NeverRan) => {
            end_unstarted(vms, vm, &machine).await;
            return find_saved_state(vms, vm, record).await;
        }
        Ok(Processors::Stopped) if suspended => return end_unstarted(vms, vm, &machine).await,
        Ok(processors) => {
            if let Some(name) = &record.suspending {
                give_up_suspending(vms, vm, &machine, name).await;
            }
            stopped = processors == Processors::Stopped;
        }
        Err(error) => {
            tracing::warn!(vm = vm.me.id(), %error, "whether the processors of a VM run is not known");
        }
    }
    // No operation follows it, and its result would not be written down.
    if let Err(error) = machine.end_merging().await {
        tracing::error!(vm = vm.me.id(), %error, "a merging of layers goes on that no operation follows");
    }
    let mut config = VmConfig::clone(&vm.config());
    let repaired = take_open_files(vm, &*machine, &mut config).await || suspended;
    connect_all(&mut config);
    lock_running(vms, vm).await;
    vm.change(|state| {
        state.power = Power::On;
        state.silent = None;
        state.machine = Some(machine.clone());
        state.booted = machine.booted();
        state.config = Arc::new(config.clone());
    });
    if repaired && let Err(fault) = vms.files.save(vm, config, None).await {
        tracing::error!(vm = vm.me.id(), %fault, "the configuration of a running VM could not be repaired");
    }
    // Only now: the guest's writes must be found in the files that the configuration names.
    if stopped && let Err(error) = machine.resume().await {
        tracing::warn!(vm = vm.me.id(), %error, "the VM stays stopped");
    }
    vms.engine.allot(vm.me.id(), &vm.config(), machine.pid()).await;
    watch(vms, vm, machine);
}

/// Gives disks the files that QEMU has open for them, which are the truth: a snapshot may have been taken that the
/// configuration does not know. Whether one was different.
pub(super) async fn take_open_files(vm: &Vm, machine: &dyn Machine, config: &mut VmConfig) -> bool {
    let mut repaired = false;
    let keys: Vec<i32> = config.disks().map(|(key, _)| key).collect();
    for key in keys {
        let Ok(chain) = machine.chain(key).await else { continue };
        let mut chain = chain.into_iter();
        if let (Some(newest), Some(disk)) =
            (chain.next(), config.devices.get_mut(&key).and_then(|device| device.disk_mut()))
        {
            if disk.file != newest {
                tracing::warn!(vm = vm.me.id(), key, "the VM uses another layer than its configuration says");
                disk.file = newest;
                repaired = true;
            }
            disk.parents = chain.collect();
        }
    }
    repaired
}

/// Connects the devices of a VM that runs as they are at power-on: changes since are not known.
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

/// Takes the lock of a VM that runs, unless it has it.
pub(super) async fn lock_running(vms: &Vms, vm: &Vm) {
    let home = {
        let state = vm.read();
        if state.lock.is_some() {
            return;
        }
        state.home.clone()
    };
    let Ok(on) = vms.files.datastores.of(&home) else { return };
    let name = vms.host.name.clone();
    let lock = blocking(move || on.store.lock_vm(&home.path, &name).map_err(|error| on.fault(&error)));
    match lock.await {
        Ok(lock) => vm.change(|state| state.lock = Some(lock)),
        Err(fault) => {
            tracing::warn!(vm = vm.me.id(), %fault, "the lock of a running VM cannot be taken");
        }
    }
}

/// The daemon died while it saved the state of a VM: the VM goes on, and the file is removed before its processors run.
async fn give_up_suspending(vms: &Vms, vm: &Vm, machine: &Arc<dyn Machine>, name: &str) {
    tracing::warn!(vm = vm.me.id(), "giving up a suspending that was interrupted");
    if let Err(error) = machine.cancel_suspend().await {
        tracing::error!(vm = vm.me.id(), %error, "the saving of the state could not be given up");
    }
    let home = vm.home();
    let left = [name.to_owned(), format!("{name}{PARTIAL}")];
    let left: Vec<FileRef> = left.iter().filter_map(|name| sibling(&home, name).ok()).collect();
    vms.files.clear_away(&left).await;
    if let Err(fault) = saved_state::note(&vms.register, vm, None).await {
        tracing::error!(vm = vm.me.id(), %fault, "the record still says that the VM is being suspended");
    }
}

async fn end_unstarted(vms: &Vms, vm: &Vm, machine: &Arc<dyn Machine>) {
    tracing::warn!(vm = vm.me.id(), "ending a QEMU process whose start was interrupted");
    if let Err(error) = machine.power_off().await {
        tracing::error!(vm = vm.me.id(), %error, "a QEMU process could not be ended");
    }
    vms.forget_process(vm).await;
}

/// A VM that does not run: it is off, or suspended if its state was saved whole.
pub(super) async fn find_saved_state(vms: &Vms, vm: &Arc<Vm>, mut record: Registered) {
    vms.forget_process(vm).await;
    let Some(name) = record.suspending.clone() else { return };
    // A file that cannot be looked at now may be there another time.
    if vm.read().broken.is_some() {
        return;
    }
    let home = vm.home();
    let Ok(file) = sibling(&home, &name) else { return };
    match vms.files.has(&file) {
        Ok(true) => {
            let config = VmConfig::clone(&vm.config());
            let saved = vms.files.save(vm, config, Some(&name)).await;
            vm.change(|state| state.power = Power::Suspended);
            if let Err(fault) = saved {
                tracing::error!(vm = vm.me.id(), %fault, "that the VM is suspended stays in its record");
                vm.change(|state| state.suspend_file = Some(name));
                return;
            }
        }
        Ok(false) => {
            let partial = sibling(&home, &format!("{name}{PARTIAL}"));
            vms.files.clear_away(&partial.into_iter().collect::<Vec<_>>()).await;
        }
        Err(fault) => {
            tracing::error!(vm = vm.me.id(), %fault, "whether the VM is suspended is not known");
            return;
        }
    }
    record.suspending = None;
    if let Err(fault) = vms.register.records().write(records::number(&vm.me), &record).await {
        tracing::error!(vm = vm.me.id(), %fault, "the record of a VM could not be written");
    }
}

/// Finishes the merging of layers that was interrupted, as far as that can be told.
pub(super) async fn recover_layers(vms: &Vms, vm: &Arc<Vm>) {
    let usable = vm.read().usable();
    if usable.is_err() {
        return;
    }
    let finished = merge::finish(vms, vm).await;
    layers::look(&vms.register, vm);
    if let Err(fault) = finished {
        tracing::error!(vm = vm.me.id(), %fault, "an interrupted merging of layers stays unfinished");
        layers::set_consolidation_needed(vm, true);
    }
}
