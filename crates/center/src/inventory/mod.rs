//! The objects that the center remembers: durable first, then visible.
//!
//! [`Inventory::turn`] lets one change at a time happen. A change is planned on records ([`Plan`], pure), then committed
//! to the store as one batch, then written to the tree as a whole; a client that hangs up does not stop it half way.

mod edges;
mod load;
mod plan;
mod show;

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use api::{Tree, Writer};
use store::{Batch, Store};
use tokio::sync::OwnedMutexGuard;
use vim::{Fault, MoRef, fault};

use crate::ids::Ids;
use crate::records::{OBJECTS, Record};

pub(crate) use edges::Edges;
pub(crate) use load::root;
pub(crate) use plan::{Plan, datacenter_of, not_found};

/// Numbers that any single operation on the inventory needs at most.
const FEW_IDS: u64 = 16;

pub(crate) type Records = HashMap<MoRef, Record>;

pub(crate) struct Inventory {
    pub(crate) tree: Arc<Tree>,
    pub(crate) store: Store,
    /// Whether records are written to the store; a simulator forgets everything at its end.
    durable: bool,
    pub(crate) ids: Ids,
    records: RwLock<Records>,
    turn: Arc<tokio::sync::Mutex<()>>,
}

/// The right to change the inventory, which one holder at a time has.
pub(crate) struct Turn {
    inventory: Arc<Inventory>,
    _only: OwnedMutexGuard<()>,
}

impl Inventory {
    /// What is remembered. Keep the guard for moments only.
    pub(crate) fn records(&self) -> RwLockReadGuard<'_, Records> {
        self.records.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn record(&self, reference: &MoRef) -> Option<Record> {
        self.records().get(reference).cloned()
    }

    pub(crate) async fn turn(self: &Arc<Self>) -> Turn {
        Turn { inventory: self.clone(), _only: self.turn.clone().lock_owned().await }
    }

    /// Plans and makes one change.
    ///
    /// # Errors
    /// The plan's fault: nothing has changed. `SystemError` if the store failed.
    pub(crate) async fn change<R>(
        self: &Arc<Self>,
        plan: impl FnOnce(&mut Plan) -> Result<R, Fault>,
    ) -> Result<R, Fault> {
        let turn = self.turn().await;
        turn.reserve(FEW_IDS).await?;
        let (result, changes) = turn.plan(plan)?;
        turn.finish(changes, |_, _| ()).await?;
        Ok(result)
    }
}

/// New records (none: the object is gone), in the order in which they were first changed.
pub(crate) type Changes = Vec<(MoRef, Option<Record>)>;

impl Turn {
    /// Makes sure that the plan can make so many objects.
    pub(crate) async fn reserve(&self, ids: u64) -> Result<(), Fault> {
        self.inventory.ids.reserve(ids).await.map_err(|error| store_fault(&error))
    }

    pub(crate) fn plan<R>(
        &self,
        plan: impl FnOnce(&mut Plan) -> Result<R, Fault>,
    ) -> Result<(R, Changes), Fault> {
        let records = self.inventory.records();
        let mut planned = Plan::new(&records, &self.inventory.ids);
        let result = plan(&mut planned)?;
        Ok((result, planned.into_changes()))
    }

    /// Makes the planned changes durable, then visible together with what `also` writes.
    ///
    /// # Errors
    /// `SystemError` if the store failed; nothing is visible then.
    pub(crate) async fn finish(
        self,
        changes: Changes,
        also: impl FnOnce(&mut Writer, &mut Edges) + Send + 'static,
    ) -> Result<(), Fault> {
        // In a task of its own: it goes on if the caller is dropped.
        let work = tokio::spawn(async move {
            let Self { inventory, _only } = self;
            if inventory.durable && !changes.is_empty() {
                let batch = batch(&changes).map_err(|error| store_fault(&error))?;
                inventory.store.commit(batch).await.map_err(|error| store_fault(&error))?;
            }
            inventory.show(changes, also);
            Ok(())
        });
        work.await.unwrap_or_else(|_| Err(fault!(SystemError { reason: "internal error" }, "Internal error")))
    }
}

fn batch(changes: &Changes) -> store::Result<Batch> {
    let mut batch = Batch::new();
    for (reference, record) in changes {
        match record {
            Some(record) => OBJECTS.put(&mut batch, reference.id(), record)?,
            None => OBJECTS.delete(&mut batch, reference.id()),
        }
    }
    Ok(batch)
}

pub(crate) fn store_fault(error: &store::Error) -> Fault {
    tracing::error!(%error, "the center's state cannot be written");
    fault!(SystemError { reason: error.to_string() }, "The center's database failed: {error}")
}
