//! Files of datastores: downloads and uploads on `/folder`.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::{self, Stream};
use http::{Method, StatusCode, header};
use http_body_util::{BodyExt, Empty, StreamBody};
use hyper::body::{Frame, Incoming};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio_util::io::StreamReader;

use super::wire::{Body, MAX_SHOWN_BYTES, shown};
use super::{CallError, Client};
use crate::files::{ByteRange, Facts, escape};
use crate::server::CaptureQuery;

/// Bytes of an upload that are read at once.
const CHUNK_BYTES: usize = 256 * 1024;

/// A file, as `[datastore] path` in a datacenter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilePath {
    /// The datacenter's inventory path (`ha-datacenter` on a host).
    pub datacenter: String,
    pub datastore: String,
    pub path: String,
}

impl FilePath {
    pub(crate) fn target(&self) -> String {
        let path: Vec<String> = self.path.split('/').map(escape).collect();
        format!(
            "/folder/{}?dcPath={}&dsName={}",
            path.join("/"),
            escape(&self.datacenter),
            escape(&self.datastore)
        )
    }
}

/// A file that is being downloaded.
pub struct Received {
    /// Bytes that the body has.
    pub length: Option<u64>,
    /// Bytes of the whole file.
    pub size: Option<u64>,
    body: Pin<Box<dyn AsyncRead + Send>>,
}

impl AsyncRead for Received {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut tokio::io::ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.body.as_mut().poll_read(context, buffer)
    }
}

impl Client {
    /// Reads a file or a part of it.
    ///
    /// # Errors
    /// [`CallError::Http`] with 404 if it does not exist, 401 or 403 without the privilege, 416 for a range behind the end; or another
    /// [`CallError`].
    pub async fn download(&self, file: &FilePath, range: Option<ByteRange>) -> Result<Received, CallError> {
        let mut request = self.file_request(&Method::GET, file, empty())?;
        if let Some(range) = range {
            let range = match range {
                ByteRange::From { first, last: Some(last) } => format!("bytes={first}-{last}"),
                ByteRange::From { first, last: None } => format!("bytes={first}-"),
                ByteRange::Last(count) => format!("bytes=-{count}"),
            };
            let range = range.parse().map_err(|_| CallError::Usage(format!("bad range {range}")))?;
            request.headers_mut().insert(header::RANGE, range);
        }
        let answer = self.0.wire.stream(request, Some(self.0.wire.timeouts.call)).await?;
        let answer = self.good(answer).await?;
        let length = number(answer.headers(), header::CONTENT_LENGTH);
        let size = match answer.status() {
            StatusCode::PARTIAL_CONTENT => {
                let range = answer.headers().get(header::CONTENT_RANGE).and_then(|value| value.to_str().ok());
                range.and_then(|range| range.rsplit_once('/')).and_then(|(_, size)| size.parse().ok())
            }
            _ => length,
        };
        let stall = self.0.wire.timeouts.stall;
        let body = StreamReader::new(Box::pin(bytes_of(answer.into_body(), stall)));
        Ok(Received { length, size, body: Box::pin(body) })
    }

    /// Size and age of a file; a directory has the size 0.
    ///
    /// # Errors
    /// As [`Client::download`].
    pub async fn file_facts(&self, file: &FilePath) -> Result<Facts, CallError> {
        let request = self.file_request(&Method::HEAD, file, empty())?;
        let answer = self.0.wire.stream(request, Some(self.0.wire.timeouts.call)).await?;
        let answer = self.good(answer).await?;
        // A directory is a page, a file is not: it is octets, whatever it holds.
        let ty = answer.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        if ty.is_some_and(|ty| ty.starts_with("text/html")) {
            return Ok(Facts { size: 0, modified: None, directory: true });
        }
        let size = number(answer.headers(), header::CONTENT_LENGTH)
            .ok_or_else(|| self.unreadable("a file without a length"))?;
        let modified = answer.headers().get(header::LAST_MODIFIED).and_then(|value| value.to_str().ok());
        let modified = modified.and_then(|text| httpdate::parse_http_date(text).ok());
        Ok(Facts { size, modified, directory: false })
    }

    /// Writes a file, replacing an existing one. `progress` is called with the number of bytes that have been sent so far.
    ///
    /// # Errors
    /// [`CallError::Http`] with 401, 403, 404 (no such directory), 507 (full); or another [`CallError`].
    pub async fn upload(
        &self,
        file: &FilePath,
        length: Option<u64>,
        source: impl AsyncRead + Send + Unpin + 'static,
        mut progress: impl FnMut(u64) + Send + 'static,
    ) -> Result<(), CallError> {
        let chunks = stream::unfold((source, 0_u64), move |(mut source, mut sent)| {
            let mut chunk = bytes::BytesMut::with_capacity(CHUNK_BYTES);
            async move {
                match source.read_buf(&mut chunk).await {
                    Ok(0) => None,
                    Ok(read) => {
                        sent += read as u64;
                        Some((Ok((chunk.freeze(), sent)), (source, sent)))
                    }
                    Err(error) => Some((Err(error), (source, sent))),
                }
            }
        });
        let frames = chunks.map(move |chunk| {
            chunk.map(|(chunk, sent)| {
                progress(sent);
                Frame::data(chunk)
            })
        });
        let mut request = self.file_request(&Method::PUT, file, StreamBody::new(frames).boxed_unsync())?;
        let octets = header::HeaderValue::from_static("application/octet-stream");
        request.headers_mut().insert(header::CONTENT_TYPE, octets);
        if let Some(length) = length {
            request.headers_mut().insert(header::CONTENT_LENGTH, length.into());
        }
        let answer = self.0.wire.stream(request, None).await?;
        self.good(answer).await.map(drop)
    }

    /// Removes a file.
    ///
    /// # Errors
    /// As [`Client::download`].
    pub async fn delete_file(&self, file: &FilePath) -> Result<(), CallError> {
        let request = self.file_request(&Method::DELETE, file, empty())?;
        let answer = self.0.wire.stream(request, Some(self.0.wire.timeouts.call)).await?;
        self.good(answer).await.map(drop)
    }

    /// The frames that pass network ports of a host from now on, as pcapng. Dropping it ends the capture.
    ///
    /// # Errors
    /// [`CallError::Http`] with 400 for an unknown port or point, 401 or 403 without the privilege, 404 if the server does not capture; or
    /// another [`CallError`].
    pub async fn capture(
        &self,
        query: &CaptureQuery,
    ) -> Result<impl Stream<Item = io::Result<Bytes>> + use<>, CallError> {
        let ports = query.ports.iter().map(|port| format!("port={}", escape(port)));
        let points = query.points.iter().map(|point| format!("point={}", escape(point)));
        let length = query.length.map(|length| format!("length={length}"));
        let said: Vec<String> = ports.chain(points).chain(length).collect();
        let session = self.0.session.load_full();
        let target = format!("/capture?{}", said.join("&"));
        let request = self.0.wire.request(&Method::GET, &target, session.as_deref(), empty())?;
        let answer = self.0.wire.stream(request, Some(self.0.wire.timeouts.call)).await?;
        let answer = self.good(answer).await?;
        // A port may be idle for a long time.
        Ok(answer.into_body().into_data_stream().map(|chunk| chunk.map_err(io::Error::other)))
    }

    fn file_request(
        &self,
        method: &Method,
        file: &FilePath,
        body: Body,
    ) -> Result<http::Request<Body>, CallError> {
        let session = self.0.session.load_full();
        self.0.wire.request(method, &file.target(), session.as_deref(), body)
    }

    async fn good(&self, answer: http::Response<Incoming>) -> Result<http::Response<Incoming>, CallError> {
        if answer.status().is_success() {
            return Ok(answer);
        }
        let status = answer.status().as_u16();
        let body = http_body_util::Limited::new(answer.into_body(), MAX_SHOWN_BYTES).collect().await;
        let message = body.map(|body| shown(&body.to_bytes())).unwrap_or_default();
        Err(CallError::Http { peer: self.0.wire.peer(), status, message })
    }
}

fn empty() -> Body {
    Empty::new().map_err(|never| match never {}).boxed_unsync()
}

fn number(headers: &http::HeaderMap, name: header::HeaderName) -> Option<u64> {
    headers.get(name)?.to_str().ok()?.parse().ok()
}

/// The bytes of an answer; it fails when none arrive for `stall`.
fn bytes_of(body: Incoming, stall: Duration) -> impl Stream<Item = io::Result<Bytes>> + Send {
    stream::unfold(body, move |mut body| async move {
        loop {
            let frame = match tokio::time::timeout(stall, body.frame()).await {
                Ok(frame) => frame?,
                Err(_) => {
                    let why = format!("no bytes arrived for {} s", stall.as_secs());
                    return Some((Err(io::Error::new(io::ErrorKind::TimedOut, why)), body));
                }
            };
            match frame.map(Frame::into_data) {
                Ok(Ok(chunk)) => return Some((Ok(chunk), body)),
                Ok(Err(_trailers)) => {}
                Err(error) => return Some((Err(io::Error::other(error)), body)),
            }
        }
    })
}
