//! Writes values as JSON, with the same rules about the client's release as the SOAP writer.

use super::{FAULT_STRING, TYPE, VALUE};
use crate::encode::{Encode, Encoder, Fields};
use crate::tags::{Row, Tags, tags};
use crate::{Args, DataId, Fault, Kind, List, Object, Release, Value, names, scalar, schema};

/// Appends the parameters of a call as one object.
pub fn write_args(out: &mut Vec<u8>, args: &Args, release: Release) {
    let mut writer = Writer { out, tags: tags(), release };
    writer.raw(b"{");
    writer.members(true, writer.tags.parameters(args.method), args.values());
    writer.raw(b"}");
}

/// Appends a value of the declared kind, or a list of it if `list` is set.
///
/// An object whose declared type is newer than the release is written as `null`.
pub fn write_value(out: &mut Vec<u8>, kind: Kind, list: bool, value: &dyn Encode, release: Release) {
    let mut writer = Writer { out, tags: tags(), release };
    if !writer.place(kind, list, value) {
        writer.raw(b"null");
    }
}

/// Appends a fault as the object that answers a failed call.
pub fn write_fault(out: &mut Vec<u8>, fault: &Fault, release: Release) {
    let mut writer = Writer { out, tags: tags(), release };
    writer.object(Kind::Any, fault.object());
    // Replaces the object's closing brace.
    writer.out.pop();
    writer.raw(b",");
    writer.key(FAULT_STRING);
    writer.string(fault.message());
    writer.raw(b"}");
}

struct Writer<'o> {
    out: &'o mut Vec<u8>,
    tags: &'static Tags,
    release: Release,
}

impl Writer<'_> {
    #[inline]
    fn raw(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }

    /// A name that needs no escapes, and the colon.
    fn key(&mut self, name: &str) {
        self.raw(b"\"");
        self.raw(name.as_bytes());
        self.raw(b"\":");
    }

    fn members(&mut self, mut first: bool, rows: &'static [Row], values: &[(u16, Value)]) {
        for (number, value) in values {
            // Fields of a derived type come after those of its base.
            let Some(row) = rows.get(usize::from(*number)) else { break };
            if row.since <= self.release {
                self.next(&mut first, |w| {
                    w.key(row.tag.name());
                    w.member(row.kind, row.list, value)
                });
            }
        }
    }

    /// Writes a further member or item, after a comma if it is not the first; nothing if `write` returns that the client
    /// knows no type of it.
    #[inline]
    fn next(&mut self, first: &mut bool, write: impl FnOnce(&mut Self) -> bool) {
        let before = self.out.len();
        if !*first {
            self.raw(b",");
        }
        if write(self) { *first = false } else { self.out.truncate(before) }
    }

    /// Writes a member's value from its source; returns false as for [`Writer::member`].
    fn place(&mut self, kind: Kind, list: bool, value: &dyn Encode) -> bool {
        let mut place = Place { writer: self, kind, list, written: false };
        value.encode(&mut place);
        place.written
    }

    /// Writes a member's value; false, without output, if the client knows no type of it.
    fn member(&mut self, kind: Kind, list: bool, value: &Value) -> bool {
        match value {
            Value::List(items) if list => {
                self.items(kind, items.items());
                true
            }
            value if list => {
                self.items(kind, std::slice::from_ref(value));
                true
            }
            value => self.value(kind, value),
        }
    }

    fn items(&mut self, kind: Kind, items: &[Value]) {
        self.raw(b"[");
        let mut first = true;
        for item in items {
            self.next(&mut first, |w| w.value(kind, item));
        }
        self.raw(b"]");
    }

    fn told_items(&mut self, kind: Kind, items: &mut dyn FnMut(&mut dyn Encoder)) {
        self.raw(b"[");
        items(&mut Items { writer: self, kind, first: true });
        self.raw(b"]");
    }

    fn value(&mut self, kind: Kind, value: &Value) -> bool {
        match value {
            Value::Object(object) => return self.object(kind, object),
            Value::Ref(reference) => {
                self.raw(b"{\"_typeName\":\"ManagedObjectReference\",\"type\":\"");
                self.raw(reference.type_name().as_bytes());
                self.raw(b"\",\"value\":");
                self.string(reference.id());
                self.raw(b"}");
            }
            Value::List(list) => return self.array(list),
            scalar if kind == Kind::Any => {
                let name = match scalar {
                    Value::Enum(value) if schema().enumeration(value.ty()).since <= self.release => {
                        schema().enumeration(value.ty()).name
                    }
                    scalar => json_name(scalar.kind()),
                };
                self.raw(b"{");
                self.key(TYPE);
                self.string(name);
                self.raw(b",");
                self.key(VALUE);
                self.scalar(scalar);
                self.raw(b"}");
            }
            scalar => self.scalar(scalar),
        }
        true
    }

    fn object(&mut self, kind: Kind, object: &Object) -> bool {
        self.object_with(kind, object.ty(), |w, rows| w.members(false, rows, object.fields()))
    }

    /// Writes an object of type `ty`; `write` writes its fields, each after a comma, by the rows of the type that the client
    /// knows.
    fn object_with(&mut self, kind: Kind, ty: DataId, write: impl FnOnce(&mut Self, &'static [Row])) -> bool {
        let Some(ty) = self.tags.known(ty, self.release) else { return false };
        if matches!(kind, Kind::Data(declared) if ty < declared) {
            return false;
        }
        self.raw(b"{");
        self.key(TYPE);
        self.string(schema().data(ty).name);
        write(self, &self.tags.data(ty).fields);
        self.raw(b"}");
        true
    }

    /// A list where no type is declared.
    fn array(&mut self, list: &List) -> bool {
        self.array_with(list.element(), |w, kind| w.items(kind, list.items()))
    }

    /// The same with elements of the given kind that `write` writes.
    fn array_with(&mut self, mut kind: Kind, write: impl FnOnce(&mut Self, Kind)) -> bool {
        match kind {
            Kind::Data(id) => match self.tags.known(id, self.release) {
                Some(known) => kind = Kind::Data(known),
                None => return false,
            },
            Kind::Enum(id) if schema().enumeration(id).since > self.release => kind = Kind::String,
            _ => {}
        }
        self.raw(b"{");
        self.key(TYPE);
        self.raw(b"\"");
        names::write_array(self.out, json_name(kind));
        self.raw(b"\",");
        self.key(VALUE);
        write(self, kind);
        self.raw(b"}");
        true
    }

    fn scalar(&mut self, value: &Value) {
        match value {
            Value::Boolean(true) => self.raw(b"true"),
            Value::Boolean(false) => self.raw(b"false"),
            Value::Byte(value) => scalar::write_integer(self.out, i64::from(*value)),
            Value::Short(value) => scalar::write_integer(self.out, i64::from(*value)),
            Value::Int(value) => scalar::write_integer(self.out, i64::from(*value)),
            Value::Long(value) => scalar::write_integer(self.out, *value),
            Value::Float(value) => self.float(scalar::shortest_f32(*value), f64::from(*value)),
            Value::Double(value) => self.float(scalar::shortest_f64(*value), *value),
            Value::DateTime(value) => self.string(&value.to_string()),
            Value::Binary(bytes) => {
                self.raw(b"\"");
                scalar::write_base64(self.out, bytes);
                self.raw(b"\"");
            }
            value => self.string(value.as_str().unwrap_or_default()),
        }
    }

    fn float(&mut self, decimal: Option<String>, value: f64) {
        match decimal {
            Some(text) => self.raw(text.as_bytes()),
            None => self.string(scalar::special_name(value)),
        }
    }

    fn string(&mut self, text: &str) {
        self.raw(b"\"");
        let bytes = text.as_bytes();
        let mut done = 0;
        for (at, byte) in bytes.iter().enumerate() {
            if *byte >= b' ' && *byte != b'"' && *byte != b'\\' {
                continue;
            }
            self.out.extend_from_slice(&bytes[done..at]);
            done = at + 1;
            match byte {
                b'"' => self.raw(b"\\\""),
                b'\\' => self.raw(b"\\\\"),
                b'\n' => self.raw(b"\\n"),
                b'\r' => self.raw(b"\\r"),
                b'\t' => self.raw(b"\\t"),
                control => self.raw(format!("\\u{control:04x}").as_bytes()),
            }
        }
        self.out.extend_from_slice(&bytes[done..]);
        self.raw(b"\"");
    }
}

/// The place of the next value.
struct Place<'w, 'o> {
    writer: &'w mut Writer<'o>,
    kind: Kind,
    list: bool,
    /// False if the client knows no type of the value.
    written: bool,
}

impl Encoder for Place<'_, '_> {
    fn value(&mut self, value: &Value) {
        self.written = self.writer.member(self.kind, self.list, value);
    }

    fn object(&mut self, ty: DataId, fields: &mut dyn FnMut(&mut dyn Fields)) {
        self.written =
            self.writer.object_with(self.kind, ty, |writer, rows| fields(&mut Members { writer, rows }));
    }

    fn list(&mut self, element: DataId, items: &mut dyn FnMut(&mut dyn Encoder)) {
        self.written = if self.list {
            self.writer.told_items(self.kind, items);
            true
        } else {
            self.writer.array_with(Kind::Data(element), |w, kind| w.told_items(kind, items))
        };
    }
}

/// The list that receives the items.
struct Items<'w, 'o> {
    writer: &'w mut Writer<'o>,
    kind: Kind,
    first: bool,
}

impl Items<'_, '_> {
    fn next(&mut self, tell: impl FnOnce(&mut dyn Encoder)) {
        let kind = self.kind;
        self.writer.next(&mut self.first, |writer| {
            let mut place = Place { writer, kind, list: false, written: false };
            tell(&mut place);
            place.written
        });
    }
}

impl Encoder for Items<'_, '_> {
    fn value(&mut self, value: &Value) {
        self.next(|place| place.value(value));
    }

    fn object(&mut self, ty: DataId, fields: &mut dyn FnMut(&mut dyn Fields)) {
        self.next(|place| place.object(ty, fields));
    }

    fn list(&mut self, element: DataId, items: &mut dyn FnMut(&mut dyn Encoder)) {
        self.next(|place| place.list(element, items));
    }
}

/// The object that receives the fields.
struct Members<'w, 'o> {
    writer: &'w mut Writer<'o>,
    rows: &'static [Row],
}

impl Fields for Members<'_, '_> {
    fn field(&mut self, number: u16, value: &dyn Encode) {
        // Fields of a derived type follow those of its base: a base type has no field of that number.
        let Some(row) = self.rows.get(usize::from(number)) else { return };
        if row.since <= self.writer.release {
            self.writer.next(&mut false, |w| {
                w.key(row.tag.name());
                w.place(row.kind, row.list, value)
            });
        }
    }
}

/// The name of a kind: as in XML except for bytes.
fn json_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Binary => "binary",
        kind => names::element(kind),
    }
}
