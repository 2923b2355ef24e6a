//! QEMU processes that run but do not answer when the daemon starts: stopped from outside, or starved. The lock that each
//! process has inherited says for certain that it runs, so its VM is shown as on and keeps its ports and its lock. Operations
//! that need an answer are refused until it gives one; only powering off works at once.

use std::sync::Arc;

use vm::Power;
use vm::config::VmConfig;

use super::adopt::{adopt, connect_all, lock_running, recover_layers};
use crate::engine::{Error, ExitReason, Machine};
use crate::events::{VmEvent, Who};
use crate::limits::ASK_SILENT;
use crate::vms::end;
use crate::vms::service::Vms;
use crate::vms::vm::Vm;

/// Notes that the QEMU process of a VM runs but does not answer, and asks it again until it does or has ended.
pub(super) async fn is_silent(vms: &Arc<Vms>, vm: &Arc<Vm>, error: &Error) {
    tracing::error!(vm = vm.me.id(), %error, "a running QEMU process does not answer");
    lock_running(vms, vm).await;
    vm.change(|state| {
        let mut config = VmConfig::clone(&state.config);
        connect_all(&mut config);
        state.config = Arc::new(config);
        state.power = Power::On;
        state.silent = Some(error.to_string());
    });
    let text = format!("The VM is on but does not answer: {error}");
    vms.post(vm, VmEvent::Warning(text), &Who::default()).await;
    ask_again(vms, vm);
}

fn ask_again(vms: &Arc<Vms>, vm: &Arc<Vm>) {
    let (closing, engine) = (vms.closing.clone(), vms.engine.clone());
    let (vms, vm) = (Arc::downgrade(vms), vm.clone());
    tokio::spawn(async move {
        let ask = async {
            tokio::time::sleep(ASK_SILENT).await;
            engine.adopt(vm.me.id()).await
        };
        let found = tokio::select! {
            () = closing.cancelled() => return,
            found = ask => found,
        };
        let Some(vms) = vms.upgrade() else { return };
        let _one = vm.changing.lock().await;
        let answered = vm.read().silent.is_none();
        if answered {
            return;
        }
        match found {
            Ok(Some(machine)) => has_answered(&vms, &vm, machine).await,
            Ok(None) => {
                let log = String::new();
                end::has_ended(&vms, &vm, &ExitReason::Vanished { log }, &Who::default()).await;
            }
            Err(error) => {
                tracing::debug!(vm = vm.me.id(), %error, "still no answer");
                ask_again(&vms, &vm);
            }
        }
    });
}

/// Takes hold of a QEMU process that has answered after all.
async fn has_answered(vms: &Arc<Vms>, vm: &Arc<Vm>, machine: Arc<dyn Machine>) {
    let Ok(Some(record)) = vms.register.records().get(&vm.me) else {
        tracing::error!(vm = vm.me.id(), "a VM whose QEMU process has answered has no record");
        return ask_again(vms, vm);
    };
    tracing::info!(vm = vm.me.id(), "a QEMU process answers again");
    adopt(vms, vm, machine, record).await;
    if vm.machine().is_none() {
        // Its start was never finished.
        vms.ports.unplug_all(vm, &vm.config()).await;
        vm.change(|state| {
            state.silent = None;
            state.lock = None;
            state.power = state.power_at_rest();
        });
    }
    recover_layers(vms, vm).await;
    vms.files.look(vm).await;
}
