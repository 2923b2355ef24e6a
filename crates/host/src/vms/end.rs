//! The end of a VM's QEMU process, whoever ended it: the VM is off, or suspended if its state was saved whole.

use std::sync::Arc;

use vim::{DateTime, Fault};
use vm::Power;
use vm::config::VmConfig;
use vm::observed::Statistics;

use super::files::sibling;
use super::saved_state;
use super::service::Vms;
use super::state::State;
use super::vm::Vm;
use crate::engine::{ExitReason, machine_fault};
use crate::events::{VmEvent, Who};

/// Most of QEMU's own log that is kept, bytes.
const LOG_BYTES: usize = 1 << 20;
/// Number of the signal that ends a process for certain.
const KILL: i32 = 9;

/// Does what is left to do when a QEMU process has ended.
pub(super) async fn has_ended(vms: &Vms, vm: &Arc<Vm>, reason: &ExitReason, who: &Who) {
    // The end of an earlier process, or one that was dealt with before.
    let told = match &*vm.read() {
        State { machine: Some(machine), .. } => machine.ended().is_none(),
        State { silent, .. } => silent.is_none(),
    };
    if told {
        return;
    }
    let file = match saved_state::being_saved(&vms.register, vm) {
        Ok(file) => file.filter(|file| vms.files.has(file).unwrap_or(false)),
        Err(fault) => {
            tracing::error!(vm = vm.me.id(), %fault, "whether a VM was being suspended is not known");
            None
        }
    };
    match file {
        Some(file) => is_suspended(vms, vm, file.path.name(), who).await,
        None => ended_as(vms, vm, reason, who, Power::Off).await,
    }
}

/// Notes that a QEMU process has ended which saved the VM's state whole to `name`.
pub(super) async fn is_suspended(vms: &Vms, vm: &Arc<Vm>, name: &str, who: &Who) {
    let config = VmConfig::clone(&vm.config());
    let saved = vms.files.save(vm, config, Some(name)).await;
    if saved.is_err() {
        vm.change(|state| state.suspend_file = Some(name.to_owned()));
    }
    ended_as(vms, vm, &ExitReason::Quit, who, Power::Suspended).await;
    let noted = match saved {
        Ok(()) => saved_state::note(&vms.register, vm, None).await,
        // The record goes on to say it in the place of the configuration.
        Err(fault) => Err(fault),
    };
    if let Err(fault) = noted {
        tracing::error!(vm = vm.me.id(), %fault, "that the VM is suspended stays in its record");
    }
}

/// Ends the QEMU process of a VM that does not answer.
///
/// # Errors
/// If the process cannot be ended, or the store cannot be written.
pub(super) async fn end_silent(vms: &Vms, vm: &Arc<Vm>, who: &Who) -> Result<(), Fault> {
    saved_state::forget(&vms.register, &vms.files, vm, None).await?;
    vms.engine.end(vm.me.id()).await.map_err(|error| machine_fault(&vm.me, &error))?;
    let reason = ExitReason::Killed { signal: KILL, log: String::new() };
    has_ended(vms, vm, &reason, who).await;
    Ok(())
}

/// Clears away after a QEMU process, and only then shows the VM as `power`: whoever sees it so finds all done.
async fn ended_as(vms: &Vms, vm: &Arc<Vm>, reason: &ExitReason, who: &Who, power: Power) {
    {
        let state = vm.read();
        if state.machine.is_none() && state.silent.is_none() {
            return;
        }
    }
    vms.ports.unplug_all(vm, &vm.config()).await;
    keep_log(vms, vm).await;
    vms.forget_process(vm).await;
    vms.files.look(vm).await;
    vm.expect_end(false);
    vm.change(|state| {
        disconnect_all(state);
        state.machine = None;
        state.silent = None;
        state.guest = None;
        state.question = None;
        state.statistics = Statistics::default();
        state.booted = None;
        state.reboot_asked = false;
        state.lock = None;
        state.power = power;
        state.suspended = (power == Power::Suspended).then(DateTime::now);
        state.clean_power_off = Some(matches!(reason, ExitReason::GuestShutdown | ExitReason::Quit));
    });
    let event = match reason {
        _ if power == Power::Suspended => VmEvent::Suspended,
        ExitReason::Quit => VmEvent::PoweredOff(None),
        ExitReason::GuestShutdown => VmEvent::PoweredOff(Some("the guest shut down".into())),
        other => VmEvent::PoweredOff(Some(other.to_string())),
    };
    vms.post(vm, event, who).await;
}

/// Disconnects the devices of a VM that does not run.
pub(super) fn disconnect_all(state: &mut State) {
    for device in Arc::make_mut(&mut state.config).devices.values_mut() {
        if let Some(connect) = &mut device.connect {
            connect.now = false;
        }
    }
}

/// Keeps QEMU's own log beside the VM's files.
async fn keep_log(vms: &Vms, vm: &Vm) {
    let Some(mut log) = vms.engine.log(vm.me.id()) else { return };
    if log.is_empty() {
        return;
    }
    let surplus = log.len().saturating_sub(LOG_BYTES);
    log.drain(..surplus);
    let Ok(file) = sibling(&vm.home(), "vmware.log") else { return };
    if let Err(fault) = vms.files.write(&file, log).await {
        tracing::warn!(vm = vm.me.id(), %fault, "QEMU's log could not be kept");
    }
}
