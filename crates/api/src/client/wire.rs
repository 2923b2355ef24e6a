//! Requests and connections: a small pool of idle HTTP/1.1 connections, and the rule that no call is sent twice.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use rustls::ClientConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::{Address, CallError, Options, Timeouts};
use crate::tls::{client_config, server_name};

/// Idle connections in the pool.
const MAX_IDLE: usize = 8;
/// The client does not reuse a connection that has been idle for longer: the server may be about to close it.
const MAX_IDLE_TIME: Duration = Duration::from_secs(60);
/// The largest answer to a call.
pub(super) const MAX_ANSWER_BYTES: usize = 1 << 30;
/// Characters of an unexpected answer that an error shows.
pub(super) const MAX_SHOWN_BYTES: usize = 300;

pub(super) type Body = UnsyncBoxBody<Bytes, io::Error>;

/// A stream to the server, with TLS or without.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

pub(super) struct Wire {
    pub(super) address: Address,
    pub(super) timeouts: Timeouts,
    pub(super) user_agent: String,
    tls: Option<Arc<ClientConfig>>,
    idle: Mutex<Vec<(SendRequest<Body>, Instant)>>,
}

/// A request that may have to be written more than once.
pub(super) struct Ask {
    pub method: http::Method,
    pub path: String,
    pub body: Bytes,
    pub session: Option<Arc<String>>,
    pub timeout: Duration,
    /// It changes nothing, so it may be sent again when the connection breaks.
    pub idempotent: bool,
    /// The user on whose behalf a center calls.
    pub acting: Option<String>,
}

/// Why sending failed, and whether the server may have seen the request.
struct Broken {
    reason: String,
    sent: bool,
}

impl Wire {
    pub(super) fn new(address: Address, options: Options) -> Result<Self, CallError> {
        let tls = match address.tls {
            true => Some(
                client_config(&options.trust, options.identity.as_ref())
                    .map_err(|e| CallError::Usage(e.to_string()))?,
            ),
            false => None,
        };
        let Options { user_agent, timeouts, .. } = options;
        Ok(Self { address, timeouts, user_agent, tls, idle: Mutex::default() })
    }

    pub(super) fn peer(&self) -> String {
        self.address.authority()
    }

    /// Sends a request and reads its whole answer.
    pub(super) async fn ask(&self, ask: &Ask) -> Result<http::Response<Bytes>, CallError> {
        let seconds = ask.timeout.as_secs();
        tokio::time::timeout(ask.timeout, self.ask_unbounded(ask))
            .await
            .unwrap_or_else(|_| Err(CallError::TimedOut { peer: self.peer(), seconds }))
    }

    async fn ask_unbounded(&self, ask: &Ask) -> Result<http::Response<Bytes>, CallError> {
        while let Some(sender) = self.take_idle() {
            match self.ask_on(sender, ask).await {
                Ok(answer) => return answer,
                // The server has closed an idle connection, so it has not seen the call: another connection may send it.
                Err(broken) if !broken.sent || ask.idempotent => {}
                Err(broken) => return Err(self.unreachable(broken)),
            }
        }
        let sender = self.connect().await?;
        self.ask_on(sender, ask).await.map_err(|broken| self.unreachable(broken))?
    }

    fn unreachable(&self, broken: Broken) -> CallError {
        CallError::Unreachable { peer: self.peer(), reason: broken.reason, maybe_done: broken.sent }
    }

    async fn ask_on(
        &self,
        mut sender: SendRequest<Body>,
        ask: &Ask,
    ) -> Result<Result<http::Response<Bytes>, CallError>, Broken> {
        let unsent = |e: hyper::Error| Broken { reason: e.to_string(), sent: false };
        sender.ready().await.map_err(unsent)?;
        let body = Full::new(ask.body.clone()).map_err(|never| match never {}).boxed_unsync();
        let mut request = match self.request(&ask.method, &ask.path, ask.session.as_deref(), body) {
            Ok(request) => request,
            Err(error) => return Ok(Err(error)),
        };
        if let Some(acting) = &ask.acting {
            let acting = http::HeaderValue::from_str(acting).expect("an escaped text fits into a header");
            request.headers_mut().insert(crate::acting::HEADER, acting);
        }
        if !ask.body.is_empty() {
            let json = http::HeaderValue::from_static("application/json");
            request.headers_mut().insert(http::header::CONTENT_TYPE, json);
        }
        let answer = match sender.try_send_request(request).await {
            Ok(answer) => answer,
            Err(mut error) => {
                let sent = error.take_message().is_none();
                return Err(Broken { reason: reason(error.error()), sent });
            }
        };
        let (head, body) = answer.into_parts();
        let body = http_body_util::Limited::new(body, MAX_ANSWER_BYTES).collect().await;
        let body = body.map_err(|e| Broken { reason: e.to_string(), sent: true })?.to_bytes();
        let mut idle = self.idle.lock();
        if idle.len() < MAX_IDLE && !sender.is_closed() {
            idle.push((sender, Instant::now()));
        }
        Ok(Ok(http::Response::from_parts(head, body)))
    }

    /// Sends a request with a streamed body on a new connection, and returns the answer as it arrives.
    pub(super) async fn stream(
        &self,
        request: http::Request<Body>,
        answer_within: Option<Duration>,
    ) -> Result<http::Response<Incoming>, CallError> {
        let mut sender = self.connect().await?;
        let send = async {
            sender.send_request(request).await.map_err(|error| CallError::Unreachable {
                peer: self.peer(),
                reason: reason(&error),
                maybe_done: true,
            })
        };
        match answer_within {
            None => send.await,
            Some(within) => tokio::time::timeout(within, send).await.unwrap_or_else(|_| {
                Err(CallError::TimedOut { peer: self.peer(), seconds: within.as_secs() })
            }),
        }
    }

    pub(super) fn request(
        &self,
        method: &http::Method,
        path: &str,
        session: Option<&String>,
        body: Body,
    ) -> Result<http::Request<Body>, CallError> {
        let mut request = http::Request::builder()
            .method(method)
            .uri(path)
            .header(http::header::HOST, self.address.authority())
            .header(http::header::USER_AGENT, &self.user_agent);
        if let Some(session) = session {
            request = request.header(crate::server::SESSION_HEADER, session.as_str());
        }
        request.body(body).map_err(|e| CallError::Usage(format!("cannot ask for {path}: {e}")))
    }

    fn take_idle(&self) -> Option<SendRequest<Body>> {
        let mut idle = self.idle.lock();
        idle.retain(|(sender, since)| !sender.is_closed() && since.elapsed() < MAX_IDLE_TIME);
        idle.pop().map(|(sender, _)| sender)
    }

    async fn connect(&self) -> Result<SendRequest<Body>, CallError> {
        let stream = self.dial().await?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await.map_err(|e| {
            CallError::Unreachable { peer: self.peer(), reason: reason(&e), maybe_done: false }
        })?;
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection to a server ended");
            }
        });
        Ok(sender)
    }

    /// A new connection, with TLS if the address says so.
    pub(super) async fn dial(&self) -> Result<Box<dyn Stream>, CallError> {
        let within = self.timeouts.connect;
        tokio::time::timeout(within, self.dial_unbounded())
            .await
            .unwrap_or_else(|_| Err(CallError::TimedOut { peer: self.peer(), seconds: within.as_secs() }))
    }

    async fn dial_unbounded(&self) -> Result<Box<dyn Stream>, CallError> {
        let unreachable = |e: io::Error| CallError::Unreachable {
            peer: self.peer(),
            reason: e.to_string(),
            maybe_done: false,
        };
        let stream =
            TcpStream::connect((self.address.host.as_str(), self.address.port)).await.map_err(unreachable)?;
        stream.set_nodelay(true).map_err(unreachable)?;
        let Some(config) = &self.tls else { return Ok(Box::new(stream)) };
        let tls = |reason: String| CallError::Tls { peer: self.peer(), reason };
        let name = server_name(&self.address.host).map_err(|e| tls(e.to_string()))?;
        let stream =
            TlsConnector::from(config.clone()).connect(name, stream).await.map_err(|e| tls(e.to_string()))?;
        Ok(Box::new(stream))
    }
}

/// An HTTP error with its causes.
fn reason(error: &hyper::Error) -> String {
    match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

/// The beginning of an answer, for an error.
pub(super) fn shown(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(&body[..body.len().min(MAX_SHOWN_BYTES)]);
    text.trim().replace(['\n', '\r'], " ")
}
