//! Extra configuration: keys and values that the model only keeps.

use std::collections::BTreeMap;

/// Whether a key is the host's own, so that nobody may set it.
pub(super) fn is_reserved(key: &str) -> bool {
    key.to_ascii_lowercase().starts_with("esfera.")
}

/// Merges an entry of `extraConfig`: an empty value removes the key.
pub(super) fn merge(extra: &mut BTreeMap<String, String>, key: &str, value: &str) {
    let known = extra.keys().find(|known| known.eq_ignore_ascii_case(key)).cloned();
    if value.is_empty() {
        extra.remove(known.as_deref().unwrap_or(key));
    } else {
        extra.insert(known.unwrap_or_else(|| key.to_owned()), value.to_owned());
    }
}
