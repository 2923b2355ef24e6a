//! Applies one batch of a host's changes: plans it, makes it durable, and writes it to the center's tree.

use std::sync::Arc;

use vim::{ManagedId, MoRef, Object, fault, managed_id, prop, vim_enum};

use super::error::FollowError;
use super::events;
use super::facts::{self, Sorted};
use super::host::ManagedHost;
use super::hosts::Hosts;
use super::identify::{Identifier, is_mirrored};
use super::service::Mirror;
use super::write::{Batch, unlink};
use crate::estate::{Inventory, Plan, Record};
use crate::link::Changes;

const TASK: ManagedId = managed_id!(Task);

/// Numbers that a batch may need besides one for each of its objects.
const SPARE_IDS: u64 = 4;

impl Mirror {
    /// `asked_at` is the turn of the task book in which the whole state was requested.
    pub(super) async fn apply(
        &self,
        host: &Arc<ManagedHost>,
        changes: Changes,
        asked_at: u64,
    ) -> Result<(), FollowError> {
        let whole = changes.reset;
        let sorted = facts::sort(changes.changes);
        if whole {
            check_identity(&self.inventory, host, &sorted)?;
        }
        let inventory = &self.inventory;
        let turn = inventory.turn().await;
        let objects = u64::try_from(sorted.set.len()).unwrap_or(u64::MAX);
        turn.reserve(objects + SPARE_IDS).await.map_err(FollowError::Center)?;
        let ((), planned) = turn
            .plan(|plan| {
                let mut refs = host.refs_mut();
                let mut identifier =
                    Identifier::new(plan, &mut refs, &self.hosts, &self.expected, &inventory.parts);
                identifier.all(&sorted, whole);
                drop(refs);
                release(plan, host, &self.hosts, &sorted, whole);
                Ok(())
            })
            .map_err(FollowError::Center)?;
        let ended: Vec<MoRef> =
            planned.iter().filter(|(_, record)| record.is_none()).map(|(at, _)| at.clone()).collect();
        let tasks = tasks(&sorted);
        let latest = events::latest(&sorted);
        if whole {
            host.tasks.open();
            host.connection.send_replace(vim_enum!(HostSystemConnectionState.connected));
        }
        let before = inventory.tree.snapshot();
        let batch = Batch {
            host: host.clone(),
            inventory: inventory.clone(),
            maintenance: inventory.in_maintenance(&host.me),
            address: self.address.clone(),
            whole,
        };
        turn.finish(planned, move |w, edges| {
            for object in &ended {
                unlink(&before, edges, object);
            }
            batch.write(w, edges, &ended, sorted);
        })
        .await
        .map_err(FollowError::Center)?;
        for (task, info) in tasks.reported {
            host.tasks.publish(&task, &info);
        }
        for task in tasks.removed {
            host.tasks.forget(&task);
        }
        if whole {
            host.tasks.forget_unlisted(asked_at);
            self.begin_events(host, latest.as_ref().map(|(_, event)| event)).await;
        }
        if let Some(latest) = latest {
            self.forward_events(host, latest);
        }
        Ok(())
    }
}

/// The host that answers must be the one that was added.
fn check_identity(inventory: &Inventory, host: &ManagedHost, sorted: &Sorted) -> Result<(), FollowError> {
    let Some(Record::Host(known)) = inventory.record(&host.me) else { return Ok(()) };
    let properties =
        sorted.set.iter().find(|(object, _)| object.ty() == managed_id!(HostSystem)).map(|(_, set)| set);
    let uuid = properties.and_then(facts::host_uuid).unwrap_or_default();
    if known.uuid.is_empty() || uuid.is_empty() || known.uuid == uuid {
        return Ok(());
    }
    Err(FollowError::WrongHost(fault!(
        InvalidState {},
        "Another host ({uuid}) answers at the address of host {} ({}); remove the host and add the new one",
        known.name,
        known.uuid
    )))
}

/// Removes the datastores and networks of the host that it has lost and no other host has.
fn release(plan: &mut Plan, host: &ManagedHost, hosts: &Hosts, sorted: &Sorted, whole: bool) {
    if !whole && !sorted.removed.iter().any(is_mirrored) {
        return;
    }
    let refs = host.refs();
    let lost: Vec<MoRef> =
        host.reported().shared().filter(|center| refs.host(center).is_none()).cloned().collect();
    for center in lost {
        if !hosts.others_have(&center, &host.me) {
            plan.remove(&center);
        }
    }
}

/// The host's tasks in a batch.
struct Tasks {
    /// Each with its `TaskInfo`.
    reported: Vec<(MoRef, Arc<Object>)>,
    removed: Vec<MoRef>,
}

fn tasks(sorted: &Sorted) -> Tasks {
    let set = sorted.set.iter().filter(|(object, _)| object.ty() == TASK);
    let reported =
        set.filter_map(|(task, set)| Some((task.clone(), facts::object(set, prop!(Task.info))?.clone())));
    let removed = sorted.removed.iter().filter(|object| object.ty() == TASK).cloned();
    Tasks { reported: reported.collect(), removed: removed.collect() }
}
