//! Writing keys of a `.vmx`. A file that existed keeps its order and comments: keys that are still wanted change in
//! their place, the others go, and new ones come at the end.

use std::collections::HashSet;

use datastore::{Dictionary, DictionaryError};

/// Keys to write, in their order.
#[derive(Default)]
pub(crate) struct Wanted {
    entries: Vec<(String, String)>,
    /// Keys in lower case.
    names: HashSet<String>,
}

impl Wanted {
    /// A key with its value.
    pub(crate) fn put(&mut self, key: impl Into<String>, value: impl Into<String>) {
        let key = key.into();
        self.names.insert(key.to_ascii_lowercase());
        self.entries.push((key, value.into()));
    }

    /// A flag.
    pub(crate) fn flag(&mut self, key: impl Into<String>, value: bool) {
        self.put(key, if value { "TRUE" } else { "FALSE" });
    }

    /// A flag, unless it has its default.
    pub(crate) fn flag_unless(&mut self, key: &str, value: bool, default: bool) {
        if value != default {
            self.flag(key, value);
        }
    }

    /// Whether a key, in any case, is to be written.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.names.contains(&key.to_ascii_lowercase())
    }

    /// The keys so far.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().map(|(key, _)| key.as_str())
    }

    /// The file `before` with these keys instead of its own.
    ///
    /// # Errors
    /// [`DictionaryError`] for a text that the format cannot hold.
    pub(crate) fn over(mut self, before: &Dictionary) -> Result<Dictionary, DictionaryError> {
        let mut file = before.clone();
        // Written first, and as it is, whatever the file had.
        self.names.insert(".encoding".to_owned());
        file.retain(|key, _| self.names.contains(&key.to_ascii_lowercase()));
        for (key, value) in self.entries {
            file.set(&key, value)?;
        }
        Ok(file)
    }
}
