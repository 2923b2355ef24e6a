//! `VirtualMachine`: power, configuration and removal.

use std::future::Future;
use std::sync::Arc;

use api::{Call, Running, TaskOptions};
use vim::{Fault, ManagedId, Value, managed_id, method};

use super::Table;
use crate::Host;
use crate::events::Who;
use crate::vm::Vm;

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
    table.on(VM, method!(Destroy_Task), |host, call| {
        task(host, call, |host, vm, who, _| async move { host.destroy(&vm, &who).await })
    });
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
