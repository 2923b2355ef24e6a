//! Reads the rest of a request's body that its answer did not need.
//!
//! A client that sends a body to a path that does not exist would lose the answer if the connection simply ended: it is still writing.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::Body;
use bytes::Bytes;
use http::{Request, header};
use http_body_util::BodyExt;
use hyper::body::{Body as _, Frame, Incoming, SizeHint};
use parking_lot::Mutex;

use super::limits::{DRAIN_TIME, MAX_DRAINED_BYTES};

/// A request's body, which its handler may not read to its end.
pub(super) struct Unread {
    body: Arc<Mutex<Shared>>,
    /// The client sends the body only when it is asked to.
    waits: bool,
}

struct Shared {
    body: Incoming,
    is_begun: bool,
}

/// The handler's view of the body.
struct Read(Arc<Mutex<Shared>>);

impl hyper::body::Body for Read {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let mut shared = self.0.lock();
        shared.is_begun = true;
        Pin::new(&mut shared.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.0.lock().body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.lock().body.size_hint()
    }
}

impl Unread {
    /// The request for its handler, and the rest of its body.
    pub(super) fn of(request: Request<Incoming>) -> (Request<Body>, Self) {
        let waits = request.headers().contains_key(header::EXPECT);
        let (head, body) = request.into_parts();
        let body = Arc::new(Mutex::new(Shared { body, is_begun: false }));
        let request = Request::from_parts(head, Body::new(Read(body.clone())));
        (request, Self { body, waits })
    }

    /// Reads the rest and forgets it; false if it is too long, or not sent in time.
    pub(super) async fn drain(self) -> bool {
        {
            let shared = self.body.lock();
            if shared.body.is_end_stream() {
                return true;
            }
            let least = usize::try_from(shared.body.size_hint().lower()).unwrap_or(usize::MAX);
            if least > MAX_DRAINED_BYTES || (self.waits && !shared.is_begun) {
                return false;
            }
        }
        let mut rest = Read(self.body);
        let drained = async {
            let mut bytes = 0;
            while let Some(frame) = rest.frame().await {
                let Ok(frame) = frame else { return false };
                bytes += frame.data_ref().map_or(0, Bytes::len);
                if bytes > MAX_DRAINED_BYTES {
                    return false;
                }
            }
            true
        };
        tokio::time::timeout(DRAIN_TIME, drained).await.unwrap_or(false)
    }
}
