//! The methods of the objects of VMs. One file for each kind of object; each registers its own.

mod console;
mod folder;
mod pool;
mod screens;
mod snapshot;
mod vm;

pub(crate) use screens::Screenshots;

use std::future::Future;
use std::sync::Arc;

use api::{Call, Running, TaskOptions};
use vim::{Fault, Value};

use super::service::Vms;
use super::vm::Vm;
use crate::events::Who;

type Table<'a> = api::Table<'a, Arc<Vms>>;
type Reply = Result<Option<Value>, Fault>;

/// Enters the methods of VMs, their snapshots, and the folders and pools that they are made in.
pub(crate) fn register(table: &mut Table<'_>) {
    console::register(table);
    folder::register(table);
    pool::register(table);
    snapshot::register(table);
    vm::register(table);
}

/// Works on one VM as a task, alone.
async fn task<F, R>(vms: Arc<Vms>, call: Call, vm: Arc<Vm>, work: F) -> Reply
where
    F: FnOnce(Arc<Vms>, Arc<Vm>, Who, Running) -> R + Send + 'static,
    R: Future<Output = Result<(), Fault>> + Send + 'static,
{
    let who = Who::of(&call);
    let options = TaskOptions::exclusive(&vm.me, vm.name());
    call.task(options, move |running| async move {
        let who = who.in_task(&running);
        work(vms, vm, who, running).await.map(|()| None)
    })
    .await
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_privileges_of_a_vms_methods_are_known() {
        let unknown: Vec<_> =
            ::vm::privileges::all().filter(|privilege| !api::all_privileges().contains(privilege)).collect();
        assert!(unknown.is_empty(), "{unknown:?}");
    }
}
