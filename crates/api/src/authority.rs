//! Who may do what, as this crate needs to know it. The daemons say it: they keep the accounts, roles and permissions.

use async_trait::async_trait;
use vim::{Fault, MoRef, ty};

use crate::Snapshot;
use crate::tls::Chain;

/// A user who has shown who he is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// The canonical name: `root` on a host, `VSPHERE.LOCAL\Administrator` on a center.
    pub name: String,
    pub full_name: String,
    /// Whether the session belongs to another daemon of ours (a center managing a host).
    pub extension: bool,
}

/// Keeps accounts and decides.
#[async_trait]
pub trait Authority: Send + Sync {
    /// The account with this password.
    ///
    /// # Errors
    /// `InvalidLogin`, whatever was wrong; it takes as long for an unknown user as for a wrong password.
    async fn login(&self, user: &str, password: &str) -> Result<Account, Fault>;

    /// The account of whoever holds the private key of this chain's first certificate: TLS has verified that, and
    /// nothing else.
    ///
    /// # Errors
    /// `InvalidLogin` if the certificate is not one that this daemon trusts as a client.
    async fn login_by_certificate(&self, chain: &Chain) -> Result<Account, Fault>;

    /// Whether the account has the privilege (`VirtualMachine.Interact.PowerOn`) on the object. It is asked for every
    /// method and property: it must be quick and take no lock for long.
    fn allows(&self, account: &Account, object: &MoRef, privilege: &str, state: &Snapshot) -> bool;

    /// Another number whenever [`Authority::allows`] may answer otherwise than before about the same tree.
    fn version(&self) -> u64 {
        0
    }

    /// Ids of the account's roles on the object, for `effectiveRole`.
    fn roles(&self, account: &Account, object: &MoRef, state: &Snapshot) -> Vec<i32>;

    /// The permissions that are defined on this very object, for `ManagedEntity.permission`.
    fn permissions(&self, object: &MoRef) -> Vec<ty!(Permission)> {
        let _ = object;
        Vec::new()
    }
}
