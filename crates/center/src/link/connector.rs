//! The seam through which the center reaches a host by its address.

use std::sync::Arc;

use async_trait::async_trait;
use vim::Fault;

use super::{HostLink, LinkError};

/// The network address of a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// Name or IP address.
    pub host: String,
    pub port: u16,
}

/// A host's TLS certificate, as a stranger sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// SHA-1, as vSphere clients show it: `AA:BB:…`.
    pub thumbprint: String,
    /// SHA-256, in the same form.
    pub fingerprint: String,
    /// SHA-256 of the certificate that the center trusts from then on: that of the host's own authority if the host
    /// shows it, so that the host's certificate can be renewed; otherwise the host's certificate.
    pub pin: String,
    pub self_signed: bool,
}

/// An administrator's user name and password on the host.
pub struct Credentials {
    pub user: String,
    pub password: String,
}

/// Reaches hosts. Tests replace it.
#[async_trait]
pub trait Connector: Send + Sync + 'static {
    /// Reads the certificate without trusting it.
    ///
    /// # Errors
    /// `NoHost` if no host answers there.
    async fn probe(&self, address: &Address) -> Result<Certificate, Fault>;

    /// Makes the host trust the center from now on: logs in once with these credentials and leaves the center's
    /// certificate. `fingerprint` is that of the host's certificate. `force` takes the host over from another center.
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

    /// Connects with a password, to read the host once.
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
    /// [`LinkError`]; a fault if the host no longer trusts the center.
    async fn connect(&self, address: &Address, pin: &str) -> Result<Arc<dyn HostLink>, LinkError>;

    /// Makes the host forget the center, if it can be reached.
    async fn release(&self, link: &Arc<dyn HostLink>);
}
