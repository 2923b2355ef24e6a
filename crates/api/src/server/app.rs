//! The state that all handlers share.

use std::net::IpAddr;
use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::places::Place;
use super::throttle::Throttle;
use super::{Site, limits};
use crate::tls::Chain;

pub(super) struct App {
    pub site: Site,
    pub tls: bool,
    pub shutdown: CancellationToken,
    pub throttle: Throttle,
    /// Places for open consoles.
    pub consoles: Arc<Semaphore>,
}

impl App {
    pub(super) fn new(site: Site, tls: bool, shutdown: CancellationToken) -> Self {
        let consoles = Arc::new(Semaphore::new(limits::MAX_CONSOLES));
        Self { site, tls, shutdown, throttle: Throttle::default(), consoles }
    }
}

/// The client of a connection.
#[derive(Clone, Debug)]
pub(super) struct Remote {
    pub address: IpAddr,
    /// The connection's place.
    pub place: Arc<Place>,
    /// The certificate chain (DER) whose key the client has proved to hold.
    pub certificate: Option<Arc<Chain>>,
}
