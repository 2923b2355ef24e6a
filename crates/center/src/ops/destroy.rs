//! Removing things. What could take VMs with it must be empty first, but for a folder of VMs, which goes with them.

use std::sync::Arc;

use api::{Call, Guard};
use vim::{Args, Fault, MoRef, Value, call, fault, field, managed_id, method, prop, vim_enum};

use super::kinds::KINDS;
use super::moving::remove_compute;
use super::{Table, not_supported, pool};
use crate::events::HostWord;
use crate::forward::By;
use crate::hosts::ManagedHost;
use crate::inventory::Plan;
use crate::link::LinkError;
use crate::mirror;
use crate::objects;
use crate::records::{Holds, Pool, Record, Vm};
use crate::state::State;

pub(super) fn register(table: &mut Table) {
    for kind in KINDS {
        table.guarded(kind.ty, method!(Destroy_Task), Guard::Privilege(kind.destroy), destroy);
    }
    table.on(managed_id!(Folder), method!(UnregisterAndDestroy_Task), |state, call| async move {
        destroy_with_vms(state, call, call!(UnregisterVM {}), "VirtualMachine.Inventory.Unregister").await
    });
    table.on(managed_id!(Datastore), method!(DestroyDatastore), |state, call| async move {
        state.destroy_datastore(&call.this, &By::caller(&call)).await.map(|()| None)
    });
}

async fn destroy(state: Arc<State>, call: Call) -> Result<Option<Value>, Fault> {
    let me = call.this.clone();
    let record = state.inventory.record(&me).ok_or_else(|| crate::inventory::not_found(&me))?;
    let options = state.alone(&call);
    match record {
        Record::Vm(_) => state.carry(call, options).await,
        Record::Network(_) | Record::Snapshot(_) => {
            Err(not_supported("A network goes when the last host and VM that use it are gone"))
        }
        Record::Folder(folder) if folder.fixed => {
            Err(not_supported("The root folder and the folders of a datacenter cannot be removed"))
        }
        Record::Pool(known) => {
            pool::refuse_root(&known, "removed")?;
            call.task(options, move |_| async move { state.destroy_pool(&me).await.map(|()| None) }).await
        }
        Record::Host(_) => {
            call.task(options, move |_| async move { state.remove_host(&me).await.map(|()| None) }).await
        }
        Record::Compute(_) if !objects::compute::is_cluster(&me) => {
            let host = state.inventory.records().iter().find_map(|(at, record)| {
                matches!(record, Record::Host(host) if host.parent == me).then(|| at.clone())
            });
            let host = host.ok_or_else(|| crate::inventory::not_found(&me))?;
            call.task(options, move |_| async move { state.remove_host(&host).await.map(|()| None) }).await
        }
        Record::Folder(folder) if folder.holds == Holds::Vms => {
            destroy_with_vms(state, call, call!(Destroy_Task {}), "VirtualMachine.Inventory.Delete").await
        }
        Record::Datastore(_) => {
            call.task(options, move |running| async move {
                state.destroy_datastore(&me, &By::task(&running)).await.map(|()| None)
            })
            .await
        }
        Record::Folder(_) | Record::Datacenter(_) | Record::Compute(_) => {
            call.task(options, move |_| async move {
                state.inventory.change(|plan| remove_container(plan, &me)).await.map(|()| None)
            })
            .await
        }
    }
}

/// Ends a folder of VMs with what is in it: each VM by this call on its host, which takes this privilege on the VM.
async fn destroy_with_vms(
    state: Arc<State>,
    call: Call,
    end: Args,
    privilege: &'static str,
) -> Result<Option<Value>, Fault> {
    state.may_end(&call, privilege)?;
    let (options, asked) = (state.alone(&call), call.clone());
    call.task(options, move |running| async move {
        // What has come into the folder since is checked as well.
        let vms = state.may_end(&asked, privilege)?;
        state.destroy_vm_folder(&asked.this, vms, &end, &By::task(&running)).await.map(|()| None)
    })
    .await
}

fn in_use(me: &MoRef, name: &str, why: &str) -> Fault {
    fault!(ResourceInUse { type: me.type_name(), name: name }, "'{name}' is in use: {why}")
}

/// Removes a folder, datacenter or cluster with the containers in it.
///
/// # Errors
/// `ResourceInUse` if there is anything else in it.
fn remove_container(plan: &mut Plan, me: &MoRef) -> Result<(), Fault> {
    let name = plan.get(me)?.name().to_owned();
    let mut below = vec![me.clone()];
    let mut at = 0;
    while at < below.len() {
        let here = below[at].clone();
        for (child, record) in plan.children(&here) {
            match record {
                Record::Folder(_) | Record::Datacenter(_) | Record::Compute(_) | Record::Pool(_) => {
                    below.push(child.clone());
                }
                other => {
                    let why = format!("it contains the {} '{}'", child.type_name(), other.name());
                    return Err(in_use(me, &name, &why));
                }
            }
        }
        at += 1;
    }
    for gone in below.iter().rev() {
        plan.remove(gone);
    }
    Ok(())
}

impl State {
    async fn destroy_pool(&self, me: &MoRef) -> Result<(), Fault> {
        self.inventory
            .change(|plan| {
                let heir = plan.pool(me)?.parent.clone();
                let moved: Vec<(MoRef, Record)> = plan
                    .all()
                    .filter_map(|(at, record)| match record {
                        Record::Vm(vm) if vm.pool == *me => {
                            Some((at.clone(), Record::Vm(Vm { pool: heir.clone(), ..vm.clone() })))
                        }
                        Record::Pool(pool) if pool.parent == *me => {
                            Some((at.clone(), Record::Pool(Pool { parent: heir.clone(), ..pool.clone() })))
                        }
                        _ => None,
                    })
                    .collect();
                for (at, record) in moved {
                    if matches!(record, Record::Pool(_)) {
                        plan.free_name(&heir, record.name(), Some(me))?;
                    }
                    plan.put(&at, record);
                }
                plan.remove(me);
                Ok(())
            })
            .await
    }

    /// The VMs in and below a folder of VMs, if the session may end each of them and each folder below.
    ///
    /// # Errors
    /// `NoPermission` that names the first that it may not, `NotSupported` for a folder that is not removed so.
    fn may_end(&self, call: &Call, privilege: &str) -> Result<Vec<MoRef>, Fault> {
        let me = &call.this;
        let (mut vms, mut folders) = (Vec::new(), Vec::new());
        {
            let records = self.inventory.records();
            match records.get(me) {
                Some(Record::Folder(folder)) if folder.holds == Holds::Vms && !folder.fixed => {}
                Some(_) => return Err(not_supported("Only a folder of VMs is removed with what is in it")),
                None => return Err(crate::inventory::not_found(me)),
            }
            let within = |mut at: MoRef| loop {
                if at == *me {
                    return true;
                }
                match records.get(&at).and_then(Record::parent) {
                    Some(parent) => at = parent.clone(),
                    None => return false,
                }
            };
            for (at, record) in records.iter() {
                let list = match record {
                    Record::Vm(_) => &mut vms,
                    Record::Folder(_) => &mut folders,
                    _ => continue,
                };
                if within(at.clone()) {
                    list.push(at.clone());
                }
            }
        }
        let (session, tree) = (call.session()?, call.state());
        for folder in &folders {
            call.service.check(session, folder, "Folder.Delete", &tree)?;
        }
        for vm in &vms {
            call.service.check(session, vm, privilege, &tree)?;
        }
        Ok(vms)
    }

    /// Ends these VMs by this call on their hosts, then the folder in which they are.
    async fn destroy_vm_folder(
        self: &Arc<Self>,
        me: &MoRef,
        vms: Vec<MoRef>,
        end: &Args,
        by: &By,
    ) -> Result<(), Fault> {
        let tree = self.inventory.tree.snapshot();
        if let Some(on) = vms.iter().find(|vm| !is_powered_off(&tree, vm)) {
            return Err(fault!(
                InvalidPowerState { requestedState: "poweredOff", existingState: "poweredOn" },
                "The VM '{}' in the folder is powered on; power it off first",
                self.name_of(on)
            ));
        }
        for vm in &vms {
            match self.carry_out(vm, end, by).await {
                Ok(_) => {}
                Err(LinkError::Fault(fault)) if fault.is_a(vim::data_id!(ManagedObjectNotFound)) => {}
                Err(error) => return Err(error.into_fault()),
            }
        }
        self.inventory.change(|plan| remove_container(plan, me)).await
    }

    async fn destroy_datastore(self: &Arc<Self>, me: &MoRef, by: &By) -> Result<(), Fault> {
        let hosts = self.hosts_with(me);
        if hosts.is_empty() {
            return Err(crate::forward::nobody_reaches(&self.name_of(me)));
        }
        for host in hosts {
            let Some(remote) = host.refs().host(me) else { continue };
            let answer = host.link()?.invoke(&remote, call!(DestroyDatastore {}), by.acting()).await;
            answer.map_err(LinkError::into_fault)?;
            host.settle().await.map_err(LinkError::into_fault)?;
        }
        Ok(())
    }

    /// Takes a host out of the inventory, with its VMs; on the host nothing changes but that it forgets the center.
    pub(crate) async fn remove_host(self: &Arc<Self>, me: &MoRef) -> Result<(), Fault> {
        let host = self.hosts.get(me)?;
        if let Some(Record::Host(record)) = self.inventory.record(me)
            && objects::compute::is_cluster(&record.parent)
            && host.is_connected()
            && !record.maintenance
        {
            return Err(fault!(
                InvalidState {},
                "Host {} must be in maintenance mode or disconnected to be removed from its cluster",
                record.name
            ));
        }
        let event = self.host_event(me, HostWord::Removed);
        let turn = self.inventory.turn().await;
        let before = self.inventory.tree.snapshot();
        let ((), changes) = turn.plan(|plan| {
            plan_removal(plan, &before, me)?;
            Ok(())
        })?;
        let link = host.any_link().filter(|_| host.is_connected());
        host.halt();
        host.tasks.clear();
        host.connection.send_replace(vim_enum!(HostSystemConnectionState.disconnected));
        let gone = me.clone();
        let subsystems: Vec<MoRef> = host.refs().subsystem_centers().collect();
        turn.finish(changes, move |w, edges| {
            let vms = before.find(&gone).and_then(|node| node.get(prop!(HostSystem.vm)));
            for vm in vms.into_iter().flatten() {
                mirror::unlink(&before, edges, vm);
            }
            mirror::unmount(w, edges, &before, &gone);
            for subsystem in subsystems {
                w.remove(&subsystem);
            }
            w.remove(&objects::host::browser(&gone));
        })
        .await?;
        self.hosts.remove(me);
        if let Some(link) = link {
            self.connector.release(&link).await;
        }
        if let Some(link) = host.set_link(None) {
            ManagedHost::let_go(link);
        }
        let mut batch = store::Batch::new();
        mirror::forget_events(&mut batch, me);
        if let Err(error) = self.inventory.store.commit(batch).await {
            tracing::warn!(host = host.name, %error, "the place in a removed host's events stays behind");
        }
        self.core.events.post(event).await;
        Ok(())
    }
}

fn plan_removal(plan: &mut Plan, before: &api::Snapshot, me: &MoRef) -> Result<(), Fault> {
    let Record::Host(record) = plan.get(me)? else { return Err(crate::inventory::not_found(me)) };
    let compute = record.parent.clone();
    let mut gone: Vec<MoRef> = plan
        .all()
        .filter(|(_, record)| match record {
            Record::Vm(vm) => vm.host == *me,
            Record::Snapshot(snapshot) => snapshot.host == *me,
            _ => false,
        })
        .map(|(at, _)| at.clone())
        .collect();
    if let Some(node) = before.find(me) {
        let datastores = node.get(prop!(HostSystem.datastore)).into_iter().flatten();
        let networks = node.get(prop!(HostSystem.network)).into_iter().flatten();
        gone.extend(datastores.chain(networks).filter(|at| !mirror::others_have(before, at, me)).cloned());
    }
    gone.push(me.clone());
    for object in &gone {
        plan.remove(object);
    }
    if !objects::compute::is_cluster(&compute) {
        remove_compute(plan, &compute);
    }
    Ok(())
}

/// Whether a VM is powered off, as far as is known.
pub(crate) fn is_powered_off(tree: &api::Snapshot, vm: &MoRef) -> bool {
    let runtime = tree.find(vm).and_then(|node| node.get(prop!(VirtualMachine.runtime)));
    let state = runtime.and_then(|runtime| runtime.get(field!(VirtualMachineRuntimeInfo.powerState)));
    state.is_none_or(|state| state == vim_enum!(VirtualMachinePowerState.poweredOff))
}
