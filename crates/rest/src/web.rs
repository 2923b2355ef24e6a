//! The HTTP side: texts of paths and queries, and answers as JSON.

use http::{HeaderValue, Response, StatusCode, header};
use serde_json::Value as Json;
use vapi::{Error, ErrorKind, Form, write_error};

/// Pairs of a query that are read; a request with more is refused.
const MAX_QUERY_PAIRS: usize = 10_000;

/// Decodes `%20` and, in a query, `+`. None if what comes out is not UTF-8.
pub(crate) fn decode(text: &str, query: bool) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let coded = match (first, after) {
            (b'%', [high, low, ..]) => {
                let digit = |byte: u8| char::from(byte).to_digit(16);
                digit(*high).zip(digit(*low)).and_then(|(high, low)| u8::try_from(high * 16 + low).ok())
            }
            _ => None,
        };
        match coded {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            None => {
                bytes.push(if query && *first == b'+' { b' ' } else { *first });
                rest = after;
            }
        }
    }
    String::from_utf8(bytes).ok()
}

/// The pairs of a query; a name without `=` has an empty value.
///
/// # Errors
/// `invalid_request` for too many pairs, or text that is not UTF-8.
pub(crate) fn pairs(query: &str) -> Result<Vec<(String, String)>, Error> {
    let parts: Vec<&str> =
        query.split('&').filter(|pair| !pair.is_empty()).take(MAX_QUERY_PAIRS + 1).collect();
    if parts.len() > MAX_QUERY_PAIRS {
        return Err(invalid(format!("a query may have {MAX_QUERY_PAIRS} parameters")));
    }
    let pair = |part: &&str| {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        Some((decode(name, true)?, decode(value, true)?))
    };
    parts.iter().map(pair).collect::<Option<_>>().ok_or_else(|| invalid("the query is not UTF-8"))
}

/// `invalid_request` with this message.
pub(crate) fn invalid(text: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidRequest, "com.vmware.vapi.rest.httpRequestInvalid", text)
}

/// An answer with this JSON; none is an empty body.
pub(crate) fn answer(status: StatusCode, json: Option<&Json>) -> Response<Vec<u8>> {
    let mut response = Response::new(json.map(|json| json.to_string().into_bytes()).unwrap_or_default());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    if json.is_some() {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// The answer for an error.
pub(crate) fn failed(form: Form, error: &Error) -> Response<Vec<u8>> {
    let status = StatusCode::from_u16(error.kind.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = answer(status, Some(&write_error(form, error)));
    if error.kind == ErrorKind::Unauthenticated {
        let ask = HeaderValue::from_static("Basic realm=\"VAPI endpoint\"");
        response.headers_mut().insert(header::WWW_AUTHENTICATE, ask);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_decoded_once() {
        assert_eq!(decode("a%20b+c%2525", true).as_deref(), Some("a b c%25"));
        assert_eq!(decode("a+b%2Fc%", false).as_deref(), Some("a+b/c%"));
        assert_eq!(decode("%ff", false), None);
        let expected = [("a".to_owned(), "1".to_owned()), ("b".to_owned(), String::new())];
        assert_eq!(pairs("a=1&&b").unwrap(), expected);
        assert!(pairs(&"a&".repeat(MAX_QUERY_PAIRS + 1)).is_err());
    }
}
