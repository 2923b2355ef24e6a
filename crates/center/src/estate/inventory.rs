//! The objects that the center remembers: durable first, then visible.
//!
//! [`Inventory::turn`] lets one change at a time happen. A change is planned on records ([`Plan`], pure), committed to
//! the store as one batch, and written to the tree as a whole. It completes even if the client hangs up meanwhile.

use std::sync::{Arc, OnceLock, Weak};

use api::{Core, Tree, Writer};
use parking_lot::{RwLock, RwLockReadGuard};
use store::{Batch, Store};
use tags::Tags;
use tokio::sync::OwnedMutexGuard;
use vim::{Fault, MoRef, fault};

use super::edges::Edges;
use super::events;
use super::faults::store_fault;
use super::ids::Ids;
use super::index::Records;
use super::parts::Parts;
use super::plan::Plan;
use super::records::{Changes, OBJECTS, Record};
use super::{show, tagged};

/// Numbers that a single operation on the inventory needs at most.
const FEW_IDS: u64 = 16;

pub(crate) struct Inventory {
    pub(crate) tree: Arc<Tree>,
    pub(crate) store: Store,
    pub(crate) parts: Parts,
    /// Whether records are written to the store; the inventory of a simulator ends with its process.
    durable: bool,
    pub(super) ids: Ids,
    records: RwLock<Records>,
    /// Tells what changes; set when the center is put together. The core holds the accounts, whose owners are found here.
    core: OnceLock<Weak<Core>>,
    /// The tags of the objects; set when the center is put together.
    pub(super) tags: OnceLock<Arc<Tags>>,
    turn: Arc<tokio::sync::Mutex<()>>,
}

/// The right to change the inventory, which one holder at a time has.
pub(crate) struct Turn {
    inventory: Arc<Inventory>,
    _only: OwnedMutexGuard<()>,
}

impl Inventory {
    /// An inventory without any object.
    pub(super) fn empty(tree: Arc<Tree>, store: Store, durable: bool) -> Arc<Self> {
        Arc::new(Self {
            tree,
            ids: Ids::new(store.clone()),
            store,
            parts: Parts::default(),
            durable,
            records: RwLock::default(),
            core: OnceLock::new(),
            tags: OnceLock::new(),
            turn: Arc::default(),
        })
    }

    /// Changes leave events from now on.
    pub(crate) fn told_by(&self, core: &Arc<Core>) {
        let _ = self.core.set(Arc::downgrade(core));
    }

    /// All records. Keep the guard for moments only.
    pub(crate) fn records(&self) -> RwLockReadGuard<'_, Records> {
        self.records.read()
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
        let before = events::before(&self.records(), &changes);
        let changed: Vec<MoRef> = changes.iter().map(|(me, _)| me.clone()).collect();
        turn.finish(changes, |_, _| ()).await?;
        if let Some(core) = self.core.get().and_then(Weak::upgrade) {
            let events = events::events(&before, &self.records(), &changed);
            if !events.is_empty()
                && let Err(error) = core.events.post_all(events, Batch::new()).await
            {
                tracing::error!(%error, "events about the inventory are lost");
            }
        }
        Ok(result)
    }

    /// Makes changes visible, at once and as a whole. They are durable already.
    pub(super) fn show(&self, changes: Changes, also: impl FnOnce(&mut Writer, &mut Edges)) {
        self.tree.write(|w| {
            let mut edges = Edges::default();
            show::changes(w, &self.records(), &changes, &mut edges, &self.parts);
            let mut records = self.records.write();
            for (me, record) in changes {
                match record {
                    Some(record) => records.insert(me, record),
                    None => records.remove(&me),
                }
            }
            drop(records);
            also(w, &mut edges);
            for container in edges.write(w) {
                show::refresh(w, &self.records(), &container);
            }
        });
    }
}

impl Turn {
    /// Makes sure that the plan can create so many objects.
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

    /// Makes the planned changes durable, then visible together with the output of `also`.
    ///
    /// # Errors
    /// `SystemError` if the store failed; nothing is visible then.
    pub(crate) async fn finish(
        self,
        changes: Changes,
        also: impl FnOnce(&mut Writer, &mut Edges) + Send + 'static,
    ) -> Result<(), Fault> {
        // A separate task goes on if the caller is dropped.
        let work = tokio::spawn(async move {
            let Self { inventory, _only } = self;
            if inventory.durable && !changes.is_empty() {
                let batch = batch(&changes).map_err(|error| store_fault(&error))?;
                inventory.store.commit(batch).await.map_err(|error| store_fault(&error))?;
            }
            let gone = if inventory.tags.get().is_some() { tagged::gone(&changes) } else { Vec::new() };
            inventory.show(changes, also);
            inventory.forget_tags(&gone).await;
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
