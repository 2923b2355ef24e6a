//! Data objects in records: VI-JSON of the newest release, so that no field is left out.

use std::sync::Arc;

use vim::{DataId, Kind, Object, Release, Value, schema};

fn newest() -> Release {
    let last = schema().releases.len().saturating_sub(1);
    Release(u8::try_from(last).expect("the schema has fewer than 256 releases"))
}

pub(crate) fn encode(object: &Arc<Object>) -> serde_json::Value {
    let mut text = Vec::new();
    let value = Value::Object(object.clone());
    vim::json::write_value(&mut text, Kind::Data(object.ty()), false, &value, newest());
    serde_json::from_slice(&text).unwrap_or_default()
}

/// The object of this type. If the text is damaged, logs that and returns an object without any field set.
pub(crate) fn decode(ty: DataId, text: &serde_json::Value) -> Arc<Object> {
    match vim::json::read_value(Kind::Data(ty), false, text.to_string().as_bytes()) {
        Ok(Value::Object(object)) => object,
        other => {
            tracing::error!(expected = schema().data(ty).name, found = ?other, "a stored object is damaged");
            Arc::new(Object::new(ty))
        }
    }
}
