//! Reads values from JSON.

use serde_json::value::RawValue;

use super::text::{Fields, Json, Message};
use super::{FAULT_STRING, TYPE, VALUE};
use crate::error::{ReadError, shortened};
use crate::limits::{self, Limits, MAX_DEPTH};
use crate::names::{self, Named};
use crate::{
    Args, DataId, Fault, Kind, List, ManagedId, Member, MethodId, MoRef, Object, Record, TypeRef, Value,
    data_id, scalar, schema,
};

/// Reads the parameters of a call; an empty body has none.
///
/// # Errors
/// [`ReadError`]; its `to_fault` is the answer for the client.
pub fn read_args(method: MethodId, body: &[u8]) -> Result<Args, ReadError> {
    let row = schema().method(method);
    let mut reader = Reader::new(row.name, body, limits::REQUEST)?;
    let fields = match reader.message.is_empty() {
        true => Fields::empty(),
        false => match reader.open(reader.message.root()?)? {
            Json::Object(fields) => fields,
            other => return Err(reader.bad("object of parameters", &other)),
        },
    };
    let values = reader.members(row, &fields, &[])?;
    for (number, parameter) in (0u16..).zip(&row.parameters) {
        let is_set = values.iter().any(|value| value.0 == number);
        if !is_set && !parameter.optional && !parameter.list {
            return Err(ReadError::MissingParameter { method: row.name, name: parameter.name });
        }
    }
    Ok(Args::new(method, values))
}

/// Reads a value of the declared kind, or a list of it if `list` is set.
///
/// # Errors
/// [`ReadError`] if the body is not such a value.
pub fn read_value(kind: Kind, list: bool, body: &[u8]) -> Result<Value, ReadError> {
    let mut reader = Reader::new("value", body, limits::RESPONSE)?;
    let root = reader.message.root()?;
    match reader.member_value(kind, list, root)? {
        Some(value) => Ok(value),
        None if list => Ok(Value::List(List::new(kind, Vec::new()))),
        None => Err(reader.bad(&names::described(kind), &Json::Null)),
    }
}

/// Reads the answer of a failed call.
///
/// # Errors
/// [`ReadError`] if it is not a fault.
pub fn read_fault(body: &[u8]) -> Result<Fault, ReadError> {
    let mut reader = Reader::new("fault", body, limits::RESPONSE)?;
    let fields = match reader.open(reader.message.root()?)? {
        Json::Object(fields) => fields,
        other => return Err(reader.bad("fault", &other)),
    };
    let ty = reader.type_of(data_id!(MethodFault), &fields)?;
    let object = reader.object(ty, &fields, &[FAULT_STRING])?;
    let message = match fields.get(FAULT_STRING).map(|text| reader.open(text)).transpose()? {
        Some(Json::Text(text)) => text.into_owned(),
        _ => String::new(),
    };
    Ok(Fault::new(object, message))
}

/// Reads one message; remembers the path to the current value for messages to people.
struct Reader<'a> {
    message: Message<'a>,
    place: Vec<&'static str>,
    depth: usize,
    values: usize,
    limits: Limits,
}

impl<'a> Reader<'a> {
    fn new(place: &'static str, body: &'a [u8], limits: Limits) -> Result<Self, ReadError> {
        Ok(Self { message: Message::new(body)?, place: vec![place], depth: 0, values: 0, limits })
    }

    fn open(&self, json: &'a RawValue) -> Result<Json<'a>, ReadError> {
        self.message.open(json)
    }

    fn bad(&self, expected: &str, json: &Json) -> ReadError {
        let text = match json {
            Json::Text(text) => text.as_ref(),
            Json::Number(text) => *text,
            Json::Object(_) => "an object",
            Json::List(_) => "a list",
            Json::Boolean(true) => "true",
            Json::Boolean(false) => "false",
            Json::Null => "null",
        };
        ReadError::bad_value(self.place.join("."), expected, text)
    }

    fn unknown_type(&self, name: &str) -> ReadError {
        ReadError::UnknownType { place: self.place.join("."), name: shortened(name) }
    }

    fn wrong_type(&self, expected: Kind, given: &str) -> ReadError {
        let expected = names::described(expected);
        ReadError::WrongType { place: self.place.join("."), expected, given: shortened(given) }
    }

    /// The members of an object or call in wire order. Names in `beside` are skipped.
    fn members(
        &mut self,
        record: &'static dyn Record,
        fields: &Fields<'a>,
        beside: &[&str],
    ) -> Result<Vec<(u16, Value)>, ReadError> {
        let mut values = Vec::with_capacity(fields.len().min(record.members().len()));
        let mut next = 0;
        for (name, json) in fields.iter() {
            // Members usually come in order.
            let in_order = record.members().get(usize::from(next)).is_some_and(|member| member.name == name);
            let Some(number) = in_order.then_some(next).or_else(|| record.member(name)) else {
                if beside.contains(&name) || IGNORED.contains(&name) {
                    continue;
                }
                return Err(ReadError::Unexpected { place: self.place.join("."), name: shortened(name) });
            };
            next = number + 1;
            let member: &'static Member = &record.members()[usize::from(number)];
            self.place.push(member.name);
            if let Some(value) = self.member_value(member.kind, member.list, json)? {
                values.push((number, value));
            }
            self.place.pop();
        }
        values.sort_by_key(|value| value.0);
        if let Some(twice) = values.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            self.place.push(record.members()[usize::from(twice[0].0)].name);
            return Err(ReadError::Duplicate { place: self.place.join(".") });
        }
        Ok(values)
    }

    /// `None` for `null` and for an empty list.
    fn member_value(
        &mut self,
        kind: Kind,
        list: bool,
        json: &'a RawValue,
    ) -> Result<Option<Value>, ReadError> {
        if !list {
            return if json.get() == "null" { Ok(None) } else { self.value(kind, json).map(Some) };
        }
        let items = match self.open(json)? {
            Json::Null => return Ok(None),
            Json::List(items) => items,
            // A bare list where no type is declared.
            Json::Object(fields) => match fields.get(VALUE).map(|inner| self.open(inner)).transpose()? {
                Some(Json::List(items)) => items,
                _ => return Err(self.bad("list", &Json::Object(fields))),
            },
            other => return Err(self.bad("list", &other)),
        };
        if items.is_empty() { Ok(None) } else { self.items(kind, &items).map(Some) }
    }

    fn items(&mut self, kind: Kind, items: &[&'a RawValue]) -> Result<Value, ReadError> {
        let limit = self.limits.list_items;
        if items.len() > limit {
            return Err(ReadError::TooMuch { what: "elements of one list", limit });
        }
        let items = items.iter().map(|item| self.value(kind, item)).collect::<Result<Vec<_>, _>>()?;
        Ok(Value::List(List::new(kind, items)))
    }

    fn value(&mut self, kind: Kind, json: &'a RawValue) -> Result<Value, ReadError> {
        self.depth += 1;
        self.values += 1;
        if self.depth > MAX_DEPTH {
            return Err(ReadError::TooMuch { what: "levels of values", limit: MAX_DEPTH });
        }
        if self.values > self.limits.elements {
            return Err(ReadError::TooMuch { what: "values", limit: self.limits.elements });
        }
        let value = match (kind, self.open(json)?) {
            (Kind::Any, json) => self.any(json)?,
            (Kind::Data(declared), Json::Object(fields)) => {
                let ty = self.type_of(declared, &fields)?;
                self.object(ty, &fields, &[])?.into()
            }
            (Kind::Ref(declared), Json::Object(fields)) => self.reference(declared, &fields)?.into(),
            // A bare scalar where no type is declared.
            (kind, Json::Object(fields)) => match fields.get(VALUE) {
                Some(inner) => self.scalar(kind, &self.open(inner)?)?,
                None => return Err(self.bad(&names::described(kind), &Json::Object(fields))),
            },
            (kind, json) => self.scalar(kind, &json)?,
        };
        self.depth -= 1;
        Ok(value)
    }

    /// A value that names its own type.
    fn any(&mut self, json: Json<'a>) -> Result<Value, ReadError> {
        let fields = match json {
            Json::Object(fields) => fields,
            // A bare scalar tells its type.
            Json::Boolean(value) => return Ok(Value::Boolean(value)),
            Json::Text(text) => return Ok(Value::String(text.into())),
            Json::Number(text) => {
                let kinds = [Kind::Int, Kind::Long, Kind::Double];
                let value = kinds.iter().find_map(|kind| scalar::parse(*kind, text));
                return value.ok_or_else(|| self.bad("number", &json));
            }
            other => return Err(self.bad("value with its _typeName", &other)),
        };
        let name = match fields.get(TYPE).map(|name| self.open(name)).transpose()? {
            Some(Json::Text(name)) => name,
            _ => return Err(self.bad("value with its _typeName", &Json::Object(fields))),
        };
        let named = names::find(&name).ok_or_else(|| self.unknown_type(&name))?;
        match named {
            Named::One(Kind::Data(ty)) => return Ok(self.object(ty, &fields, &[])?.into()),
            Named::One(Kind::Ref(declared)) => return Ok(self.reference(declared, &fields)?.into()),
            _ => {}
        }
        let Some(content) = fields.get(VALUE) else {
            return Err(self.bad("value with its _value", &Json::Object(fields)));
        };
        match (named, self.open(content)?) {
            (Named::List(element), Json::List(items)) => self.items(element, &items),
            (Named::List(_), other) => Err(self.bad("list", &other)),
            (Named::One(kind), content) => self.scalar(kind, &content),
        }
    }

    /// The type that an object names, or the declared one.
    fn type_of(&self, declared: DataId, fields: &Fields<'a>) -> Result<DataId, ReadError> {
        let name = match fields.get(TYPE).map(|name| self.open(name)).transpose()? {
            None => return Ok(declared),
            Some(Json::Text(name)) => name,
            Some(other) => return Err(self.bad("_typeName", &other)),
        };
        match schema().find(&name) {
            Some(TypeRef::Data(ty)) if schema().data(declared).subtypes.contains(&ty.0) => Ok(ty),
            None => Err(self.unknown_type(&name)),
            Some(_) => Err(self.wrong_type(Kind::Data(declared), &name)),
        }
    }

    fn object(&mut self, ty: DataId, fields: &Fields<'a>, beside: &[&str]) -> Result<Object, ReadError> {
        Ok(Object::from_fields(ty, self.members(schema().data(ty), fields, beside)?))
    }

    fn reference(&self, declared: ManagedId, fields: &Fields<'a>) -> Result<MoRef, ReadError> {
        let ty = match fields.get("type").map(|name| self.open(name)).transpose()? {
            None | Some(Json::Null) => declared,
            Some(Json::Text(name)) => match schema().find(&name) {
                Some(TypeRef::Managed(ty)) if names::are_related(ty, declared) => ty,
                Some(_) => return Err(self.wrong_type(Kind::Ref(declared), &name)),
                None => return Err(self.unknown_type(&name)),
            },
            Some(other) => return Err(self.bad("type of a reference", &other)),
        };
        match fields.get("value").map(|id| self.open(id)).transpose()? {
            Some(Json::Text(id)) => Ok(MoRef::new(ty, id.into_owned())),
            other => Err(self.bad("id of an object", &other.unwrap_or(Json::Null))),
        }
    }

    /// A text may spell a number, but a JSON number or boolean is not a text: JSON has a spelling for each.
    fn scalar(&self, kind: Kind, json: &Json) -> Result<Value, ReadError> {
        let value = match json {
            Json::Text(text) => scalar::parse(kind, text),
            Json::Number(text) => scalar::parse(kind, text),
            Json::Boolean(value) => Value::Boolean(*value).converted(kind),
            Json::Null | Json::List(_) | Json::Object(_) => None,
        };
        let value = value.filter(|value| !matches!(value, Value::String(_)) || matches!(json, Json::Text(_)));
        value.ok_or_else(|| self.bad(&names::described(kind), json))
    }
}

/// Keys that any object may have.
const IGNORED: [&str; 3] = [TYPE, "dynamicType", "dynamicProperty"];
