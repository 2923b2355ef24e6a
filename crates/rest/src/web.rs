//! The HTTP side: texts of paths and queries, and answers as JSON.

use api::files::unescape;
use http::{HeaderValue, Response, StatusCode, header};
use serde_json::Value as Json;
use vapi::{Error, ErrorKind, Form, write_error};
use vim::limits;

/// Pairs of a query that are read; a request with more is refused.
const MAX_QUERY_PAIRS: usize = 10_000;
/// The largest body of a client without a session: a login has none, or the few texts of JSON-RPC.
pub(crate) const MAX_LOGIN_BYTES: usize = 64 << 10;

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
        Some((unescape(&name.replace('+', " "))?, unescape(&value.replace('+', " "))?))
    };
    parts.iter().map(pair).collect::<Option<_>>().ok_or_else(|| invalid("the query is not UTF-8"))
}

/// Whether a path is below one of the two roots: the root's encoding, and what follows the root.
pub(crate) fn root(path: &str) -> Option<(Form, &str)> {
    [(Form::Api, "/api"), (Form::Rest, "/rest")].into_iter().find_map(|(form, root)| {
        let below = path.strip_prefix(root)?;
        (below.is_empty() || below.starts_with('/')).then_some((form, below))
    })
}

/// Refuses a body with more values than the server takes of a client, before memory is spent on them.
///
/// # Errors
/// `invalid_request`.
pub(crate) fn bound(body: &[u8]) -> Result<(), Error> {
    let most = limits::REQUEST.elements;
    if separators(body) >= most {
        return Err(invalid(format!("the body may have at most {most} values")));
    }
    Ok(())
}

/// The commas of a JSON text outside of its strings: one less than its values, beside those that only nest.
fn separators(body: &[u8]) -> usize {
    let (mut commas, mut quoted, mut escaped) = (0, false, false);
    for byte in body {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b',' if !quoted => commas += 1,
            _ => {}
        }
    }
    commas
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

/// An answer that is JSON already.
pub(crate) fn plain(json: Vec<u8>) -> Response<Vec<u8>> {
    let mut response = Response::new(json);
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
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
    fn a_query_is_decoded_once() {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(pairs("a=1&&b").unwrap(), [pair("a", "1"), pair("b", "")]);
        assert_eq!(pairs("a+b=c%2525%2B").unwrap(), [pair("a b", "c%25+")]);
        assert!(pairs("a=%ff").is_err());
        assert!(pairs(&"a&".repeat(MAX_QUERY_PAIRS + 1)).is_err());
    }

    #[test]
    fn a_root_is_a_whole_segment() {
        assert_eq!(root("/api"), Some((Form::Api, "")));
        assert_eq!(root("/rest/com/vmware"), Some((Form::Rest, "/com/vmware")));
        for other in ["/apis", "/restful/api", "/", "", "api", "/sdk/api"] {
            assert_eq!(root(other), None, "{other}");
        }
    }

    #[test]
    fn a_body_has_a_bounded_number_of_values() {
        assert_eq!(separators(br#"[1, "a,b", "\",", {"c": [2, 3]}]"#), 4);
        let most = limits::REQUEST.elements;
        assert!(bound("1,".repeat(most - 1).as_bytes()).is_ok());
        assert!(bound("1,".repeat(most).as_bytes()).is_err());
        assert!(bound(format!("\"{}\"", ",".repeat(most)).as_bytes()).is_ok(), "the text of one value");
    }
}
