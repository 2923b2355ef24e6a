//! Clients that are known by a URI in a certificate of their own authority, so that the certificate can be renewed.

use std::sync::Arc;

use rustls::RootCertStore;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use super::provider;

/// A certificate chain: the own certificate first, the authority's last.
pub type Chain = [CertificateDer<'static>];

/// The URI by which hosts know a center: only its client certificate bears it, whatever else its authority signs.
pub fn center_uri(uuid: &str) -> String {
    format!("urn:esfera:center:{uuid}")
}

/// The certificate's URI, if it bears exactly one.
pub(crate) fn uri_of(certificate: &CertificateDer<'_>) -> Option<String> {
    let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
    let names = certificate.subject_alternative_name().ok()??;
    let mut uris = names.value.general_names.iter().filter_map(|name| match name {
        GeneralName::URI(uri) => Some((*uri).to_owned()),
        _ => None,
    });
    uris.next().filter(|_| uris.next().is_none())
}

/// Whether the authority has signed the chain's first certificate for use by a client, and it is valid now.
pub(crate) fn is_client_of(chain: &Chain, authority: &CertificateDer<'_>) -> bool {
    let Some((own, others)) = chain.split_first() else { return false };
    let mut roots = RootCertStore::empty();
    if roots.add(authority.clone().into_owned()).is_err() {
        return false;
    }
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider()).build();
    verifier.is_ok_and(|verifier| verifier.verify_client_cert(own, others, UnixTime::now()).is_ok())
}

#[cfg(test)]
mod tests {
    use super::super::CertificateAuthority;
    use super::*;

    #[test]
    fn only_what_the_authority_signed_for_a_client_is_a_clients() {
        let directory = tempfile::tempdir().unwrap();
        let ours = CertificateAuthority::open(&directory.path().join("a"), "ours").unwrap();
        let theirs = CertificateAuthority::open(&directory.path().join("b"), "theirs").unwrap();
        let uri = center_uri("1");
        let client = ours.client_identity("client", &uri).unwrap();
        assert!(is_client_of(&client.chain, ours.certificate()));
        assert_eq!(uri_of(&client.chain[0]), Some(uri.clone()));
        let server = ours.identity("server", &["center.test".into()]).unwrap();
        assert!(!is_client_of(&server.chain, ours.certificate()), "it is for servers");
        assert_eq!(uri_of(&server.chain[0]), None);
        let other = theirs.client_identity("client", &uri).unwrap();
        assert!(!is_client_of(&other.chain, ours.certificate()));
        // Showing another's authority proves nothing.
        let forged = [other.chain[0].clone(), ours.certificate().clone()];
        assert!(!is_client_of(&forged, ours.certificate()));
        assert!(!is_client_of(&[], ours.certificate()));
    }
}
