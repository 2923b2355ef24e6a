//! Values of any type of the schema.
//!
//! A value is small (24 bytes) and cheap to clone: large content is shared. Whether it fits a place is checked when it is
//! read from the wire, or at compile time by the macros.

use std::sync::Arc;

use crate::{DataId, DateTime, EnumId, Kind, MoRef, schema};

/// One value. Strings of every schema kind (`string`, `anyURI`, `PropertyPath`, ...) are `String`.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Boolean(bool),
    Byte(i8),
    Short(i16),
    Int(i32),
    Long(i64),
    Float(f32),
    Double(f64),
    String(Arc<str>),
    DateTime(DateTime),
    Binary(Arc<[u8]>),
    Enum(EnumValue),
    Ref(MoRef),
    Object(Arc<Object>),
    List(List),
}

/// A member of an enum.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct EnumValue {
    ty: EnumId,
    at: u16,
}

impl EnumValue {
    /// The member number `at`; for the macros, which have checked it.
    pub fn new(ty: EnumId, at: u16) -> Self {
        debug_assert!(usize::from(at) < schema().enumeration(ty).values.len());
        Self { ty, at }
    }

    /// The member with this name, if the enum has it.
    pub fn parse(ty: EnumId, name: &str) -> Option<Self> {
        let at = schema().enumeration(ty).values.iter().position(|value| *value == name)?;
        Some(Self { ty, at: u16::try_from(at).ok()? })
    }

    pub fn ty(self) -> EnumId {
        self.ty
    }

    pub fn name(self) -> &'static str {
        schema().enumeration(self.ty).values[usize::from(self.at)]
    }
}

/// A list whose elements are of one declared kind, as `ArrayOfX` on the wire. Data elements may be of subtypes.
#[derive(Clone, Debug, PartialEq)]
pub struct List {
    pub element: Kind,
    pub items: Arc<[Value]>,
}

impl List {
    pub fn new(element: Kind, items: impl Into<Arc<[Value]>>) -> Self {
        Self { element, items: items.into() }
    }
}

/// A data object: its type and the fields that are set, by number, in order.
#[derive(Clone, Debug, PartialEq)]
pub struct Object {
    ty: DataId,
    fields: Vec<(u16, Value)>,
}

impl Object {
    /// An object with nothing set.
    pub fn new(ty: DataId) -> Self {
        Self { ty, fields: Vec::new() }
    }

    /// Fields must rise by number and fit their kinds; the macros and readers ensure that.
    pub fn from_fields(ty: DataId, fields: Vec<(u16, Value)>) -> Self {
        debug_assert!(fields.is_sorted_by(|a, b| a.0 < b.0), "fields in order");
        Self { ty, fields }
    }

    pub fn ty(&self) -> DataId {
        self.ty
    }

    pub fn type_name(&self) -> &'static str {
        schema().data(self.ty).name
    }

    /// Whether its type is `base` or derived from it.
    pub fn is_a(&self, base: DataId) -> bool {
        schema().data(base).subtypes.contains(&self.ty.0)
    }

    /// The field with this number, if it is set.
    pub fn at(&self, number: u16) -> Option<&Value> {
        self.fields.binary_search_by_key(&number, |field| field.0).ok().map(|at| &self.fields[at].1)
    }

    /// The field with this name, if the type has it and it is set. For names known at compile time use `field!`.
    pub fn named(&self, name: &str) -> Option<&Value> {
        use crate::Record;
        self.at(schema().data(self.ty).member(name)?)
    }

    /// Sets or unsets a field by number.
    pub fn put(&mut self, number: u16, value: Option<Value>) {
        match (self.fields.binary_search_by_key(&number, |field| field.0), value) {
            (Ok(at), Some(value)) => self.fields[at].1 = value,
            (Ok(at), None) => drop(self.fields.remove(at)),
            (Err(at), Some(value)) => self.fields.insert(at, (number, value)),
            (Err(_), None) => {}
        }
    }

    /// The fields that are set, in wire order.
    pub fn fields(&self) -> &[(u16, Value)] {
        &self.fields
    }

    /// The same object as a base or derived type that has all the fields that are set.
    pub fn retyped(&self, ty: DataId) -> Self {
        Self { ty, fields: self.fields.clone() }
    }
}

impl From<Object> for Value {
    fn from(object: Object) -> Self {
        Self::Object(Arc::new(object))
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::String(text.into())
    }
}

macro_rules! from {
    ($($from:ty => $variant:ident),*) => {
        $(impl From<$from> for Value {
            fn from(value: $from) -> Self {
                Self::$variant(value.into())
            }
        })*
    };
}

from!(bool => Boolean, i8 => Byte, i16 => Short, i32 => Int, i64 => Long, f32 => Float, f64 => Double, String => String,
    Arc<str> => String, DateTime => DateTime, EnumValue => Enum, MoRef => Ref, Arc<Object> => Object, List => List);

impl From<&MoRef> for Value {
    fn from(reference: &MoRef) -> Self {
        Self::Ref(reference.clone())
    }
}

impl Value {
    /// The value's own kind; every text is `Kind::String`. A list has the kind of its elements.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Boolean(_) => Kind::Boolean,
            Self::Byte(_) => Kind::Byte,
            Self::Short(_) => Kind::Short,
            Self::Int(_) => Kind::Int,
            Self::Long(_) => Kind::Long,
            Self::Float(_) => Kind::Float,
            Self::Double(_) => Kind::Double,
            Self::String(_) => Kind::String,
            Self::DateTime(_) => Kind::DateTime,
            Self::Binary(_) => Kind::Binary,
            Self::Enum(value) => Kind::Enum(value.ty()),
            Self::Ref(reference) => Kind::Ref(reference.ty()),
            Self::Object(object) => Kind::Data(object.ty()),
            Self::List(list) => list.element,
        }
    }

    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            Self::Enum(value) => Some(value.name()),
            _ => None,
        }
    }

    pub fn as_object(&self) -> Option<&Arc<Object>> {
        match self {
            Self::Object(object) => Some(object),
            _ => None,
        }
    }

    pub fn as_ref(&self) -> Option<&MoRef> {
        match self {
            Self::Ref(reference) => Some(reference),
            _ => None,
        }
    }

    /// A list's elements; a single value is a list of itself, as in a property path that leads to one.
    pub fn items(&self) -> &[Value] {
        match self {
            Self::List(list) => &list.items,
            single => std::slice::from_ref(single),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_stays_small() {
        assert_eq!(size_of::<Value>(), 24);
    }
}
