//! Small changes of a VM: its name, whether it is a template, and the answer to its question.

use std::sync::Arc;

use vim::{DateTime, Fault, MoRef, fault};
use vm::Power;
use vm::config::VmConfig;
use vm::plan::parse_name;

use super::power::power_off;
use super::records::number;
use super::service::Vms;
use super::vm::Vm;
use crate::engine::machine_fault;
use crate::events::{VmEvent, Who};

/// Gives a VM another name.
///
/// # Errors
/// `InvalidName`, `DuplicateName`, `InvalidState`; those of the `.vmx`.
pub(super) async fn rename(vms: &Vms, vm: &Arc<Vm>, name: &str, who: &Who) -> Result<(), Fault> {
    let _one = vm.changing.lock().await;
    let name = parse_name(name, Some(&vm.me))?;
    let _kept = vms.register.keep_name(&name, &vm.me)?;
    let (mut config, suspended) = {
        let state = vm.read();
        state.usable()?;
        (VmConfig::clone(&state.config), state.suspend_file.clone())
    };
    let old = std::mem::replace(&mut config.name, name);
    config.touch(DateTime::now());
    vms.files.save(vm, config, suspended.as_deref()).await?;
    vms.post(vm, VmEvent::Renamed { old }, who).await;
    Ok(())
}

/// Makes a VM a template, or a template a VM in `pool`.
///
/// # Errors
/// `InvalidPowerState`; `InvalidState` if it is so already, or another operation changes it; those of the `.vmx`.
pub(super) async fn mark_as_template(
    vms: &Vms,
    vm: &Arc<Vm>,
    template: bool,
    pool: Option<MoRef>,
) -> Result<(), Fault> {
    let _one = vm.begin()?;
    vm.require(Power::Off)?;
    let mut config = VmConfig::clone(&vm.config());
    if config.template == template {
        let kind = if template { "a template" } else { "a virtual machine, not a template" };
        return Err(fault!(InvalidState {}, "{} is {kind} already", config.name));
    }
    config.template = template;
    config.touch(DateTime::now());
    vms.files.save(vm, config, None).await?;
    if let Some(pool) = pool {
        let entered = vms.pools.enter(&pool, number(&vm.me)).await?;
        vm.change(|state| state.pool = entered.pool.clone());
    }
    Ok(())
}

/// Answers the question that a VM waits with: to try again, or to give up and power off.
///
/// # Errors
/// `ConcurrentAccess` if the VM does not ask this question, `InvalidArgument`; those of QEMU.
pub(super) async fn answer(vms: &Vms, vm: &Arc<Vm>, id: &str, choice: &str, who: &Who) -> Result<(), Fault> {
    let asked = vm.read().question.as_ref().is_some_and(|question| question.id == id);
    if !asked {
        return Err(fault!(ConcurrentAccess {}, "{} does not ask the question {id} any more", vm.name()));
    }
    let machine = vm.running()?;
    match choice {
        "0" | "button.retry" => {
            machine.resume().await.map_err(|error| machine_fault(&vm.me, &error))?;
            vm.change(|state| state.question = None);
            Ok(())
        }
        "1" | "button.abort" => power_off(vms, vm, who).await,
        other => Err(fault!(
            InvalidArgument { invalidProperty: "answerChoice" },
            "\"{other}\" cannot be chosen; answer 0 to retry or 1 to cancel"
        )),
    }
}
