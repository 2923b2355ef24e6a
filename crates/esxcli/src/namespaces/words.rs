//! Arguments that are one of a few words.

use crate::table::{Arguments, CliFault};

/// The meaning of an argument's word; `None` if the argument is not given.
pub(super) fn one_of<T: Copy>(
    arguments: &Arguments,
    name: &str,
    words: &[(&str, T)],
) -> Result<Option<T>, CliFault> {
    let Some(text) = arguments.text(name) else { return Ok(None) };
    let found = words.iter().find(|(word, _)| word.eq_ignore_ascii_case(text)).map(|(_, meaning)| *meaning);
    let possible = || words.iter().map(|(word, _)| *word).collect::<Vec<_>>().join(" or ");
    found.map(Some).ok_or_else(|| CliFault(format!("Parameter '{name}' takes {}", possible())))
}

/// The word for a meaning.
pub(super) fn word<T: PartialEq>(meaning: &T, words: &[(&'static str, T)]) -> Option<&'static str> {
    words.iter().find(|(_, known)| known == meaning).map(|(word, _)| *word)
}
