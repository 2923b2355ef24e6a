//! One managed object.

use vim::kind::Marker;
use vim::{Field, MoRef, Value};

/// A managed object: its reference and the properties that are set, by number, in order.
#[derive(Clone, Debug)]
pub struct Node {
    me: MoRef,
    properties: Vec<(u16, Value)>,
}

impl Node {
    pub(super) fn new(me: MoRef) -> Self {
        Self { me, properties: Vec::new() }
    }

    pub fn me(&self) -> &MoRef {
        &self.me
    }

    /// The property with this number, if it is set.
    pub fn at(&self, number: u16) -> Option<&Value> {
        self.properties.binary_search_by_key(&number, |p| p.0).ok().map(|at| &self.properties[at].1)
    }

    /// Reads a property: `node.get(prop!(VirtualMachine.runtime))`. The object must be of the property's type.
    pub fn get<K: Marker>(&self, property: Field<K>) -> Option<K::Out<'_>> {
        self.at(property.number()).and_then(K::read)
    }

    /// The properties that are set, in schema order.
    pub fn properties(&self) -> &[(u16, Value)] {
        &self.properties
    }

    /// Sets or unsets a property; whether that changed anything.
    pub(super) fn put(&mut self, number: u16, value: Option<Value>) -> bool {
        match (self.properties.binary_search_by_key(&number, |p| p.0), value) {
            (Ok(at), Some(value)) => {
                let changed = self.properties[at].1 != value;
                self.properties[at].1 = value;
                changed
            }
            (Ok(at), None) => {
                self.properties.remove(at);
                true
            }
            (Err(at), Some(value)) => {
                self.properties.insert(at, (number, value));
                true
            }
            (Err(_), None) => false,
        }
    }
}
