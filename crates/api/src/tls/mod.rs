//! TLS: our own certificate authority, the certificates that it issues, and the peers that each end trusts.
//!
//! A daemon opens its [`CertificateAuthority`] in its data directory, keeps a [`Renewing`] server certificate and makes
//! [`server_config`] from it. Clients make [`client_config`] from the servers that they [`Trust`].

mod client;
mod issue;
mod peer;
mod server;
mod thumbprint;

pub(crate) use client::server_name;
pub use client::{PeerCertificate, Trust, client_config, thumbprint_of};
pub(crate) use issue::holds_now;
pub use issue::{CertificateAuthority, Identity};
pub use peer::{Chain, center_uri};
pub(crate) use peer::{is_client_of, uri_of};
pub use server::{Renewing, server_config};
pub use thumbprint::{same_thumbprint, thumbprint_sha1, thumbprint_sha256};

use std::path::PathBuf;
use std::sync::Arc;

pub use rustls::pki_types::CertificateDer;
pub use rustls::{ClientConfig, ServerConfig};

/// Why TLS could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("{path}: {source}")]
    File { path: PathBuf, source: std::io::Error },
    /// A file does not hold a usable certificate or key.
    #[error(
        "{path} does not hold a usable certificate or key ({reason}); remove it and its .pem or .key so that both are made again"
    )]
    Unusable { path: PathBuf, reason: String },
    #[error("cannot make a certificate: {0}")]
    Issue(#[from] rcgen::Error),
    #[error(transparent)]
    Tls(#[from] rustls::Error),
    #[error("{0:?} is not a SHA-1 or SHA-256 thumbprint, such as 5D:01:…")]
    Thumbprint(String),
    #[error("{peer} cannot be reached: {source}")]
    Unreachable { peer: String, source: std::io::Error },
    #[error("{peer} did not answer within {seconds} s")]
    TimedOut { peer: String, seconds: u64 },
}

/// The set of algorithms for all connections.
pub(crate) fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    static PROVIDER: std::sync::LazyLock<Arc<rustls::crypto::CryptoProvider>> =
        std::sync::LazyLock::new(|| Arc::new(rustls::crypto::ring::default_provider()));
    PROVIDER.clone()
}
