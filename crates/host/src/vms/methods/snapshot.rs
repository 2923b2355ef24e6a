//! Snapshots: those methods of `VirtualMachine` and of `VirtualMachineSnapshot`.

use std::sync::Arc;

use api::{Call, TaskOptions};
use vim::{Fault, Value, arg, fault, managed_id, method};

use super::{Reply, Table, task};
use crate::ids;
use crate::vms::merge::consolidate;
use crate::vms::service::Vms;
use crate::vms::snapshot::{self, Quiesce, Wanted};
use crate::vms::vm::Vm;

pub(super) fn register(table: &mut Table<'_>) {
    let vm = managed_id!(VirtualMachine);
    table.on(vm, method!(CreateSnapshot_Task), |vms, call| async move {
        let wanted = Wanted {
            name: call.required(arg!(CreateSnapshot_Task.name))?.to_owned(),
            description: call.arg(arg!(CreateSnapshot_Task.description)).unwrap_or_default().to_owned(),
            memory: call.required(arg!(CreateSnapshot_Task.memory))?,
            quiesce: Quiesce::plain(call.required(arg!(CreateSnapshot_Task.quiesce))?),
        };
        take(vms, call, wanted).await
    });
    table.on(vm, method!(CreateSnapshotEx_Task), |vms, call| async move {
        let quiesce = call.arg(arg!(CreateSnapshotEx_Task.quiesceSpec));
        let wanted = Wanted {
            name: call.required(arg!(CreateSnapshotEx_Task.name))?.to_owned(),
            description: call.arg(arg!(CreateSnapshotEx_Task.description)).unwrap_or_default().to_owned(),
            memory: call.required(arg!(CreateSnapshotEx_Task.memory))?,
            quiesce: quiesce.map(|spec| Quiesce::of(spec)).transpose()?,
        };
        take(vms, call, wanted).await
    });
    table.on(vm, method!(RevertToCurrentSnapshot_Task), |vms, call| async move {
        let vm = vms.register.find(&call.this)?;
        task(vms, call, vm, |vms, vm, who, _| async move { snapshot::revert(&vms, &vm, None, &who).await })
            .await
    });
    table.on(vm, method!(RemoveAllSnapshots_Task), |vms, call| async move {
        let vm = vms.register.find(&call.this)?;
        task(vms, call, vm, |vms, vm, _, running| async move {
            snapshot::remove_all(&vms, &vm, &|percent| running.progress(percent)).await
        })
        .await
    });
    table.on(vm, method!(ConsolidateVMDisks_Task), |vms, call| async move {
        let vm = vms.register.find(&call.this)?;
        task(vms, call, vm, |vms, vm, _, running| async move {
            consolidate(&vms, &vm, &|percent| running.progress(percent)).await
        })
        .await
    });
    let snapshot = managed_id!(VirtualMachineSnapshot);
    table.on(snapshot, method!(RevertToSnapshot_Task), |vms, call| async move {
        let (vm, uid) = find(&vms, &call)?;
        task(vms, call, vm, move |vms, vm, who, _| async move {
            snapshot::revert(&vms, &vm, Some(uid), &who).await
        })
        .await
    });
    table.on(snapshot, method!(RemoveSnapshot_Task), |vms, call| async move {
        let children = call.required(arg!(RemoveSnapshot_Task.removeChildren))?;
        let (vm, uid) = find(&vms, &call)?;
        task(vms, call, vm, move |vms, vm, _, running| async move {
            snapshot::remove(&vms, &vm, uid, children, &|percent| running.progress(percent)).await
        })
        .await
    });
    table.on(snapshot, method!(RenameSnapshot), |vms, call| async move {
        let (vm, uid) = find(&vms, &call)?;
        let name = call.arg(arg!(RenameSnapshot.name)).map(ToOwned::to_owned);
        let description = call.arg(arg!(RenameSnapshot.description)).map(ToOwned::to_owned);
        snapshot::rename(&vms, &vm, uid, name.as_deref(), description.as_deref()).await.map(|()| None)
    });
}

async fn take(vms: Arc<Vms>, call: Call, wanted: Wanted) -> Reply {
    let vm = vms.register.find(&call.this)?;
    let options = TaskOptions::exclusive(&vm.me, vm.name());
    call.task(options, move |_| async move {
        let uid = snapshot::take(&vms, &vm, wanted).await?;
        Ok(Some(Value::Ref(ids::snapshot(&vm.me, uid))))
    })
    .await
}

/// The VM that a snapshot object belongs to, and the snapshot's number.
fn find(vms: &Vms, call: &Call) -> Result<(Arc<Vm>, u32), Fault> {
    let found = ids::of_snapshot(&call.this).and_then(|(vm, uid)| {
        let vm = vms.register.find(&vm).ok()?;
        let has = vm.read().snapshots.get(uid).is_some();
        has.then_some((vm, uid))
    });
    found.ok_or_else(|| {
        fault!(
            ManagedObjectNotFound { obj: &call.this },
            "{} does not exist; it may have been removed",
            call.this
        )
    })
}
