//! One managed object.

use vim::kind::Marker;
use vim::{Field, List, MoRef, Value};

use super::references::{References, counted};

/// From this length on, a list to which references are added one by one is kept as [`References`].
const LONG: usize = 64;

/// A managed object: its reference and the properties that are set, by number, in order.
#[derive(Clone, Debug)]
pub struct Node {
    me: MoRef,
    properties: Vec<(u16, Property)>,
}

#[derive(Clone, Debug)]
enum Property {
    Value(Value),
    References(Box<References>),
}

impl Property {
    fn value(&self) -> &Value {
        match self {
            Self::Value(value) => value,
            Self::References(references) => references.whole(),
        }
    }
}

impl Node {
    pub(super) fn new(me: MoRef) -> Self {
        Self { me, properties: Vec::new() }
    }

    pub fn me(&self) -> &MoRef {
        &self.me
    }

    fn place(&self, number: u16) -> Result<usize, usize> {
        self.properties.binary_search_by_key(&number, |p| p.0)
    }

    /// The property with this number, if it is set.
    pub fn at(&self, number: u16) -> Option<&Value> {
        self.place(number).ok().map(|at| self.properties[at].1.value())
    }

    /// Reads a property: `node.get(prop!(VirtualMachine.runtime))`. The object must be of the property's type.
    pub fn get<K: Marker>(&self, property: Field<K>) -> Option<K::Out<'_>> {
        self.at(property.number()).and_then(K::read)
    }

    /// The properties that are set, in schema order.
    pub fn properties(&self) -> impl ExactSizeIterator<Item = (u16, &Value)> {
        self.properties.iter().map(|(number, property)| (*number, property.value()))
    }

    /// Sets or unsets a property; whether that changed anything.
    pub(super) fn put(&mut self, number: u16, value: Option<Value>) -> bool {
        match (self.place(number), value) {
            (Ok(at), Some(value)) => {
                let changed = *self.properties[at].1.value() != value;
                self.properties[at].1 = Property::Value(value);
                changed
            }
            (Ok(at), None) => {
                self.properties.remove(at);
                true
            }
            (Err(at), Some(value)) => {
                self.properties.insert(at, (number, Property::Value(value)));
                true
            }
            (Err(_), None) => false,
        }
    }

    /// Whether a list property has this reference.
    pub(super) fn lists(&self, number: u16, item: &MoRef) -> bool {
        match self.place(number).ok().map(|at| &self.properties[at].1) {
            None => false,
            Some(Property::References(references)) => references.has(item),
            Some(Property::Value(value)) => {
                counted::add(value.items().len());
                value.items().iter().any(|known| known.as_ref() == Some(item))
            }
        }
    }

    /// Whether a list property is long enough to be kept as references, and is not yet.
    pub(super) fn is_long(&self, number: u16) -> bool {
        let property = self.place(number).ok().map(|at| &self.properties[at].1);
        matches!(property, Some(Property::Value(value)) if value.items().len() >= LONG)
    }

    /// Keeps a list property so that a change of it does not copy it. Its value stays the same.
    pub(super) fn keep_as_references(&mut self, number: u16) {
        let Ok(at) = self.place(number) else { return };
        if let Property::Value(Value::List(list)) = &self.properties[at].1
            && let Some(references) = References::of(list)
        {
            self.properties[at].1 = Property::References(Box::new(references));
        }
    }

    /// Adds a reference that a list property lacks.
    pub(super) fn add_reference(&mut self, number: u16, element: vim::Kind, item: &MoRef) {
        match self.place(number) {
            Ok(at) => match &mut self.properties[at].1 {
                Property::References(references) => drop(references.add(item)),
                Property::Value(value) => {
                    counted::add(value.items().len());
                    let items = value.items().iter().cloned().chain([Value::from(item)]);
                    *value = Value::List(List::new(element, items.collect::<Vec<_>>()));
                }
            },
            Err(at) => {
                let list = Value::List(List::new(element, vec![Value::from(item)]));
                self.properties.insert(at, (number, Property::Value(list)));
            }
        }
    }

    /// Takes out a reference that a list property has, and unsets the property with the last one.
    pub(super) fn remove_reference(&mut self, number: u16, item: &MoRef) {
        let Ok(at) = self.place(number) else { return };
        let left = match &mut self.properties[at].1 {
            Property::References(references) => {
                references.remove(item);
                references.len()
            }
            Property::Value(value) => {
                let Value::List(list) = &*value else { return };
                counted::add(list.items().len());
                let items = list.items().iter().filter(|known| known.as_ref() != Some(item)).cloned();
                let made = List::new(list.element(), items.collect::<Vec<_>>());
                let left = made.items().len();
                *value = Value::List(made);
                left
            }
        };
        if left == 0 {
            self.properties.remove(at);
        }
    }
}
