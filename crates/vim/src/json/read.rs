//! Reads values from JSON. The text becomes a tree first, since `_typeName` need not come first.

use serde_json::{Map, Value as Json};

use super::{FAULT_STRING, TYPE, VALUE};
use crate::error::{ReadError, shortened};
use crate::limits::{self, Limits, MAX_DEPTH};
use crate::names::{self, Named};
use crate::{
    Args, DataId, Fault, Kind, List, ManagedId, Member, MethodId, MoRef, Object, Record, TypeRef, Value,
    data_id, scalar, schema,
};

/// Reads the parameters of a call; an empty body is no parameters.
///
/// # Errors
/// [`ReadError`]; its `to_fault` is what the client is to be told.
pub fn read_args(method: MethodId, body: &[u8]) -> Result<Args, ReadError> {
    let row = schema().method(method);
    let mut reader = Reader::new(row.name, limits::REQUEST);
    let fields = match body.trim_ascii().is_empty() {
        true => Map::new(),
        false => match parse(body)? {
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

/// Reads a value of the declared kind; `list` says that a list of it is declared.
///
/// # Errors
/// [`ReadError`] if the body is no such value.
pub fn read_value(kind: Kind, list: bool, body: &[u8]) -> Result<Value, ReadError> {
    let json = parse(body)?;
    let mut reader = Reader::new("value", limits::RESPONSE);
    match reader.member_value(kind, list, &json)? {
        Some(value) => Ok(value),
        None if list => Ok(Value::List(List::new(kind, Vec::new()))),
        None => Err(reader.bad(&names::described(kind), &json)),
    }
}

/// Reads what a failed call answers with.
///
/// # Errors
/// [`ReadError`] if it is no fault.
pub fn read_fault(body: &[u8]) -> Result<Fault, ReadError> {
    let json = parse(body)?;
    let mut reader = Reader::new("fault", limits::RESPONSE);
    let Json::Object(fields) = &json else { return Err(reader.bad("fault", &json)) };
    let base = data_id!(MethodFault);
    let ty = reader.type_of(base, fields)?;
    let object = reader.object(ty, fields, &[FAULT_STRING])?;
    let message = fields.get(FAULT_STRING).and_then(Json::as_str).unwrap_or_default();
    Ok(Fault::new(object, message))
}

fn parse(body: &[u8]) -> Result<Json, ReadError> {
    std::str::from_utf8(body).map_err(|e| ReadError::Encoding { at: e.valid_up_to() })?;
    serde_json::from_slice(body).map_err(|error| {
        // The library counts lines and columns; what came before the line is as long as its lines.
        let before: usize =
            body.split_inclusive(|b| *b == b'\n').take(error.line() - 1).map(<[u8]>::len).sum();
        ReadError::Malformed { at: before + error.column(), problem: error.to_string() }
    })
}

struct Reader {
    place: Vec<&'static str>,
    depth: usize,
    limits: Limits,
}

impl Reader {
    fn new(place: &'static str, limits: Limits) -> Self {
        Self { place: vec![place], depth: 0, limits }
    }

    fn bad(&self, expected: &str, json: &Json) -> ReadError {
        let text = match json {
            Json::String(text) => shortened(text),
            Json::Object(_) => "an object".to_owned(),
            Json::Array(_) => "a list".to_owned(),
            scalar => scalar.to_string(),
        };
        ReadError::bad_value(self.place.join("."), expected, &text)
    }

    fn unknown_type(&self, name: &str) -> ReadError {
        ReadError::UnknownType { place: self.place.join("."), name: shortened(name) }
    }

    fn wrong_type(&self, expected: Kind, given: &str) -> ReadError {
        let expected = names::described(expected);
        ReadError::WrongType { place: self.place.join("."), expected, given: shortened(given) }
    }

    fn members(
        &mut self,
        record: &'static dyn Record,
        fields: &Map<String, Json>,
        beside: &[&str],
    ) -> Result<Vec<(u16, Value)>, ReadError> {
        let mut values = Vec::with_capacity(fields.len());
        for (name, json) in fields {
            let Some(number) = record.member(name) else {
                if beside.contains(&name.as_str()) || IGNORED.contains(&name.as_str()) {
                    continue;
                }
                return Err(ReadError::Unexpected { place: self.place.join("."), name: shortened(name) });
            };
            let member: &'static Member = &record.members()[usize::from(number)];
            self.place.push(member.name);
            if let Some(value) = self.member_value(member.kind, member.list, json)? {
                values.push((number, value));
            }
            self.place.pop();
        }
        values.sort_by_key(|value| value.0);
        Ok(values)
    }

    /// None for `null` and for an empty list.
    fn member_value(&mut self, kind: Kind, list: bool, json: &Json) -> Result<Option<Value>, ReadError> {
        if json.is_null() {
            return Ok(None);
        }
        if !list {
            return self.value(kind, json).map(Some);
        }
        match json {
            Json::Array(items) if items.is_empty() => Ok(None),
            Json::Array(items) => self.items(kind, items).map(Some),
            // A list as it is where nothing is declared.
            Json::Object(fields) if fields.contains_key(VALUE) => match fields.get(VALUE) {
                Some(Json::Array(items)) if items.is_empty() => Ok(None),
                Some(Json::Array(items)) => self.items(kind, items).map(Some),
                _ => Err(self.bad("list", json)),
            },
            other => Err(self.bad("list", other)),
        }
    }

    fn items(&mut self, kind: Kind, items: &[Json]) -> Result<Value, ReadError> {
        let limit = self.limits.list_items;
        if items.len() > limit {
            return Err(ReadError::TooMuch { what: "elements of one list", limit });
        }
        let items = items.iter().map(|item| self.value(kind, item)).collect::<Result<Vec<_>, _>>()?;
        Ok(Value::List(List::new(kind, items)))
    }

    fn value(&mut self, kind: Kind, json: &Json) -> Result<Value, ReadError> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(ReadError::TooMuch { what: "levels of values", limit: MAX_DEPTH });
        }
        let value = match (kind, json) {
            (Kind::Any, json) => self.any(json)?,
            (Kind::Data(declared), Json::Object(fields)) => {
                let ty = self.type_of(declared, fields)?;
                self.object(ty, fields, &[])?.into()
            }
            (Kind::Ref(declared), Json::Object(fields)) => self.reference(declared, fields)?.into(),
            (kind, Json::Object(fields)) if fields.contains_key(VALUE) => {
                let inner = &fields[VALUE];
                self.scalar(kind, inner)?
            }
            (kind, json) => self.scalar(kind, json)?,
        };
        self.depth -= 1;
        Ok(value)
    }

    /// A value that says itself what it is.
    fn any(&mut self, json: &Json) -> Result<Value, ReadError> {
        let fields = match json {
            Json::Object(fields) => fields,
            // A bare scalar says enough.
            Json::Bool(value) => return Ok(Value::Boolean(*value)),
            Json::String(text) => return Ok(text.as_str().into()),
            Json::Number(number) => {
                return Ok(match number.as_i64() {
                    Some(long) => i32::try_from(long).map_or(Value::Long(long), Value::Int),
                    None => Value::Double(number.as_f64().ok_or_else(|| self.bad("number", json))?),
                });
            }
            other => return Err(self.bad("value with its _typeName", other)),
        };
        let name = match fields.get(TYPE) {
            Some(Json::String(name)) => name.as_str(),
            _ => return Err(self.bad("value with its _typeName", json)),
        };
        let content = || fields.get(VALUE).ok_or_else(|| self.bad("value with its _value", json));
        match names::find(name) {
            None => Err(self.unknown_type(name)),
            Some(Named::List(element)) => match content()? {
                Json::Array(items) => self.items(element, items),
                other => Err(self.bad("list", other)),
            },
            Some(Named::One(Kind::Data(ty))) => Ok(self.object(ty, fields, &[])?.into()),
            Some(Named::One(Kind::Ref(declared))) => Ok(self.reference(declared, fields)?.into()),
            Some(Named::One(kind)) => {
                let content = content()?;
                self.scalar(kind, content)
            }
        }
    }

    /// The type that an object says it is of, or the declared one.
    fn type_of(&self, declared: DataId, fields: &Map<String, Json>) -> Result<DataId, ReadError> {
        let name = match fields.get(TYPE) {
            None => return Ok(declared),
            Some(Json::String(name)) => name.as_str(),
            Some(other) => return Err(self.bad("_typeName", other)),
        };
        match schema().find(name) {
            Some(TypeRef::Data(ty)) if schema().data(declared).subtypes.contains(&ty.0) => Ok(ty),
            None => Err(self.unknown_type(name)),
            Some(_) => Err(self.wrong_type(Kind::Data(declared), name)),
        }
    }

    fn object(
        &mut self,
        ty: DataId,
        fields: &Map<String, Json>,
        beside: &[&str],
    ) -> Result<Object, ReadError> {
        Ok(Object::from_fields(ty, self.members(schema().data(ty), fields, beside)?))
    }

    fn reference(&self, declared: ManagedId, fields: &Map<String, Json>) -> Result<MoRef, ReadError> {
        let ty = match fields.get("type").and_then(Json::as_str) {
            None => declared,
            Some(name) => match schema().find(name) {
                Some(TypeRef::Managed(ty)) if names::are_related(ty, declared) => ty,
                Some(_) => return Err(self.wrong_type(Kind::Ref(declared), name)),
                None => return Err(self.unknown_type(name)),
            },
        };
        match fields.get("value") {
            Some(Json::String(id)) => Ok(MoRef::new(ty, id.as_str())),
            _ => Err(self.bad(&names::described(Kind::Ref(declared)), &Json::Object(Map::new()))),
        }
    }

    fn scalar(&self, kind: Kind, json: &Json) -> Result<Value, ReadError> {
        let value = match (kind, json) {
            (_, Json::String(text)) => scalar::parse(kind, text),
            (Kind::Float, Json::Number(number)) => scalar::parse(kind, &number.to_string()),
            (_, Json::Number(number)) => scalar::parse(kind, &number.to_string()),
            (_, Json::Bool(value)) => Value::Boolean(*value).converted(kind),
            _ => None,
        };
        value.ok_or_else(|| self.bad(&names::described(kind), json))
    }
}

/// Keys that any object may have.
const IGNORED: [&str; 3] = [TYPE, "dynamicType", "dynamicProperty"];
