//! Views: lists of objects that a session keeps, and that property collectors start from.

mod container;
mod methods;
#[cfg(test)]
mod tests;

pub(crate) use methods::ROW;

use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};
use vim::{Kind, List, MoRef, Value, managed_id, prop};

use crate::session::SessionObject;
use crate::{Session, Snapshot};
use container::Container;

/// Objects in one ListView or InventoryView.
pub const MAX_LISTED: usize = 100_000;

/// A view of a session.
pub(crate) struct View {
    me: MoRef,
    contents: Contents,
}

enum Contents {
    /// The objects below a container, as they are now.
    Container(Arc<Container>),
    /// The objects that the client added; also an InventoryView, to which opening a folder adds its children.
    List(Mutex<Vec<MoRef>>),
}

impl View {
    fn list(&self) -> Option<MutexGuard<'_, Vec<MoRef>>> {
        match &self.contents {
            Contents::List(list) => Some(list.lock()),
            Contents::Container(_) => None,
        }
    }

    /// The objects of the view that exist.
    fn view(&self, session: &Session, state: &Snapshot) -> Option<Value> {
        match &self.contents {
            Contents::Container(container) => container.view(state),
            Contents::List(list) => {
                let list = list.lock();
                let there = list
                    .iter()
                    .filter(|object| state.find(object).is_some() || session.object(object).is_some());
                references(there.cloned().map(Value::Ref).collect())
            }
        }
    }
}

/// A list of references as a property; none if it is empty.
fn references(items: Vec<Value>) -> Option<Value> {
    (!items.is_empty()).then(|| Value::List(List::new(Kind::Ref(managed_id!(ManagedObject)), items)))
}

impl SessionObject for View {
    fn me(&self) -> &MoRef {
        &self.me
    }

    fn property(&self, number: u16, session: &Session, state: &Snapshot) -> Option<Value> {
        if number == prop!(ManagedObjectView.view).number() {
            return self.view(session, state);
        }
        match &self.contents {
            Contents::Container(container) => container.property(number),
            Contents::List(_) => None,
        }
    }
}
