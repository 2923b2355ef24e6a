//! The client's side: the servers that it trusts, and a look at a server's certificate.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::thumbprint::plain;
use super::{Identity, TlsError, provider, same_thumbprint};

/// The time in which a server must show its certificate.
const PROBE_TIMEOUT: Duration = Duration::from_secs(10);

/// The servers that a client trusts.
#[derive(Clone, Debug)]
pub enum Trust {
    /// Servers with a certificate of one of these authorities for the dialled name.
    Ca(Vec<CertificateDer<'static>>),
    /// The server whose own certificate, or whose authority's in the chain that it shows, has this thumbprint.
    Thumbprint(String),
    /// All servers. For tests and for users who ask for it.
    Insecure,
}

impl Trust {
    /// The authorities in a PEM file.
    ///
    /// # Errors
    /// [`TlsError::Tls`] if the file holds none.
    pub fn from_pem(pem: &[u8]) -> Result<Self, TlsError> {
        use rustls::pki_types::pem::PemObject;
        let authorities: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
        match authorities {
            Ok(authorities) if !authorities.is_empty() => Ok(Self::Ca(authorities)),
            _ => {
                Err(TlsError::Tls(rustls::Error::General("the file holds no certificate in PEM form".into())))
            }
        }
    }
}

/// A client that trusts these servers and shows this identity to a server that asks for one.
///
/// # Errors
/// [`TlsError::Thumbprint`] if the pinned thumbprint is malformed; [`TlsError::Tls`].
pub fn client_config(trust: &Trust, identity: Option<&Identity>) -> Result<Arc<ClientConfig>, TlsError> {
    let verifier: Arc<dyn ServerCertVerifier> = match trust {
        Trust::Ca(authorities) => {
            let mut roots = RootCertStore::empty();
            for authority in authorities {
                roots.add(authority.clone())?;
            }
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider())
                .build()
                .map_err(|e| TlsError::Tls(rustls::Error::General(e.to_string())))?
        }
        Trust::Thumbprint(thumbprint) => {
            plain(thumbprint).ok_or_else(|| TlsError::Thumbprint(thumbprint.clone()))?;
            Arc::new(Shown { pinned: Some(thumbprint.clone()), seen: Mutex::default() })
        }
        Trust::Insecure => Arc::new(Shown::default()),
    };
    config(verifier, identity)
}

fn config(
    verifier: Arc<dyn ServerCertVerifier>,
    identity: Option<&Identity>,
) -> Result<Arc<ClientConfig>, TlsError> {
    let builder = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    let mut config = match identity {
        Some(identity) => builder.with_client_auth_cert(identity.chain.clone(), identity.key.clone_key())?,
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// The certificates that a server shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerCertificate {
    /// The own certificate (DER) first.
    pub chain: Vec<CertificateDer<'static>>,
    pub sha1: String,
    pub sha256: String,
}

impl PeerCertificate {
    /// Whether the certificate names itself as its issuer.
    pub fn is_self_signed(&self) -> bool {
        let own = self.chain.first().map(|own| X509Certificate::from_der(own));
        matches!(own, Some(Ok((_, own))) if own.issuer() == own.subject())
    }
}

/// Looks at the certificate of `address` (`host:port`) without trusting it, for the `SSLVerifyFault` that tells the user about it.
///
/// # Errors
/// [`TlsError::Unreachable`], [`TlsError::TimedOut`], [`TlsError::Tls`] if it does not speak TLS.
pub async fn thumbprint_of(address: &str) -> Result<PeerCertificate, TlsError> {
    let shown = Arc::new(Shown::default());
    let config = config(shown.clone(), None)?;
    let look = async {
        let stream = TcpStream::connect(address).await?;
        let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
        let name = server_name(host).map_err(|e| std::io::Error::other(e.to_string()))?;
        TlsConnector::from(config).connect(name, stream).await.map(drop)
    };
    let peer = address.to_owned();
    let ended = tokio::time::timeout(PROBE_TIMEOUT, look)
        .await
        .map_err(|_| TlsError::TimedOut { peer: peer.clone(), seconds: PROBE_TIMEOUT.as_secs() })?;
    let chain = std::mem::take(&mut *shown.seen.lock());
    match (chain.first(), ended) {
        // A server that shows its certificate and then asks for one of ours has answered the question.
        (Some(own), _) => Ok(PeerCertificate {
            sha1: super::thumbprint_sha1(own),
            sha256: super::thumbprint_sha256(own),
            chain,
        }),
        (None, Err(source)) => Err(TlsError::Unreachable { peer, source }),
        (None, Ok(())) => Err(TlsError::Tls(rustls::Error::NoCertificatesPresented)),
    }
}

/// A host name or address in the form that TLS needs.
pub(crate) fn server_name(host: &str) -> Result<ServerName<'static>, TlsError> {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    ServerName::try_from(host.to_owned())
        .map_err(|_| TlsError::Tls(rustls::Error::General(format!("{host:?} is not a host name or address"))))
}

/// Accepts the pinned certificate, or any, and remembers the chain that the server showed.
#[derive(Debug, Default)]
struct Shown {
    pinned: Option<String>,
    seen: Mutex<Vec<CertificateDer<'static>>>,
}

impl ServerCertVerifier for Shown {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let mut seen = vec![end_entity.clone().into_owned()];
        seen.extend(intermediates.iter().map(|certificate| certificate.clone().into_owned()));
        *self.seen.lock() = seen;
        let Some(pinned) = &self.pinned else { return Ok(ServerCertVerified::assertion()) };
        if same_thumbprint(end_entity, pinned) {
            return Ok(ServerCertVerified::assertion());
        }
        // A pinned authority must have signed the certificate; its presence in the chain proves nothing.
        let unknown = || rustls::Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure);
        let authority = intermediates
            .iter()
            .find(|certificate| same_thumbprint(certificate, pinned))
            .ok_or_else(unknown)?;
        let mut roots = RootCertStore::empty();
        roots.add(authority.clone().into_owned())?;
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider())
            .build()
            .map_err(|e| rustls::Error::General(e.to_string()))?;
        match verifier.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now) {
            // A user who pins an authority has chosen the server; its dialled name may change.
            Err(rustls::Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            other => other,
        }
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
