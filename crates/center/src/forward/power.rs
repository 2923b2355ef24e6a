//! Starting VMs: one, or many of a datacenter.

use std::sync::Arc;

use api::{Call, TaskOptions};
use vim::{Args, Fault, MethodId, MoRef, Value, arg, call, fault, managed_id, method, vim};

use super::{By, is_vm};
use crate::LinkError;
use crate::ops::Table;
use crate::records::Record;
use crate::state::State;

pub(super) fn register(table: &mut Table) {
    let vm = managed_id!(VirtualMachine);
    table.on(vm, method!(PowerOnVM_Task), power_on);
    table.on(vm, method!(MarkAsVirtualMachine), mark_as_vm);
    table.on(managed_id!(Datacenter), method!(PowerOnMultiVM_Task), power_on_many);
}

/// # Errors
/// `NotSupported` for another host than the VM's, `InvalidState` if that is in maintenance mode.
fn check_host(state: &State, vm: &MoRef, wanted: Option<&MoRef>) -> Result<(), Fault> {
    let Some(Record::Vm(record)) = state.inventory.record(vm) else {
        return Err(crate::inventory::not_found(vm));
    };
    if wanted.is_some_and(|host| host.id() != record.host.id()) {
        return Err(fault!(NotSupported {}, "The VM is on another host; move it there first"));
    }
    state.refuse_maintenance(&record.host)
}

async fn power_on(state: Arc<State>, call: Call) -> Result<Option<Value>, Fault> {
    check_host(&state, &call.this, call.arg(arg!(PowerOnVM_Task.host)))?;
    let options = state.alone(&call);
    state.carry(call, options).await
}

/// A template gets a pool again, which the center gives it.
async fn mark_as_vm(state: Arc<State>, call: Call) -> Result<Option<Value>, Fault> {
    let pool = state.resolve(call.required(arg!(MarkAsVirtualMachine.pool))?)?;
    check_host(&state, &call.this, call.arg(arg!(MarkAsVirtualMachine.host)))?;
    let vm = call.this.clone();
    state.home(&vm)?.link()?;
    state.carry_out(&vm, &call.args, &By::caller(&call)).await.map_err(LinkError::into_fault)?;
    state.place(&vm, None, Some(&pool)).await.map(|()| None)
}

async fn power_on_many(state: Arc<State>, call: Call) -> Result<Option<Value>, Fault> {
    let vms = call.required(arg!(PowerOnMultiVM_Task.vm))?;
    let vms: Vec<MoRef> = vms.into_iter().cloned().collect();
    let options = state.shared(&call);
    let user = call.user().to_owned();
    call.task(options, move |_running| async move {
        let (mut attempted, mut refused) = (Vec::new(), Vec::new());
        for vm in vms {
            match start(&state, &vm, &user).await {
                Ok(task) => attempted.push(vim!(ClusterAttemptedVmInfo { vm: &vm, task: task })),
                Err(fault) => {
                    refused.push(vim!(ClusterNotAttemptedVmInfo { vm: &vm, fault: fault.localized() }));
                }
            }
        }
        Ok(Some(vim!(ClusterPowerOnVmResult { attempted: attempted, notAttempted: refused }).into()))
    })
    .await
}

/// A task of its own that starts one VM.
async fn start(state: &Arc<State>, vm: &MoRef, user: &str) -> Result<MoRef, Fault> {
    const POWER_ON: MethodId = method!(PowerOnVM_Task);
    let vm = state.resolve(vm)?;
    if !is_vm(&vm) {
        return Err(fault!(InvalidArgument { invalidProperty: "vm" }, "{vm} is no VM"));
    }
    check_host(state, &vm, None)?;
    state.home(&vm)?.link()?;
    let args: Args = call!(PowerOnVM_Task {});
    let options = TaskOptions::exclusive(&vm, state.name_of(&vm));
    let state_of_work = state.clone();
    let work = move |running: api::Running| async move {
        state_of_work.carry_out(&vm, &args, &By::task(&running)).await.map_err(LinkError::into_fault)
    };
    state.core.tasks.start(POWER_ON, user, options, work).await
}
