//! Values of the automation API, in no encoding.

use crate::schema::{StructureId, schema};

/// A value. Identifiers, URIs, dates, secrets and the names of enumeration values are strings.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// An optional that is not set, or the answer of an operation that answers nothing.
    Unset,
    Boolean(bool),
    Long(i64),
    Double(f64),
    String(String),
    Binary(Vec<u8>),
    /// A list or a set.
    List(Vec<Value>),
    /// In the order of the wire. No key stands twice.
    Map(Vec<(Value, Value)>),
    Record(Record),
    /// A value whose type the table leaves open, as JSON.
    Opaque(serde_json::Value),
}

impl Value {
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    pub fn as_record(&self) -> Option<&Record> {
        match self {
            Self::Record(record) => Some(record),
            _ => None,
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::String(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::String(text)
    }
}

/// A structure with its fields, in the order of the table.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    pub ty: StructureId,
    /// One for each field of the structure; [`Value::Unset`] where an optional field is not set.
    pub fields: Vec<Value>,
}

impl Record {
    /// A structure of the table, by its name, with these fields; the others are not set.
    ///
    /// # Panics
    /// If the table has no such structure or field: the names are those of the program.
    pub fn new(name: &str, fields: impl IntoIterator<Item = (&'static str, Value)>) -> Self {
        let ty = schema().structure(name).expect("the program names structures of the table");
        let row = &schema().structures[ty.index()];
        let mut record = Self { ty, fields: vec![Value::Unset; row.fields.len()] };
        for (field, value) in fields {
            record.fields[row.field(field).expect("the program names fields of the structure")] = value;
        }
        record
    }

    /// The field with this name; none if the structure has no such field or it is not set.
    pub fn get(&self, name: &str) -> Option<&Value> {
        let at = schema().structures[self.ty.index()].field(name)?;
        self.fields.get(at).filter(|value| **value != Value::Unset)
    }
}
