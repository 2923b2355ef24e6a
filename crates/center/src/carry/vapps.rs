//! Starting, stopping and removing vApps: one step for each order of their entities, with the pauses between them.

use std::sync::Arc;
use std::time::Duration;

use api::{Call, Methods, Running, Table};
use futures_util::future::{BoxFuture, join_all};
use vim::{Args, Fault, MoRef, arg, call, data_id, fault, managed_id, method, prop, vim_enum};

use super::by::By;
use super::carrier::Carrier;
use crate::estate::vapps::is_vapp;
use crate::estate::{Record, StartAction, StopAction, VAppEntity, in_order, not_found};
use crate::link::LinkError;
use crate::reply::Reply;

pub(super) fn register(methods: &mut Methods, carrier: &Arc<Carrier>) {
    let mut table = Table { methods, daemon: carrier };
    let app = managed_id!(VirtualApp);
    table.on(app, method!(PowerOnVApp_Task), power_on);
    table.on(app, method!(PowerOffVApp_Task), power_off);
    table.on(app, method!(SuspendVApp_Task), suspend);
    table.on(app, method!(unregisterVApp_Task), |carrier, call| async move {
        end(carrier, call, call!(UnregisterVM {}), "VirtualMachine.Inventory.Unregister").await
    });
    table.on(app, method!(Destroy_Task), |carrier, call| async move {
        end(carrier, call, call!(Destroy_Task {}), "VirtualMachine.Inventory.Delete").await
    });
}

/// The way in which a vApp stops.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stop {
    /// Each entity by its own action, with the pauses between them.
    Orderly,
    /// All VMs are powered off.
    Forced,
    Suspended,
}

async fn power_on(carrier: Arc<Carrier>, call: Call) -> Reply {
    let me = call.this.clone();
    let vms = carrier.may(&call, "VirtualMachine.Interact.PowerOn")?;
    if vms.is_empty() || vms.iter().all(|vm| carrier.is_on(vm)) {
        let state = if vms.is_empty() { "does not contain a VM" } else { "is on already" };
        return Err(fault!(InvalidState {}, "The vApp '{}' {state}", carrier.inventory.name_of(&me)));
    }
    let mut options = carrier.inventory.alone(&call);
    options.cancelable = true;
    call.task(options, move |running| async move {
        let at = At { carrier, running };
        at.start(&me).await.map(|()| None)
    })
    .await
}

async fn power_off(carrier: Arc<Carrier>, call: Call) -> Reply {
    let force = call.required(arg!(PowerOffVApp_Task.force))?;
    stop(carrier, call, if force { Stop::Forced } else { Stop::Orderly }, "VirtualMachine.Interact.PowerOff")
        .await
}

async fn suspend(carrier: Arc<Carrier>, call: Call) -> Reply {
    stop(carrier, call, Stop::Suspended, "VirtualMachine.Interact.Suspend").await
}

async fn stop(carrier: Arc<Carrier>, call: Call, how: Stop, privilege: &str) -> Reply {
    let me = call.this.clone();
    let vms = carrier.may(&call, privilege)?;
    let active = |vm: &MoRef| carrier.is_on(vm) || (how == Stop::Forced && !carrier.is_off(vm));
    if !vms.iter().any(active) {
        return Err(fault!(InvalidState {}, "The vApp '{}' is off already", carrier.inventory.name_of(&me)));
    }
    let mut options = carrier.inventory.alone(&call);
    options.cancelable = true;
    call.task(options, move |running| async move {
        let at = At { carrier, running };
        at.stop(&me, how).await.map(|()| None)
    })
    .await
}

/// Removes a vApp: each VM by the call `args` on its host, which takes this privilege on the VM.
async fn end(carrier: Arc<Carrier>, call: Call, args: Args, privilege: &'static str) -> Reply {
    let me = call.this.clone();
    carrier.may(&call, privilege)?;
    let (options, asked) = (carrier.inventory.alone(&call), call.clone());
    call.task(options, move |running| async move {
        // VMs that were added since are checked as well.
        let vms = carrier.may(&asked, privilege)?;
        if let Some(on) = vms.iter().find(|vm| !carrier.is_off(vm)) {
            return Err(fault!(
                InvalidPowerState { requestedState: "poweredOff", existingState: "poweredOn" },
                "The VM '{}' in the vApp is not powered off; power the vApp off first",
                carrier.inventory.name_of(on)
            ));
        }
        for vm in &vms {
            match carrier.carry_out(vm, &args, &By::user(&running.user)).await {
                Ok(_) => {}
                Err(LinkError::Fault(fault)) if fault.is_a(data_id!(ManagedObjectNotFound)) => {}
                Err(error) => return Err(error.into_fault()),
            }
        }
        carrier.inventory.change(|plan| crate::estate::vapps::remove(plan, &me)).await.map(|()| None)
    })
    .await
}

impl Carrier {
    /// The VMs in a vApp and in the vApps inside of it, if the caller has the privilege on each: that on the vApp does not
    /// stand for it, since VMs are moved into a vApp by others too.
    fn may(&self, call: &Call, privilege: &str) -> Result<Vec<MoRef>, Fault> {
        let vms = self.vms_in(&call.this);
        vms.iter().try_for_each(|vm| call.check(vm, privilege))?;
        Ok(vms)
    }

    fn vms_in(&self, vapp: &MoRef) -> Vec<MoRef> {
        let mut vms = Vec::new();
        let mut apps = vec![vapp.clone()];
        while let Some(app) = apps.pop() {
            let (inner, others): (Vec<MoRef>, Vec<MoRef>) =
                self.entities(&app).into_iter().map(|entity| entity.key).partition(is_vapp);
            apps.extend(inner);
            vms.extend(others);
        }
        vms
    }

    fn entities(&self, vapp: &MoRef) -> Vec<VAppEntity> {
        self.inventory.vapp_entities(vapp)
    }

    fn power(&self, vm: &MoRef) -> Option<vim::ty!(VirtualMachinePowerState)> {
        match self.inventory.record(vm) {
            Some(Record::Vm(record)) => self.hosts.power(vm, &record),
            _ => None,
        }
    }

    fn is_on(&self, vm: &MoRef) -> bool {
        self.power(vm) == Some(vim_enum!(VirtualMachinePowerState.poweredOn))
    }

    fn is_off(&self, vm: &MoRef) -> bool {
        self.power(vm).is_none_or(|power| power == vim_enum!(VirtualMachinePowerState.poweredOff))
    }
}

/// The task in which a vApp starts or stops.
struct At {
    carrier: Arc<Carrier>,
    running: Running,
}

impl At {
    /// Starts what is in the vApp, in its order. VMs that run already count as started.
    fn start<'a>(&'a self, vapp: &'a MoRef) -> BoxFuture<'a, Result<(), Fault>> {
        Box::pin(async move {
            let mut groups = in_order(self.carrier.entities(vapp));
            groups.iter_mut().for_each(|group| group.retain(|entity| entity.start == StartAction::PowerOn));
            groups.retain(|group| !group.is_empty());
            let count = groups.len();
            for (at, group) in groups.into_iter().enumerate() {
                let fresh: Vec<&VAppEntity> = group
                    .iter()
                    .filter(|entity| is_vapp(&entity.key) || !self.carrier.is_on(&entity.key))
                    .collect();
                let started = join_all(fresh.iter().map(|entity| self.start_one(&entity.key))).await;
                started.into_iter().collect::<Result<(), Fault>>()?;
                self.progress(at + 1, count);
                if at + 1 < count {
                    join_all(fresh.iter().map(|entity| self.pause_after_start(entity)))
                        .await
                        .into_iter()
                        .collect::<Result<(), Fault>>()?;
                }
            }
            Ok(())
        })
    }

    async fn start_one(&self, entity: &MoRef) -> Result<(), Fault> {
        if is_vapp(entity) {
            return self.start(entity).await;
        }
        self.carrier.may_power_on(entity, None)?;
        self.on_vm(entity, &call!(PowerOnVM_Task {})).await
    }

    /// Waits for as long as the entity asks for, or until its guest gives a sign of life.
    async fn pause_after_start(&self, entity: &VAppEntity) -> Result<(), Fault> {
        let delay = seconds(entity.start_delay);
        if !entity.waits {
            return self.unless_cancelled(delay, std::future::pending()).await;
        }
        self.unless_cancelled(delay, self.until(|| self.has_heartbeat(&entity.key))).await
    }

    fn has_heartbeat(&self, vm: &MoRef) -> bool {
        let tree = self.carrier.inventory.tree.snapshot();
        let status = tree.find(vm).and_then(|node| node.get(prop!(VirtualMachine.guestHeartbeatStatus)));
        [vim_enum!(ManagedEntityStatus.green), vim_enum!(ManagedEntityStatus.yellow)]
            .map(Some)
            .contains(&status)
    }

    fn stop<'a>(&'a self, vapp: &'a MoRef, how: Stop) -> BoxFuture<'a, Result<(), Fault>> {
        Box::pin(async move {
            let mut groups = in_order(self.carrier.entities(vapp));
            groups.reverse();
            groups.iter_mut().for_each(|group| group.retain(|entity| self.is_to_stop(entity, how)));
            groups.retain(|group| !group.is_empty());
            let count = groups.len();
            for (at, group) in groups.into_iter().enumerate() {
                let stopped = join_all(group.iter().map(|entity| self.stop_one(entity, how))).await;
                stopped.into_iter().collect::<Result<(), Fault>>()?;
                self.progress(at + 1, count);
                if how == Stop::Orderly && at + 1 < count {
                    // A guest that shuts down has had its delay already.
                    let pauses = group.iter().filter(|entity| entity.stop != StopAction::GuestShutdown);
                    let longest = pauses.map(|entity| entity.stop_delay).max().unwrap_or(0);
                    self.unless_cancelled(seconds(longest), std::future::pending()).await?;
                }
            }
            Ok(())
        })
    }

    fn is_to_stop(&self, entity: &VAppEntity, how: Stop) -> bool {
        let wanted = how != Stop::Orderly || entity.stop != StopAction::None;
        let there = is_vapp(&entity.key)
            || self.carrier.is_on(&entity.key)
            || (how == Stop::Forced && !self.carrier.is_off(&entity.key));
        wanted && there
    }

    async fn stop_one(&self, entity: &VAppEntity, how: Stop) -> Result<(), Fault> {
        let vm = &entity.key;
        if is_vapp(vm) {
            return self.stop(vm, how).await;
        }
        match (how, entity.stop) {
            (Stop::Suspended, _) | (Stop::Orderly, StopAction::Suspend) => {
                self.on_vm(vm, &call!(SuspendVM_Task {})).await
            }
            (Stop::Orderly, StopAction::GuestShutdown) => {
                // A guest that cannot shut down is powered off, as one that takes too long.
                if self.on_vm(vm, &call!(ShutdownGuest {})).await.is_ok() {
                    let off = self.until(|| !self.carrier.is_on(vm));
                    self.unless_cancelled(seconds(entity.stop_delay), off).await?;
                }
                if self.carrier.is_on(vm) {
                    return self.on_vm(vm, &call!(PowerOffVM_Task {})).await;
                }
                Ok(())
            }
            _ => self.on_vm(vm, &call!(PowerOffVM_Task {})).await,
        }
    }

    async fn on_vm(&self, vm: &MoRef, args: &Args) -> Result<(), Fault> {
        if self.carrier.inventory.record(vm).is_none() {
            return Err(not_found(vm));
        }
        // The note of a carried task belongs to one task of a host; a vApp has many.
        let by = By::user(&self.running.user);
        self.carrier.carry_out(vm, args, &by).await.map(drop).map_err(LinkError::into_fault)
    }

    /// Waits until the condition holds of the tree.
    async fn until(&self, holds: impl Fn() -> bool) {
        let mut versions = self.carrier.inventory.tree.versions();
        while !holds() {
            if versions.changed().await.is_err() {
                return;
            }
        }
    }

    /// Waits for the event, for this long at most.
    async fn unless_cancelled(
        &self,
        longest: Duration,
        event: impl Future<Output = ()>,
    ) -> Result<(), Fault> {
        tokio::select! {
            () = self.running.cancelled().cancelled() => {
                Err(fault!(RequestCanceled {}, "The task was cancelled; the VMs that it had started or stopped stay so"))
            }
            _ = tokio::time::timeout(longest, event) => Ok(()),
        }
    }

    fn progress(&self, done: usize, of: usize) {
        self.running.progress(u8::try_from(done * 100 / of.max(1)).unwrap_or(100));
    }
}

fn seconds(delay: i32) -> Duration {
    Duration::from_secs(u64::try_from(delay).unwrap_or(0))
}
