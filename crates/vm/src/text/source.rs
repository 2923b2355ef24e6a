//! Reading keys of a `.vmx`. A key that was taken has a meaning in the model; the others are kept, or extra configuration.

use std::collections::HashSet;
use std::str::FromStr;

use datastore::vmx::parse_uuid;
use datastore::{Dictionary, DictionaryError};
use uuid::Uuid;

type Result<T> = std::result::Result<T, DictionaryError>;

/// Keys of a `.vmx`, and which of them were taken.
pub(crate) struct Source<'a> {
    file: &'a Dictionary,
    /// Whether a key stands for a field of the model.
    is_field: fn(&str) -> bool,
    /// In lower case.
    taken: HashSet<String>,
}

impl<'a> Source<'a> {
    /// Every key that is read must be one of `is_field`: extra configuration could set it otherwise.
    pub(crate) fn new(file: &'a Dictionary, is_field: fn(&str) -> bool) -> Self {
        Self { file, is_field, taken: HashSet::new() }
    }

    /// The value of a key, which is then taken.
    pub(crate) fn take(&mut self, key: &str) -> Option<&'a str> {
        debug_assert!((self.is_field)(key), "{key} is read, but not listed as a key of a field");
        let value = self.file.get(key)?;
        self.taken.insert(key.to_ascii_lowercase());
        Some(value)
    }

    /// A value, which stays for others to take.
    pub(crate) fn peek(&self, key: &str) -> Option<&'a str> {
        self.file.get(key)
    }

    /// Takes a value that is not empty.
    pub(crate) fn text(&mut self, key: &str) -> Option<&'a str> {
        self.take(key).filter(|value| !value.is_empty())
    }

    /// The error for the value of a key.
    pub(crate) fn bad(&self, key: &str, expected: &'static str) -> DictionaryError {
        let value = self.file.get(key).unwrap_or_default().chars().take(80).collect();
        DictionaryError::Value { key: key.to_owned(), value, expected }
    }

    /// Takes a value that `parse` understands; an empty one counts as missing.
    ///
    /// # Errors
    /// [`DictionaryError::Value`] for any other value.
    pub(crate) fn word<T>(
        &mut self,
        key: &str,
        parse: impl FnOnce(&str) -> Option<T>,
        expected: &'static str,
    ) -> Result<Option<T>> {
        match self.take(key).map(str::trim) {
            None | Some("") => Ok(None),
            Some(value) => parse(value).map(Some).ok_or_else(|| self.bad(key, expected)),
        }
    }

    /// Takes a number between two bounds.
    ///
    /// # Errors
    /// [`DictionaryError::Value`] for any other value.
    pub(crate) fn number(&mut self, key: &str, least: u32, most: u32) -> Result<Option<u32>> {
        let number = self.word(key, |text| text.parse::<u32>().ok(), "a number")?;
        match number {
            Some(n) if !(least..=most).contains(&n) => Err(self.bad(key, "a number in the product's limits")),
            number => Ok(number),
        }
    }

    /// Takes a flag.
    ///
    /// # Errors
    /// [`DictionaryError::Value`] for any other value.
    pub(crate) fn flag(&mut self, key: &str) -> Result<Option<bool>> {
        let parse = |text: &str| match text.to_ascii_lowercase().as_str() {
            "true" | "t" | "yes" | "y" | "on" | "1" => Some(true),
            "false" | "f" | "no" | "n" | "off" | "0" => Some(false),
            _ => None,
        };
        self.word(key, parse, "TRUE or FALSE")
    }

    /// Takes a UUID.
    ///
    /// # Errors
    /// [`DictionaryError::Value`] for any other value.
    pub(crate) fn uuid(&mut self, key: &str) -> Result<Option<Uuid>> {
        self.word(key, parse_uuid, "16 bytes in hexadecimal")
    }

    /// Takes a flag of which every value but a clear yes means no.
    pub(crate) fn is_true(&mut self, key: &str) -> Option<bool> {
        let yes =
            |value: &str| ["true", "1", "yes", "on"].iter().any(|word| value.eq_ignore_ascii_case(word));
        self.text(key).map(yes)
    }

    /// Takes a value if it can be read, and drops it otherwise.
    pub(crate) fn parsed<T: FromStr>(&mut self, key: &str) -> Option<T> {
        self.text(key).and_then(|value| value.trim().parse().ok())
    }

    /// The devices that are present and whose prefix `parse` understands, in their order. Of those the key `present` is taken; a
    /// device is only present if the key says so clearly.
    pub(crate) fn devices<T: Ord>(&mut self, parse: impl Fn(&str) -> Option<T>) -> Vec<T> {
        let file = self.file;
        let mut found = Vec::new();
        for (key, _) in file.iter() {
            let key = key.to_ascii_lowercase();
            let device = key.strip_suffix(".present").and_then(&parse);
            if device.is_some() && !matches!(self.flag(&key), Ok(Some(true))) {
                self.taken.remove(&key);
                continue;
            }
            found.extend(device);
        }
        found.sort();
        found
    }

    /// Takes all keys that begin with `prefix`, as they are.
    pub(crate) fn take_all(&mut self, prefix: &str) -> Vec<(String, String)> {
        let mut all = Vec::new();
        for (key, value) in self.file.iter() {
            let lower = key.to_ascii_lowercase();
            if lower.starts_with(prefix) {
                self.taken.insert(lower);
                all.push((key.to_owned(), value.to_owned()));
            }
        }
        all
    }

    /// The keys that nobody took.
    pub(crate) fn rest(&self) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.file.iter().filter(|(key, _)| !self.taken.contains(&key.to_ascii_lowercase()))
    }
}

/// The number behind a prefix: 0 for `ethernet0`.
pub(crate) fn numbered(prefix: &str, word: &str, count: u8) -> Option<u8> {
    let digits = prefix.strip_prefix(word)?;
    digits.parse().ok().filter(|n: &u8| *n < count && n.to_string() == digits)
}
