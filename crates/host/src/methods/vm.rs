//! `VirtualMachine`: power, configuration and removal.

use std::future::Future;
use std::sync::Arc;

use api::{Call, Guard, Running, TaskOptions};
use vim::{Fault, ManagedId, Value, arg, managed_id, method};
use vm::privileges::to_reconfigure;

use super::Table;
use crate::Host;
use crate::error::not_supported;
use crate::events::Who;
use crate::vms::Vm;

const VM: ManagedId = managed_id!(VirtualMachine);

pub(super) fn register(table: &mut Table<'_>) {
    table.on(VM, method!(PowerOnVM_Task), |host, call| async move {
        host.vm(&call.this)?.can_power_on()?;
        task(host, call, |host, vm, who, _| async move { host.power_on(&vm, &who).await }).await
    });
    table.on(VM, method!(PowerOffVM_Task), |host, call| {
        task(host, call, |host, vm, who, _| async move { host.power_off(&vm, &who).await })
    });
    table.on(VM, method!(ResetVM_Task), |host, call| {
        task(host, call, |host, vm, who, _| async move { host.reset(&vm, &who).await })
    });
    table.on(VM, method!(SuspendVM_Task), |host, call| {
        task(host, call, |host, vm, who, running| async move {
            host.suspend(&vm, &who, &|percent| running.progress(percent)).await
        })
    });
    table.guarded(
        VM,
        method!(Destroy_Task),
        Guard::Privilege("VirtualMachine.Inventory.Delete"),
        |host, call| task(host, call, |host, vm, who, _| async move { host.destroy(&vm, &who).await }),
    );
    table.on(VM, method!(TerminateVM), |host, call| async move {
        let vm = host.vm(&call.this)?;
        host.power_off(&vm, &Who::of(&call)).await.map(|()| None)
    });
    table.guarded(VM, method!(ReconfigVM_Task), Guard::Arguments(to_reconfigure), |host, call| async move {
        let spec = call.required(arg!(ReconfigVM_Task.spec))?.clone();
        task(host, call, |host, vm, who, _| async move { host.reconfigure(&vm, spec, &who).await }).await
    });
    table.guarded(
        VM,
        method!(Rename_Task),
        Guard::Privilege("VirtualMachine.Config.Rename"),
        |host, call| async move {
            let name = call.required(arg!(Rename_Task.newName))?.to_owned();
            task(host, call, |host, vm, who, _| async move { host.rename(&vm, &name, &who).await }).await
        },
    );
    table.on(VM, method!(MarkAsTemplate), |host, call| async move {
        let vm = host.vm(&call.this)?;
        host.mark_as_template(&vm, true, None).await.map(|()| None)
    });
    table.on(VM, method!(MarkAsVirtualMachine), |host, call| async move {
        let vm = host.vm(&call.this)?;
        let pool = call.required(arg!(MarkAsVirtualMachine.pool))?.clone();
        host.mark_as_template(&vm, false, Some(pool)).await.map(|()| None)
    });
    table.on(VM, method!(AnswerVM), |host, call| async move {
        let vm = host.vm(&call.this)?;
        let id = call.required(arg!(AnswerVM.questionId))?.to_owned();
        let choice = call.required(arg!(AnswerVM.answerChoice))?.to_owned();
        host.answer(&vm, &id, &choice, &Who::of(&call)).await.map(|()| None)
    });
    table.on(VM, method!(RefreshStorageInfo), |host, call| async move {
        let vm = host.vm(&call.this)?;
        host.look_at_files(&vm).await;
        host.publish(&vm);
        Ok(None)
    });
    table.on(VM, method!(Reload), |host, call| async move {
        let vm = host.vm(&call.this)?;
        host.look_at_files(&vm).await;
        host.publish(&vm);
        Ok(None)
    });
    refusals(table);
    table.on(VM, method!(UnregisterVM), |host, call| async move {
        let vm = host.vm(&call.this)?;
        host.unregister(&vm, &Who::of(&call)).await.map(|()| None)
    });
    table.on(VM, method!(ShutdownGuest), |host, call| async move {
        let vm = host.vm(&call.this)?;
        host.ask_guest(&vm, false, &Who::of(&call)).await.map(|()| None)
    });
    table.on(VM, method!(RebootGuest), |host, call| async move {
        let vm = host.vm(&call.this)?;
        host.ask_guest(&vm, true, &Who::of(&call)).await.map(|()| None)
    });
}

/// What machines of this host cannot do, and why.
fn refusals(table: &mut Table<'_>) {
    let refuse = |table: &mut Table<'_>, method, why: &'static str| {
        table.on(VM, method, move |host, call| async move {
            host.vm(&call.this)?;
            Err(not_supported(why))
        });
    };
    refuse(
        table,
        method!(StandbyGuest),
        "Guests cannot be put to sleep from outside; suspend the machine instead",
    );
    refuse(
        table,
        method!(MountToolsInstaller),
        "There is no installer to mount: install qemu-guest-agent from the guest's own packages",
    );
    refuse(table, method!(UnmountToolsInstaller), "There is no installer that could be mounted");
    refuse(table, method!(QueryChangedDiskAreas), "Changed blocks are not tracked");
    refuse(table, method!(UpgradeVM_Task), "Change the hardware version with ReconfigVM_Task");
}

/// Works on one machine as a task, alone.
pub(super) async fn task<F, R>(host: Arc<Host>, call: Call, work: F) -> Result<Option<Value>, Fault>
where
    F: FnOnce(Arc<Host>, Arc<Vm>, Who, Running) -> R + Send + 'static,
    R: Future<Output = Result<(), Fault>> + Send + 'static,
{
    let vm = host.vm(&call.this)?;
    let who = Who::of(&call);
    let options = TaskOptions::exclusive(&vm.me, vm.name());
    call.task(options, move |running| async move {
        let who = who.in_task(&running);
        work(host, vm, who, running).await.map(|()| None)
    })
    .await
}
