//! Reaches hosts on the network: reads the certificate, logs in once with a password, then uses mutual TLS.

use std::sync::Arc;
use std::time::Duration;

use api::client::{CallError, Client, Options};
use api::tls::{Renewing, TlsError, Trust, thumbprint_of, thumbprint_sha256};
use async_trait::async_trait;
use vim::{Fault, MoRef, Object, call, data_id, fault, field, managed_id};

use super::connector::{Address, Certificate, Connector, Credentials};
use super::remote::{RemoteLink, link_error};
use super::{HostLink, LinkError};

/// The time that a host may take to answer a wait for changes that has ended: longer, and it is not responding.
const SILENCE: Duration = Duration::from_secs(10);

/// Connects by the vSphere API.
pub struct RemoteConnector {
    certificate: Arc<Renewing>,
    /// The key by which hosts know this center: `center <address> <uuid>`.
    key: String,
}

impl RemoteConnector {
    /// The center shows `certificate` to hosts; `uuid` and `address` are the center's own.
    pub fn new(certificate: Arc<Renewing>, uuid: &str, address: &str) -> Self {
        Self { certificate, key: format!("center {address} {uuid}") }
    }

    async fn client(&self, address: &Address, fingerprint: &str) -> Result<Client, CallError> {
        let mut options = Options::new(Trust::Thumbprint(fingerprint.to_owned()));
        options.identity = Some(self.certificate.fresh());
        options.timeouts.wait_grace = SILENCE;
        options.user_agent = concat!("esfera-center/", env!("CARGO_PKG_VERSION")).to_owned();
        Client::connect(&authority(address), options).await
    }

    async fn logged_in(
        &self,
        address: &Address,
        fingerprint: &str,
        credentials: &Credentials,
    ) -> Result<Client, Fault> {
        let client =
            self.client(address, fingerprint).await.map_err(|error| connect_fault(address, error))?;
        let content = client.service_content().await.map_err(|error| connect_fault(address, error))?;
        refuse_center(address, content.get(field!(ServiceContent.about)))?;
        let login = client.login(&credentials.user, &credentials.password).await;
        login.map_err(|error| connect_fault(address, error))?;
        Ok(client)
    }
}

/// Refuses a server that is a center itself, whose inventory has no host of its own.
fn refuse_center(address: &Address, about: Option<&Arc<Object>>) -> Result<(), Fault> {
    match about.and_then(|about| about.get(field!(AboutInfo.apiType))) {
        Some("VirtualCenter") => Err(fault!(
            NotSupportedHost {},
            "{} is a center and not a host; add the hosts that it manages by their own addresses",
            address.host
        )),
        _ => Ok(()),
    }
}

fn authority(address: &Address) -> String {
    let Address { host, port } = address;
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

fn extension_manager() -> MoRef {
    MoRef::new(managed_id!(ExtensionManager), "ha-extensionmgr")
}

/// The fault of `AddHost` for a failed attempt to reach the host.
fn connect_fault(address: &Address, error: CallError) -> Fault {
    let name = &address.host;
    match error {
        CallError::Fault(fault) => fault,
        error @ (CallError::Unreachable { .. } | CallError::TimedOut { .. }) => {
            fault!(NoHost { name: name }, "{error}")
        }
        CallError::Tls { reason, .. } => {
            fault!(SSLVerifyFault { selfSigned: false }, "Host {name} is not trusted: {reason}")
        }
        error => fault!(NotSupportedHost {}, "{name} is not a host that can be managed: {error}"),
    }
}

#[async_trait]
impl Connector for RemoteConnector {
    async fn probe(&self, address: &Address) -> Result<Certificate, Fault> {
        let found = thumbprint_of(&authority(address)).await.map_err(|error| match error {
            error @ (TlsError::Unreachable { .. } | TlsError::TimedOut { .. }) => {
                fault!(NoHost { name: &address.host }, "{error}")
            }
            error => fault!(SSLDisabledFault {}, "Host {} does not speak TLS: {error}", address.host),
        })?;
        // To a stranger, a host whose own authority signs for it is as good as self-signed.
        let pin = found.chain.last().map_or_else(|| found.sha256.clone(), |last| thumbprint_sha256(last));
        Ok(Certificate { thumbprint: found.sha1, fingerprint: found.sha256, pin, self_signed: true })
    }

    async fn enroll(
        &self,
        address: &Address,
        fingerprint: &str,
        credentials: &Credentials,
        force: bool,
    ) -> Result<(), Fault> {
        let client = self.logged_in(address, fingerprint, credentials).await?;
        let take = call!(SetExtensionCertificate { extensionKey: self.key.as_str() });
        let manager = extension_manager();
        let mut taken = client.invoke(&manager, &take).await;
        if let Err(CallError::Fault(fault)) = &taken
            && let Some(other) = managed_by(fault)
        {
            if !force {
                let address = other.split(' ').nth(1).unwrap_or("unknown").to_owned();
                let message = format!(
                    "The host is managed by the center {address}; remove it there, or take it over by force"
                );
                return Err(fault!(AlreadyBeingManaged { ipAddress: address }, "{message}"));
            }
            let unregister = call!(UnregisterExtension { extensionKey: other });
            client.invoke(&manager, &unregister).await.map_err(|error| connect_fault(address, error))?;
            taken = client.invoke(&manager, &take).await;
        }
        let done = taken.map(drop).map_err(|error| connect_fault(address, error));
        if let Err(error) = client.logout().await {
            tracing::debug!(host = address.host, %error, "the administrator's session stays until it times out");
        }
        done
    }

    async fn visit(
        &self,
        address: &Address,
        fingerprint: &str,
        credentials: &Credentials,
    ) -> Result<Arc<dyn HostLink>, Fault> {
        let client = self.logged_in(address, fingerprint, credentials).await?;
        Ok(Arc::new(RemoteLink::new(&address.host, client)))
    }

    async fn connect(&self, address: &Address, pin: &str) -> Result<Arc<dyn HostLink>, LinkError> {
        let failed = |error| link_error(&address.host, error);
        let client = self.client(address, pin).await.map_err(failed)?;
        client.login_by_certificate(&self.key).await.map_err(failed)?;
        Ok(Arc::new(RemoteLink::new(&address.host, client)))
    }

    async fn release(&self, link: &Arc<dyn HostLink>) {
        let unregister = call!(UnregisterExtension { extensionKey: self.key.as_str() });
        if let Err(error) = link.invoke(&extension_manager(), unregister, None).await {
            tracing::warn!(host = link.address(), %error, "the host could not be told that it is removed");
        }
    }
}

/// The key of the center that already manages the host, from the host's refusal.
fn managed_by(fault: &Fault) -> Option<&str> {
    if !fault.is_a(data_id!(AlreadyExists)) {
        return None;
    }
    fault.object().get(field!(AlreadyExists.name))
}
