//! Maintenance mode: a host enters it when no VM runs on it, and no VM can be started there. VMs are not moved away.

use std::sync::Arc;
use std::time::Duration;

use api::{Call, Methods, Running, Table};
use vim::{Fault, MoRef, arg, fault, managed_id, method};

use super::announce::Occurrence;
use super::membership::Membership;
use crate::estate::show::host::set_connection;
use crate::estate::{Record, not_found};
use crate::mirror::ManagedHost;
use crate::reply::Reply;

pub(super) fn register(methods: &mut Methods, membership: &Arc<Membership>) {
    let mut table = Table { methods, daemon: membership };
    let host = managed_id!(HostSystem);
    table.on(host, method!(EnterMaintenanceMode_Task), |membership, call| async move {
        let timeout = call.required(arg!(EnterMaintenanceMode_Task.timeout))?;
        enter(membership, call, timeout).await
    });
    table.on(host, method!(ExitMaintenanceMode_Task), |membership, call| async move {
        let me = call.this.clone();
        let options = membership.inventory.alone(&call);
        call.task(options, move |_| async move {
            if !membership.inventory.in_maintenance(&me) {
                return Err(fault!(InvalidState {}, "The host is not in maintenance mode"));
            }
            membership.set_maintenance(&me, false).await.map(|()| None)
        })
        .await
    });
}

async fn enter(membership: Arc<Membership>, call: Call, timeout: i32) -> Reply {
    let me = call.this.clone();
    let mut options = membership.inventory.alone(&call);
    options.cancelable = true;
    call.task(options, move |running| async move {
        let host = membership.hosts.get(&me)?;
        host.link()?;
        if membership.inventory.in_maintenance(&me) {
            return Err(fault!(InvalidState {}, "The host is already in maintenance mode"));
        }
        membership.announcer.tell(&host, Occurrence::EnteringMaintenance).await;
        let without_end = timeout <= 0;
        let limit = Duration::from_secs(u64::try_from(timeout).unwrap_or(0));
        let idle = wait_until_idle(&membership, &host, &running);
        if without_end {
            idle.await?;
        } else {
            tokio::time::timeout(limit, idle).await.unwrap_or_else(|_| {
                Err(fault!(
                    Timedout {},
                    "VMs still run on the host after {timeout} s; power them off or move them away"
                ))
            })?;
        }
        membership.set_maintenance(&me, true).await.map(|()| None)
    })
    .await
}

async fn wait_until_idle(
    membership: &Membership,
    host: &ManagedHost,
    running: &Running,
) -> Result<(), Fault> {
    // The facts of a host change together with the tree.
    let mut versions = membership.inventory.tree.versions();
    while !host.reported().is_idle() {
        tokio::select! {
            () = running.cancelled().cancelled() => {
                return Err(fault!(RequestCanceled {}, "The task was cancelled"));
            }
            changed = versions.changed() => changed.expect("the tree outlives its tasks"),
        }
    }
    Ok(())
}

impl Membership {
    async fn set_maintenance(&self, me: &MoRef, maintenance: bool) -> Result<(), Fault> {
        let host = self.hosts.get(me)?;
        let turn = self.inventory.turn().await;
        let ((), changes) = turn.plan(|plan| {
            let Record::Host(record) = plan.get(me)? else { return Err(not_found(me)) };
            let mut record = record.clone();
            record.maintenance = maintenance;
            plan.put(me, Record::Host(record));
            Ok(())
        })?;
        let shown = host.clone();
        turn.finish(changes, move |w, _| {
            let connection = *shown.connection.borrow();
            set_connection(w, &shown.me, connection, maintenance);
        })
        .await?;
        let occurrence =
            if maintenance { Occurrence::EnteredMaintenance } else { Occurrence::LeftMaintenance };
        self.announcer.tell(&host, occurrence).await;
        Ok(())
    }
}
