//! Values of any type of the schema.
//!
//! A value is small (16 bytes) and cheap to clone: large content is shared. Whether it fits a place is checked when it is
//! read from the wire, or at compile time by the macros.

use std::sync::Arc;

pub use arcstr::ArcStr as Str;
use triomphe::ThinArc;

use crate::{DataId, DateTime, EnumId, Kind, MoRef, schema};

/// One value. Strings of every schema kind (`string`, `anyURI`, `PropertyPath`, ...) are `String`.
#[derive(Clone, Debug)]
pub enum Value {
    Boolean(bool),
    Byte(i8),
    Short(i16),
    Int(i32),
    Long(i64),
    Float(f32),
    Double(f64),
    String(Str),
    DateTime(DateTime),
    Binary(Arc<Vec<u8>>),
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
#[derive(Clone, Debug)]
pub struct List(ThinArc<Kind, Value>);

impl List {
    pub fn new(element: Kind, items: impl Into<Vec<Value>>) -> Self {
        Self(ThinArc::from_header_and_iter(element, items.into().into_iter()))
    }

    /// The declared kind of the elements.
    pub fn element(&self) -> Kind {
        self.0.header.header
    }

    pub fn items(&self) -> &[Value] {
        &self.0.slice
    }
}

impl PartialEq for List {
    fn eq(&self, other: &Self) -> bool {
        self.0.ptr() == other.0.ptr() || (self.element() == other.element() && self.items() == other.items())
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

impl PartialEq for Value {
    /// Copies of one part are equal without a look at it, even if it holds a number that equals nothing.
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Boolean(a), Self::Boolean(b)) => a == b,
            (Self::Byte(a), Self::Byte(b)) => a == b,
            (Self::Short(a), Self::Short(b)) => a == b,
            (Self::Int(a), Self::Int(b)) => a == b,
            (Self::Long(a), Self::Long(b)) => a == b,
            (Self::Float(a), Self::Float(b)) => a == b,
            (Self::Double(a), Self::Double(b)) => a == b,
            (Self::String(a), Self::String(b)) => a == b,
            (Self::DateTime(a), Self::DateTime(b)) => a == b,
            (Self::Binary(a), Self::Binary(b)) => a == b,
            (Self::Enum(a), Self::Enum(b)) => a == b,
            (Self::Ref(a), Self::Ref(b)) => a.is_same(b) || a == b,
            (Self::Object(a), Self::Object(b)) => Arc::ptr_eq(a, b) || a == b,
            (Self::List(a), Self::List(b)) => a == b,
            _ => false,
        }
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
    Str => String, Arc<str> => String, DateTime => DateTime, EnumValue => Enum, MoRef => Ref, Arc<Object> => Object, List => List);

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
            Self::List(list) => list.element(),
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

    /// Whether both are copies of one part, or equal values without parts: keeping either takes the same memory.
    pub fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::String(a), Self::String(b)) => Str::ptr_eq(a, b),
            (Self::Binary(a), Self::Binary(b)) => Arc::ptr_eq(a, b),
            (Self::Ref(a), Self::Ref(b)) => a.is_same(b),
            (Self::Object(a), Self::Object(b)) => Arc::ptr_eq(a, b),
            (Self::List(a), Self::List(b)) => a.0.ptr() == b.0.ptr(),
            (a, b) => a == b,
        }
    }

    /// The number of places that refer to the part that this value is a copy of; 0 for a value without parts.
    pub fn uses(&self) -> usize {
        match self {
            // A text without a count is a part of the program.
            Self::String(text) => Str::strong_count(text).unwrap_or(usize::MAX),
            Self::Binary(bytes) => Arc::strong_count(bytes),
            Self::Ref(reference) => reference.uses(),
            Self::Object(object) => Arc::strong_count(object),
            Self::List(list) => ThinArc::strong_count(&list.0),
            _ => 0,
        }
    }

    /// A list's elements; a single value is a list of itself, as in a property path that leads to one.
    pub fn items(&self) -> &[Value] {
        match self {
            Self::List(list) => list.items(),
            single => std::slice::from_ref(single),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_stays_small() {
        assert_eq!((size_of::<Value>(), size_of::<(u16, Value)>()), (16, 24));
    }
}
