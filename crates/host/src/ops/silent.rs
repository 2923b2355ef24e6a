//! Machines that run but do not answer when the daemon starts: stopped from outside, or starved. The lock that each
//! QEMU has inherited says for certain that they run, so they are shown as on and keep their ports and their lock.
//! Whatever needs an answer is refused until they give one; only powering off works at once.

use std::sync::Arc;

use vim::Fault;
use vm::Power;
use vm::config::VmConfig;

use super::recover::connect_all;
use crate::Host;
use crate::engine::{Error, ExitReason};
use crate::error::machine_fault;
use crate::events::{self, Who};
use crate::host::VMS;
use crate::limits::ASK_SILENT;
use crate::vms::Vm;

/// Number of the signal that ends a process for certain.
const KILL: i32 = 9;

impl Host {
    /// Notes that a machine runs that does not answer, and asks it again until it does or has ended.
    pub(super) async fn is_silent(self: &Arc<Self>, vm: &Arc<Vm>, error: &Error) {
        tracing::error!(vm = vm.me.id(), %error, "a running machine does not answer");
        self.lock_running(vm).await;
        {
            let mut state = vm.state();
            let mut config = VmConfig::clone(&state.config);
            connect_all(&mut config);
            state.config = Arc::new(config);
            state.power = Power::On;
            state.silent = Some(error.to_string());
        }
        let text = format!("The machine is on but does not answer: {error}");
        self.post(vm, events::Vm::Warning(text), &Who::default()).await;
        self.ask_again(vm);
    }

    fn ask_again(self: &Arc<Self>, vm: &Arc<Vm>) {
        let (host, vm, closing) = (Arc::downgrade(self), vm.clone(), self.closing.clone());
        let engine = self.engine.clone();
        tokio::spawn(async move {
            let ask = async {
                tokio::time::sleep(ASK_SILENT).await;
                engine.adopt(vm.me.id()).await
            };
            let found = tokio::select! {
                () = closing.cancelled() => return,
                found = ask => found,
            };
            let Some(host) = host.upgrade() else { return };
            let _one = vm.changing.lock().await;
            if vm.state().silent.is_none() {
                return;
            }
            match found {
                Ok(Some(machine)) => host.has_answered(&vm, machine).await,
                Ok(None) => {
                    let log = String::new();
                    host.has_ended(&vm, &ExitReason::Vanished { log }, &Who::default()).await;
                }
                Err(error) => {
                    tracing::debug!(vm = vm.me.id(), %error, "still no answer");
                    host.ask_again(&vm);
                }
            }
        });
    }

    /// Takes hold of a machine that has answered after all.
    async fn has_answered(self: &Arc<Self>, vm: &Arc<Vm>, machine: Arc<dyn crate::engine::Machine>) {
        let record = VMS.get(&self.core.store, vm.me.id());
        let (Ok(Some(record)), Ok(number)) = (record, vm.me.id().parse()) else {
            tracing::error!(vm = vm.me.id(), "the register does not tell of a machine that has answered");
            return self.ask_again(vm);
        };
        tracing::info!(vm = vm.me.id(), "a machine answers again");
        {
            let mut state = vm.state();
            state.silent = None;
            // Until it is known whether its start was ever finished.
            state.power = Power::Off;
        }
        self.adopt(vm, machine, number, record).await;
        if vm.machine().is_none() {
            vm.state().lock = None;
            let config = vm.config();
            self.unplug_all(vm, &config).await;
        }
        self.recover_layers(vm).await;
        self.look_at_files(vm).await;
        self.publish(vm);
    }

    /// Ends a machine that does not answer.
    pub(super) async fn end_silent(self: &Arc<Self>, vm: &Arc<Vm>, who: &Who) -> Result<(), Fault> {
        self.forget_suspending(vm, None).await?;
        self.engine.end(vm.me.id()).await.map_err(|error| machine_fault(&vm.me, &error))?;
        let reason = ExitReason::Killed { signal: KILL, log: String::new() };
        self.has_ended(vm, &reason, who).await;
        Ok(())
    }
}
