//! From JSON to values.

use std::collections::HashSet;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value as Json};

use super::{BINARY, Form, MAP_ENTRY, OPTIONAL, Problem, SECRET, STRUCTURE, write};
use crate::schema::{EnumId, PREFIX, Parameter, StructureId, Type, schema};
use crate::value::{Record, Value};

type Result<T> = std::result::Result<T, Problem>;

/// Reads a value of this type. `name` begins the path of a [`Problem`].
///
/// # Errors
/// [`Problem`] for what the type does not allow: another kind of value, a field that is missing, unknown or given twice.
pub fn read(form: Form, ty: &Type, json: &Json, name: &str) -> Result<Value> {
    Reader { form }.value(ty, json, &Path { outer: None, name })
}

/// Reads a value that a path, a query or a header holds as text.
///
/// # Errors
/// [`Problem`] if the type cannot be text or the text is not one of the type.
pub fn read_text(ty: &Type, text: &str, name: &str) -> Result<Value> {
    let path = Path { outer: None, name };
    match ty {
        Type::Optional(inner) => read_text(inner, text, name),
        Type::Boolean => match text {
            "true" => Ok(Value::Boolean(true)),
            "false" => Ok(Value::Boolean(false)),
            _ => path.error("must be true or false"),
        },
        Type::Long => text.parse().map(Value::Long).or_else(|_| path.error("must be a whole number")),
        Type::Double => text.parse().map(Value::Double).or_else(|_| path.error("must be a number")),
        Type::String | Type::Uri | Type::Secret | Type::DateTime | Type::Id(_) => Ok(text.into()),
        Type::Enum(id) => enumerated(*id, Some(text), &path),
        _ => path.error("must stand in the body, since a text cannot hold it"),
    }
}

/// A value of an enumeration, which must be one of the table's. Of a few enumerations the table knows no values.
fn enumerated(id: EnumId, text: Option<&str>, path: &Path<'_>) -> Result<Value> {
    let row = &schema().enums[id.index()];
    match text {
        Some(text) if row.values.is_empty() || row.values.contains(&text) => Ok(text.into()),
        _ => path.error(format!("must be a value of {PREFIX}{}: {}", row.name, listed(&row.values))),
    }
}

/// Values of an enumeration in a message.
const MAX_LISTED: usize = 20;

fn listed(values: &[&str]) -> String {
    let more = if values.len() > MAX_LISTED { ", …" } else { "" };
    format!("{}{more}", values[..values.len().min(MAX_LISTED)].join(", "))
}

/// A field and the structures that it stands in.
struct Path<'a> {
    outer: Option<&'a Path<'a>>,
    name: &'a str,
}

impl Path<'_> {
    fn text(&self) -> String {
        match self.outer {
            Some(outer) => format!("{}.{}", outer.text(), self.name),
            None => self.name.to_owned(),
        }
    }

    fn error<T>(&self, text: impl Into<String>) -> Result<T> {
        Err(Problem { path: self.text(), text: text.into() })
    }

    fn inner<'a>(&'a self, name: &'a str) -> Path<'a> {
        Path { outer: Some(self), name }
    }
}

struct Reader {
    form: Form,
}

impl Reader {
    fn value(&self, ty: &Type, json: &Json, path: &Path<'_>) -> Result<Value> {
        let text = |kind: &str| match json {
            Json::String(text) => Ok(text.as_str().into()),
            _ => path.error(format!("must be {kind}")),
        };
        match ty {
            Type::Void => match json {
                Json::Null => Ok(Value::Unset),
                _ => path.error("must be null"),
            },
            Type::Boolean => match json {
                Json::Bool(value) => Ok(Value::Boolean(*value)),
                _ => path.error("must be a boolean"),
            },
            Type::Long => match json.as_i64() {
                Some(value) => Ok(Value::Long(value)),
                None => path.error("must be a whole number of 64 bits"),
            },
            Type::Double => match json.as_f64() {
                Some(value) => Ok(Value::Double(value)),
                None => path.error("must be a number"),
            },
            Type::String => text("a string"),
            Type::Uri => text("a URI"),
            Type::DateTime => text("a date"),
            Type::Id(_) => text("an identifier"),
            Type::Enum(id) => enumerated(*id, json.as_str(), path),
            Type::Secret => match (self.form, self.tagged(json, SECRET)) {
                (Form::Rpc, Some(Json::String(secret))) => Ok(secret.as_str().into()),
                (Form::Rpc, _) => path.error("must be a secret"),
                _ => text("a string"),
            },
            Type::Binary => {
                let inner = if self.form == Form::Rpc { self.tagged(json, BINARY) } else { Some(json) };
                let bytes = inner.and_then(Json::as_str).and_then(|text| STANDARD.decode(text).ok());
                bytes.map_or_else(|| path.error("must be text in base64"), |bytes| Ok(Value::Binary(bytes)))
            }
            Type::Optional(inner) => self.optional(inner, json, path),
            Type::List(inner) => self.list(inner, json, path).map(Value::List),
            Type::Set(inner) => {
                let items = self.list(inner, json, path)?;
                // Equal values are equal texts in one encoding.
                let mut seen = HashSet::with_capacity(items.len());
                if items.iter().all(|item| seen.insert(write(Form::Api, inner, item).to_string())) {
                    Ok(Value::List(items))
                } else {
                    path.error("must hold no value twice")
                }
            }
            Type::Map(types) => self.map(&types.0, &types.1, json, path),
            Type::Structure(id) => self.structure(*id, json, path),
            Type::Opaque | Type::AnyStructure | Type::AnyError => Ok(Value::Opaque(json.clone())),
        }
    }

    /// The value under the tag, if nothing stands beside it.
    fn tagged<'a>(&self, json: &'a Json, tag: &str) -> Option<&'a Json> {
        json.as_object().filter(|object| object.len() == 1)?.get(tag)
    }

    fn optional(&self, inner: &Type, json: &Json, path: &Path<'_>) -> Result<Value> {
        let json = match self.form {
            Form::Rpc => match self.tagged(json, OPTIONAL) {
                Some(json) => json,
                None => return path.error("must be an optional"),
            },
            Form::Api | Form::Rest => json,
        };
        if json.is_null() { Ok(Value::Unset) } else { self.value(inner, json, path) }
    }

    fn list(&self, inner: &Type, json: &Json, path: &Path<'_>) -> Result<Vec<Value>> {
        match json {
            Json::Array(items) => items.iter().map(|item| self.value(inner, item, path)).collect(),
            _ => path.error("must be a list"),
        }
    }

    fn map(&self, key: &Type, value: &Type, json: &Json, path: &Path<'_>) -> Result<Value> {
        let mut entries: Vec<(Value, Value)> = Vec::new();
        match (self.form, json) {
            (Form::Api, Json::Object(object)) => {
                for (name, item) in object {
                    let path = path.inner(name);
                    // The name of a member is a text, whatever the type of the key.
                    let key = read_text(key, name, name)?;
                    entries.push((key, self.value(value, item, &path)?));
                }
            }
            (Form::Rest | Form::Rpc, Json::Array(items)) => {
                let mut keys = HashSet::new();
                for item in items {
                    let entry = match self.form {
                        Form::Rpc => {
                            self.tagged(item, STRUCTURE).and_then(|json| self.tagged(json, MAP_ENTRY))
                        }
                        _ => Some(item),
                    };
                    let entry = entry.and_then(Json::as_object);
                    let pair = entry.and_then(|entry| Some((entry.get("key")?, entry.get("value")?)));
                    let Some((name, item)) = pair else {
                        return path.error("must hold entries with a key and a value");
                    };
                    if !keys.insert(name.to_string()) {
                        return path.error(format!("must hold the key {name} only once"));
                    }
                    entries.push((self.value(key, name, path)?, self.value(value, item, path)?));
                }
            }
            _ => return path.error("must be a map"),
        }
        Ok(Value::Map(entries))
    }

    fn structure(&self, id: StructureId, json: &Json, path: &Path<'_>) -> Result<Value> {
        let row = &schema().structures[id.index()];
        let object = match self.form {
            Form::Rpc => {
                let named = self.tagged(json, STRUCTURE).and_then(Json::as_object);
                let named = named.filter(|named| named.len() == 1).and_then(|named| named.iter().next());
                let known = named.filter(|(name, _)| name.strip_prefix(PREFIX) == Some(row.name));
                known.and_then(|(_, fields)| fields.as_object())
            }
            Form::Api | Form::Rest => json.as_object(),
        };
        match object {
            Some(object) => {
                self.fields(&row.fields, object, path).map(|fields| Value::Record(Record { ty: id, fields }))
            }
            None => path.error(format!("must be a {PREFIX}{}", row.name)),
        }
    }

    fn fields(
        &self,
        fields: &[Parameter],
        object: &Map<String, Json>,
        path: &Path<'_>,
    ) -> Result<Vec<Value>> {
        if let Some(name) = object.keys().find(|name| fields.iter().all(|field| field.name != **name)) {
            return path.inner(name).error("the structure has no such field");
        }
        let read = |field: &Parameter| {
            let path = path.inner(field.name);
            match (object.get(field.name), &field.ty) {
                (Some(json), ty) => self.value(ty, json, &path),
                (None, Type::Optional(_)) => Ok(Value::Unset),
                (None, _) => path.error("the field is missing"),
            }
        };
        fields.iter().map(read).collect()
    }
}
