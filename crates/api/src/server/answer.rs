//! Answers: compressed where it is worth it, and held to their session's budget until the client has read them.

use std::io::Write;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use hyper::body::{Frame, SizeHint};

use super::limits::{BLOCKING_GZIP_BYTES, MIN_GZIP_BYTES};
use crate::Session;
use crate::budget::Share;

/// Answers up to this size need no share of a budget.
const MAX_FREE_BYTES: usize = 64 << 10;
/// The pieces in which a large answer is sent.
const PIECE_BYTES: usize = 64 << 10;
/// The same where the client may be a stranger.
const STANDING_PIECE_BYTES: usize = 8 << 10;

/// Waits for a large answer's share of its session's budget, which it keeps until the client has read it. `turn` ends then.
pub(super) async fn share_of(
    session: Option<&Arc<Session>>,
    out: &[u8],
    turn: Option<Share>,
) -> Option<Share> {
    let share = match session {
        Some(session) if out.len() > MAX_FREE_BYTES => Some(session.budget.send(out.len()).await),
        _ => None,
    };
    drop(turn);
    share
}

/// An answer with this body, compressed if the client accepts that and the size is worth it. `share` is given back when the client
/// has read it.
pub(super) async fn answer(
    request: &HeaderMap,
    status: StatusCode,
    content_type: &'static str,
    body: Vec<u8>,
    share: Option<Share>,
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
    let body = match share {
        None => Body::from(body),
        Some(share) => {
            let rest = Bytes::from_owner(Shared { body, _share: share });
            Body::new(Pieces { rest, most: PIECE_BYTES })
        }
    };
    response(status, content_type, body, compressed)
}

/// An answer that is the same for all clients. None of them has a copy, however slowly it reads.
pub(super) fn standing(content_type: &'static str, text: &'static [u8], compressed: bool) -> Response {
    let body = Body::new(Pieces { rest: Bytes::from_static(text), most: STANDING_PIECE_BYTES });
    response(StatusCode::OK, content_type, body, compressed)
}

fn response(status: StatusCode, content_type: &'static str, body: Body, compressed: bool) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    if compressed {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    response
}

/// The bytes of an answer, with its share of its session's budget.
struct Shared {
    body: Vec<u8>,
    _share: Share,
}

impl AsRef<[u8]> for Shared {
    fn as_ref(&self) -> &[u8] {
        &self.body
    }
}

/// A large answer in pieces, so that it stays in one place until the client has read it.
struct Pieces {
    rest: Bytes,
    most: usize,
}

impl hyper::body::Body for Pieces {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if self.rest.is_empty() {
            return Poll::Ready(None);
        }
        let piece = self.rest.len().min(self.most);
        let piece = self.rest.split_to(piece);
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.rest.len() as u64)
    }
}

/// Whether `Accept-Encoding` names gzip with a weight above 0.
pub(super) fn wants_gzip(headers: &HeaderMap) -> bool {
    let lines = headers.get_all(header::ACCEPT_ENCODING);
    lines.iter().filter_map(|line| line.to_str().ok()).flat_map(|line| line.split(',')).any(|coding| {
        let (name, weight) = coding.split_once(';').unwrap_or((coding, ""));
        let weight = weight.trim().trim_start_matches("q=");
        name.trim().eq_ignore_ascii_case("gzip") && !matches!(weight.parse::<f32>(), Ok(w) if w <= 0.0)
    })
}

pub(super) fn gzip(body: &[u8]) -> Vec<u8> {
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
}
