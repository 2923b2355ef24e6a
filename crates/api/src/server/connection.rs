//! Connections: accepts them, sets up TLS, and watches their times.
//!
//! hyper has only one time limit, so this module watches the times of an idle connection, of a request's head and of an answer that the
//! client does not read, by the bytes that pass through [`Watched`].

use std::convert::Infallible;
use std::io;
use std::net::IpAddr;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use hyper::body::{Frame, Incoming, SizeHint};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower_service::Service as _;

use super::app::{App, Remote};
use super::limits::{
    HANDSHAKE_TIME, HEAD_TIME, IDLE_TIME, MAX_CONNECTIONS, MAX_HEAD_BYTES, MAX_HEAD_LINES, SHUTDOWN_GRACE,
    STALL_TIME,
};
use super::routes::router;

/// The longest interval between two looks at a connection's times.
const WATCH_TIME: Duration = Duration::from_secs(5);
/// The pause after a failed accept (no file descriptors left).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

pub(super) async fn accept(
    listener: TcpListener,
    tls: Option<Arc<ServerConfig>>,
    app: Arc<App>,
    shutdown: CancellationToken,
) {
    let router = router(app);
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let connections = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            () = shutdown.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        let (stream, address) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let Ok(place) = places.clone().try_acquire_owned() else {
            tracing::warn!(%address, limit = MAX_CONNECTIONS, "too many connections; refused one");
            continue;
        };
        let (router, tls, shutdown) = (router.clone(), tls.clone(), shutdown.clone());
        connections.spawn(async move {
            if let Err(error) = connection(stream, address.ip(), tls, router, shutdown).await {
                tracing::debug!(%address, %error, "a connection ended");
            }
            drop(place);
        });
    }
    drop(listener);
    connections.close();
    if tokio::time::timeout(SHUTDOWN_GRACE * 2, connections.wait()).await.is_err() {
        tracing::warn!(
            connections = connections.len(),
            "connections were still open when the server stopped"
        );
    }
}

async fn connection(
    stream: TcpStream,
    address: IpAddr,
    tls: Option<Arc<ServerConfig>>,
    router: Router,
    shutdown: CancellationToken,
) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let Some(tls) = tls else {
        return http(stream, Remote { address, certificate: None }, router, shutdown).await;
    };
    let handshake = tokio::time::timeout(HANDSHAKE_TIME, TlsAcceptor::from(tls).accept(stream));
    let stream = tokio::select! {
        () = shutdown.cancelled() => return Ok(()),
        stream = handshake => stream.map_err(|_| io::Error::other("the TLS handshake did not end in time"))??,
    };
    let certificate = stream.get_ref().1.peer_certificates();
    let certificate = certificate.map(|chain| chain.iter().map(|one| one.clone().into_owned()).collect());
    http(stream, Remote { address, certificate }, router, shutdown).await
}

async fn http<S>(stream: S, remote: Remote, router: Router, shutdown: CancellationToken) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let activity = Arc::new(Activity::new());
    let watched = activity.clone();
    let service = service_fn(move |mut request: http::Request<Incoming>| {
        let under_way = UnderWay::new(&watched);
        request.extensions_mut().insert(remote.clone());
        let mut router = router.clone();
        async move {
            let response = router.call(request.map(Body::new)).await?;
            Ok::<_, Infallible>(response.map(|body| Tracked { body, _under_way: under_way }))
        }
    });
    let stream = TokioIo::new(Watched { stream, activity: activity.clone() });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(None)
        .max_headers(MAX_HEAD_LINES)
        .max_buf_size(MAX_HEAD_BYTES)
        .serve_connection(stream, service)
        .with_upgrades();
    let mut connection = pin!(connection);
    let mut watch = pin!(activity.watch());
    tokio::select! {
        ended = connection.as_mut() => return ended.map_err(io::Error::other),
        why = watch.as_mut() => return Err(io::Error::new(io::ErrorKind::TimedOut, why)),
        () = shutdown.cancelled() => connection.as_mut().graceful_shutdown(),
    }
    match tokio::time::timeout(SHUTDOWN_GRACE, connection).await {
        Ok(ended) => ended.map_err(io::Error::other),
        Err(_) => Err(io::Error::other("cut off because the server stopped")),
    }
}

/// Milliseconds since the first use, never 0.
fn now_ms() -> u64 {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    u64::try_from(START.elapsed().as_millis()).unwrap_or(u64::MAX).saturating_add(1)
}

/// The activity on a connection. Times are those of [`now_ms`]; 0 means none.
struct Activity {
    under_way: AtomicUsize,
    /// When the last request ended, or the connection began.
    idle_since: AtomicU64,
    /// When the first byte of an incomplete head arrived.
    head_since: AtomicU64,
    /// When the client stopped reading.
    stalled_since: AtomicU64,
}

impl Activity {
    fn new() -> Self {
        Self {
            under_way: AtomicUsize::new(0),
            idle_since: AtomicU64::new(now_ms()),
            head_since: AtomicU64::new(0),
            stalled_since: AtomicU64::new(0),
        }
    }

    /// The reason to end the connection at this time, or the milliseconds until then if nothing happens.
    fn judge(&self, now: u64) -> Result<u64, &'static str> {
        let left = |since: u64, limit: Duration, why| {
            let limit = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
            limit.checked_sub(now.saturating_sub(since)).filter(|left| *left > 0).ok_or(why)
        };
        let stalled = self.stalled_since.load(Ordering::Relaxed);
        if stalled != 0 {
            return left(stalled, STALL_TIME, "the client does not read its answer");
        }
        if self.under_way.load(Ordering::Relaxed) > 0 {
            return Ok(u64::MAX);
        }
        match self.head_since.load(Ordering::Relaxed) {
            0 => left(self.idle_since.load(Ordering::Relaxed), IDLE_TIME, "idle"),
            since => left(since, HEAD_TIME, "the request's head did not arrive in time"),
        }
    }

    /// Completes with the reason when the connection must end.
    async fn watch(&self) -> &'static str {
        loop {
            match self.judge(now_ms()) {
                Err(why) => return why,
                Ok(left) => tokio::time::sleep(Duration::from_millis(left).min(WATCH_TIME)).await,
            }
        }
    }
}

/// A request under way, from its head to the last byte of its answer.
struct UnderWay(Arc<Activity>);

impl UnderWay {
    fn new(activity: &Arc<Activity>) -> Self {
        activity.under_way.fetch_add(1, Ordering::Relaxed);
        activity.head_since.store(0, Ordering::Relaxed);
        Self(activity.clone())
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.idle_since.store(now_ms(), Ordering::Relaxed);
        self.0.under_way.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The body of an answer; its request is under way until it ends.
struct Tracked {
    body: Body,
    _under_way: UnderWay,
}

impl hyper::body::Body for Tracked {
    type Data = bytes::Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<bytes::Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A connection's stream that records its activity.
struct Watched<S> {
    stream: S,
    activity: Arc<Activity>,
}

impl<S> Watched<S> {
    fn written<T>(&self, poll: Poll<T>) -> Poll<T> {
        match &poll {
            Poll::Ready(_) => self.activity.stalled_since.store(0, Ordering::Relaxed),
            Poll::Pending => {
                let _ = self.activity.stalled_since.compare_exchange(
                    0,
                    now_ms(),
                    Ordering::Relaxed,
                    Ordering::Relaxed,
                );
            }
        }
        poll
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let poll = Pin::new(&mut self.stream).poll_read(context, buffer);
        let activity = &self.activity;
        if buffer.filled().len() > before
            && activity.under_way.load(Ordering::Relaxed) == 0
            && activity.head_since.load(Ordering::Relaxed) == 0
        {
            activity.head_since.store(now_ms(), Ordering::Relaxed);
        }
        poll
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.written(poll)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let poll = Pin::new(&mut self.stream).poll_flush(context);
        self.written(poll)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let poll = Pin::new(&mut self.stream).poll_shutdown(context);
        self.written(poll)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.written(poll)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(time: Duration) -> u64 {
        u64::try_from(time.as_millis()).unwrap()
    }

    #[test]
    fn each_state_of_a_connection_has_its_own_time() {
        let activity = Arc::new(Activity::new());
        let start = activity.idle_since.load(Ordering::Relaxed);
        assert_eq!(activity.judge(start + 1), Ok(ms(IDLE_TIME) - 1));
        assert_eq!(activity.judge(start + ms(IDLE_TIME)), Err("idle"));

        activity.head_since.store(start + 10, Ordering::Relaxed);
        assert!(activity.judge(start + 10 + ms(HEAD_TIME) - 1).is_ok());
        assert!(activity.judge(start + 10 + ms(HEAD_TIME)).is_err(), "a slow head");

        let request = UnderWay::new(&activity);
        assert_eq!(activity.judge(u64::MAX), Ok(u64::MAX), "a request may wait as long as it likes");
        activity.stalled_since.store(start + 20, Ordering::Relaxed);
        assert!(activity.judge(start + 20 + ms(STALL_TIME)).is_err(), "an answer that is not read");
        activity.stalled_since.store(0, Ordering::Relaxed);
        drop(request);
        let since = activity.idle_since.load(Ordering::Relaxed);
        assert_eq!(activity.judge(since + 5), Ok(ms(IDLE_TIME) - 5), "the time begins again");
    }
}
