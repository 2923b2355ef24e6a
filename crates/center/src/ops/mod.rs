//! What the methods of the center's own objects do. Each operation is planned on records, where its rules are; the
//! inventory makes it durable and shows it.

mod cluster;
mod create;
mod destroy;
mod host;
mod kinds;
mod maintenance;
mod moving;
mod pool;
mod rename;

use std::sync::Arc;

use api::{Call, TaskOptions};
use vim::{Fault, MoRef, fault, prop};

use crate::state::State;

pub(crate) use destroy::is_powered_off;
pub(crate) use rename::check_vm_name;

/// The method table with the state that every method gets.
pub(crate) type Table<'a> = api::Table<'a, Arc<State>>;

pub(crate) fn register(table: &mut Table) {
    create::register(table);
    cluster::register(table);
    pool::register(table);
    moving::register(table);
    rename::register(table);
    destroy::register(table);
    host::register(table);
    maintenance::register(table);
}

impl State {
    /// The object itself for a reference that a client gave, which may name a base type.
    ///
    /// # Errors
    /// `ManagedObjectNotFound`.
    pub(crate) fn resolve(&self, reference: &MoRef) -> Result<MoRef, Fault> {
        let tree = self.inventory.tree.snapshot();
        let node = tree.find(reference);
        node.map(|node| node.me().clone()).ok_or_else(|| crate::inventory::not_found(reference))
    }

    pub(crate) fn resolve_all<'a>(
        &self,
        references: impl IntoIterator<Item = &'a MoRef>,
    ) -> Result<Vec<MoRef>, Fault> {
        references.into_iter().map(|reference| self.resolve(reference)).collect()
    }

    /// The name of an entity, for tasks and messages.
    pub(crate) fn name_of(&self, entity: &MoRef) -> String {
        let tree = self.inventory.tree.snapshot();
        let node = tree.find(entity);
        node.and_then(|node| node.get(prop!(ManagedEntity.name))).unwrap_or(entity.id()).to_owned()
    }

    /// A task on the object of the call that shuts out others on it.
    pub(crate) fn alone(&self, call: &Call) -> TaskOptions {
        TaskOptions::exclusive(&call.this, self.name_of(&call.this))
    }

    /// A task on the object of the call beside which others may work.
    pub(crate) fn shared(&self, call: &Call) -> TaskOptions {
        TaskOptions { exclusive: false, ..self.alone(call) }
    }
}

pub(crate) fn not_supported(what: &str) -> Fault {
    fault!(NotSupported {}, "{what}")
}
