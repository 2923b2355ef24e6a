//! How the center gets to a host that it knows by its address only.

use std::sync::Arc;

use async_trait::async_trait;
use vim::Fault;

use crate::link::{HostLink, LinkError};

/// Where a host is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// Name or IP address.
    pub host: String,
    pub port: u16,
}

/// What a host's TLS certificate looks like from outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// SHA-1, as vSphere clients show it: `AA:BB:…`.
    pub thumbprint: String,
    /// SHA-256, in the same form.
    pub fingerprint: String,
    /// SHA-256 of what the center believes from then on: the host's own authority, if the host shows it, so that the
    /// certificate can be renewed; else the certificate.
    pub pin: String,
    pub self_signed: bool,
}

/// Who an administrator says he is on the host.
pub struct Credentials {
    pub user: String,
    pub password: String,
}

/// Reaches hosts; tests put a double here.
#[async_trait]
pub trait Connector: Send + Sync + 'static {
    /// Looks at the certificate, without trusting it.
    ///
    /// # Errors
    /// `NoHost` if nobody answers there.
    async fn probe(&self, address: &Address) -> Result<Certificate, Fault>;

    /// Has the host trust the center from now on: logs in once with these credentials and leaves the center's
    /// certificate. `fingerprint` is of the host's certificate. `force` takes the host over from another center.
    ///
    /// # Errors
    /// `InvalidLogin`, `AlreadyBeingManaged`, or another `HostConnectFault`.
    async fn enroll(
        &self,
        address: &Address,
        fingerprint: &str,
        credentials: &Credentials,
        force: bool,
    ) -> Result<(), Fault>;

    /// Connects with a password, for one look at the host.
    ///
    /// # Errors
    /// `InvalidLogin` or another `HostConnectFault`.
    async fn visit(
        &self,
        address: &Address,
        fingerprint: &str,
        credentials: &Credentials,
    ) -> Result<Arc<dyn HostLink>, Fault>;

    /// Connects to a host that trusts the center.
    ///
    /// # Errors
    /// [`LinkError`]; a fault if the host does not take the center any more.
    async fn connect(&self, address: &Address, pin: &str) -> Result<Arc<dyn HostLink>, LinkError>;

    /// Has the host forget the center, as far as it can be reached.
    async fn release(&self, link: &Arc<dyn HostLink>);
}
