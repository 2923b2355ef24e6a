//! Bodies of calls: read with limits, and inflated.

use std::io::Read;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use flate2::read::{DeflateDecoder, GzDecoder, ZlibDecoder};
use http::{HeaderMap, StatusCode, header};
use http_body_util::BodyExt;
use hyper::body::Body as _;

use super::auth::Named;
use super::limits::{
    BODY_TIME, FREE_HEAD_BYTES, MAX_BODY_BYTES, MAX_STRANGE_BODY_BYTES, STALL_TIME, STRANGE_TIME,
};
use crate::Session;
use crate::budget::Share;

/// Why a body is refused.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refused {
    pub status: StatusCode,
    pub why: String,
    /// The beginning of the body, where the request names a session that has ended.
    pub begun: Bytes,
}

impl Refused {
    /// The body is too large for a client without a session, and the request names one that has ended.
    fn ended(begun: Bytes) -> Self {
        Self { status: StatusCode::UNAUTHORIZED, why: "the session has ended".into(), begun }
    }

    /// Whether the client has to log in again, in its protocol's own way.
    pub(super) fn is_ended(&self) -> bool {
        self.status == StatusCode::UNAUTHORIZED
    }

    /// The same for a client without a session: if it names one that has ended, it may send more after the next login.
    fn of_stranger(self, named: &Named) -> Self {
        match named {
            Named::Ended if self.status == StatusCode::PAYLOAD_TOO_LARGE => Self::ended(Bytes::new()),
            _ => self,
        }
    }
}

fn refused<T>(status: StatusCode, why: impl Into<String>) -> Result<T, Refused> {
    Err(Refused { status, why: why.into(), begun: Bytes::new() })
}

/// Finds the session that the beginning of a message names.
pub(super) type Known<'a> = &'a (dyn Fn(&[u8]) -> Named + Send + Sync);

/// A whole body, with its share of its session's budget.
pub(super) struct Whole {
    bytes: Bytes,
    _share: Option<Share>,
}

impl std::ops::Deref for Whole {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

/// Reads a whole body and inflates it if it is compressed. `named` is the session of the request's head. Without a session the body must
/// be small; `known` finds the session that the beginning of a larger one names.
pub(super) async fn read(
    headers: &HeaderMap,
    body: Body,
    named: &Named,
    known: Option<Known<'_>>,
) -> Result<Whole, Refused> {
    let (length, encoding) = (length_of(headers, &body), encoding_of(headers));
    if length.is_some_and(|length| length > MAX_BODY_BYTES) {
        return too_large(MAX_BODY_BYTES);
    }
    let mut reading = Reading { body, whole: Vec::new(), strange: strange_limit(headers) };
    let session = match named {
        Named::Found(session) => Some(session.clone()),
        Named::Nothing | Named::Ended => {
            reading.begin(length, named, known.filter(|_| encoding.is_none())).await?
        }
    };
    let share = match &session {
        Some(session) => {
            // The size of a compressed body is unknown before it is inflated.
            let most = length.filter(|_| encoding.is_none()).unwrap_or(MAX_BODY_BYTES);
            let share = session.budget.receive(most).await;
            reading.finish().await?;
            Some(share)
        }
        None => None,
    };
    let body = Bytes::from(reading.whole);
    let bytes = match (encoding, &session) {
        (None, _) => body,
        (Some(coding), Some(_)) => inflate(coding, &body, MAX_BODY_BYTES)?,
        (Some(coding), None) => {
            inflate(coding, &body, MAX_STRANGE_BODY_BYTES).map_err(|refused| refused.of_stranger(named))?
        }
    };
    Ok(Whole { bytes, _share: share })
}

/// The bytes of a body as sent, where they are known before it is read.
fn length_of(headers: &HeaderMap, body: &Body) -> Option<usize> {
    let announced = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    let announced = announced.and_then(|length| length.parse::<u64>().ok());
    // A request without a body announces no length.
    let length = announced.or_else(|| body.size_hint().exact())?;
    Some(usize::try_from(length).unwrap_or(usize::MAX))
}

/// The largest body of a client without a session, whose head is held beside it.
fn strange_limit(headers: &HeaderMap) -> usize {
    let head: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    MAX_STRANGE_BODY_BYTES.saturating_sub(head.saturating_sub(FREE_HEAD_BYTES))
}

/// The coding of a compressed body.
fn encoding_of(headers: &HeaderMap) -> Option<&str> {
    let coding = headers.get(header::CONTENT_ENCODING)?.to_str().unwrap_or("?").trim();
    (!matches!(coding, "" | "identity")).then_some(coding)
}

fn too_large<T>(limit: usize) -> Result<T, Refused> {
    let why = match limit {
        ..=MAX_STRANGE_BODY_BYTES => {
            format!("the body of a request without a session has at most {limit} bytes")
        }
        _ => format!("the body of a call has at most {limit} bytes"),
    };
    refused(StatusCode::PAYLOAD_TOO_LARGE, why)
}

fn late<T>() -> Result<T, Refused> {
    refused(StatusCode::REQUEST_TIMEOUT, "the body did not arrive in time")
}

/// A body that is being read.
struct Reading {
    body: Body,
    whole: Vec<u8>,
    /// The bytes that it may have without a session.
    strange: usize,
}

impl Reading {
    /// Reads the body of a client without a session. A large one is read up to its beginning, which must name the session that is
    /// returned.
    async fn begin(
        &mut self,
        length: Option<usize>,
        named: &Named,
        known: Option<Known<'_>>,
    ) -> Result<Option<Arc<Session>>, Refused> {
        let small = length.is_none_or(|length| length <= self.strange);
        if small || known.is_some() {
            let begun = tokio::time::timeout(STRANGE_TIME, self.up_to(self.strange, STRANGE_TIME));
            let ended = begun.await.unwrap_or_else(|_| late())?;
            if ended && small {
                return Ok(None);
            }
        }
        match (known.map_or(Named::Nothing, |known| known(&self.whole)), named) {
            (Named::Found(session), _) => Ok(Some(session)),
            (Named::Ended, _) | (_, Named::Ended) => {
                Err(Refused::ended(std::mem::take(&mut self.whole).into()))
            }
            _ => too_large(self.strange),
        }
    }

    /// Reads the rest.
    async fn finish(&mut self) -> Result<(), Refused> {
        let rest = tokio::time::timeout(BODY_TIME, self.up_to(MAX_BODY_BYTES, STALL_TIME));
        match rest.await.unwrap_or_else(|_| late())? {
            true => Ok(()),
            false => too_large(MAX_BODY_BYTES),
        }
    }

    /// Reads on while there are no more than `limit` bytes; whether the body ended.
    async fn up_to(&mut self, limit: usize, stall: Duration) -> Result<bool, Refused> {
        while self.whole.len() <= limit {
            let frame = match tokio::time::timeout(stall, self.body.frame()).await {
                Err(_) => return late(),
                Ok(None) => return Ok(true),
                Ok(Some(Err(_))) => return refused(StatusCode::BAD_REQUEST, "the body is incomplete"),
                Ok(Some(Ok(frame))) => frame,
            };
            let Ok(chunk) = frame.into_data() else { continue };
            let room = grown(self.whole.len(), chunk.len());
            self.whole.reserve_exact(room);
            self.whole.extend_from_slice(&chunk);
        }
        Ok(false)
    }
}

/// The room that is made for a chunk behind so many bytes: a large body doubles, a stranger's takes no more than it has sent.
fn grown(have: usize, chunk: usize) -> usize {
    if have < MAX_STRANGE_BODY_BYTES { chunk } else { chunk.max(have) }
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

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;

    use super::super::answer::gzip;
    use super::*;

    #[test]
    fn a_small_body_that_inflates_without_end_is_refused() {
        let bomb = gzip(&vec![0; MAX_BODY_BYTES + 1]);
        assert!(bomb.len() < 100_000);
        assert_eq!(inflate("gzip", &bomb, MAX_BODY_BYTES).unwrap_err().status, StatusCode::PAYLOAD_TOO_LARGE);
        assert_eq!(inflate("gzip", b"not gzip", MAX_BODY_BYTES).unwrap_err().status, StatusCode::BAD_REQUEST);
        assert_eq!(
            inflate("br", b"", MAX_BODY_BYTES).unwrap_err().status,
            StatusCode::UNSUPPORTED_MEDIA_TYPE
        );
    }

    #[test]
    fn a_long_head_leaves_less_room_for_a_strangers_body() {
        let mut headers = HeaderMap::new();
        headers.insert("short", "x".parse().unwrap());
        assert_eq!(strange_limit(&headers), MAX_STRANGE_BODY_BYTES);
        headers.insert("long", "x".repeat(FREE_HEAD_BYTES + 1000).parse().unwrap());
        assert_eq!(strange_limit(&headers), MAX_STRANGE_BODY_BYTES - 1000 - "shortxlong".len());
    }

    #[test]
    fn the_length_of_no_body_is_known() {
        let mut headers = HeaderMap::new();
        assert_eq!(length_of(&headers, &Body::empty()), Some(0));
        assert_eq!(length_of(&headers, &Body::from("four")), Some(4));
        let chunks = futures_util::stream::iter([Ok::<_, std::io::Error>(Bytes::from_static(b"four"))]);
        assert_eq!(length_of(&headers, &Body::from_stream(chunks)), None);
        headers.insert(header::CONTENT_LENGTH, 7_u32.into());
        assert_eq!(length_of(&headers, &Body::empty()), Some(7));
    }

    #[test]
    fn both_forms_of_deflate_are_read() {
        let text = b"<Envelope/>".repeat(10);
        let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), Compression::fast());
        zlib.write_all(&text).unwrap();
        assert_eq!(inflate("deflate", &zlib.finish().unwrap(), MAX_BODY_BYTES).unwrap(), text);
        let mut bare = flate2::write::DeflateEncoder::new(Vec::new(), Compression::fast());
        bare.write_all(&text).unwrap();
        assert_eq!(inflate("deflate", &bare.finish().unwrap(), MAX_BODY_BYTES).unwrap(), text);
    }
}
