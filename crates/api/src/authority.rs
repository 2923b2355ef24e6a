//! The seam to the accounts, roles and permissions that a daemon keeps. [`crate::accounts`] is the implementation of both daemons.

use async_trait::async_trait;
use vim::{DateTime, Fault, MoRef, Object, ty};

use crate::Snapshot;
use crate::tls::Chain;

/// A user who has proved his identity.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// The canonical name: `root` on a host, `VSPHERE.LOCAL\Administrator` on a center.
    pub name: String,
    pub full_name: String,
    /// Whether the account belongs to another daemon (the center that manages a host).
    pub extension: bool,
    /// The token that limits the account's rights; none after a login with the password.
    pub narrowed: Option<Narrowed>,
}

/// The limit of a token: its holder has a privilege only if the account has it, and the token's role as well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Narrowed {
    /// The token's id.
    pub token: String,
    /// The time at which the token ends, and the sessions with it.
    pub ends: DateTime,
}

/// A privilege that a call took and had.
#[derive(Clone, Copy, Debug)]
pub struct Use<'a> {
    pub account: &'a Account,
    pub object: &'a MoRef,
    pub privilege: &'a str,
    /// The session, by what `UserSession.key` shows.
    pub session: &'a str,
    /// The client's name for the operation.
    pub operation: Option<&'a str>,
}

/// The sessions of a daemon, as a keeper of accounts sees them.
pub trait Present: Send + Sync {
    /// Names of the users who have sessions, each once or more often.
    fn users(&self) -> Vec<String>;

    /// Ends all sessions of a user.
    fn end(&self, user: &str);
}

/// Keeps accounts and decides who may do what.
#[async_trait]
pub trait Authority: Send + Sync {
    /// The account with this password.
    ///
    /// # Errors
    /// `InvalidLogin`, whatever was wrong; an unknown user takes as long as a wrong password. `PasswordExpired` if the password is right.
    async fn login(&self, user: &str, password: &str) -> Result<Account, Fault>;

    /// The account of the holder of the private key to this chain's first certificate. TLS has verified that the client holds it, and
    /// nothing else.
    ///
    /// # Errors
    /// `InvalidLogin` if the certificate is not one that this daemon trusts as a client.
    async fn login_by_certificate(&self, chain: &Chain) -> Result<Account, Fault>;

    /// The account with this name, if it may log in; none if this daemon lets nobody act for another.
    fn named(&self, user: &str) -> Option<Account> {
        let _ = user;
        None
    }

    /// The name under which wrong passwords of this user count: the same for all spellings of a user.
    fn counted_as(&self, user: &str) -> String {
        user.to_owned()
    }

    /// Looks after the users who have sessions, again and again while the daemon serves.
    async fn look_after(&self, present: &dyn Present) {
        let _ = present;
    }

    /// Events that came about without a call of a method, each once.
    fn unposted_events(&self) -> Vec<Object> {
        Vec::new()
    }

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

    /// The labels of roles that have this privilege, for whoever lacks it.
    fn granting(&self, privilege: &str) -> Vec<String> {
        let _ = privilege;
        Vec::new()
    }

    /// Notes that a call used a privilege. It must be quick.
    fn note(&self, used: &Use<'_>) {
        let _ = used;
    }
}
