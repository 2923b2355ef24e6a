//! Writes values as elements, and leaves out everything that the client's release does not know.
//!
//! A field newer than the release is left out. An object of a newer type is sent as its nearest known ancestor, with that
//! type's fields; if even the declared type is newer, the element is left out. The schema knows the age of enums but not
//! of their values: values are sent unchanged, and as plain text where only `xsi:type` would name an enum that the client
//! does not know.

use super::escape;
use crate::encode::{Encode, Encoder, Fields};
use crate::tags::{FAULT, RETURNVAL, Row, Tag, Tags, tags};
use crate::{Args, DataId, Kind, List, MoRef, Object, Release, Value, data_id, names, scalar, schema};

/// The place of a value, which decides whether it carries `xsi:type`.
#[derive(Clone, Copy, PartialEq)]
enum Slot {
    /// Of a declared kind.
    Declared(Kind),
    /// No kind is declared (`anyType`), or it is an element of an array there.
    Any,
}

/// A fault where no kind is declared is wrapped: clients know bare faults only in a `LocalizedMethodFault` and in the
/// detail of an answer.
const LOCALIZED_FAULT: DataId = data_id!(LocalizedMethodFault);
const ANY_FAULT: DataId = data_id!(MethodFault);

fn is_fault(ty: DataId) -> bool {
    schema().data(ANY_FAULT).subtypes.contains(&ty.0)
}

pub(super) struct Writer<'o> {
    out: &'o mut Vec<u8>,
    tags: &'static Tags,
    release: Release,
}

impl<'o> Writer<'o> {
    pub(super) fn new(out: &'o mut Vec<u8>, release: Release) -> Self {
        Self { out, tags: tags(), release }
    }

    #[inline]
    fn raw(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }

    /// The result of a method: a list is repeated.
    pub(super) fn result(&mut self, kind: Kind, list: bool, value: &dyn Encode) {
        value.encode(&mut Place { writer: self, tag: RETURNVAL, slot: Slot::Declared(kind), list });
    }

    pub(super) fn parameters(&mut self, args: &Args) {
        self.members(self.tags.parameters(args.method), args.values());
    }

    fn repeated(&mut self, tag: Tag, slot: Slot, list: bool, value: &Value) {
        match value {
            Value::List(items) if list => {
                for item in items.items().iter() {
                    self.element(tag, slot, item);
                }
            }
            value => self.element(tag, slot, value),
        }
    }

    /// The fields of an object that is sent as the type `ty`.
    pub(super) fn fields(&mut self, ty: DataId, object: &Object) {
        self.members(&self.tags.data(ty).fields, object.fields());
    }

    fn members(&mut self, rows: &'static [Row], values: &[(u16, Value)]) {
        for (number, value) in values {
            // Fields of a derived type follow those of its base.
            let Some(row) = rows.get(usize::from(*number)) else { break };
            if row.since <= self.release {
                self.repeated(row.tag, Slot::Declared(row.kind), row.list, value);
            }
        }
    }

    fn element(&mut self, tag: Tag, slot: Slot, value: &Value) {
        match value {
            Value::Object(object) => self.object(tag, slot, object),
            Value::Ref(reference) => self.reference(tag, slot, reference),
            Value::List(list) => self.array(tag, list),
            Value::Enum(_) | Value::String(_) => {
                self.open_scalar(tag, slot, value);
                escape::write(self.out, value.as_str().unwrap_or_default());
                self.raw(tag.close());
            }
            scalar => {
                self.open_scalar(tag, slot, scalar);
                self.scalar(scalar);
                self.raw(tag.close());
            }
        }
    }

    #[inline]
    fn open_scalar(&mut self, tag: Tag, slot: Slot, value: &Value) {
        if !matches!(slot, Slot::Any | Slot::Declared(Kind::Any)) {
            return self.raw(tag.open());
        }
        self.raw(tag.begin());
        self.raw(b" xsi:type=\"");
        match value {
            Value::Enum(value) if schema().enumeration(value.ty()).since <= self.release => {
                self.raw(schema().enumeration(value.ty()).name.as_bytes());
            }
            value => {
                self.raw(b"xsd:");
                self.raw(names::scalar(value.kind()).unwrap_or("string").as_bytes());
            }
        }
        self.raw(b"\">");
    }

    fn scalar(&mut self, value: &Value) {
        match value {
            Value::Boolean(true) => self.raw(b"true"),
            Value::Boolean(false) => self.raw(b"false"),
            Value::Byte(value) => scalar::write_integer(self.out, i64::from(*value)),
            Value::Short(value) => scalar::write_integer(self.out, i64::from(*value)),
            Value::Int(value) => scalar::write_integer(self.out, i64::from(*value)),
            Value::Long(value) => scalar::write_integer(self.out, *value),
            Value::Float(value) => match scalar::shortest_f32(*value) {
                Some(text) => self.raw(text.as_bytes()),
                None => self.raw(scalar::special_name(f64::from(*value)).as_bytes()),
            },
            Value::Double(value) => match scalar::shortest_f64(*value) {
                Some(text) => self.raw(text.as_bytes()),
                None => self.raw(scalar::special_name(*value).as_bytes()),
            },
            Value::DateTime(value) => self.raw(value.to_string().as_bytes()),
            Value::Binary(bytes) => scalar::write_base64(self.out, bytes),
            Value::String(_) | Value::Enum(_) | Value::Ref(_) | Value::Object(_) | Value::List(_) => {
                unreachable!("has its own way in element()")
            }
        }
    }

    fn reference(&mut self, tag: Tag, slot: Slot, reference: &MoRef) {
        self.raw(tag.begin());
        self.raw(b" type=\"");
        self.raw(reference.type_name().as_bytes());
        if matches!(slot, Slot::Any | Slot::Declared(Kind::Any)) {
            self.raw(b"\" xsi:type=\"ManagedObjectReference");
        }
        self.raw(b"\">");
        escape::write(self.out, reference.id());
        self.raw(tag.close());
    }

    fn object(&mut self, tag: Tag, slot: Slot, object: &Object) {
        self.object_with(tag, slot, object.ty(), |w, rows| w.members(rows, object.fields()));
    }

    /// Writes an object of type `ty`; `write` writes its fields, by the rows of the type that the client knows.
    fn object_with(
        &mut self,
        tag: Tag,
        slot: Slot,
        ty: DataId,
        write: impl FnOnce(&mut Self, &'static [Row]),
    ) {
        let Some(ty) = self.tags.known(ty, self.release) else { return };
        match slot {
            Slot::Declared(Kind::Data(declared)) if declared == ty => self.raw(tag.open()),
            // The declared type itself is newer than the client.
            Slot::Declared(Kind::Data(declared)) if ty < declared => return,
            Slot::Any | Slot::Declared(Kind::Any) if is_fault(ty) => {
                self.begin_typed(tag, LOCALIZED_FAULT);
                self.object_with(FAULT, Slot::Declared(Kind::Data(ANY_FAULT)), ty, write);
                return self.raw(tag.close());
            }
            _ => self.begin_typed(tag, ty),
        }
        write(self, &self.tags.data(ty).fields);
        self.raw(tag.close());
    }

    fn begin_typed(&mut self, tag: Tag, ty: DataId) {
        self.raw(tag.begin());
        self.raw(self.tags.data(ty).xsi_type.as_bytes());
        self.raw(b">");
    }

    /// A list where no kind is declared.
    fn array(&mut self, tag: Tag, list: &List) {
        self.array_with(tag, list.element(), |w, element| {
            for item in list.items().iter() {
                w.element(element, Slot::Any, item);
            }
        });
    }

    /// The same with elements that `write` writes, each with the given tag.
    fn array_with(&mut self, tag: Tag, mut kind: Kind, write: impl FnOnce(&mut Self, Tag)) {
        match kind {
            Kind::Data(id) if is_fault(id) => kind = Kind::Data(LOCALIZED_FAULT),
            Kind::Data(id) => match self.tags.known(id, self.release) {
                Some(known) => kind = Kind::Data(known),
                None => return,
            },
            Kind::Enum(id) if schema().enumeration(id).since > self.release => kind = Kind::String,
            _ => {}
        }
        self.raw(tag.begin());
        self.raw(b" xsi:type=\"");
        names::write_array(self.out, names::element(kind));
        self.raw(b"\">");
        write(self, self.tags.element(kind));
        self.raw(tag.close());
    }
}

/// The place of the next value.
struct Place<'w, 'o> {
    writer: &'w mut Writer<'o>,
    tag: Tag,
    slot: Slot,
    /// Whether a list stands here as repeated elements.
    list: bool,
}

impl Encoder for Place<'_, '_> {
    fn value(&mut self, value: &Value) {
        self.writer.repeated(self.tag, self.slot, self.list, value);
    }

    fn object(&mut self, ty: DataId, fields: &mut dyn FnMut(&mut dyn Fields)) {
        self.writer
            .object_with(self.tag, self.slot, ty, |writer, rows| fields(&mut Members { writer, rows }));
    }

    fn list(&mut self, element: DataId, items: &mut dyn FnMut(&mut dyn Encoder)) {
        if self.list {
            let Self { writer, tag, slot, .. } = self;
            return items(&mut Place { writer, tag: *tag, slot: *slot, list: false });
        }
        self.writer.array_with(self.tag, Kind::Data(element), |writer, tag| {
            items(&mut Place { writer, tag, slot: Slot::Any, list: false });
        });
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
            let slot = Slot::Declared(row.kind);
            value.encode(&mut Place { writer: self.writer, tag: row.tag, slot, list: row.list });
        }
    }
}
