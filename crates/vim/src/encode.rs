//! What can be written as a value without being made one first.
//!
//! A large answer is told part by part to an [`Encoder`], from what it borrows: nothing is collected. The writers of
//! SOAP and VI-JSON are encoders, and so is [`made`], for those who need the value itself.

use crate::{DataId, Kind, List, Object, Value};

/// Something that stands where the schema wants a value.
pub trait Encode {
    /// Says what it is: exactly one call of a method of `to`.
    fn encode(&self, to: &mut dyn Encoder);
}

/// Who is told a value.
pub trait Encoder {
    fn value(&mut self, value: &Value);
    /// A data object; `fields` tells those that are set.
    fn object(&mut self, ty: DataId, fields: &mut dyn FnMut(&mut dyn Fields));
    /// A list of data objects of this type or derived ones; `items` tells each of them, by one call.
    fn list(&mut self, element: DataId, items: &mut dyn FnMut(&mut dyn Encoder));
}

/// Who is told the fields of a data object.
pub trait Fields {
    /// A field by number. Numbers rise; an empty list is not told.
    fn field(&mut self, number: u16, value: &dyn Encode);
}

impl Encode for Value {
    fn encode(&self, to: &mut dyn Encoder) {
        to.value(self);
    }
}

/// The value that is told.
pub fn made(value: &dyn Encode) -> Value {
    let mut made = Made::default();
    value.encode(&mut made);
    made.0.pop().expect("something is told of every value")
}

/// The values that were told, one after the other.
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
