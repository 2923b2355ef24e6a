//! A long list of references that changes one reference at a time, as a folder's children do.
//!
//! A [`List`] is a whole: changing it copies it. Here a change costs the logarithm of the length, copies share what they have in
//! common, and the list is put together when somebody reads it, once for each state that is read.

use std::sync::OnceLock;

use vim::{Kind, List, MoRef, Value};

use super::by_id::ById;

/// References in the order in which they were added, each once.
#[derive(Clone, Debug)]
pub(super) struct References {
    element: Kind,
    in_order: imbl::OrdMap<u64, MoRef>,
    /// Where each one stands in the order.
    places: imbl::HashMap<ById, u64>,
    next: u64,
    whole: OnceLock<Value>,
}

impl References {
    /// The references of this list; none if it has other values too.
    pub fn of(list: &List) -> Option<Self> {
        counted::add(list.items().len());
        let mut made = Self {
            element: list.element(),
            in_order: imbl::OrdMap::new(),
            places: imbl::HashMap::new(),
            next: 0,
            whole: OnceLock::new(),
        };
        for item in list.items() {
            made.add(item.as_ref()?);
        }
        let same = made.places.len() == list.items().len();
        same.then_some(made)
    }

    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether it is there, with this type.
    pub fn has(&self, item: &MoRef) -> bool {
        self.places.get(item.id()).and_then(|at| self.in_order.get(at)) == Some(item)
    }

    /// Adds a reference at the end; false if it is there already.
    pub fn add(&mut self, item: &MoRef) -> bool {
        if self.places.contains_key(item.id()) {
            return false;
        }
        self.places.insert(ById(item.clone()), self.next);
        self.in_order.insert(self.next, item.clone());
        self.next += 1;
        self.whole = OnceLock::new();
        true
    }

    /// Takes a reference out; false if it was not there.
    pub fn remove(&mut self, item: &MoRef) -> bool {
        let Some(at) = self.places.remove(item.id()) else { return false };
        self.in_order.remove(&at);
        self.whole = OnceLock::new();
        true
    }

    /// The list as a property has it.
    pub fn whole(&self) -> &Value {
        self.whole.get_or_init(|| {
            counted::add(self.len());
            let items: Vec<Value> = self.in_order.values().cloned().map(Value::Ref).collect();
            Value::List(List::new(self.element, items))
        })
    }
}

/// The elements that were copied between lists and the present form, for the tests that bound them.
#[cfg(test)]
pub(super) mod counted {
    use std::cell::Cell;

    thread_local!(static COPIED: Cell<usize> = const { Cell::new(0) });

    pub fn add(elements: usize) {
        COPIED.set(COPIED.get() + elements);
    }

    pub fn take() -> usize {
        COPIED.take()
    }
}

#[cfg(not(test))]
pub(super) mod counted {
    pub fn add(_elements: usize) {}
}
