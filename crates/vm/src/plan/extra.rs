//! Extra configuration: keys and values that the model only keeps.

use std::collections::BTreeMap;

use crate::config::VmConfig;

/// Merges an entry of `extraConfig`: an empty value removes the key.
pub(super) fn merge(extra: &mut BTreeMap<String, String>, key: &str, value: &str) {
    let known = extra.keys().find(|known| known.eq_ignore_ascii_case(key)).cloned();
    if value.is_empty() {
        extra.remove(known.as_deref().unwrap_or(key));
    } else {
        extra.insert(known.unwrap_or_else(|| key.to_owned()), value.to_owned());
    }
}

/// Drops what is kept beside devices that have come or gone, and the extra keys of those that have gone: nothing of it is meant for
/// another device at the same place.
pub(super) fn leave(config: &mut VmConfig, before: &VmConfig) {
    let prefixes = |of: &VmConfig, but: &VmConfig| -> Vec<String> {
        let changed = of.devices.values().filter(|device| !but.devices.contains_key(&device.key));
        changed.filter_map(|device| device.kind.prefix(device, &of.devices)).collect()
    };
    let (come, gone) = (prefixes(config, before), prefixes(before, config));
    let is_of = |key: &str, devices: &[String]| {
        key.split_once('.')
            .is_some_and(|(prefix, _)| devices.iter().any(|of| of.eq_ignore_ascii_case(prefix)))
    };
    config.kept.retain(|(key, _)| !is_of(key, &come) && !is_of(key, &gone));
    config.extra.retain(|key, _| !is_of(key, &gone));
}
