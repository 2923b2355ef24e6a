//! How two versions of one table differ.

use std::collections::BTreeMap;

pub(super) fn changed<K: Ord + Copy, V: PartialEq + Copy>(
    actual: &BTreeMap<K, V>,
    wanted: &BTreeMap<K, V>,
    mut step: impl FnMut(K, V),
) {
    for (key, value) in wanted {
        if actual.get(key) != Some(value) {
            step(*key, *value);
        }
    }
}

pub(super) fn gone<K: Ord + Copy, A, W>(
    actual: &BTreeMap<K, A>,
    wanted: &BTreeMap<K, W>,
    step: impl FnMut(K),
) {
    actual.keys().filter(|key| !wanted.contains_key(key)).copied().for_each(step);
}
