//! The server's side: the certificate that it shows, and the one that it asks clients for.

use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{DigitallySignedStruct, DistinguishedName, ServerConfig, SignatureScheme};
use time::OffsetDateTime;

use super::issue::Holder;
use super::{CertificateAuthority, Identity, TlsError, provider};

/// A certificate that is replaced before it expires, without a restart.
pub struct Renewing {
    authority: CertificateAuthority,
    stem: String,
    holder: Holder,
    current: ArcSwap<Current>,
}

struct Current {
    identity: Identity,
    key: Arc<CertifiedKey>,
}

impl Renewing {
    /// The server's certificate that the authority keeps under `stem`, for these host names and addresses.
    ///
    /// # Errors
    /// [`TlsError`].
    pub fn new(
        authority: CertificateAuthority,
        stem: &str,
        names: Vec<String>,
    ) -> Result<Arc<Self>, TlsError> {
        Self::of(authority, stem, Holder::server(&names))
    }

    /// The certificate of a client that is known by this URI.
    ///
    /// # Errors
    /// [`TlsError`].
    pub fn client(authority: CertificateAuthority, stem: &str, uri: &str) -> Result<Arc<Self>, TlsError> {
        Self::of(authority, stem, Holder::client(uri))
    }

    fn of(authority: CertificateAuthority, stem: &str, holder: Holder) -> Result<Arc<Self>, TlsError> {
        let current = Current::new(authority.identity_at(stem, &holder, OffsetDateTime::now_utc())?)?;
        let current = ArcSwap::from_pointee(current);
        Ok(Arc::new(Self { authority, stem: stem.to_owned(), holder, current }))
    }

    /// The identity, renewed if it expires soon. If that fails, the present one.
    pub fn fresh(&self) -> Identity {
        let identity = self.identity();
        if self.holder.is_held_by(identity.certificate(), OffsetDateTime::now_utc()) {
            return identity;
        }
        if let Err(error) = self.renew() {
            tracing::error!(%error, stem = self.stem, "a certificate cannot be renewed");
        }
        self.identity()
    }

    /// The present identity.
    pub fn identity(&self) -> Identity {
        self.current.load().identity.clone()
    }

    pub fn authority(&self) -> &CertificateAuthority {
        &self.authority
    }

    /// Replaces the certificate if it expires soon, and returns whether it did. The server calls it daily.
    ///
    /// # Errors
    /// [`TlsError`]; the old certificate stays in use.
    pub fn renew(&self) -> Result<bool, TlsError> {
        self.renew_at(OffsetDateTime::now_utc())
    }

    fn renew_at(&self, now: OffsetDateTime) -> Result<bool, TlsError> {
        let identity = self.authority.identity_at(&self.stem, &self.holder, now)?;
        if identity.chain == self.current.load().identity.chain {
            return Ok(false);
        }
        let thumbprint = identity.thumbprint_sha256();
        self.current.store(Arc::new(Current::new(identity)?));
        tracing::info!(thumbprint, stem = self.stem, "a certificate was renewed");
        Ok(true)
    }
}

impl Current {
    fn new(identity: Identity) -> Result<Self, TlsError> {
        let key = CertifiedKey::from_der(identity.chain.clone(), identity.key.clone_key(), &provider())?;
        Ok(Self { identity, key: Arc::new(key) })
    }
}

impl std::fmt::Debug for Renewing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Renewing").field("holder", &self.holder).finish_non_exhaustive()
    }
}

impl ResolvesServerCert for Renewing {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current.load().key.clone())
    }
}

/// A server that shows this certificate, and asks clients for one without requiring it. A client that shows a certificate must prove
/// that it holds the key; [`crate::Authority`] decides whether to trust it.
///
/// # Errors
/// [`TlsError::Tls`].
pub fn server_config(certificate: Arc<Renewing>) -> Result<Arc<ServerConfig>, TlsError> {
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .with_client_cert_verifier(Arc::new(AnyClient))
        .with_cert_resolver(certificate);
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// Accepts every certificate whose key the client holds.
#[derive(Debug)]
struct AnyClient;

impl ClientCertVerifier for AnyClient {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let provider = provider();
        verify_tls12_signature(message, certificate, signature, &provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let provider = provider();
        verify_tls13_signature(message, certificate, signature, &provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider().signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_renewed_before_it_ends_and_the_authority_stays() {
        let directory = tempfile::tempdir().unwrap();
        let open = || CertificateAuthority::open(directory.path(), "test CA").unwrap();
        let names = vec!["host-1.test".to_owned(), "10.1.2.3".to_owned()];
        let renewing = Renewing::new(open(), "server", names.clone()).unwrap();
        let first = renewing.identity();
        assert!(!renewing.renew().unwrap(), "it is new");
        let again = Renewing::new(open(), "server", names.clone()).unwrap().identity();
        assert_eq!(again.chain, first.chain, "it is kept over a restart");

        let soon = OffsetDateTime::now_utc() + super::super::issue::LIFETIME
            - super::super::issue::RENEW_BEFORE
            + time::Duration::hours(1);
        assert!(renewing.renew_at(soon).unwrap());
        let second = renewing.identity();
        assert_ne!(second.certificate(), first.certificate());
        assert_eq!(second.chain.last(), first.chain.last());

        let more = Renewing::new(open(), "server", vec!["other.test".into()]).unwrap().identity();
        assert_ne!(more.certificate(), second.certificate(), "a name was missing");
    }

    #[test]
    fn keys_are_for_the_owner_only() {
        use std::os::unix::fs::PermissionsExt;
        let directory = tempfile::tempdir().unwrap();
        let authority = CertificateAuthority::open(directory.path(), "test CA").unwrap();
        authority.identity("server", &[]).unwrap();
        for name in ["ca.key", "server.key"] {
            let mode = std::fs::metadata(directory.path().join(name)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{name}");
        }
    }
}
