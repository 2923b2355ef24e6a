//! The query of a URL.

use crate::files::unescape;

/// A parameter of the query, unescaped.
pub(super) fn parameter(query: &str, name: &str) -> Option<String> {
    unescape(&values(query, name).next()?.replace('+', " "))
}

/// All values of a parameter, without those that are not UTF-8.
pub(super) fn parameters(query: &str, name: &str) -> Vec<String> {
    values(query, name).filter_map(|value| unescape(&value.replace('+', " "))).collect()
}

fn values<'q>(query: &'q str, name: &str) -> impl Iterator<Item = &'q str> {
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    pairs.filter(move |(key, _)| *key == name).map(|(_, value)| value)
}
