//! Bringing a running QEMU process to the new configuration of its VM.

use std::sync::Arc;

use vim::Fault;
use vm::config::VmConfig;
use vm::device::{Cdrom, Kind, Medium};
use vm::plan::{Plan, Step};

use super::service::Vms;
use super::vm::Vm;
use crate::engine::{Machine, machine_fault};

/// Takes the steps of a plan in a running VM. If one fails, devices that were added are removed again.
///
/// # Errors
/// Those of QEMU and of the ports.
pub(super) async fn follow(vms: &Vms, vm: &Vm, machine: &Arc<dyn Machine>, plan: &Plan) -> Result<(), Fault> {
    let mut added = Vec::new();
    for step in &plan.steps {
        if let Err(fault) = take(vms, vm, machine, &plan.config, step).await {
            for key in added {
                if let Err(fault) = unplug(vms, vm, machine, &plan.config, key).await {
                    tracing::warn!(vm = vm.me.id(), key, %fault, "a device that was just added stays");
                }
            }
            return Err(fault);
        }
        if let Step::Plug(key) = step {
            added.push(*key);
        }
    }
    Ok(())
}

/// Takes a device of the configuration `before` out of a running VM.
///
/// # Errors
/// If QEMU or the guest refuses.
pub(super) async fn unplug(
    vms: &Vms,
    vm: &Vm,
    machine: &Arc<dyn Machine>,
    before: &VmConfig,
    key: i32,
) -> Result<(), Fault> {
    let is_nic = before.devices.get(&key).is_some_and(|device| device.nic().is_some());
    let gone = if is_nic { machine.remove_nic(key).await } else { machine.remove_disk(key).await };
    gone.map_err(|error| machine_fault(&vm.me, &error))?;
    if is_nic {
        vms.ports.unplug(vm, key).await;
    }
    Ok(())
}

async fn take(
    vms: &Vms,
    vm: &Vm,
    machine: &Arc<dyn Machine>,
    config: &VmConfig,
    step: &Step,
) -> Result<(), Fault> {
    let fault = |error| machine_fault(&vm.me, &error);
    match step {
        Step::Plug(key) => plug(vms, vm, machine, config, *key).await,
        Step::ChangeMedium(key) => {
            let device = config.devices.get(key);
            let iso = device.and_then(|device| match &device.kind {
                Kind::Cdrom(Cdrom { medium: Medium::Iso(file) }) => {
                    Some(file).filter(|_| device.connect.is_some_and(|connect| connect.now))
                }
                _ => None,
            });
            machine.change_medium(*key, iso).await.map_err(fault)
        }
        Step::SetLink { key, up } => machine.set_link(*key, *up).await.map_err(fault),
        // The tap keeps its name: the port is moved under the running adapter.
        Step::Reconnect(key) => match config.devices.get(key).and_then(|device| device.nic()) {
            Some(nic) => vms.ports.reconnect(vm, *key, nic).await,
            None => Ok(()),
        },
        Step::AddMemory { mib } => machine.add_memory(*mib).await.map_err(fault),
        Step::AddProcessors { count } => machine.add_processors(*count).await.map_err(fault),
        Step::CreateDisk { .. } | Step::GrowDisk { .. } | Step::DestroyDisk { .. } | Step::Unplug(_) => {
            Ok(())
        }
    }
}

/// Adds a device to a running VM.
async fn plug(
    vms: &Vms,
    vm: &Vm,
    machine: &Arc<dyn Machine>,
    config: &VmConfig,
    key: i32,
) -> Result<(), Fault> {
    let Some(device) = config.devices.get(&key) else { return Ok(()) };
    let added = match &device.kind {
        Kind::Disk(_) => machine.add_disk(config, key).await,
        Kind::Nic(_) => {
            let tap = vms.ports.plug(vm, config, key).await?;
            let added = machine.add_nic(config, key, tap.as_ref()).await;
            if added.is_err() {
                vms.ports.unplug(vm, key).await;
            }
            added
        }
        _ => Ok(()),
    };
    added.map_err(|error| machine_fault(&vm.me, &error))
}
