//! New names. What a host owns is renamed there, and the new name comes back by the stream.

use std::sync::Arc;

use api::{Call, Guard};
use vim::{Fault, MoRef, Value, arg, call, managed_id, method};

use super::kinds::KINDS;
use super::{Table, not_supported, pool};
use crate::forward::By;
use crate::names;
use crate::records::Record;
use crate::state::State;

pub(super) fn register(table: &mut Table) {
    for kind in KINDS {
        table.guarded(kind.ty, method!(Rename_Task), Guard::Privilege(kind.rename), rename);
    }
    table.on(managed_id!(ManagedEntity), method!(Reload), |_, _| async { Ok(None) });
    table.on(managed_id!(Datastore), method!(RenameDatastore), |state, call| async move {
        let name = names::parse(call.required(arg!(RenameDatastore.newName))?, Some(&call.this))?;
        state.rename_datastore(&call.this, &name, &By::caller(&call)).await.map(|()| None)
    });
}

async fn rename(state: Arc<State>, call: Call) -> Result<Option<Value>, Fault> {
    let name = names::parse(call.required(arg!(Rename_Task.newName))?, Some(&call.this))?;
    let me = call.this.clone();
    let options = state.alone(&call);
    match state.inventory.record(&me) {
        None => Err(crate::inventory::not_found(&me)),
        Some(Record::Vm(_)) => {
            check_vm_name(&state, &me, &name)?;
            state.carry(call, options).await
        }
        Some(Record::Datastore(_)) => {
            call.task(options, move |running| async move {
                state.rename_datastore(&me, &name, &By::task(&running)).await.map(|()| None)
            })
            .await
        }
        Some(_) => {
            call.task(options, move |_| async move {
                let change = state.inventory.change(|plan| {
                    let mut record = plan.get(&me)?.clone();
                    check(&record)?;
                    if let Some(parent) = record.parent() {
                        plan.free_name(parent, &name, Some(&me))?;
                    }
                    record.set_name(&name);
                    plan.put(&me, record);
                    Ok(())
                });
                change.await?;
                Ok(None)
            })
            .await
        }
    }
}

fn check(record: &Record) -> Result<(), Fault> {
    match record {
        Record::Folder(folder) if folder.fixed => {
            Err(not_supported("The root folder and the folders of a datacenter keep their names"))
        }
        Record::Host(_) => Err(not_supported("A host has the name of its address; add it again by another")),
        Record::Network(_) => Err(not_supported("A network is renamed on its hosts")),
        Record::Pool(known) => pool::refuse_root(known, "renamed"),
        _ => Ok(()),
    }
}

/// A VM's name is its own in its folder.
///
/// # Errors
/// `DuplicateName`.
pub(crate) fn check_vm_name(state: &State, me: &MoRef, name: &str) -> Result<(), Fault> {
    let records = state.inventory.records();
    let Some(Record::Vm(vm)) = records.get(me) else { return Err(crate::inventory::not_found(me)) };
    crate::forward::free_vm_name(&records, &vm.folder, name, Some(me))
}

impl State {
    /// Renames a datastore on every host that has it.
    async fn rename_datastore(self: &Arc<Self>, me: &MoRef, name: &str, by: &By) -> Result<(), Fault> {
        {
            let records = self.inventory.records();
            let Some(Record::Datastore(known)) = records.get(me) else {
                return Err(crate::inventory::not_found(me));
            };
            let other = records.iter().find(|(at, record)| {
                *at != me
                    && matches!(record, Record::Datastore(other) if other.datacenter == known.datacenter && other.name == name)
            });
            if let Some((other, _)) = other {
                return Err(vim::fault!(
                    DuplicateName { name: name, object: other },
                    "The name '{name}' already exists."
                ));
            }
        }
        let hosts = self.hosts_with(me);
        if hosts.is_empty() {
            return Err(crate::forward::nobody_reaches(&self.name_of(me)));
        }
        for host in hosts {
            let Some(remote) = host.refs().host(me) else { continue };
            let answer =
                host.link()?.invoke(&remote, call!(RenameDatastore { newName: name }), by.acting()).await;
            answer.map_err(crate::LinkError::into_fault)?;
            host.settle().await.map_err(crate::LinkError::into_fault)?;
        }
        Ok(())
    }
}
