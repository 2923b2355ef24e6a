//! Text of others made harmless for a terminal: names, messages and addresses come from a server, from guests, or from whoever tried to
//! log in. Shown raw, a control character could move the cursor, run a sequence of the terminal, or end a row and begin a forged one.

use std::borrow::Cow;
use std::fmt::Write;
use std::io;

use serde_json::Value as Json;
use serde_json::ser::{CharEscape, CompactFormatter, Formatter};

/// Whether a terminal may do something else with the character than show it in its place: control characters (C0, DEL, C1), separators
/// of lines and paragraphs, and the marks that reorder text or take no space.
fn is_unsafe(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{ad}'
                | '\u{61c}'
                | '\u{180e}'
                | '\u{200b}'
                | '\u{200e}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e007f}'
        )
}

/// One line without unsafe characters: they appear as `\n`, `\t`, `\r` or `\u{1b}`. Other text stays as it is.
pub fn escape(text: &str) -> Cow<'_, str> {
    escape_except(text, None)
}

/// [`escape()`], with one character left as it is.
pub fn escape_except(text: &str, kept: Option<char>) -> Cow<'_, str> {
    let is_unsafe = |character: char| is_unsafe(character) && Some(character) != kept;
    if !text.contains(is_unsafe) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 8);
    for character in text.chars() {
        match character {
            '\n' => escaped.push_str("\\n"),
            '\r' => escaped.push_str("\\r"),
            '\t' => escaped.push_str("\\t"),
            other if is_unsafe(other) => {
                let _ = write!(escaped, "\\u{{{:x}}}", u32::from(other));
            }
            other => escaped.push(other),
        }
    }
    Cow::Owned(escaped)
}

/// JSON in one line. Unsafe characters that JSON leaves to its writer are escaped as JSON does (`\u009b`), so that it reads as the same text.
pub fn json(value: &Json) -> String {
    let mut bytes = Vec::new();
    let mut serializer = serde_json::Serializer::with_formatter(&mut bytes, Harmless);
    let written = serde::Serialize::serialize(value, &mut serializer);
    debug_assert!(written.is_ok(), "a value is written to memory");
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Writes JSON as [`json`] says.
struct Harmless;

impl Formatter for Harmless {
    fn write_string_fragment<W>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()>
    where
        W: ?Sized + io::Write,
    {
        let mut rest = fragment;
        while let Some((at, found)) = rest.char_indices().find(|(_, character)| is_unsafe(*character)) {
            writer.write_all(&rest.as_bytes()[..at])?;
            for unit in found.encode_utf16(&mut [0; 2]) {
                write!(writer, "\\u{unit:04x}")?;
            }
            rest = &rest[at + found.len_utf8()..];
        }
        writer.write_all(rest.as_bytes())
    }

    fn write_char_escape<W>(&mut self, writer: &mut W, escape: CharEscape) -> io::Result<()>
    where
        W: ?Sized + io::Write,
    {
        CompactFormatter.write_char_escape(writer, escape)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn control_characters_are_shown_and_not_obeyed() {
        assert_eq!(escape("a\x1b[2Jb\r\n\tc\x7f"), "a\\u{1b}[2Jb\\r\\n\\tc\\u{7f}");
        assert_eq!(
            escape("\u{9b}31m \u{202e}txt \u{2028}\u{200b}"),
            "\\u{9b}31m \\u{202e}txt \\u{2028}\\u{200b}"
        );
    }

    #[test]
    fn text_of_any_language_stays() {
        for text in ["web-01", "CORP\\élise", "仮想マシン", "машина", "👩 ok", ""] {
            assert!(matches!(escape(text), Cow::Borrowed(same) if same == text));
        }
    }

    #[test]
    fn json_reads_as_the_same_text() {
        let value = json!({ "a\u{9b}": ["\x1b[2J\n\u{7f}\u{202e}\u{e0041}", "é \"\\", 1, null] });
        let text = super::json(&value);
        assert!(!text.contains(is_unsafe), "{text}");
        assert!(text.contains("é") && text.contains("\\u009b"), "{text}");
        assert_eq!(serde_json::from_str::<Json>(&text).unwrap(), value);
    }
}
