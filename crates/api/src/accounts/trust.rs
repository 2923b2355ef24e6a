//! How a center takes charge of a host: an administrator's session leaves the center's certificate (vSphere's
//! `SetExtensionCertificate`), by which the center logs in from then on. One center at a time.
//!
//! The host keeps the certificate's authority and the URI that it bears, so that the center can renew it. A certificate without an
//! authority, or without a URI, is trusted by itself.

use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use vim::{Fault, ManagedId, Value, arg, fault, managed_id, method, props};

use super::Accounts;
use crate::acting::CENTER_ACCOUNT;
use crate::tls::{Chain, holds_now, is_client_of, uri_of};
use crate::{Call, Manager};

const MANAGER: ManagedId = managed_id!(ExtensionManager);

/// A host's ExtensionManager, which lists nothing: `ServiceContent` does not name it.
pub(super) const ROW: Manager<Arc<Accounts>> = Manager {
    me: |accounts| accounts.ids().extension_manager,
    named: None,
    properties: |_| Ok(props!(ExtensionManager {})),
    register: |table| {
        table.on(MANAGER, method!(SetExtensionCertificate), |accounts, call| async move {
            accounts.take_charge(&call).await.map(|()| None)
        });
        table.on(MANAGER, method!(UnregisterExtension), |accounts, call| async move {
            accounts.release(&call).await
        });
    },
};

impl Accounts {
    /// Trusts the certificate in the call, or the one that the client has shown on the TLS connection, as the center with this key.
    async fn take_charge(&self, call: &Call) -> Result<(), Fault> {
        let key = call.required(arg!(SetExtensionCertificate.extensionKey))?;
        let chain: Arc<Chain> = match call.arg(arg!(SetExtensionCertificate.certificatePem)) {
            Some(pem) => {
                CertificateDer::pem_slice_iter(pem.as_bytes()).collect::<Result<_, _>>().map_err(|_| {
                    crate::service::invalid_argument("certificatePem", "The text is not a certificate in PEM")
                })?
            }
            None => call.peer.certificate.clone().ok_or_else(|| {
                fault!(NoClientCertificate {}, "Connect with the client certificate that is to be trusted")
            })?,
        };
        let (Some(own), Some(authority)) = (chain.first(), chain.last()) else {
            return Err(crate::service::invalid_argument("certificatePem", "The text holds no certificate"));
        };
        let uri = uri_of(own).filter(|_| chain.len() > 1 && is_client_of(&chain, authority));
        let certificate = if uri.is_some() { authority } else { own };
        let known = self.centers();
        if let Some((_, other)) = known.iter().find(|(_, other)| other != key) {
            return Err(fault!(
                AlreadyExists { name: other },
                "The host is managed by {other}; remove it there first"
            ));
        }
        self.ensure_administrator(CENTER_ACCOUNT, "Control center", None).await.map_err(|e| e.to_fault())?;
        self.trust_certificate(certificate, uri.as_deref(), CENTER_ACCOUNT, key)
            .await
            .map_err(|e| e.to_fault())?;
        let new = crate::tls::thumbprint_sha256(certificate);
        for (old, _) in known.iter().filter(|(fingerprint, _)| *fingerprint != new) {
            self.distrust_certificate(old).await.map_err(|e| e.to_fault())?;
        }
        tracing::info!(user = call.user(), center = key, "a center took charge of this host");
        Ok(())
    }

    /// The account as which a client with this chain logs in.
    pub(super) fn trusted(&self, chain: &Chain) -> Option<String> {
        let policy = self.policy.load();
        let known = |certificate| policy.certificates.get(&crate::tls::thumbprint_sha256(certificate));
        let (own, others) = chain.split_first()?;
        if let Some(trusted) = known(own)
            && trusted.uri.is_none()
        {
            return holds_now(own).then(|| trusted.account.clone());
        }
        let uri = uri_of(own)?;
        others.iter().find_map(|authority| {
            let trusted = known(authority).filter(|trusted| trusted.uri.as_ref() == Some(&uri))?;
            is_client_of(chain, authority).then(|| trusted.account.clone())
        })
    }

    /// Forgets the center with this key.
    async fn release(&self, call: &Call) -> Result<Option<Value>, Fault> {
        let key = call.required(arg!(UnregisterExtension.extensionKey))?;
        let mut found = false;
        for (fingerprint, _) in self.centers().iter().filter(|(_, center)| center == key) {
            found |= self.distrust_certificate(fingerprint).await.map_err(|e| e.to_fault())?;
        }
        if !found {
            return Err(fault!(NotFound {}, "No center {key:?} manages this host"));
        }
        // One center manages a host, so all sessions of its account are that center's, and end with its charge.
        let own = call.session.as_ref().map(|session| session.key.as_str());
        call.service.core.sessions.close_of(CENTER_ACCOUNT, own);
        tracing::info!(user = call.user(), center = key, "a center released this host");
        Ok(None)
    }

    /// The centers that manage this host: fingerprint and key.
    fn centers(&self) -> Vec<(String, String)> {
        let trusted = self.trusted_certificates().into_iter();
        trusted
            .filter(|trusted| trusted.account == CENTER_ACCOUNT)
            .map(|trusted| (trusted.fingerprint, trusted.description))
            .collect()
    }
}
