//! Powering VMs on, one or many, and turning templates back into VMs.

use std::sync::Arc;

use api::{Call, Methods, Table, TaskOptions};
use vim::{Args, Fault, MethodId, MoRef, arg, call, fault, managed_id, method, vim};

use super::by::By;
use super::carrier::Carrier;
use crate::estate::{Record, not_found};
use crate::link::LinkError;
use crate::reply::Reply;

pub(super) fn register(methods: &mut Methods, carrier: &Arc<Carrier>) {
    let mut table = Table { methods, daemon: carrier };
    let vm = managed_id!(VirtualMachine);
    table.on(vm, method!(PowerOnVM_Task), power_on);
    table.on(vm, method!(MarkAsVirtualMachine), mark_as_vm);
    table.on(managed_id!(Datacenter), method!(PowerOnMultiVM_Task), power_on_many);
}

async fn power_on(carrier: Arc<Carrier>, call: Call) -> Reply {
    call.require_references()?;
    carrier.may_power_on(&call.this, call.arg(arg!(PowerOnVM_Task.host)))?;
    let options = carrier.inventory.alone(&call);
    carrier.carry(call, options).await
}

/// The center gives the template a resource pool again.
async fn mark_as_vm(carrier: Arc<Carrier>, call: Call) -> Reply {
    call.require_references()?;
    let pool = carrier.inventory.resolve(call.required(arg!(MarkAsVirtualMachine.pool))?)?;
    carrier.may_power_on(&call.this, call.arg(arg!(MarkAsVirtualMachine.host)))?;
    let vm = call.this.clone();
    carrier.home(&vm)?.link()?;
    carrier.carry_out(&vm, &call.args, &By::caller(&call)).await.map_err(LinkError::into_fault)?;
    carrier.inventory.place_vm(&vm, None, Some(&pool)).await.map(|()| None)
}

async fn power_on_many(carrier: Arc<Carrier>, call: Call) -> Reply {
    let vms = call.required(arg!(PowerOnMultiVM_Task.vm))?;
    let vms: Vec<MoRef> = vms.into_iter().cloned().collect();
    let options = carrier.inventory.shared(&call);
    let user = call.user().to_owned();
    call.task(options, move |_running| async move {
        let (mut attempted, mut refused) = (Vec::new(), Vec::new());
        for vm in vms {
            match carrier.start(&vm, &user).await {
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

impl Carrier {
    /// # Errors
    /// `NotSupported` for another host than the VM's, `InvalidState` if that is in maintenance mode.
    pub(super) fn may_power_on(&self, vm: &MoRef, wanted: Option<&MoRef>) -> Result<(), Fault> {
        let Some(Record::Vm(record)) = self.inventory.record(vm) else { return Err(not_found(vm)) };
        if wanted.is_some_and(|host| host.id() != record.host.id()) {
            return Err(fault!(NotSupported {}, "The VM is on another host; migrate it first"));
        }
        self.inventory.refuse_maintenance(&record.host)
    }

    /// Starts a separate task that powers one VM on.
    async fn start(self: &Arc<Self>, vm: &MoRef, user: &str) -> Result<MoRef, Fault> {
        const POWER_ON: MethodId = method!(PowerOnVM_Task);
        let vm = self.vm(vm)?;
        self.may_power_on(&vm, None)?;
        self.home(&vm)?.link()?;
        let args: Args = call!(PowerOnVM_Task {});
        let options = TaskOptions::exclusive(&vm, self.inventory.name_of(&vm));
        let carrier = self.clone();
        let work = move |running: api::Running| async move {
            carrier.carry_out(&vm, &args, &By::task(&running)).await.map_err(LinkError::into_fault)
        };
        self.core.tasks.start(POWER_ON, user, options, work).await
    }
}
