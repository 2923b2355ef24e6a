//! The property collector: reads properties of many objects at once, and tells what has changed since.
//!
//! A filter specification is compiled (`spec`), walked over the tree (`select`) and read (`read`). `retrieve` does that
//! once; `filter` keeps what a client knows and computes what is new from the tree's change log; `collector` waits.

mod collector;
mod filter;
mod members;
mod read;
mod retrieve;
mod select;
mod sent;
mod share;
mod spec;
mod updates;
mod walks;

#[cfg(test)]
mod tests;

pub use collector::OwnChanges;
pub use share::{MAX_FOLLOWED, MAX_UNCONFIRMED};

use std::sync::Arc;

use vim::{Fault, MoRef, Value, field, props, schema};

use crate::common::Common;
use crate::{Call, Manager, Service, Session};

/// Objects, property sets and traversals that one filter specification may name.
pub const MAX_SPECS: usize = 100_000;
/// Traversals that one filter specification may hold.
pub const MAX_TRAVERSALS: usize = 256;
/// Filter specifications that one retrieval may hold.
pub const MAX_FILTER_SPECS: usize = 1_000;
/// Unfinished retrievals of one session; the oldest is dropped when there are more.
pub const MAX_TOKENS: usize = 32;

/// The PropertyCollector.
pub(crate) const ROW: Manager<Arc<Common>> = Manager {
    me: |common| common.ids.property_collector.clone(),
    named: Some(field!(ServiceContent.propertyCollector).number()),
    properties: |_| Ok(props!(PropertyCollector {})),
    register: |table| {
        retrieve::register(table.methods);
        collector::register(table.methods);
    },
};

/// One property of one object by its path, as `Fetch` reads it; without a session only properties that are open to everybody.
///
/// # Errors
/// `ManagedObjectNotFound`, `InvalidProperty`, `NoPermission`, `NotAuthenticated`.
pub fn fetch(
    service: &Service,
    session: Option<&Session>,
    object: &MoRef,
    path: &str,
) -> Result<Option<Value>, Fault> {
    let state = service.core.tree.snapshot();
    let reader = read::Reader { service, session, state: &state };
    let object = service.find(object, session, &state)?;
    let path = vim::path::PropertyPath::compile(object.me().ty(), path).map_err(|error| error.to_fault())?;
    let ty = schema().managed(object.me().ty());
    let privilege = ty.privileges[usize::from(path.property())].unwrap_or("System.View");
    if let Some(fault) = reader.refusal(&object, privilege)? {
        return Err(fault);
    }
    let computed = service.computed(object.me().ty(), path.property());
    Ok(reader.value(&object, &path, computed))
}

impl Call {
    fn reader<'a>(&'a self, state: &'a crate::Snapshot) -> read::Reader<'a> {
        read::Reader { service: &self.service, session: self.session.as_deref(), state }
    }
}
