//! Removing hosts from the inventory.

use std::sync::Arc;

use api::{Call, Methods, Table};
use vim::{Fault, MoRef, call, fault, managed_id, method};

use super::announce::Occurrence;
use super::membership::Membership;
use crate::estate::show::compute::is_cluster;
use crate::estate::{Record, not_found};
use crate::link::names;
use crate::mirror::ManagedHost;
use crate::reply::Reply;

pub(super) fn register(methods: &mut Methods, membership: &Arc<Membership>) {
    let mut table = Table { methods, daemon: membership };
    table.on(managed_id!(HostSystem), method!(Destroy_Task), |membership, call| async move {
        let host = call.this.clone();
        remove(membership, call, host).await
    });
    // The compute resource of a standalone host; clusters have a method of their own.
    table.on(managed_id!(ComputeResource), method!(Destroy_Task), |membership, call| async move {
        let me = &call.this;
        let host = membership.inventory.records().iter().find_map(|(at, record)| {
            matches!(record, Record::Host(host) if host.parent == *me).then(|| at.clone())
        });
        let host = host.ok_or_else(|| not_found(me))?;
        remove(membership, call, host).await
    });
}

async fn remove(membership: Arc<Membership>, call: Call, host: MoRef) -> Reply {
    let options = membership.inventory.alone(&call);
    call.task(options, move |_| async move { membership.remove(&host).await.map(|()| None) }).await
}

impl Membership {
    /// Removes a host from the inventory, with its VMs. The host itself only forgets the center.
    async fn remove(&self, me: &MoRef) -> Result<(), Fault> {
        let host = self.hosts.get(me)?;
        if let Some(Record::Host(record)) = self.inventory.record(me)
            && is_cluster(&record.parent)
            && host.is_connected()
            && !record.maintenance
        {
            return Err(fault!(
                InvalidState {},
                "Host {} must be in maintenance mode or disconnected to be removed from its cluster",
                record.name
            ));
        }
        let event = self.announcer.event(&host, Occurrence::Removed);
        if let Some(link) = self.mirror.remove(&host).await? {
            // Nobody could log in to a host that stays in lockdown mode without a center.
            let _not_in_lockdown = link.invoke(&names::host(), call!(ExitLockdownMode {}), None).await;
            self.connector.release(&link).await;
        }
        if let Some(link) = host.set_link(None) {
            ManagedHost::close(link);
        }
        self.announcer.post(event).await;
        Ok(())
    }
}
