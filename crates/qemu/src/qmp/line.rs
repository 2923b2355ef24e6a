//! One line of QMP, parsed without I/O, so that a fuzzer can drive it. QEMU's `docs/interop/qmp-spec.rst` specifies
//! QMP; unknown fields and events pass through untouched.

use serde::Deserialize;
use serde_json::Value;

/// A message from QEMU.
#[derive(Debug, Clone, PartialEq)]
pub enum Message {
    /// The first line of a connection.
    Greeting {
        /// Major, minor and micro version of QEMU.
        version: [u64; 3],
    },
    /// A command succeeded.
    Return {
        /// The id that the command carried.
        id: Option<u64>,
        /// Its result.
        value: Value,
    },
    /// QEMU refused a command.
    Error {
        /// The id that the command carried, absent if QEMU could not even parse it.
        id: Option<u64>,
        /// Error class.
        class: String,
        /// QEMU's own words.
        desc: String,
    },
    /// An event occurred.
    Event(Event),
}

/// An asynchronous event, known or not.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// Name in QMP's spelling, such as `SHUTDOWN`.
    pub name: String,
    /// Its data, `null` if it has none.
    pub data: Value,
    /// Microseconds since the epoch on QEMU's clock; 0 if it did not say.
    pub timestamp_us: u64,
}

/// Why a line is not QMP.
#[derive(Debug, thiserror::Error)]
pub enum ParseError {
    /// Not JSON, or nested too deep.
    #[error("not JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// JSON, but none of the four kinds of message.
    #[error("not a QMP message")]
    Shape,
}

#[derive(Deserialize)]
struct Raw {
    #[serde(rename = "QMP")]
    greeting: Option<Value>,
    #[serde(rename = "return", default, deserialize_with = "present")]
    value: Option<Value>,
    error: Option<RawError>,
    event: Option<String>,
    data: Option<Value>,
    timestamp: Option<RawTimestamp>,
    id: Option<Value>,
}

#[derive(Deserialize)]
struct RawError {
    class: String,
    desc: String,
}

#[derive(Deserialize)]
struct RawTimestamp {
    seconds: i64,
    microseconds: i64,
}

/// Tells `"return": null` from no `return` at all.
fn present<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(from).map(Some)
}

/// Parses one line without its line end.
pub fn parse_line(line: &[u8]) -> Result<Message, ParseError> {
    let raw: Raw = serde_json::from_slice(line)?;
    let id = raw.id.as_ref().and_then(Value::as_u64);
    if let Some(greeting) = raw.greeting {
        let part = |name: &str| {
            greeting.pointer(&format!("/version/qemu/{name}")).and_then(Value::as_u64).unwrap_or(0)
        };
        return Ok(Message::Greeting { version: [part("major"), part("minor"), part("micro")] });
    }
    if let Some(name) = raw.event {
        let timestamp_us = raw
            .timestamp
            .and_then(|t| t.seconds.checked_mul(1_000_000)?.checked_add(t.microseconds))
            .and_then(|us| u64::try_from(us).ok())
            .unwrap_or(0);
        return Ok(Message::Event(Event { name, data: raw.data.unwrap_or(Value::Null), timestamp_us }));
    }
    if let Some(error) = raw.error {
        return Ok(Message::Error { id, class: error.class, desc: error.desc });
    }
    raw.value.map(|value| Message::Return { id, value }).ok_or(ParseError::Shape)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_four_kinds_of_message_are_told_apart() {
        let greeting = br#"{"QMP":{"version":{"qemu":{"micro":2,"minor":0,"major":10},"package":"x"},"capabilities":["oob"]}}"#;
        assert_eq!(parse_line(greeting).unwrap(), Message::Greeting { version: [10, 0, 2] });
        assert_eq!(
            parse_line(br#"{"return":{"running":true},"id":7}"#).unwrap(),
            Message::Return { id: Some(7), value: json!({"running": true}) }
        );
        assert_eq!(
            parse_line(br#"{"return":null,"id":7}"#).unwrap(),
            Message::Return { id: Some(7), value: Value::Null }
        );
        assert_eq!(
            parse_line(br#"{"error":{"class":"GenericError","desc":"no"}}"#).unwrap(),
            Message::Error { id: None, class: "GenericError".into(), desc: "no".into() }
        );
    }

    #[test]
    fn an_unknown_event_with_unknown_fields_passes_through() {
        let line = br#"{"event":"FROM_THE_FUTURE","data":{"a":[1]},"timestamp":{"seconds":1,"microseconds":5},"new":1}"#;
        let Message::Event(event) = parse_line(line).unwrap() else { panic!("not an event") };
        assert_eq!(event.name, "FROM_THE_FUTURE");
        assert_eq!(event.data, json!({"a": [1]}));
        assert_eq!(event.timestamp_us, 1_000_005);
    }

    #[test]
    fn hostile_lines_are_refused_and_not_overflowed() {
        for line in [&b""[..], b"{}", b"[]", b"\xff\xfe", b"{\"event\":1}", b"{\"error\":{}}", b"null"] {
            assert!(parse_line(line).is_err(), "{line:?}");
        }
        let deep = [b"{\"return\":".as_slice(), &b"[".repeat(100_000)].concat();
        assert!(parse_line(&deep).is_err());
        let far = format!(r#"{{"event":"X","timestamp":{{"seconds":{},"microseconds":-1}}}}"#, i64::MAX);
        assert!(matches!(parse_line(far.as_bytes()).unwrap(), Message::Event(Event { timestamp_us: 0, .. })));
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_a_message_or_an_error(line in proptest::collection::vec(0u8.., 0..200)) {
            if let Ok(Message::Return { value, .. }) = parse_line(&line) {
                proptest::prop_assert!(serde_json::to_string(&value).is_ok());
            }
        }
    }
}
