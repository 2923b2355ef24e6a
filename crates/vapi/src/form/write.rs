//! From values to JSON.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value as Json, json};

use super::{BINARY, ERROR, Form, MAP_ENTRY, OPTIONAL, SECRET, STRUCTURE};
use crate::error::Error;
use crate::schema::{PREFIX, Type, schema};
use crate::value::{Record, Value};

/// Writes a value of this type.
///
/// # Panics
/// In debug builds, if the value is not of the type: the program made it.
pub fn write(form: Form, ty: &Type, value: &Value) -> Json {
    let tag = |name: &str, json: Json| if form == Form::Rpc { json!({ name: json }) } else { json };
    match (ty, value) {
        (Type::Optional(_), Value::Unset) => tag(OPTIONAL, Json::Null),
        (Type::Optional(inner), value) => tag(OPTIONAL, write(form, inner, value)),
        (Type::Secret, Value::String(secret)) => tag(SECRET, secret.as_str().into()),
        (Type::Binary, Value::Binary(bytes)) => tag(BINARY, STANDARD.encode(bytes).into()),
        (Type::List(inner) | Type::Set(inner), Value::List(items)) => {
            items.iter().map(|item| write(form, inner, item)).collect()
        }
        (Type::Map(types), Value::Map(entries)) => {
            let pair =
                |(key, value): &(Value, Value)| (write(form, &types.0, key), write(form, &types.1, value));
            match form {
                Form::Api => {
                    let name = |key: Json| match key {
                        Json::String(name) => name,
                        other => other.to_string(),
                    };
                    Json::Object(entries.iter().map(pair).map(|(key, value)| (name(key), value)).collect())
                }
                Form::Rest => entries
                    .iter()
                    .map(pair)
                    .map(|(key, value)| json!({ "key": key, "value": value }))
                    .collect(),
                Form::Rpc => entries
                    .iter()
                    .map(pair)
                    .map(|(key, value)| json!({ STRUCTURE: { MAP_ENTRY: { "key": key, "value": value } } }))
                    .collect(),
            }
        }
        (Type::AnyError, Value::Record(record)) if form == Form::Rpc => {
            json!({ ERROR: structure(form, record).get(STRUCTURE).cloned().unwrap_or_default() })
        }
        (_, Value::Record(record)) => structure(form, record),
        (_, Value::Unset) => Json::Null,
        (_, Value::Boolean(value)) => (*value).into(),
        (_, Value::Long(value)) => (*value).into(),
        (_, Value::Double(value)) => (*value).into(),
        (_, Value::String(text)) => text.as_str().into(),
        (_, Value::Opaque(json)) => json.clone(),
        (ty, value) => {
            debug_assert!(false, "{value:?} is not of the type {ty:?}");
            Json::Null
        }
    }
}

fn structure(form: Form, record: &Record) -> Json {
    let row = &schema().structures[record.ty.index()];
    let mut fields = Map::new();
    for (field, value) in row.fields.iter().zip(&record.fields) {
        if form == Form::Rpc || *value != Value::Unset {
            fields.insert(field.name.to_owned(), write(form, &field.ty, value));
        }
    }
    match form {
        Form::Rpc => json!({ STRUCTURE: { format!("{PREFIX}{}", row.name): fields } }),
        Form::Api | Form::Rest => Json::Object(fields),
    }
}

/// Writes an error: the body of an answer below `/api` or `/rest`, or the `error` of a JSON-RPC result.
pub fn write_error(form: Form, error: &Error) -> Json {
    let record = error.record();
    let written = structure(form, &record);
    match form {
        Form::Api => written,
        Form::Rest => json!({ "type": format!("{PREFIX}{}", error.kind.name()), "value": written }),
        Form::Rpc => json!({ ERROR: written.get(STRUCTURE).cloned().unwrap_or_default() }),
    }
}
