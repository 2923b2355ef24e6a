//! Backings of devices in a specification. Fields that several types of backing have are read by their name.

use vim::{Fault, MoRef, Object, Value};

use super::draft::Draft;
use crate::file::FileRef;

pub(super) fn flag(object: &Object, name: &str) -> Option<bool> {
    match object.named(name) {
        Some(Value::Boolean(value)) => Some(*value),
        _ => None,
    }
}

pub(super) fn text<'a>(object: &'a Object, name: &str) -> &'a str {
    object.named(name).and_then(|value| value.as_str()).unwrap_or_default()
}

/// The name of a file; `None` if the backing leaves the choice to the host.
pub(super) fn file_name(found: &Object) -> Option<&str> {
    Some(text(found, "fileName").trim()).filter(|name| !name.is_empty() && *name != "[]")
}

pub(super) fn datastore(found: &Object) -> Option<&MoRef> {
    found.named("datastore").and_then(|value| value.as_ref())
}

/// The file that a backing names; `None` if it names only a datastore, or nothing.
///
/// # Errors
/// `InvalidDatastorePath` for a path that is none or names no datastore of the host.
pub(super) fn file(draft: &Draft<'_>, found: &Object) -> Result<Option<FileRef>, Fault> {
    let Some(name) = file_name(found) else { return Ok(None) };
    let file = draft.around.storage.parse(name)?;
    Ok((!file.path.is_root()).then_some(file))
}
