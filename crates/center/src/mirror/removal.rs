//! Takes a host with its VMs out of the inventory.

use std::sync::Arc;

use api::{Snapshot, Writer};
use vim::{Fault, MoRef, prop, vim_enum};

use super::events;
use super::host::ManagedHost;
use super::hosts::Hosts;
use super::service::Mirror;
use super::write::unlink;
use crate::estate::show;
use crate::estate::{Edges, Plan, Record, not_found, remove_compute};
use crate::link::HostLink;

impl Mirror {
    /// Removes a host, with its VMs and every datastore and network that no other host has. Returns its link if it was
    /// connected.
    ///
    /// # Errors
    /// `ManagedObjectNotFound`, or `SystemError` if the store failed: the host is still there then.
    pub(crate) async fn remove(&self, host: &Arc<ManagedHost>) -> Result<Option<Arc<dyn HostLink>>, Fault> {
        let me = &host.me;
        let turn = self.inventory.turn().await;
        let before = self.inventory.tree.snapshot();
        let ((), changes) = turn.plan(|plan| plan_removal(plan, host, &self.hosts))?;
        let link = host.any_link().filter(|_| host.is_connected());
        host.halt();
        host.tasks.clear();
        host.connection.send_replace(vim_enum!(HostSystemConnectionState.disconnected));
        let systems: Vec<MoRef> = host.refs().subsystem_centers().collect();
        let (gone, inventory) = (me.clone(), self.inventory.clone());
        turn.finish(changes, move |w, edges| {
            let vms = before.find(&gone).and_then(|node| node.get(prop!(HostSystem.vm)));
            for vm in vms.into_iter().flatten() {
                unlink(&before, edges, vm);
            }
            unmount(w, edges, &before, &gone);
            for system in systems {
                inventory.parts.remove(&system);
                w.remove(&system);
            }
        })
        .await?;
        self.hosts.remove(me);
        let mut batch = store::Batch::new();
        events::forget(&mut batch, me);
        if let Err(error) = self.inventory.store.commit(batch).await {
            tracing::warn!(host = host.name, %error, "the position in a removed host's events could not be deleted");
        }
        Ok(link)
    }
}

fn plan_removal(plan: &mut Plan, host: &ManagedHost, hosts: &Hosts) -> Result<(), Fault> {
    let me = &host.me;
    let Record::Host(record) = plan.get(me)? else { return Err(not_found(me)) };
    let compute = record.parent.clone();
    let mut gone: Vec<MoRef> = plan.on_host(me).map(|(at, _)| at.clone()).collect();
    gone.extend(host.reported().shared().filter(|at| !hosts.others_have(at, me)).cloned());
    gone.push(me.clone());
    for object in &gone {
        plan.remove(object);
    }
    if !show::compute::is_cluster(&compute) {
        remove_compute(plan, &compute);
    }
    Ok(())
}

/// Removes a host from the datastores and networks that stay.
fn unmount(w: &mut Writer, edges: &mut Edges, before: &Snapshot, host: &MoRef) {
    let Some(node) = before.find(host) else { return };
    for datastore in node.get(prop!(HostSystem.datastore)).into_iter().flatten() {
        show::datastore::set_mount(w, datastore, host, None);
    }
    for network in node.get(prop!(HostSystem.network)).into_iter().flatten() {
        edges.remove(network, prop!(Network.host), host);
    }
}
