//! Operations carried to the host that owns the object: references are translated on the way there and back.

mod browse;
mod by;
mod carried;
mod create;
mod files;
mod paths;
mod power;
mod screens;
mod storage;
mod table;
mod ticket;

use std::sync::Arc;

use api::{Call, Manager, Running, TaskOptions};
use vim::{Args, Fault, ManagedId, MoRef, Object, Value, fault, field, managed_id, prop, schema};

use crate::hosts::ManagedHost;
use crate::inventory::Records;
use crate::link::LinkError;
use crate::mirror::outcome;
use crate::ops::Table;
use crate::records::Record;
use crate::state::State;

pub(crate) use by::By;
pub(crate) use carried::recover;
pub(crate) use files::CenterFiles;
pub(crate) use screens::CenterScreens;

/// The managers that `ServiceContent` names and whose methods hosts do.
pub(crate) const MANAGERS: [Manager<Arc<State>>; 2] = [paths::FILE_MANAGER, paths::DISK_MANAGER];

pub(crate) fn register(table: &mut Table) {
    table::register(table);
    create::register(table);
    power::register(table);
    paths::register(table);
    browse::register(table);
    ticket::register(table);
}

const VM: ManagedId = managed_id!(VirtualMachine);

impl State {
    /// The host that has the object.
    ///
    /// # Errors
    /// `ManagedObjectNotFound`; `HostNotConnected` if all hosts that have it are away.
    pub(crate) fn home(&self, object: &MoRef) -> Result<Arc<ManagedHost>, Fault> {
        let host = match self.inventory.records().get(object) {
            Some(Record::Vm(vm)) => Some(vm.host.clone()),
            Some(Record::Snapshot(snapshot)) => Some(snapshot.host.clone()),
            Some(Record::Host(_)) => Some(object.clone()),
            _ => None,
        };
        if let Some(host) = host {
            return self.hosts.get(&host);
        }
        if object.ty() == managed_id!(Datastore) {
            let hosts = self.hosts_with(object);
            return hosts.into_iter().next().ok_or_else(|| nobody_reaches(&self.name_of(object)));
        }
        // Parts of a host carry its number; a datastore's browser the datastore's id.
        let id = object.id();
        if let Some(datastore) =
            id.strip_prefix("datastoreBrowser-").filter(|id| id.starts_with("datastore-"))
        {
            return self.home(&MoRef::new(managed_id!(Datastore), datastore));
        }
        let number = id.rsplit('-').next().unwrap_or_default();
        self.hosts
            .get(&MoRef::new(managed_id!(HostSystem), format!("host-{number}")))
            .map_err(|_| crate::inventory::not_found(object))
    }

    /// The connected hosts that reach a datastore, those with the fewest VMs first.
    pub(crate) fn hosts_with(&self, datastore: &MoRef) -> Vec<Arc<ManagedHost>> {
        let tree = self.inventory.tree.snapshot();
        let mounts = tree.find(datastore).and_then(|node| node.get(prop!(Datastore.host)));
        let hosts = mounts.into_iter().flatten().filter_map(|mount| {
            let accessible = mount
                .get(field!(DatastoreHostMount.mountInfo))
                .and_then(|info| info.get(field!(HostMountInfo.accessible)))
                .unwrap_or(true);
            let host = self.hosts.find(mount.get(field!(DatastoreHostMount.key))?)?;
            (accessible && host.is_connected()).then_some(host)
        });
        let mut hosts: Vec<_> = hosts.collect();
        let load = |host: &Arc<ManagedHost>| {
            let vms = tree.find(&host.me).and_then(|node| node.get(prop!(HostSystem.vm)));
            (vms.map_or(0, |vms| vms.len()), host.me.clone())
        };
        hosts.sort_by_cached_key(load);
        hosts
    }

    /// Does a call on the host that has the object; a `_Task` method becomes a task here that follows the one there.
    pub(crate) async fn carry(
        self: &Arc<Self>,
        call: Call,
        options: TaskOptions,
    ) -> Result<Option<Value>, Fault> {
        // What is certain to fail fails at once.
        self.home(&call.this)?.link()?;
        if !schema().method(call.args.method).is_task {
            let by = By::caller(&call);
            return self.carry_out(&call.this, &call.args, &by).await.map_err(LinkError::into_fault);
        }
        let (state, this, args) = (self.clone(), call.this.clone(), call.args.clone());
        call.task(options, move |running| async move {
            state.carry_out(&this, &args, &By::task(&running)).await.map_err(LinkError::into_fault)
        })
        .await
    }

    /// Calls the method on the object's host and waits for what comes of it, in the center's terms. When it returns,
    /// what it changed is in the center's tree.
    pub(crate) async fn carry_out(
        &self,
        object: &MoRef,
        args: &Args,
        by: &By,
    ) -> Result<Option<Value>, LinkError> {
        let host = self.home(object)?;
        self.carry_to(&host, object, args, by).await
    }

    pub(crate) async fn carry_to(
        &self,
        host: &ManagedHost,
        object: &MoRef,
        args: &Args,
        by: &By,
    ) -> Result<Option<Value>, LinkError> {
        let remote = host.refs().host(object).ok_or_else(|| crate::inventory::not_found(object))?;
        self.carry_remote(host, &remote, args, by).await
    }

    /// The same on an object that the host names so.
    pub(crate) async fn carry_remote(
        &self,
        host: &ManagedHost,
        remote: &MoRef,
        args: &Args,
        by: &By,
    ) -> Result<Option<Value>, LinkError> {
        let link = host.link()?;
        let there = {
            let refs = host.refs();
            args.map_refs(&|reference| refs.host(reference))
        };
        let answer =
            link.invoke(remote, there, by.acting()).await.map_err(|error| in_center_terms(host, error))?;
        let method = schema().method(args.method);
        let result = match answer {
            Some(Value::Ref(task)) if method.is_task => {
                let noted = self.note_carried(by.running(), host, &task).await;
                let result = follow(host, &task, by.running()).await;
                if noted {
                    self.forget_carried(by.running()).await;
                }
                result.map_err(|error| in_center_terms(host, error))?
            }
            answer => {
                if !is_query(method.name) {
                    host.settle().await?;
                }
                answer
            }
        };
        let refs = host.refs();
        Ok(result.map(|value| value.map_refs(&|reference| refs.center(reference))))
    }
}

/// Whether a method changes nothing that the stream would tell of.
fn is_query(method: &str) -> bool {
    ["Query", "Acquire", "Find", "Retrieve", "Check", "List"].iter().any(|verb| method.starts_with(verb))
}

/// A fault names the host's objects; clients know the center's.
fn in_center_terms(host: &ManagedHost, error: LinkError) -> LinkError {
    let LinkError::Fault(fault) = error else { return error };
    let refs = host.refs();
    let object = Value::Object(fault.object().clone()).map_refs(&|reference| refs.center(reference));
    let object =
        object.as_object().map_or_else(|| Object::clone(fault.object()), |object| Object::clone(object));
    LinkError::Fault(Fault::new(object, fault.message()))
}

/// Waits for the end of a host's task.
async fn follow(
    host: &ManagedHost,
    task: &MoRef,
    running: Option<&Running>,
) -> Result<Option<Value>, LinkError> {
    let mut info = host.tasks.follow(task);
    let mut shown = None;
    loop {
        let ended = {
            let info = info.borrow_and_update();
            let progress = info.as_ref().and_then(|info| info.get(field!(TaskInfo.progress)));
            if let (Some(running), Some(percent)) = (running, progress)
                && shown != progress
            {
                shown = progress;
                running.progress(u8::try_from(percent.clamp(0, 100)).unwrap_or(0));
            }
            info.as_ref().and_then(|info| outcome(info))
        };
        if let Some(result) = ended {
            return result.map_err(LinkError::Fault);
        }
        if info.changed().await.is_err() {
            let reason = "the host was lost while its task ran".into();
            return Err(LinkError::Unknown { host: host.name.clone(), reason });
        }
    }
}

/// # Errors
/// `DuplicateName` if another VM or folder in the folder has the name.
pub(crate) fn free_vm_name(
    records: &Records,
    folder: &MoRef,
    name: &str,
    me: Option<&MoRef>,
) -> Result<(), Fault> {
    let same = |(at, record): &(&MoRef, &Record)| {
        record.parent() == Some(folder) && record.name() == name && Some(*at) != me
    };
    match records.iter().find(same) {
        None => Ok(()),
        Some((other, _)) => {
            Err(fault!(DuplicateName { name: name, object: other }, "The name '{name}' already exists."))
        }
    }
}

pub(crate) fn nobody_reaches(datastore: &str) -> Fault {
    fault!(HostNotConnected {}, "No connected host reaches the datastore '{datastore}'")
}

/// Whether a reference is to a VM.
pub(crate) fn is_vm(reference: &MoRef) -> bool {
    reference.ty() == VM
}
