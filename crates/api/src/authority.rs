//! The seam to the accounts, roles and permissions that a daemon keeps. [`crate::accounts`] is the implementation of both daemons.

use async_trait::async_trait;
use vim::{Fault, MoRef, ty};

use crate::Snapshot;
use crate::tls::Chain;

/// A user who has proved his identity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// The canonical name: `root` on a host, `VSPHERE.LOCAL\Administrator` on a center.
    pub name: String,
    pub full_name: String,
    /// Whether the account belongs to another daemon (the center that manages a host).
    pub extension: bool,
}

/// Keeps accounts and decides who may do what.
#[async_trait]
pub trait Authority: Send + Sync {
    /// The account with this password.
    ///
    /// # Errors
    /// `InvalidLogin`, whatever was wrong; an unknown user takes as long as a wrong password.
    async fn login(&self, user: &str, password: &str) -> Result<Account, Fault>;

    /// The account of the holder of the private key to this chain's first certificate. TLS has verified that the client holds it, and
    /// nothing else.
    ///
    /// # Errors
    /// `InvalidLogin` if the certificate is not one that this daemon trusts as a client.
    async fn login_by_certificate(&self, chain: &Chain) -> Result<Account, Fault>;

    /// Whether the account has the privilege (`VirtualMachine.Interact.PowerOn`) on the object. Every method and property asks: it
    /// must be quick and hold no lock for long.
    fn allows(&self, account: &Account, object: &MoRef, privilege: &str, state: &Snapshot) -> bool;

    /// A number that changes whenever [`Authority::allows`] may answer differently about the same tree.
    fn version(&self) -> u64 {
        0
    }

    /// Ids of the account's roles on the object, for `effectiveRole`.
    fn roles(&self, account: &Account, object: &MoRef, state: &Snapshot) -> Vec<i32>;

    /// The permissions that are defined on this object itself, for `ManagedEntity.permission`.
    fn permissions(&self, object: &MoRef) -> Vec<ty!(Permission)> {
        let _ = object;
        Vec::new()
    }
}
