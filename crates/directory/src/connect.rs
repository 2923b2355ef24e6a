//! Connections to a server, behind the guard.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use ldap3::{Ldap, LdapConnAsync, LdapConnSettings, StdStream};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;

use crate::guard;
use crate::source::{Endpoint, Security};
use crate::{Error, Result};

/// A server that does not accept a connection and its TLS within this time is passed over.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// The request for TLS: extended operation 1.3.6.1.4.1.1466.20037 (RFC 4511, 4.14), with the number 1.
const START_TLS: &[u8] = b"\x30\x1d\x02\x01\x01\x77\x18\x80\x161.3.6.1.4.1.1466.20037";
/// The tag of the answer to an extended operation.
const EXTENDED_RESPONSE: u8 = 0x78;

/// The authorities of a source.
pub(crate) fn roots(pem: &str) -> Result<RootCertStore> {
    let bad = |reason: String| Error::Source { field: "authorities", reason };
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
        let certificate =
            certificate.map_err(|error| bad(format!("a certificate cannot be read: {error}")))?;
        roots.add(certificate).map_err(|error| bad(format!("a certificate is of no use: {error}")))?;
    }
    if roots.is_empty() {
        return Err(bad("TLS needs the certificate of the servers' authority".into()));
    }
    Ok(roots)
}

/// The settings of TLS to the servers of a source.
pub(crate) fn tls(authorities: &str) -> Result<Arc<ClientConfig>> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let versions = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let versions =
        versions.map_err(|error| Error::Source { field: "authorities", reason: error.to_string() })?;
    Ok(Arc::new(versions.with_root_certificates(roots(authorities)?).with_no_client_auth()))
}

/// Opens a connection to one server. It ends when the handle is dropped.
pub(crate) async fn open(endpoint: &Endpoint, tls: Option<&Arc<ClientConfig>>) -> io::Result<Ldap> {
    let opening = async {
        let mut stream = TcpStream::connect((endpoint.host.as_str(), endpoint.port)).await?;
        stream.set_nodelay(true)?;
        match endpoint.security {
            Security::Clear => behind_guard(stream).await,
            Security::Tls => behind_guard(encrypted(endpoint, stream, tls).await?).await,
            Security::StartTls => {
                start_tls(&mut stream).await?;
                behind_guard(encrypted(endpoint, stream, tls).await?).await
            }
        }
    };
    let timed = tokio::time::timeout(CONNECT_TIMEOUT, opening).await;
    timed.unwrap_or_else(|_| Err(io::Error::new(io::ErrorKind::TimedOut, "no answer within 5 s")))
}

async fn encrypted(
    endpoint: &Endpoint,
    stream: TcpStream,
    tls: Option<&Arc<ClientConfig>>,
) -> io::Result<impl AsyncRead + AsyncWrite + Unpin + Send + 'static> {
    let tls = tls.ok_or_else(|| io::Error::other("TLS has no authority"))?;
    let name = ServerName::try_from(endpoint.host.clone()).map_err(io::Error::other)?;
    TlsConnector::from(tls.clone()).connect(name, stream).await
}

/// Asks for TLS in clear. Nothing but the answer may come before the handshake, else a stranger on the way could have put it there.
async fn start_tls(stream: &mut TcpStream) -> io::Result<()> {
    stream.write_all(START_TLS).await?;
    let answer = guard::read_message(stream).await?;
    let answer =
        answer.ok_or_else(|| io::Error::other("the server closed the connection when asked for TLS"))?;
    if extended_result(&answer) == Some(0) {
        return Ok(());
    }
    Err(io::Error::other("the server refuses StartTLS"))
}

/// The result code in the answer to an extended operation.
fn extended_result(message: &[u8]) -> Option<u8> {
    // The message is checked: it begins with its header, a number of 1 to 4 bytes, and an operation.
    let mut at = 2 + if message[1] & 0x80 == 0 { 0 } else { usize::from(message[1] & 0x7f) };
    at += 2 + usize::from(*message.get(at + 1)?);
    if *message.get(at)? != EXTENDED_RESPONSE {
        return None;
    }
    let length = *message.get(at + 1)?;
    at += 2 + if length & 0x80 == 0 { 0 } else { usize::from(length & 0x7f) };
    match message.get(at..at + 3)? {
        [0x0a, 0x01, code] => Some(*code),
        _ => None,
    }
}

async fn behind_guard(server: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> io::Result<Ldap> {
    let (ours, theirs) = std::os::unix::net::UnixStream::pair()?;
    ours.set_nonblocking(true)?;
    let ours = UnixStream::from_std(ours)?;
    tokio::spawn(async move {
        if let Err(error) = guard::relay(server, ours).await {
            tracing::debug!(%error, "a connection to an identity source ended");
        }
    });
    let settings = LdapConnSettings::new().set_std_stream(StdStream::Unix(theirs));
    let (connection, ldap) =
        LdapConnAsync::with_settings(settings, "ldapi://guard").await.map_err(io::Error::other)?;
    tokio::spawn(async move {
        if let Err(error) = connection.drive().await {
            tracing::debug!(%error, "a connection to an identity source ended");
        }
    });
    Ok(ldap)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_request_for_tls_is_a_sound_message() {
        assert_eq!(guard::message_length(START_TLS), Ok(Some(START_TLS.len())));
        assert_eq!(guard::check(START_TLS), Ok(()));
    }

    #[test]
    fn only_a_successful_extended_answer_starts_tls() {
        let answer = |operation, code| {
            vec![0x30, 0x0c, 0x02, 0x01, 0x01, operation, 0x07, 0x0a, 0x01, code, 0x04, 0x00, 0x04, 0x00]
        };
        assert_eq!(extended_result(&answer(0x78, 0)), Some(0));
        assert_eq!(extended_result(&answer(0x78, 52)), Some(52));
        assert_eq!(extended_result(&answer(0x61, 0)), None);
    }
}
