//! The text format of `.vmx` and `.vmsd`: lines of `key = "value"`, comments, a declared encoding. Reading keeps every
//! line and its order, so that unknown lines are written back unchanged.

use std::collections::HashMap;
use std::fmt;

use crate::limits::{MAX_DICTIONARY_BYTES, MAX_DICTIONARY_KEY, MAX_DICTIONARY_LINES, MAX_DICTIONARY_VALUE};

/// Why a text is not a dictionary.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DictionaryError {
    /// A limit is exceeded.
    #[error("more than {limit} {what}")]
    TooLarge {
        /// The thing that is too large or too many.
        what: &'static str,
        /// The limit.
        limit: usize,
    },
    /// A line that is neither empty, nor a comment, nor `key = "value"`.
    #[error("line {line}: {fault}")]
    Syntax {
        /// From 1.
        line: usize,
        /// The fault.
        fault: &'static str,
    },
    /// The same key twice.
    #[error("line {line}: {key} is defined twice")]
    Duplicate {
        /// From 1.
        line: usize,
        /// The key.
        key: String,
    },
    /// An encoding other than UTF-8, ASCII, ISO-8859-1 and windows-1252, with bytes beyond ASCII.
    #[error("the encoding {0} is not supported; convert the file to UTF-8")]
    Encoding(String),
    /// Bytes that are not of the declared encoding.
    #[error("line {line} is not valid {encoding}")]
    NotEncoded {
        /// From 1.
        line: usize,
        /// Declared encoding.
        encoding: &'static str,
    },
    /// A value is not allowed for its key.
    #[error("{key} = \"{value}\": expected {expected}")]
    Value {
        /// The key.
        key: String,
        /// Its value, shortened.
        value: String,
        /// The allowed values.
        expected: &'static str,
    },
}

const ENCODING: &str = ".encoding";

#[derive(Debug, Clone, PartialEq, Eq)]
enum Line {
    /// An empty line or a comment, unchanged.
    Text(String),
    Entry {
        key: String,
        value: String,
    },
}

/// An ordered set of keys and values. Keys compare without ASCII case and keep the case in which they were written.
#[derive(Debug, Clone, Default)]
pub struct Dictionary {
    /// Removed lines become `None`, so that positions stay.
    lines: Vec<Option<Line>>,
    /// Lower-case key to line.
    index: HashMap<String, usize>,
}

#[derive(Clone, Copy)]
enum Encoding {
    Utf8,
    Windows1252,
    AsciiOnly,
}

impl Dictionary {
    /// An empty dictionary.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads a text.
    pub fn parse(text: &[u8]) -> Result<Self, DictionaryError> {
        if text.len() > MAX_DICTIONARY_BYTES {
            return Err(DictionaryError::TooLarge { what: "bytes", limit: MAX_DICTIONARY_BYTES });
        }
        let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
        let (encoding, name) = declared_encoding(text);
        let mut dictionary = Self::new();
        let mut lines = text.split(|byte| *byte == b'\n').peekable();
        let mut number = 0;
        while let Some(line) = lines.next() {
            number += 1;
            if number > MAX_DICTIONARY_LINES {
                return Err(DictionaryError::TooLarge { what: "lines", limit: MAX_DICTIONARY_LINES });
            }
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            if line.is_empty() && lines.peek().is_none() {
                break;
            }
            dictionary.read_line(line, number, encoding, &name)?;
        }
        Ok(dictionary)
    }

    fn read_line(
        &mut self,
        line: &[u8],
        number: usize,
        encoding: Encoding,
        name: &str,
    ) -> Result<(), DictionaryError> {
        let syntax = |fault| DictionaryError::Syntax { line: number, fault };
        let trimmed = line.trim_ascii();
        if trimmed.is_empty() || trimmed.starts_with(b"#") {
            let text = decode(line, number, encoding, name)?;
            if text.contains(['\0', '\r']) {
                return Err(syntax("a NUL or carriage return in a comment"));
            }
            self.lines.push(Some(Line::Text(text)));
            return Ok(());
        }
        let equals = trimmed.iter().position(|byte| *byte == b'=').ok_or_else(|| syntax("'=' is missing"))?;
        let key = trimmed[..equals].trim_ascii();
        let key =
            std::str::from_utf8(key).ok().filter(|key| is_key(key)).ok_or_else(|| syntax("no valid key"))?;
        let raw = trimmed[equals + 1..].trim_ascii();
        let raw = match raw.strip_prefix(b"\"") {
            None if raw.contains(&b'"') => return Err(syntax("a quotation mark inside of a value")),
            None => raw,
            Some(quoted) => {
                let end = quoted.iter().position(|byte| *byte == b'"');
                let end = end.ok_or_else(|| syntax("the closing quotation mark is missing"))?;
                let rest = quoted[end + 1..].trim_ascii();
                if !rest.is_empty() && !rest.starts_with(b"#") {
                    return Err(syntax("text after the closing quotation mark"));
                }
                &quoted[..end]
            }
        };
        let value = decode(&unescape(raw), number, encoding, name)?;
        if value.contains('\0') {
            return Err(syntax("a NUL in a value"));
        }
        if value.len() > MAX_DICTIONARY_VALUE {
            return Err(DictionaryError::TooLarge { what: "bytes of a value", limit: MAX_DICTIONARY_VALUE });
        }
        let lower = key.to_ascii_lowercase();
        if self.index.contains_key(&lower) {
            return Err(DictionaryError::Duplicate { line: number, key: key.to_owned() });
        }
        // Text is written as UTF-8, whatever was read.
        let value = if lower == ENCODING { "UTF-8".to_owned() } else { value };
        self.index.insert(lower, self.lines.len());
        self.lines.push(Some(Line::Entry { key: key.to_owned(), value }));
        Ok(())
    }

    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<&str> {
        match self.lines.get(*self.index.get(&key.to_ascii_lowercase())?)? {
            Some(Line::Entry { value, .. }) => Some(value),
            _ => None,
        }
    }

    /// Sets a key, in its place if it exists, otherwise at the end.
    ///
    /// # Errors
    /// [`DictionaryError::Value`] for a text that cannot be a key or value, [`DictionaryError::TooLarge`].
    pub fn set(&mut self, key: &str, value: impl Into<String>) -> Result<(), DictionaryError> {
        let value = value.into();
        let bad = |expected| DictionaryError::Value {
            key: key.chars().take(MAX_DICTIONARY_KEY).collect(),
            value: value.chars().take(80).collect(),
            expected,
        };
        if !is_key(key) {
            return Err(bad("a key of letters, digits and . _ - :"));
        }
        if value.contains('\0') {
            return Err(bad("a value without NUL"));
        }
        if value.len() > MAX_DICTIONARY_VALUE {
            return Err(DictionaryError::TooLarge { what: "bytes of a value", limit: MAX_DICTIONARY_VALUE });
        }
        let lower = key.to_ascii_lowercase();
        if let Some(Some(Line::Entry { value: old, .. })) =
            self.index.get(&lower).and_then(|at| self.lines.get_mut(*at))
        {
            *old = value;
            return Ok(());
        }
        if self.lines.len() >= MAX_DICTIONARY_LINES {
            self.compact();
            if self.lines.len() >= MAX_DICTIONARY_LINES {
                return Err(DictionaryError::TooLarge { what: "lines", limit: MAX_DICTIONARY_LINES });
            }
        }
        self.index.insert(lower, self.lines.len());
        self.lines.push(Some(Line::Entry { key: key.to_owned(), value }));
        Ok(())
    }

    /// Removes a key and returns its value.
    pub fn remove(&mut self, key: &str) -> Option<String> {
        let at = self.index.remove(&key.to_ascii_lowercase())?;
        match self.lines.get_mut(at)?.take()? {
            Line::Entry { value, .. } => Some(value),
            Line::Text(_) => None,
        }
    }

    /// Removes the keys for which `keep` returns false.
    pub fn retain(&mut self, mut keep: impl FnMut(&str, &str) -> bool) {
        for line in &mut self.lines {
            if let Some(Line::Entry { key, value }) = line
                && !keep(key, value)
            {
                self.index.remove(&key.to_ascii_lowercase());
                *line = None;
            }
        }
    }

    /// Keys and values in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.lines.iter().filter_map(|line| match line {
            Some(Line::Entry { key, value }) => Some((key.as_str(), value.as_str())),
            _ => None,
        })
    }

    /// Number of keys.
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// Whether it has no keys.
    pub fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    /// The text to write into a file.
    ///
    /// # Errors
    /// [`DictionaryError::TooLarge`] if it would be too large to read again.
    pub fn to_text(&self) -> Result<String, DictionaryError> {
        let text = self.to_string();
        if text.len() > MAX_DICTIONARY_BYTES {
            return Err(DictionaryError::TooLarge { what: "bytes", limit: MAX_DICTIONARY_BYTES });
        }
        if text.bytes().filter(|byte| *byte == b'\n').count() >= MAX_DICTIONARY_LINES {
            return Err(DictionaryError::TooLarge { what: "lines", limit: MAX_DICTIONARY_LINES });
        }
        Ok(text)
    }

    fn compact(&mut self) {
        self.lines.retain(Option::is_some);
        self.index.clear();
        for (at, line) in self.lines.iter().enumerate() {
            if let Some(Line::Entry { key, .. }) = line {
                self.index.insert(key.to_ascii_lowercase(), at);
            }
        }
    }
}

impl PartialEq for Dictionary {
    fn eq(&self, other: &Self) -> bool {
        self.lines.iter().flatten().eq(other.lines.iter().flatten())
    }
}

impl Eq for Dictionary {}

/// The text, in UTF-8, which its first entry declares.
impl fmt::Display for Dictionary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut declared = self.index.contains_key(ENCODING);
        for line in self.lines.iter().flatten() {
            // A first line that begins with `#!` names the program to run and stays first.
            if !declared && !matches!(line, Line::Text(text) if text.starts_with("#!")) {
                writeln!(f, "{ENCODING} = \"UTF-8\"")?;
                declared = true;
            }
            match line {
                Line::Text(text) => writeln!(f, "{text}")?,
                Line::Entry { key, value } => writeln!(f, "{key} = \"{}\"", Escaped(value))?,
            }
        }
        if !declared {
            writeln!(f, "{ENCODING} = \"UTF-8\"")?;
        }
        Ok(())
    }
}

struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            match c {
                '"' | '|' | '#' | '\u{1}'..='\u{1f}' | '\u{7f}' => write!(f, "|{:02X}", u32::from(c))?,
                c => fmt::Write::write_char(f, c)?,
            }
        }
        Ok(())
    }
}

/// Replaces `|XX` by the byte with that hexadecimal code; a bar without two digits stands for itself.
fn unescape(raw: &[u8]) -> Vec<u8> {
    let digit = |byte: Option<&u8>| byte.and_then(|b| char::from(*b).to_digit(16));
    let mut bytes = Vec::with_capacity(raw.len());
    let mut at = 0;
    while let Some(byte) = raw.get(at) {
        match (byte, digit(raw.get(at + 1)), digit(raw.get(at + 2))) {
            (b'|', Some(high), Some(low)) => {
                bytes.push(u8::try_from(high * 16 + low).expect("two hexadecimal digits are a byte"));
                at += 3;
            }
            _ => {
                bytes.push(*byte);
                at += 1;
            }
        }
    }
    bytes
}

fn is_key(key: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b".:_-/+@$()[],".contains(&b);
    !key.is_empty() && key.len() <= MAX_DICTIONARY_KEY && key.bytes().all(allowed)
}

/// Looks for `.encoding` in the bytes, before they can be decoded.
fn declared_encoding(text: &[u8]) -> (Encoding, String) {
    for line in text.split(|byte| *byte == b'\n').take(MAX_DICTIONARY_LINES) {
        let Some(equals) = line.iter().position(|byte| *byte == b'=') else { continue };
        if line[..equals].trim_ascii().eq_ignore_ascii_case(ENCODING.as_bytes()) {
            let name = line[equals + 1..].trim_ascii();
            let name = name.strip_prefix(b"\"").unwrap_or(name);
            let name = name.split(|byte| *byte == b'"').next().unwrap_or_default();
            let name: String = String::from_utf8_lossy(name).chars().take(40).collect();
            let encoding = match name.to_ascii_lowercase().as_str() {
                "utf-8" | "utf8" | "us-ascii" | "ascii" => Encoding::Utf8,
                "windows-1252" | "cp1252" | "iso-8859-1" | "latin1" => Encoding::Windows1252,
                _ => Encoding::AsciiOnly,
            };
            return (encoding, name);
        }
    }
    (Encoding::Utf8, "UTF-8".into())
}

/// The characters of the bytes 0x80 to 0x9f in windows-1252; 0 for unassigned ones.
const WINDOWS_1252: [u16; 32] = [
    0x20ac, 0, 0x201a, 0x0192, 0x201e, 0x2026, 0x2020, 0x2021, 0x02c6, 0x2030, 0x0160, 0x2039, 0x0152, 0,
    0x017d, 0, 0, 0x2018, 0x2019, 0x201c, 0x201d, 0x2022, 0x2013, 0x2014, 0x02dc, 0x2122, 0x0161, 0x203a,
    0x0153, 0, 0x017e, 0x0178,
];

fn decode(bytes: &[u8], line: usize, encoding: Encoding, name: &str) -> Result<String, DictionaryError> {
    match encoding {
        Encoding::Utf8 => String::from_utf8(bytes.to_vec())
            .map_err(|_| DictionaryError::NotEncoded { line, encoding: "UTF-8" }),
        Encoding::AsciiOnly if bytes.is_ascii() => Ok(bytes.iter().map(|byte| char::from(*byte)).collect()),
        Encoding::AsciiOnly => Err(DictionaryError::Encoding(name.to_owned())),
        Encoding::Windows1252 => bytes
            .iter()
            .map(|byte| match byte {
                0x80..=0x9f => {
                    char::from_u32(u32::from(WINDOWS_1252[usize::from(byte - 0x80)])).filter(|c| *c != '\0')
                }
                byte => Some(char::from(*byte)),
            })
            .collect::<Option<String>>()
            .ok_or(DictionaryError::NotEncoded { line, encoding: "windows-1252" }),
    }
}
