//! Reads values of the schema's kinds from elements.

use quick_xml::events::BytesStart;

use super::xml::{Attributes, Xml};
use crate::error::{ReadError, shortened};
use crate::names::{self, Named};
use crate::{DataId, Kind, List, ManagedId, Member, MoRef, Object, Record, TypeRef, Value, scalar, schema};

/// Reads one message's values; remembers the path to the current element for messages to people.
pub(super) struct Reader<'i> {
    pub(super) xml: Xml<'i>,
    pub(super) place: Vec<&'static str>,
}

/// The part of a member that has been read.
enum Slot {
    One(Value),
    List(Vec<Value>),
}

/// The members of an object or call, in the order in which they came.
#[derive(Default)]
pub(super) struct Members {
    slots: Vec<(u16, Slot)>,
}

/// Never sent by a server, but allowed in what it reads.
const IGNORED: [&str; 2] = ["dynamicType", "dynamicProperty"];

impl<'i> Reader<'i> {
    pub(super) fn place(&self) -> String {
        self.place.join(".")
    }

    fn unknown_type(&self, name: &str) -> ReadError {
        ReadError::UnknownType { place: self.place(), name: shortened(name) }
    }

    fn wrong_type(&self, expected: Kind, given: &str) -> ReadError {
        ReadError::WrongType {
            place: self.place(),
            expected: names::described(expected),
            given: shortened(given),
        }
    }

    /// Reads the element `start` as the member of `record` that it names.
    pub(super) fn member(
        &mut self,
        record: &'static dyn Record,
        members: &mut Members,
        start: &BytesStart<'i>,
    ) -> Result<(), ReadError> {
        let local = start.local_name();
        let Some(number) = members.find(record.members(), local.as_ref()) else {
            if IGNORED.contains(&local.as_ref()) {
                return self.xml.skip();
            }
            return Err(ReadError::Unexpected { place: self.place(), name: shortened(local.as_ref()) });
        };
        let member = &record.members()[usize::from(number)];
        self.place.push(member.name);
        self.member_value(member, number, members, start)?;
        self.place.pop();
        Ok(())
    }

    fn member_value(
        &mut self,
        member: &'static Member,
        number: u16,
        members: &mut Members,
        start: &BytesStart<'i>,
    ) -> Result<(), ReadError> {
        if !member.list {
            let Some(value) = self.value(member.kind, start)? else { return Ok(()) };
            return members.set(number, value).map_err(|()| ReadError::Duplicate { place: self.place() });
        }
        // A quick search before parsing: most lists have no such mark.
        let attributes = match start.attributes_raw().contains(names::ARRAY_OF) {
            true => self.xml.attributes(start)?,
            false => Attributes::default(),
        };
        let array = attributes.xsi_type.as_deref().filter(|name| name.starts_with(names::ARRAY_OF));
        let is_array = match array {
            // Where any type may stand, an array is one element.
            Some(name) if member.kind != Kind::Any => match names::find(name) {
                Some(Named::List(element)) if related(member.kind, element) => true,
                Some(_) => return Err(self.wrong_type(member.kind, name)),
                None => return Err(self.unknown_type(name)),
            },
            _ => false,
        };
        drop(attributes);
        let items = members.list(number);
        let mut taken = std::mem::take(items);
        if is_array {
            self.items(member.kind, &mut taken)?;
        } else if let Some(value) = self.value(member.kind, start)? {
            self.push(&mut taken, value)?;
        }
        *members.list(number) = taken;
        Ok(())
    }

    /// Reads the children of the current element as the elements of a list.
    fn items(&mut self, kind: Kind, items: &mut Vec<Value>) -> Result<(), ReadError> {
        while let Some(start) = self.xml.child()? {
            if let Some(value) = self.value(kind, &start)? {
                self.push(items, value)?;
            }
        }
        Ok(())
    }

    pub(super) fn push(&self, items: &mut Vec<Value>, value: Value) -> Result<(), ReadError> {
        let limit = self.xml.limits.list_items;
        if items.len() >= limit {
            return Err(ReadError::TooMuch { what: "elements of one list", limit });
        }
        items.push(value);
        Ok(())
    }

    /// Reads the element `start` up to its end; `None` if it is marked nil.
    pub(super) fn value(&mut self, kind: Kind, start: &BytesStart<'i>) -> Result<Option<Value>, ReadError> {
        let attributes = self.xml.attributes(start)?;
        if attributes.nil {
            self.xml.skip()?;
            return Ok(None);
        }
        let xsi_type = attributes.xsi_type.as_deref();
        let value = match kind {
            Kind::Any => match xsi_type {
                None if attributes.reference.is_some() => {
                    return self.named(Named::One(any_reference()), attributes.reference.as_deref());
                }
                // An untyped element is text.
                None => Value::String(self.xml.text()?.into()),
                Some(name) => match names::find(name) {
                    Some(named) => return self.named(named, attributes.reference.as_deref()),
                    None => return Err(self.unknown_type(name)),
                },
            },
            Kind::Data(declared) => {
                let actual = match xsi_type {
                    None => declared,
                    Some(name) => match schema().find(name) {
                        Some(TypeRef::Data(actual)) if is_a(actual, declared) => actual,
                        Some(_) => return Err(self.wrong_type(kind, name)),
                        None => return Err(self.unknown_type(name)),
                    },
                };
                self.object(actual)?.into()
            }
            Kind::Ref(declared) => self.reference(declared, attributes.reference.as_deref())?.into(),
            kind => self.scalar(kind)?,
        };
        Ok(Some(value))
    }

    /// Reads a value whose kind the message itself names.
    fn named(&mut self, named: Named, reference: Option<&str>) -> Result<Option<Value>, ReadError> {
        Ok(Some(match named {
            Named::List(element) => {
                let mut items = Vec::new();
                self.items(element, &mut items)?;
                Value::List(List::new(element, items))
            }
            Named::One(Kind::Data(ty)) => self.object(ty)?.into(),
            Named::One(Kind::Ref(declared)) => self.reference(declared, reference)?.into(),
            Named::One(Kind::Any) => Value::String(self.xml.text()?.into()),
            Named::One(kind) => self.scalar(kind)?,
        }))
    }

    pub(super) fn object(&mut self, ty: DataId) -> Result<Object, ReadError> {
        let record = schema().data(ty);
        let mut members = Members::default();
        while let Some(start) = self.xml.child()? {
            self.member(record, &mut members, &start)?;
        }
        Ok(Object::from_fields(ty, members.finish(&record.fields)))
    }

    /// Reads a reference's id; `name` is its `type` attribute.
    pub(super) fn reference(&mut self, declared: ManagedId, name: Option<&str>) -> Result<MoRef, ReadError> {
        let ty = match name.map(str::trim) {
            None | Some("") => declared,
            Some(name) => match schema().find(name) {
                Some(TypeRef::Managed(ty)) if names::are_related(ty, declared) => ty,
                Some(_) => return Err(self.wrong_type(Kind::Ref(declared), name)),
                None => return Err(self.unknown_type(name)),
            },
        };
        let text = self.xml.text()?;
        Ok(MoRef::new(ty, text.trim()))
    }

    fn scalar(&mut self, kind: Kind) -> Result<Value, ReadError> {
        let text = self.xml.text()?;
        scalar::parse(kind, &text)
            .ok_or_else(|| ReadError::bad_value(self.place(), names::described(kind), &text))
    }
}

fn any_reference() -> Kind {
    Kind::Ref(crate::managed_id!(ManagedObject))
}

fn is_a(ty: DataId, base: DataId) -> bool {
    schema().data(base).subtypes.contains(&ty.0)
}

/// Whether a list of one kind may stand for a list of the other: its elements are checked one by one.
fn related(declared: Kind, given: Kind) -> bool {
    match (declared, given) {
        (Kind::Any, _) => true,
        (Kind::Data(a), Kind::Data(b)) => is_a(a, b) || is_a(b, a),
        (Kind::Ref(a), Kind::Ref(b)) => names::are_related(a, b),
        (Kind::Enum(a), Kind::Enum(b)) => a == b,
        // Their text is converted.
        (a, b) => names::scalar(a).is_some() && names::scalar(b).is_some() || matches!(a, Kind::Enum(_)),
    }
}

impl Members {
    /// The number of the member with this name. Members usually come in order, so the search begins at the last one.
    fn find(&self, members: &[Member], name: &str) -> Option<u16> {
        let start = self.slots.last().map_or(0, |slot| usize::from(slot.0));
        let (before, after) = members.split_at(start.min(members.len()));
        let at = match after.iter().position(|member| member.name == name) {
            Some(at) => start + at,
            None => before.iter().position(|member| member.name == name)?,
        };
        u16::try_from(at).ok()
    }

    fn set(&mut self, number: u16, value: Value) -> Result<(), ()> {
        if self.slots.iter().any(|slot| slot.0 == number) {
            return Err(());
        }
        self.slots.push((number, Slot::One(value)));
        Ok(())
    }

    /// The elements that the list has so far.
    fn list(&mut self, number: u16) -> &mut Vec<Value> {
        let at = match self.slots.iter().rposition(|slot| slot.0 == number) {
            Some(at) => at,
            None => {
                self.slots.push((number, Slot::List(Vec::new())));
                self.slots.len() - 1
            }
        };
        match &mut self.slots[at].1 {
            Slot::List(items) => items,
            Slot::One(_) => unreachable!("a member is a list or it is not"),
        }
    }

    pub(super) fn has(&self, number: u16) -> bool {
        self.slots.iter().any(|slot| slot.0 == number)
    }

    pub(super) fn put(&mut self, number: u16, value: Value) {
        self.slots.push((number, Slot::One(value)));
    }

    /// In wire order. An empty list counts as unset.
    pub(super) fn finish(mut self, members: &[Member]) -> Vec<(u16, Value)> {
        self.slots.sort_by_key(|slot| slot.0);
        let mut values = Vec::with_capacity(self.slots.len());
        for (number, slot) in self.slots {
            match slot {
                Slot::One(value) => values.push((number, value)),
                Slot::List(items) if items.is_empty() => {}
                Slot::List(items) => {
                    let element = members[usize::from(number)].kind;
                    values.push((number, Value::List(List::new(element, items))));
                }
            }
        }
        values
    }
}
