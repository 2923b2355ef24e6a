//! Writing values without building them first.
//!
//! A large answer is passed part by part to an [`Encoder`], borrowed from its source: nothing is collected. The writers of
//! SOAP and VI-JSON are encoders, and so is [`made`], for callers that need the value itself.

use crate::{DataId, Kind, List, Object, Value};

/// A source of a value of the schema.
pub trait Encode {
    /// Passes the value on: exactly one call of a method of `to`.
    fn encode(&self, to: &mut dyn Encoder);
}

/// Receives a value.
pub trait Encoder {
    fn value(&mut self, value: &Value);
    /// A data object; `fields` passes the fields that are set.
    fn object(&mut self, ty: DataId, fields: &mut dyn FnMut(&mut dyn Fields));
    /// A list of data objects of this type or derived ones; `items` passes each of them, by one call.
    fn list(&mut self, element: DataId, items: &mut dyn FnMut(&mut dyn Encoder));
}

/// Receives the fields of a data object.
pub trait Fields {
    /// A field by number. Numbers rise; an empty list is left out.
    fn field(&mut self, number: u16, value: &dyn Encode);
}

impl Encode for Value {
    fn encode(&self, to: &mut dyn Encoder) {
        to.value(self);
    }
}

/// The value of a source.
pub fn made(value: &dyn Encode) -> Value {
    let mut made = Made::default();
    value.encode(&mut made);
    made.0.pop().expect("every source passes a value")
}

/// The values received, one after the other.
#[derive(Default)]
struct Made(Vec<Value>);

impl Encoder for Made {
    fn value(&mut self, value: &Value) {
        self.0.push(value.clone());
    }

    fn object(&mut self, ty: DataId, fields: &mut dyn FnMut(&mut dyn Fields)) {
        let mut made = MadeFields::default();
        fields(&mut made);
        self.0.push(Object::from_fields(ty, made.0).into());
    }

    fn list(&mut self, element: DataId, items: &mut dyn FnMut(&mut dyn Encoder)) {
        let mut made = Self::default();
        items(&mut made);
        self.0.push(Value::List(List::new(Kind::Data(element), made.0)));
    }
}

#[derive(Default)]
struct MadeFields(Vec<(u16, Value)>);

impl Fields for MadeFields {
    fn field(&mut self, number: u16, value: &dyn Encode) {
        self.0.push((number, made(value)));
    }
}
