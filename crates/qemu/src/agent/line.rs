//! One line of the guest agent, parsed without I/O, so that a fuzzer can drive it. QEMU's `qga/qapi-schema.json`
//! describes the agent's protocol.

use serde::Deserialize;
use serde_json::Value;

/// Separates an answer to `guest-sync-delimited` from earlier output.
pub(super) const SENTINEL: u8 = 0xff;

/// The agent's answer to a command.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// Done, with the result.
    Return(Value),
    /// Refused.
    Error {
        /// Error class.
        class: String,
        /// The agent's own words.
        desc: String,
    },
}

/// Why a line is not an answer.
#[derive(Debug, thiserror::Error)]
pub enum ParseError {
    /// Not JSON, or nested too deep.
    #[error("not JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// JSON, but neither result nor error.
    #[error("not an answer of the guest agent")]
    Shape,
}

#[derive(Deserialize)]
struct Raw {
    #[serde(rename = "return", default, deserialize_with = "present")]
    value: Option<Value>,
    error: Option<RawError>,
}

#[derive(Deserialize)]
struct RawError {
    #[serde(default)]
    class: String,
    #[serde(default)]
    desc: String,
}

fn present<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(from).map(Some)
}

/// Parses one line without its line end. Everything up to the last sentinel byte is skipped.
pub fn parse_line(line: &[u8]) -> Result<Answer, ParseError> {
    let start = line.iter().rposition(|&byte| byte == SENTINEL).map_or(0, |at| at + 1);
    let raw: Raw = serde_json::from_slice(&line[start..])?;
    match (raw.error, raw.value) {
        (Some(error), _) => Ok(Answer::Error { class: error.class, desc: error.desc }),
        (None, Some(value)) => Ok(Answer::Return(value)),
        (None, None) => Err(ParseError::Shape),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_precedes_the_sentinel_is_skipped() {
        let line = b"{\"return\": {\"half\": \xff{\"return\": 7}";
        assert_eq!(parse_line(line).unwrap(), Answer::Return(json!(7)));
    }

    #[test]
    fn results_and_errors_are_told_apart() {
        assert_eq!(parse_line(br#"{"return":{}}"#).unwrap(), Answer::Return(json!({})));
        assert_eq!(parse_line(br#"{"return":null}"#).unwrap(), Answer::Return(Value::Null));
        let error = parse_line(br#"{"error":{"class":"CommandNotFound","desc":"x","more":1}}"#).unwrap();
        assert_eq!(error, Answer::Error { class: "CommandNotFound".into(), desc: "x".into() });
    }

    #[test]
    fn hostile_lines_are_refused() {
        let deep = [b"{\"return\":".as_slice(), &b"[".repeat(100_000)].concat();
        for line in [&b""[..], b"{}", b"\xff", b"[1]", b"{\"return\":", &deep] {
            assert!(parse_line(line).is_err());
        }
    }
}
