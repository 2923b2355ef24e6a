//! Accounts, roles and permissions of a daemon: the [`Authority`] of hosts and of the center.
//!
//! `records` has the stored form, `policy` the form in memory, `decide` the decisions with their cache. Every change goes to the store
//! first; then a new policy replaces the old one.

mod authorization;
mod change;
mod decide;
#[cfg(test)]
mod decide_tests;
mod directory;
mod error;
mod local;
mod managers;
mod names;
mod password;
mod policy;
mod privileges;
mod records;
mod roles;
#[cfg(test)]
mod tests;
mod trust;

pub use crate::acting::CENTER_ACCOUNT;
pub use change::TrustedCertificate;
pub use error::AccountError;
pub use managers::{create, register};
pub use names::Realm;
pub use roles::{ADMIN, ANONYMOUS, NO_ACCESS, NO_CRYPTO_ADMIN, READ_ONLY, VIEW};

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwap;
use async_trait::async_trait;
use parking_lot::RwLock;
use store::Store;
use vim::{Fault, MoRef, fault, ty};

use crate::tls::Chain;
use crate::{Account, Authority, Snapshot, Tree};
use decide::Decisions;
use password::Passwords;
use policy::Policy;

/// Names the entity to which another object belongs: the permissions of that entity apply to it.
pub type Owner = Box<dyn Fn(&MoRef, &Snapshot) -> Option<MoRef> + Send + Sync>;

/// All accounts, roles and permissions.
pub struct Accounts {
    realm: Realm,
    store: Store,
    /// The top of the inventory, which decides about objects that belong to no entity.
    root: MoRef,
    owner: Owner,
    policy: ArcSwap<Policy>,
    /// Held during a change.
    changing: tokio::sync::Mutex<()>,
    passwords: Passwords,
    decisions: RwLock<HashMap<String, Arc<Decisions>>>,
    /// The object that shows roles and privileges.
    shown: OnceLock<(Arc<Tree>, MoRef)>,
}

impl Accounts {
    /// Reads the store; a new store has the system's roles and no account. `owner` may always return none.
    ///
    /// # Errors
    /// [`AccountError::Store`].
    pub async fn open(
        store: Store,
        realm: Realm,
        root: MoRef,
        owner: impl Fn(&MoRef, &Snapshot) -> Option<MoRef> + Send + Sync + 'static,
    ) -> Result<Arc<Self>, AccountError> {
        let seeds = roles::samples(&realm);
        let reading = store.clone();
        let policy = tokio::task::spawn_blocking(move || Policy::read(&reading))
            .await
            .map_err(|_| AccountError::Internal("reading the accounts"))??;
        let accounts = Self {
            realm,
            store,
            root,
            owner: Box::new(owner),
            policy: ArcSwap::from_pointee(policy),
            changing: tokio::sync::Mutex::default(),
            passwords: Passwords::default(),
            decisions: RwLock::default(),
            shown: OnceLock::new(),
        };
        accounts.seed_roles(seeds).await?;
        Ok(Arc::new(accounts))
    }

    /// Whether no account exists yet, because the daemon starts for the first time.
    pub fn is_empty(&self) -> bool {
        self.policy.load().accounts.is_empty()
    }

    /// Canonical names of all accounts.
    pub fn names(&self) -> Vec<String> {
        self.policy.load().accounts.values().map(|known| self.realm.canonical(&known.name)).collect()
    }

    pub fn realm(&self) -> &Realm {
        &self.realm
    }

    /// The account with this name in any spelling, as it logs in.
    pub fn find(&self, user: &str) -> Option<Account> {
        let policy = self.policy.load();
        let known = policy.accounts.get(&self.realm.key(user)?)?;
        Some(Account {
            name: self.realm.canonical(&known.name),
            full_name: known.full_name.clone(),
            extension: false,
        })
    }
}

/// The same fault for a wrong password as for an unknown user.
fn invalid_login() -> Fault {
    fault!(InvalidLogin {}, "Cannot complete login due to an incorrect user name or password.")
}

#[async_trait]
impl Authority for Accounts {
    async fn login(&self, user: &str, password: &str) -> Result<Account, Fault> {
        let hash = self.realm.key(user).and_then(|key| self.policy.load().accounts.get(&key)?.hash.clone());
        let good = self.passwords.verify(hash, password).await?;
        // The account may have been removed while its password was verified.
        self.find(user).filter(|_| good).ok_or_else(invalid_login)
    }

    async fn login_by_certificate(&self, chain: &Chain) -> Result<Account, Fault> {
        let account = self.trusted(chain).and_then(|account| self.find(&account));
        account.map(|account| Account { extension: true, ..account }).ok_or_else(|| {
            let fingerprint = chain.first().map(|own| crate::tls::thumbprint_sha256(own));
            tracing::info!(fingerprint, "a client certificate is not trusted");
            invalid_login()
        })
    }

    fn allows(&self, account: &Account, object: &MoRef, privilege: &str, state: &Snapshot) -> bool {
        self.decide(account, object, privilege, state)
    }

    fn version(&self) -> u64 {
        self.policy.load().version
    }

    fn roles(&self, account: &Account, object: &MoRef, state: &Snapshot) -> Vec<i32> {
        self.roles_on(account, object, state)
    }

    fn permissions(&self, object: &MoRef) -> Vec<ty!(Permission)> {
        self.permissions_on(object)
    }
}
