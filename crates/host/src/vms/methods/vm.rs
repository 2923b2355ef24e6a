//! `VirtualMachine`: power, configuration and removal.

use std::future::Future;
use std::sync::Arc;

use api::{Call, Guard, Running};
use vim::{Fault, ManagedId, MethodId, arg, managed_id, method};
use vm::faults::not_supported;
use vm::privileges::to_reconfigure;

use super::folder::pool_of;
use super::{Reply, Table};
use crate::events::Who;
use crate::vms::destroy::destroy;
use crate::vms::reconfigure::reconfigure;
use crate::vms::registration::unregister;
use crate::vms::service::Vms;
use crate::vms::suspend::suspend;
use crate::vms::vm::Vm;
use crate::vms::{power, settings};

const VM: ManagedId = managed_id!(VirtualMachine);
const DELETE: Guard = Guard::Privilege("VirtualMachine.Inventory.Delete");
const RENAME: Guard = Guard::Privilege("VirtualMachine.Config.Rename");

pub(super) fn register(table: &mut Table<'_>) {
    power_methods(table);
    table.guarded(VM, method!(Destroy_Task), DELETE, |vms, call| {
        task(vms, call, |vms, vm, who, _| async move { destroy(&vms, &vm, &who).await })
    });
    table.on(VM, method!(UnregisterVM), |vms, call| async move {
        let vm = vms.register.find(&call.this)?;
        unregister(&vms, &vm, &Who::of(&call)).await.map(|()| None)
    });
    table.guarded(VM, method!(ReconfigVM_Task), Guard::Arguments(to_reconfigure), |vms, call| async move {
        let spec = call.required(arg!(ReconfigVM_Task.spec))?.clone();
        task(vms, call, |vms, vm, who, _| async move { reconfigure(&vms, &vm, spec, &who).await }).await
    });
    table.guarded(VM, method!(Rename_Task), RENAME, |vms, call| async move {
        let name = call.required(arg!(Rename_Task.newName))?.to_owned();
        task(vms, call, |vms, vm, who, _| async move { settings::rename(&vms, &vm, &name, &who).await }).await
    });
    table.on(VM, method!(MarkAsTemplate), |vms, call| async move {
        let vm = vms.register.find(&call.this)?;
        settings::mark_as_template(&vms, &vm, true, None).await.map(|()| None)
    });
    table.on(VM, method!(MarkAsVirtualMachine), |vms, call| async move {
        call.require_references()?;
        let vm = vms.register.find(&call.this)?;
        let pool = pool_of(&vms, Some(call.required(arg!(MarkAsVirtualMachine.pool))?.clone()))?;
        settings::mark_as_template(&vms, &vm, false, Some(pool)).await.map(|()| None)
    });
    table.on(VM, method!(AnswerVM), |vms, call| async move {
        let vm = vms.register.find(&call.this)?;
        let id = call.required(arg!(AnswerVM.questionId))?.to_owned();
        let choice = call.required(arg!(AnswerVM.answerChoice))?.to_owned();
        settings::answer(&vms, &vm, &id, &choice, &Who::of(&call)).await.map(|()| None)
    });
    for method in [method!(RefreshStorageInfo), method!(Reload)] {
        table.on(VM, method, |vms, call| async move {
            let vm = vms.register.find(&call.this)?;
            vms.files.look(&vm).await;
            vm.show_again();
            Ok(None)
        });
    }
    refusals(table);
}

fn power_methods(table: &mut Table<'_>) {
    table.on(VM, method!(PowerOnVM_Task), |vms, call| async move {
        call.require_references()?;
        vms.register.find(&call.this)?.can_power_on()?;
        task(vms, call, |vms, vm, who, _| async move { power::power_on(&vms, &vm, &who).await }).await
    });
    table.on(VM, method!(PowerOffVM_Task), |vms, call| {
        task(vms, call, |vms, vm, who, _| async move { power::power_off(&vms, &vm, &who).await })
    });
    table.on(VM, method!(ResetVM_Task), |vms, call| {
        task(vms, call, |vms, vm, who, _| async move { power::reset(&vms, &vm, &who).await })
    });
    table.on(VM, method!(SuspendVM_Task), |vms, call| {
        task(vms, call, |vms, vm, who, running| async move {
            suspend(&vms, &vm, &who, &|percent| running.progress(percent)).await
        })
    });
    table.on(VM, method!(TerminateVM), |vms, call| async move {
        let vm = vms.register.find(&call.this)?;
        power::power_off(&vms, &vm, &Who::of(&call)).await.map(|()| None)
    });
    table.on(VM, method!(ShutdownGuest), |vms, call| async move {
        let vm = vms.register.find(&call.this)?;
        power::ask_guest(&vms, &vm, false, &Who::of(&call)).await.map(|()| None)
    });
    table.on(VM, method!(RebootGuest), |vms, call| async move {
        let vm = vms.register.find(&call.this)?;
        power::ask_guest(&vms, &vm, true, &Who::of(&call)).await.map(|()| None)
    });
}

/// Methods that VMs of this host do not have, and why.
fn refusals(table: &mut Table<'_>) {
    let refusals: [(MethodId, &'static str); 5] = [
        (method!(StandbyGuest), "Guests cannot be put to sleep from outside; suspend the VM instead"),
        (
            method!(MountToolsInstaller),
            "The host has no installer to mount: install qemu-guest-agent from the guest's own packages",
        ),
        (method!(UnmountToolsInstaller), "The host has no installer that could be mounted"),
        (method!(QueryChangedDiskAreas), "Changed blocks are not tracked"),
        (method!(UpgradeVM_Task), "Change the hardware version with ReconfigVM_Task"),
    ];
    for (method, why) in refusals {
        table.on(VM, method, move |vms, call| async move {
            vms.register.find(&call.this)?;
            Err(not_supported(why))
        });
    }
}

/// Works on the VM of a call as a task, alone.
async fn task<F, R>(vms: Arc<Vms>, call: Call, work: F) -> Reply
where
    F: FnOnce(Arc<Vms>, Arc<Vm>, Who, Running) -> R + Send + 'static,
    R: Future<Output = Result<(), Fault>> + Send + 'static,
{
    let vm = vms.register.find(&call.this)?;
    super::task(vms, call, vm, work).await
}
