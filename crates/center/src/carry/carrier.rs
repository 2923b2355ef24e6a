//! The service that carries a call to a host and waits for the outcome.

use std::sync::Arc;

use api::{Call, Core, Running, TaskOptions};
use tokio_util::sync::CancellationToken;
use vim::{Args, Fault, MoRef, Object, Value, call, field, schema};

use super::by::By;
use super::carried::CarriedTasks;
use crate::estate::{Inventory, not_found};
use crate::link::{HostLink, LinkError};
use crate::mirror::{Hosts, ManagedHost, outcome};
use crate::reply::Reply;

pub(crate) struct Carrier {
    pub(super) core: Arc<Core>,
    pub(super) inventory: Arc<Inventory>,
    pub(super) hosts: Arc<Hosts>,
    pub(super) carried: CarriedTasks,
    /// The center's own address, if it was given.
    pub(super) address: Option<String>,
}

impl Carrier {
    pub(crate) fn new(
        core: Arc<Core>,
        inventory: Arc<Inventory>,
        hosts: Arc<Hosts>,
        carried: CarriedTasks,
        address: Option<String>,
    ) -> Self {
        Self { core, inventory, hosts, carried, address }
    }

    /// Carries a call to the host of its object. A `_Task` method becomes a task here that follows the host's task.
    pub(super) async fn carry(self: &Arc<Self>, call: Call, options: TaskOptions) -> Reply {
        // A call that is certain to fail fails at once.
        self.home(&call.this)?.link()?;
        if !schema().method(call.args.method).is_task {
            let by = By::caller(&call);
            return self.carry_out(&call.this, &call.args, &by).await.map_err(LinkError::into_fault);
        }
        let (carrier, this, args) = (self.clone(), call.this.clone(), call.args.clone());
        call.task(options, move |running| async move {
            carrier.carry_out(&this, &args, &By::task(&running)).await.map_err(LinkError::into_fault)
        })
        .await
    }

    /// Calls the method on the object's host and waits for its result, which is in the center's references. When this
    /// returns, the center's tree shows the changes that the call made.
    pub(super) async fn carry_out(
        &self,
        object: &MoRef,
        args: &Args,
        by: &By,
    ) -> Result<Option<Value>, LinkError> {
        let host = self.home(object)?;
        self.carry_to(&host, object, args, by).await
    }

    /// The same on a given host.
    pub(super) async fn carry_to(
        &self,
        host: &ManagedHost,
        object: &MoRef,
        args: &Args,
        by: &By,
    ) -> Result<Option<Value>, LinkError> {
        let remote = host.refs().host(object).ok_or_else(|| not_found(object))?;
        self.carry_remote(host, &remote, args, by).await
    }

    /// The same on an object by the host's reference.
    pub(super) async fn carry_remote(
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
                let noted = self.carried.note(by.running(), &host.me, &task).await;
                let result = follow(host, &link, &task, by.running()).await;
                if noted {
                    self.carried.forget(by.running()).await;
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

/// Whether a method makes no change that the stream would report.
fn is_query(method: &str) -> bool {
    ["Query", "Acquire", "Find", "Retrieve", "Check", "List"].iter().any(|verb| method.starts_with(verb))
}

/// The host's fault with the center's references.
fn in_center_terms(host: &ManagedHost, error: LinkError) -> LinkError {
    let LinkError::Fault(fault) = error else { return error };
    let refs = host.refs();
    let object = Value::Object(fault.object().clone()).map_refs(&|reference| refs.center(reference));
    let object =
        object.as_object().map_or_else(|| Object::clone(fault.object()), |object| Object::clone(object));
    LinkError::Fault(Fault::new(object, fault.message()))
}

/// Waits for the end of a host's task, and shows its progress.
async fn follow(
    host: &ManagedHost,
    link: &Arc<dyn HostLink>,
    task: &MoRef,
    running: Option<&Running>,
) -> Result<Option<Value>, LinkError> {
    let mut info = host.tasks.follow(task);
    let mut shown = None;
    let mut cancelable = false;
    // Never cancelled, for a task of the host that is not one of the center's.
    let mut cancelled = running.map_or_else(CancellationToken::new, |running| running.cancelled().clone());
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
            let now =
                info.as_ref().and_then(|info| info.get(field!(TaskInfo.cancelable))).unwrap_or(cancelable);
            if let Some(running) = running
                && now != cancelable
            {
                cancelable = now;
                running.set_cancelable(now);
            }
            info.as_ref().and_then(|info| outcome(info))
        };
        if let Some(result) = ended {
            return result.map_err(LinkError::Fault);
        }
        let changed = tokio::select! {
            changed = info.changed() => changed,
            () = cancelled.cancelled() => {
                cancelled = CancellationToken::new();
                // The task goes on to its end if the host cannot stop it; its outcome says which.
                if let Err(error) = link.invoke(task, call!(CancelTask {}), None).await {
                    tracing::info!(host = host.name, task = task.id(), %error, "a task on a host was not cancelled");
                }
                continue;
            }
        };
        if changed.is_err() {
            let reason = "the host was lost while its task ran".into();
            return Err(LinkError::Unknown { host: host.name.clone(), reason });
        }
    }
}
