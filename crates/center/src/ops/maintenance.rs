//! Maintenance mode, the simple one: a host without running VMs on which none is started. Nothing is moved away.

use std::sync::Arc;
use std::time::Duration;

use api::{Call, Running};
use vim::{Fault, MoRef, Value, arg, fault, managed_id, method, prop};

use super::{Table, is_powered_off};
use crate::objects;
use crate::records::Record;
use crate::state::State;

pub(super) fn register(table: &mut Table) {
    let host = managed_id!(HostSystem);
    table.on(host, method!(EnterMaintenanceMode_Task), |state, call| async move {
        let timeout = call.required(arg!(EnterMaintenanceMode_Task.timeout))?;
        enter(state, call, timeout).await
    });
    table.on(host, method!(ExitMaintenanceMode_Task), |state, call| async move {
        let me = call.this.clone();
        let options = state.alone(&call);
        call.task(options, move |_| async move {
            if !state.in_maintenance(&me) {
                return Err(fault!(InvalidState {}, "The host is not in maintenance mode"));
            }
            state.set_maintenance(&me, false).await.map(|()| None)
        })
        .await
    });
}

async fn enter(state: Arc<State>, call: Call, timeout: i32) -> Result<Option<Value>, Fault> {
    let me = call.this.clone();
    let mut options = state.alone(&call);
    options.cancelable = true;
    call.task(options, move |running| async move {
        state.hosts.get(&me)?.link()?;
        if state.in_maintenance(&me) {
            return Err(fault!(InvalidState {}, "The host is in maintenance mode already"));
        }
        let without_end = timeout <= 0;
        let limit = Duration::from_secs(u64::try_from(timeout).unwrap_or(0));
        let empty = wait_until_empty(&state, &me, &running);
        if without_end {
            empty.await?;
        } else {
            tokio::time::timeout(limit, empty).await.unwrap_or_else(|_| {
                Err(fault!(
                    Timedout {},
                    "VMs still run on the host after {timeout} s; power them off or move them away"
                ))
            })?;
        }
        state.set_maintenance(&me, true).await.map(|()| None)
    })
    .await
}

async fn wait_until_empty(state: &State, me: &MoRef, running: &Running) -> Result<(), Fault> {
    let mut versions = state.inventory.tree.versions();
    loop {
        let tree = state.inventory.tree.snapshot();
        let vms = tree.find(me).and_then(|node| node.get(prop!(HostSystem.vm)));
        if vms.into_iter().flatten().all(|vm| is_powered_off(&tree, vm)) {
            return Ok(());
        }
        tokio::select! {
            () = running.cancelled().cancelled() => {
                return Err(fault!(RequestCanceled {}, "The task was cancelled"));
            }
            changed = versions.changed() => changed.expect("the tree outlives its tasks"),
        }
    }
}

impl State {
    pub(crate) fn in_maintenance(&self, host: &MoRef) -> bool {
        matches!(self.inventory.records().get(host), Some(Record::Host(host)) if host.maintenance)
    }

    async fn set_maintenance(self: &Arc<Self>, me: &MoRef, maintenance: bool) -> Result<(), Fault> {
        let host = self.hosts.get(me)?;
        let turn = self.inventory.turn().await;
        let ((), changes) = turn.plan(|plan| {
            let Record::Host(record) = plan.get(me)? else { return Err(crate::inventory::not_found(me)) };
            let mut record = record.clone();
            record.maintenance = maintenance;
            plan.put(me, Record::Host(record));
            Ok(())
        })?;
        let me = me.clone();
        turn.finish(changes, move |w, _| {
            let connection = *host.connection.borrow();
            objects::host::set_connection(w, &me, connection, maintenance);
        })
        .await
    }

    /// Refuses to start a VM on a host in maintenance mode.
    ///
    /// # Errors
    /// `InvalidState`.
    pub(crate) fn refuse_maintenance(&self, host: &MoRef) -> Result<(), Fault> {
        if self.in_maintenance(host) {
            return Err(fault!(
                InvalidState {},
                "Host {} is in maintenance mode: no VM is started or made there",
                self.name_of(host)
            ));
        }
        Ok(())
    }
}
