//! The server: SOAP, VI-JSON, files, screenshots and consoles over HTTP/1.1, with TLS or without.
//!
//! [`serve`] takes a listener that is open already and a [`Site`]. Connections are in `connection`, the paths in
//! `routes`, the state that handlers share in `app`, and each protocol in a file of its own; they all meet in `invoke`, the only way to
//! the objects.

mod answer;
mod app;
mod auth;
mod body;
mod capture;
mod connection;
mod console;
mod drain;
mod folder;
mod invoke;
mod json;
pub mod limits;
mod line;
mod listing;
mod pages;
mod pbm;
mod places;
mod protocol;
mod query;
mod routes;
mod screen;
mod soap;
mod throttle;
mod watch;
mod wire;

use std::io;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::BoxStream;
use tokio_util::sync::CancellationToken;
use vim::{DateTime, Fault, MoRef};

use crate::files::Files;
use crate::tls::{Renewing, server_config};
use crate::{Account, Service};
pub use invoke::Done;
pub use pbm::PBM_INSTANCE;
pub use protocol::{Door, Protocol, SessionFinder};

/// The header that carries a session's key in VI-JSON.
pub const SESSION_HEADER: &str = "vmware-api-session-id";
/// The cookie that carries it in SOAP and for files.
pub const SESSION_COOKIE: &str = "vmware_soap_session";

/// Makes pictures of VMs' screens.
#[async_trait]
pub trait Screens: Send + Sync {
    /// A screenshot as PNG. The caller has checked that the account may have it.
    ///
    /// # Errors
    /// `InvalidPowerState` if the VM is off, or another fault that says why.
    async fn screenshot(&self, who: &Account, vm: &MoRef) -> Result<Vec<u8>, Fault>;
}

/// A client's request for a capture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaptureQuery {
    /// Names of interfaces.
    pub ports: Vec<String>,
    /// The points at which frames are captured; all points if it is empty.
    pub points: Vec<String>,
    /// The number of bytes to keep of each frame.
    pub length: Option<u32>,
}

/// Captures the frames that pass network ports.
#[async_trait]
pub trait Captures: Send + Sync {
    /// The object on which the account needs the privilege.
    fn object(&self) -> MoRef;

    /// Frames from now on as pcapng, until the stream is dropped. The caller has checked that the account may see them.
    ///
    /// # Errors
    /// `InvalidArgument` for an unknown port or point, or another fault that says why.
    async fn capture(&self, query: CaptureQuery) -> Result<BoxStream<'static, Bytes>, Fault>;
}

/// The service, and the parts of a daemon that are served beside it.
#[derive(Clone)]
pub struct Site {
    pub service: Arc<Service>,
    /// Without it `/folder` does not exist.
    pub files: Option<Arc<dyn Files>>,
    /// Without it `/screen` does not exist.
    pub screens: Option<Arc<dyn Screens>>,
    /// Without it `/capture` does not exist.
    pub captures: Option<Arc<dyn Captures>>,
    /// Protocols on paths of their own; the first that serves a path answers.
    pub protocols: Vec<Arc<dyn Protocol>>,
}

/// Serves until `shutdown`, with TLS if it gets a certificate. Requests under way then have [`limits::SHUTDOWN_GRACE`] to end; those that
/// only wait for changes end at once.
///
/// # Errors
/// If the listener cannot be used, or TLS cannot be set up.
pub async fn serve(
    site: Site,
    listener: std::net::TcpListener,
    certificate: Option<Arc<Renewing>>,
    shutdown: CancellationToken,
) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let tls = match &certificate {
        Some(certificate) => Some(server_config(certificate.clone()).map_err(io::Error::other)?),
        None => None,
    };
    let housekeeping = tokio::spawn(keep_house(site.service.clone(), certificate, shutdown.clone()));
    let looking_after = tokio::spawn(look_after_users(site.service.clone(), shutdown.clone()));
    let app = Arc::new(app::App::new(site, tls.is_some(), shutdown.clone()));
    connection::accept(listener, tls, app, shutdown).await;
    housekeeping.abort();
    looking_after.abort();
    Ok(())
}

/// Lets the keeper of accounts look after the users of sessions. It asks other servers, so nothing else waits for it.
async fn look_after_users(service: Arc<Service>, shutdown: CancellationToken) {
    let mut sweep = tokio::time::interval(limits::SESSION_SWEEP_TIME);
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            _ = sweep.tick() => service.authority.look_after(&service.core.sessions).await,
        }
    }
}

/// Ends idle sessions and renews the certificate.
async fn keep_house(service: Arc<Service>, certificate: Option<Arc<Renewing>>, shutdown: CancellationToken) {
    let mut sweep = tokio::time::interval(limits::SESSION_SWEEP_TIME);
    let mut renewal = tokio::time::interval(limits::RENEWAL_TIME);
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            _ = sweep.tick() => service.core.sessions.close_idle(DateTime::now()),
            _ = renewal.tick() => {
                let Some(certificate) = certificate.clone() else { continue };
                let renewed = tokio::task::spawn_blocking(move || certificate.renew()).await;
                if let Ok(Err(error)) = renewed {
                    tracing::error!(%error, "the server's certificate cannot be renewed");
                }
            }
        }
    }
}
