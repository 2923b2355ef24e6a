//! Connections: accepts them, sets up TLS, and serves their requests.

use std::convert::Infallible;
use std::io;
use std::net::IpAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use http::HeaderValue;
use http::header::CONNECTION;
use hyper::body::{Frame, Incoming, SizeHint};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower_service::Service as _;

use super::app::{App, Remote};
use super::drain::Unread;
use super::limits::{HANDSHAKE_TIME, MAX_CONNECTIONS, MAX_HEAD_BYTES, MAX_HEAD_LINES, SHUTDOWN_GRACE};
use super::places::{Place, Places};
use super::routes::router;
use super::watch::{Activity, UnderWay, Watched};
use super::wire::{Bounded, Keeps};

/// The pause after a failed accept (no file descriptors left).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

pub(super) async fn accept(
    listener: TcpListener,
    tls: Option<Arc<ServerConfig>>,
    app: Arc<App>,
    shutdown: CancellationToken,
) {
    let router = router(app);
    let places = Arc::new(Places::default());
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
        let Some(place) = places.enter(address.ip()) else {
            tracing::warn!(%address, limit = MAX_CONNECTIONS, "too many connections; refused one");
            continue;
        };
        let (router, tls, shutdown) = (router.clone(), tls.clone(), shutdown.clone());
        connections.spawn(async move {
            let place = Arc::new(place);
            let serving = connection(stream, address.ip(), tls, router, place.clone(), shutdown);
            let ended = tokio::select! {
                ended = serving => ended,
                () = place.give_way().cancelled() => Err(io::Error::other("it gave way to a new one")),
            };
            if let Err(error) = ended {
                tracing::debug!(%address, %error, "a connection ended");
            }
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
    place: Arc<Place>,
    shutdown: CancellationToken,
) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let Some(tls) = tls else {
        return http(stream, Remote { address, certificate: None, place }, router, shutdown).await;
    };
    let handshake =
        tokio::time::timeout(HANDSHAKE_TIME, TlsAcceptor::from(tls).accept(Bounded::handshake(stream)));
    let mut stream = tokio::select! {
        () = shutdown.cancelled() => return Ok(()),
        stream = handshake => stream.map_err(|_| io::Error::other("the TLS handshake did not end in time"))??,
    };
    stream.get_mut().0.release();
    stream.keep_little(true);
    let certificate = stream.get_ref().1.peer_certificates();
    let certificate = certificate.map(|chain| chain.iter().map(|one| one.clone().into_owned()).collect());
    http(stream, Remote { address, certificate, place }, router, shutdown).await
}

async fn http<S>(stream: S, remote: Remote, router: Router, shutdown: CancellationToken) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Keeps + Send + Unpin + 'static,
{
    let activity = Arc::new(Activity::new(remote.place.clone()));
    let watched = activity.clone();
    let service = service_fn(move |mut request: http::Request<Incoming>| {
        let (watched, under_way) = (watched.clone(), UnderWay::new(&watched));
        request.extensions_mut().insert(remote.clone());
        let mut router = router.clone();
        async move {
            let (request, unread) = Unread::of(request);
            let mut response = router.call(request).await?;
            if !unread.drain().await {
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
                watched.linger();
            }
            Ok::<_, Infallible>(response.map(|body| Tracked { body, _under_way: under_way }))
        }
    });
    let stream = TokioIo::new(Watched::new(stream, activity.clone()));
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
