//! Bodies of calls and their answers: read with limits, inflated, compressed.

use std::io::{Read, Write};
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use bytes::{Bytes, BytesMut};
use flate2::Compression;
use flate2::read::{DeflateDecoder, GzDecoder, ZlibDecoder};
use flate2::write::GzEncoder;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use http_body_util::BodyExt;

use super::limits::{BLOCKING_GZIP_BYTES, BODY_TIME, MAX_BODY_BYTES, MIN_GZIP_BYTES, STALL_TIME};

/// Why a body is refused.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refused {
    pub status: StatusCode,
    pub why: String,
}

fn refused<T>(status: StatusCode, why: impl Into<String>) -> Result<T, Refused> {
    Err(Refused { status, why: why.into() })
}

/// Reads a whole body and inflates it if it is compressed.
pub(super) async fn read(headers: &HeaderMap, body: Body) -> Result<Bytes, Refused> {
    read_at_most(headers, body, MAX_BODY_BYTES).await
}

/// The same for a client of which fewer bytes are taken, as sent and when inflated.
pub(super) async fn read_at_most(headers: &HeaderMap, body: Body, most: usize) -> Result<Bytes, Refused> {
    let most = most.min(MAX_BODY_BYTES);
    let length = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    if length.and_then(|length| length.parse::<u64>().ok()).is_some_and(|length| length > most as u64) {
        return too_large(most);
    }
    let body = tokio::time::timeout(BODY_TIME, collect(body, most, STALL_TIME))
        .await
        .unwrap_or_else(|_| refused(StatusCode::REQUEST_TIMEOUT, "the body did not arrive in time"))?;
    let encoding = headers.get(header::CONTENT_ENCODING).map(|value| value.to_str().unwrap_or("?"));
    match encoding.map(str::trim) {
        None | Some("" | "identity") => Ok(body),
        Some(coding) => inflate(coding, &body, most),
    }
}

fn too_large<T>(most: usize) -> Result<T, Refused> {
    refused(StatusCode::PAYLOAD_TOO_LARGE, format!("the body of this call has at most {most} bytes"))
}

async fn collect(mut body: Body, most: usize, stall: Duration) -> Result<Bytes, Refused> {
    let mut whole = BytesMut::new();
    loop {
        let frame = match tokio::time::timeout(stall, body.frame()).await {
            Err(_) => return refused(StatusCode::REQUEST_TIMEOUT, "the body did not arrive in time"),
            Ok(None) => return Ok(whole.freeze()),
            Ok(Some(Err(_))) => return refused(StatusCode::BAD_REQUEST, "the body is incomplete"),
            Ok(Some(Ok(frame))) => frame,
        };
        let Ok(chunk) = frame.into_data() else { continue };
        if whole.len() + chunk.len() > most {
            return too_large(most);
        }
        whole.extend_from_slice(&chunk);
    }
}

fn inflate(coding: &str, body: &[u8], most: usize) -> Result<Bytes, Refused> {
    let mut whole = Vec::new();
    let limit = most as u64 + 1;
    let read = match coding.to_ascii_lowercase().as_str() {
        "gzip" | "x-gzip" => GzDecoder::new(body).take(limit).read_to_end(&mut whole),
        // Some clients send the bare format, most the one with a zlib header.
        "deflate" if body.first().is_some_and(|first| first & 0x0f == 8) => {
            ZlibDecoder::new(body).take(limit).read_to_end(&mut whole)
        }
        "deflate" => DeflateDecoder::new(body).take(limit).read_to_end(&mut whole),
        _ => return refused(StatusCode::UNSUPPORTED_MEDIA_TYPE, "use gzip, deflate or no compression"),
    };
    if whole.len() > most {
        return too_large(most);
    }
    match read {
        Ok(_) => Ok(whole.into()),
        Err(_) => refused(StatusCode::BAD_REQUEST, format!("the body is not valid {coding}")),
    }
}

/// An answer with this body, compressed if the client accepts that and the size is worth it.
pub(super) async fn answer(
    request: &HeaderMap,
    status: StatusCode,
    content_type: &'static str,
    body: Vec<u8>,
) -> Response {
    let mut compressed = false;
    let body = if body.len() >= MIN_GZIP_BYTES && wants_gzip(request) {
        compressed = true;
        if body.len() < BLOCKING_GZIP_BYTES {
            gzip(&body)
        } else {
            tokio::task::spawn_blocking(move || gzip(&body)).await.expect("compressing does not panic")
        }
    } else {
        body
    };
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    if compressed {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    response
}

/// Whether `Accept-Encoding` names gzip with a weight above 0.
fn wants_gzip(headers: &HeaderMap) -> bool {
    let lines = headers.get_all(header::ACCEPT_ENCODING);
    lines.iter().filter_map(|line| line.to_str().ok()).flat_map(|line| line.split(',')).any(|coding| {
        let (name, weight) = coding.split_once(';').unwrap_or((coding, ""));
        let weight = weight.trim().trim_start_matches("q=");
        name.trim().eq_ignore_ascii_case("gzip") && !matches!(weight.parse::<f32>(), Ok(w) if w <= 0.0)
    })
}

fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 8), Compression::fast());
    encoder.write_all(body).and_then(|()| encoder.finish()).expect("a Vec takes all")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gzip_is_for_those_who_ask_for_it() {
        for (line, wanted) in [
            ("gzip", true),
            ("deflate, GZIP;q=0.5", true),
            ("gzip;q=0", false),
            ("gzip; q=0.0", false),
            ("identity", false),
            ("", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT_ENCODING, line.parse().unwrap());
            assert_eq!(wants_gzip(&headers), wanted, "{line:?}");
        }
    }

    #[test]
    fn a_small_body_that_inflates_without_end_is_refused() {
        let bomb = gzip(&vec![0; MAX_BODY_BYTES + 1]);
        assert!(bomb.len() < 100_000);
        assert_eq!(inflate("gzip", &bomb, MAX_BODY_BYTES).unwrap_err().status, StatusCode::PAYLOAD_TOO_LARGE);
        assert_eq!(inflate("gzip", b"not gzip", 99).unwrap_err().status, StatusCode::BAD_REQUEST);
        assert_eq!(inflate("br", b"", 99).unwrap_err().status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    }

    #[test]
    fn both_forms_of_deflate_are_read() {
        let text = b"<Envelope/>".repeat(10);
        let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), Compression::fast());
        zlib.write_all(&text).unwrap();
        assert_eq!(inflate("deflate", &zlib.finish().unwrap(), text.len()).unwrap(), text);
        let mut bare = flate2::write::DeflateEncoder::new(Vec::new(), Compression::fast());
        bare.write_all(&text).unwrap();
        assert_eq!(inflate("deflate", &bare.finish().unwrap(), text.len()).unwrap(), text);
    }
    #[tokio::test]
    async fn fewer_bytes_are_taken_of_some_clients() {
        let plain = HeaderMap::new();
        assert_eq!(read_at_most(&plain, Body::from("12345"), 5).await.unwrap(), "12345");
        let refused = read_at_most(&plain, Body::from("123456"), 5).await.unwrap_err();
        assert_eq!(refused.status, StatusCode::PAYLOAD_TOO_LARGE);
        let coding = [(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"))].into_iter().collect();
        let refused = read_at_most(&coding, Body::from(gzip(&[0; 1000])), 999).await.unwrap_err();
        assert_eq!(refused.status, StatusCode::PAYLOAD_TOO_LARGE);
    }
}
