//! Snapshots: those methods of `VirtualMachine` and of `VirtualMachineSnapshot`.

use std::sync::Arc;

use api::{Call, Running, TaskOptions};
use vim::{Fault, MoRef, Value, arg, fault, managed_id, method, prop};

use super::Table;
use super::vm::task;
use crate::events::Who;
use crate::ops::Wanted;
use crate::vms::Vm;
use crate::{Host, ids};

pub(super) fn register(table: &mut Table<'_>) {
    let vm = managed_id!(VirtualMachine);
    table.on(vm, method!(CreateSnapshot_Task), |host, call| async move {
        let wanted = Wanted {
            name: call.required(arg!(CreateSnapshot_Task.name))?.to_owned(),
            description: call.arg(arg!(CreateSnapshot_Task.description)).unwrap_or_default().to_owned(),
            memory: call.required(arg!(CreateSnapshot_Task.memory))?,
            quiesce: call.required(arg!(CreateSnapshot_Task.quiesce))?,
        };
        take(host, call, wanted).await
    });
    table.on(vm, method!(CreateSnapshotEx_Task), |host, call| async move {
        let wanted = Wanted {
            name: call.required(arg!(CreateSnapshotEx_Task.name))?.to_owned(),
            description: call.arg(arg!(CreateSnapshotEx_Task.description)).unwrap_or_default().to_owned(),
            memory: call.required(arg!(CreateSnapshotEx_Task.memory))?,
            quiesce: call.arg(arg!(CreateSnapshotEx_Task.quiesceSpec)).is_some(),
        };
        take(host, call, wanted).await
    });
    table.on(vm, method!(RevertToCurrentSnapshot_Task), |host, call| {
        task(host, call, |host, vm, who, _| async move { host.revert(&vm, None, &who).await })
    });
    table.on(vm, method!(RemoveAllSnapshots_Task), |host, call| {
        task(host, call, |host, vm, _, running| async move {
            host.remove_all_snapshots(&vm, &|percent| running.progress(percent)).await
        })
    });
    table.on(vm, method!(ConsolidateVMDisks_Task), |host, call| {
        task(host, call, |host, vm, _, running| async move {
            host.consolidate(&vm, &|percent| running.progress(percent)).await
        })
    });
    let snapshot = managed_id!(VirtualMachineSnapshot);
    table.on(snapshot, method!(RevertToSnapshot_Task), |host, call| {
        on_snapshot(
            host,
            call,
            |host, vm, uid, who, _| async move { host.revert(&vm, Some(uid), &who).await },
        )
    });
    table.on(snapshot, method!(RemoveSnapshot_Task), |host, call| async move {
        let children = call.required(arg!(RemoveSnapshot_Task.removeChildren))?;
        on_snapshot(host, call, move |host, vm, uid, _, running| async move {
            host.remove_snapshot(&vm, uid, children, &|percent| running.progress(percent)).await
        })
        .await
    });
    table.on(snapshot, method!(RenameSnapshot), |host, call| async move {
        let (vm, uid) = find(&host, &call)?;
        let name = call.arg(arg!(RenameSnapshot.name)).map(ToOwned::to_owned);
        let description = call.arg(arg!(RenameSnapshot.description)).map(ToOwned::to_owned);
        host.rename_snapshot(&vm, uid, name.as_deref(), description.as_deref()).await.map(|()| None)
    });
}

async fn take(host: Arc<Host>, call: Call, wanted: Wanted) -> Result<Option<Value>, Fault> {
    let vm = host.vm(&call.this)?;
    let options = TaskOptions::exclusive(&vm.me, vm.name());
    call.task(options, move |_| async move {
        let uid = host.take_snapshot(&vm, wanted).await?;
        Ok(Some(Value::Ref(ids::snapshot(&vm.me, uid))))
    })
    .await
}

/// The machine that a snapshot object belongs to, and the snapshot's number.
fn find(host: &Arc<Host>, call: &Call) -> Result<(Arc<Vm>, u32), Fault> {
    let state = call.state();
    let owner: Option<MoRef> =
        state.find(&call.this).and_then(|node| node.get(prop!(VirtualMachineSnapshot.vm)).cloned());
    let number = call.this.id().rsplit_once('-').and_then(|(_, number)| number.parse().ok());
    match (owner, number) {
        (Some(owner), Some(number)) => Ok((host.vm(&owner)?, number)),
        _ => Err(fault!(ManagedObjectNotFound { obj: &call.this }, "There is no {}", call.this)),
    }
}

/// Works on a snapshot as a task of its machine, alone.
async fn on_snapshot<F, R>(host: Arc<Host>, call: Call, work: F) -> Result<Option<Value>, Fault>
where
    F: FnOnce(Arc<Host>, Arc<Vm>, u32, Who, Running) -> R + Send + 'static,
    R: Future<Output = Result<(), Fault>> + Send + 'static,
{
    let (vm, uid) = find(&host, &call)?;
    let who = Who::of(&call);
    let options = TaskOptions::exclusive(&vm.me, vm.name());
    call.task(options, move |running| async move {
        let who = who.in_task(&running);
        work(host, vm, uid, who, running).await.map(|()| None)
    })
    .await
}
