//! Data objects in the store: VI-JSON of the newest release, so that nothing is filtered out.

use std::sync::Arc;

use vim::{DataId, Fault, Kind, Object, Release, Value, fault, schema};

fn newest() -> Release {
    let last = schema().releases.len().saturating_sub(1);
    Release(u8::try_from(last).expect("the schema has fewer than 256 releases"))
}

/// The object as text that [`decode`] reads.
pub(crate) fn encode(base: DataId, object: &Arc<Object>) -> Vec<u8> {
    let mut text = Vec::with_capacity(512);
    vim::json::write_value(&mut text, Kind::Data(base), false, &Value::Object(object.clone()), newest());
    text
}

/// The object of type `base` or derived from it. A damaged text gives none and a line in the log.
pub(crate) fn decode(base: DataId, text: &[u8]) -> Option<Arc<Object>> {
    match vim::json::read_value(Kind::Data(base), false, text) {
        Ok(Value::Object(object)) => Some(object),
        Ok(_) => None,
        Err(error) => {
            tracing::error!(%error, expected = schema().data(base).name, "a stored object cannot be read");
            None
        }
    }
}

/// The fault for a client when the store cannot be read or written.
pub(crate) fn store_fault(error: &store::Error) -> Fault {
    fault!(SystemError { reason: error.to_string() }, "The server's database failed: {error}")
}
