//! Moving objects into folders and hosts into clusters. A host that moves is read again, since its references then lead
//! to other objects.

use std::sync::Arc;

use api::{Call, Methods, Table};
use vim::{MoRef, arg, managed_id, method};

use super::membership::Membership;
use crate::estate::{MOVE, compute_of, leave_cluster, move_entity, move_into_cluster};
use crate::mirror::Fixed;
use crate::reply::Reply;

pub(super) fn register(methods: &mut Methods, membership: &Arc<Membership>) {
    let mut table = Table { methods, daemon: membership };
    table.guarded(managed_id!(Folder), method!(MoveIntoFolder_Task), MOVE, into_folder);
    let cluster = managed_id!(ClusterComputeResource);
    table.on(cluster, method!(MoveInto_Task), |membership, call| async move {
        let hosts = membership.inventory.resolve_all(call.required(arg!(MoveInto_Task.host))?)?;
        into_cluster(membership, call, hosts).await
    });
    table.on(cluster, method!(MoveHostInto_Task), |membership, call| async move {
        let host = membership.inventory.resolve(call.required(arg!(MoveHostInto_Task.host))?)?;
        into_cluster(membership, call, vec![host]).await
    });
}

fn is_host(entity: &MoRef) -> bool {
    entity.ty() == managed_id!(HostSystem)
}

async fn into_folder(membership: Arc<Membership>, call: Call) -> Reply {
    let list = membership.inventory.resolve_all(call.required(arg!(MoveIntoFolder_Task.list))?)?;
    let me = call.this.clone();
    if me.is_a(managed_id!(StoragePod)) {
        call.check(&me, "StoragePod.Config")?;
    }
    let options = membership.inventory.shared(&call);
    call.task(options, move |_running| async move {
        let moved = membership.inventory.change(|plan| {
            for entity in &list {
                let entity = compute_of(plan, entity);
                if is_host(&entity) {
                    leave_cluster(plan, &entity, &me)?;
                } else {
                    move_entity(plan, &entity, &me)?;
                }
            }
            Ok(())
        });
        moved.await?;
        membership.rehome(list.iter().filter(|entity| is_host(entity))).await;
        Ok(None)
    })
    .await
}

async fn into_cluster(membership: Arc<Membership>, call: Call, hosts: Vec<MoRef>) -> Reply {
    let me = call.this.clone();
    let options = membership.inventory.alone(&call);
    call.task(options, move |_running| async move {
        let moved = membership
            .inventory
            .change(|plan| hosts.iter().try_for_each(|host| move_into_cluster(plan, host, &me)));
        moved.await?;
        membership.rehome(hosts.iter()).await;
        Ok(None)
    })
    .await
}

impl Membership {
    /// Makes the references of moved hosts lead to their new places, and reads the hosts again.
    async fn rehome<'a>(&self, hosts: impl Iterator<Item = &'a MoRef>) {
        for me in hosts {
            let fixed = Fixed::of(&self.inventory.records(), me);
            let (Some(host), Ok(fixed)) = (self.hosts.find(me), fixed) else { continue };
            host.refs_mut().rehome(fixed);
            if host.is_connected()
                && let Err(fault) = self.supervisor.bring_in(&host).await
            {
                tracing::warn!(host = host.name, %fault, "the moved host could not be read again yet");
            }
        }
    }
}
