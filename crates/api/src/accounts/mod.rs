//! Accounts, roles and permissions of a daemon: the [`Authority`] of hosts and of the center.
//!
//! `records` has the stored form, `policy` the form in memory, `decide` the decisions with their cache, `change` the changes of accounts,
//! `permissions` those of roles and permissions. Every change goes to the store first; then a new policy replaces the old one.

mod abroad;
#[cfg(test)]
mod abroad_tests;
mod authorization;
mod automation;
mod change;
mod decide;
#[cfg(test)]
mod decide_tests;
mod directory;
mod door;
mod error;
mod groups;
mod identity;
mod local;
mod lockout;
mod managers;
mod names;
mod password;
mod people;
#[cfg(test)]
mod people_tests;
mod permissions;
mod policy;
mod privileges;
mod quality;
mod records;
mod roles;
mod rounds;
mod rules;
#[cfg(test)]
mod tests;
mod tokens;
mod told;
mod trust;
mod used;
mod who;

pub use crate::acting::CENTER_ACCOUNT;
pub use automation::{PermissionInfo, PermissionPlace, RoleInfo};
pub use change::TrustedCertificate;
pub use door::AccountsDoor;
pub use error::AccountError;
pub use managers::{create, register};
pub use names::Realm;
pub use people::{Edit, Person};
pub use roles::{
    ADMIN, ANONYMOUS, NO_ACCESS, NO_CRYPTO_ADMIN, NO_TRUSTED_ADMIN, READ_ONLY, TRUSTED_ADMIN, VIEW,
};
pub use used::{Noted, Page, Window};
pub use who::Who;

use std::collections::HashMap;
use std::sync::{Arc, OnceLock, Weak};
use std::time::Instant;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use parking_lot::{Mutex, RwLock};
use store::Store;
use vim::{Fault, MoRef, Object, fault, ty, vim};

use crate::authority::Present;
use crate::session::Times;
use crate::tls::Chain;
use crate::{Account, Authority, Core, Snapshot, Tree, Use};
use decide::Decisions;
use lockout::Lockouts;
use password::Passwords;
use people::now_ms;
use policy::Policy;
use used::Uses;

const MAX_ACCOUNTS: usize = 10_000;
/// Events that wait for somebody who posts them.
const MAX_UNPOSTED: usize = 100;

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
    lockouts: Mutex<Lockouts>,
    /// The last user of an identity source without a session who was asked about, and the time of the last round.
    asked_last: Mutex<String>,
    last_round: Mutex<Option<Instant>>,
    unposted: Mutex<Vec<Object>>,
    /// Those of the daemon's sessions, once it has some.
    session_times: OnceLock<Arc<Times>>,
    decisions: RwLock<HashMap<String, Arc<Decisions>>>,
    uses: Uses,
    /// The object that shows roles and privileges.
    shown: OnceLock<(Arc<Tree>, MoRef)>,
    /// Tells of changes of roles and permissions, once the daemon has it. It may itself hold the accounts.
    core: OnceLock<Weak<Core>>,
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
        let read = move || Ok::<_, store::Error>((Policy::read(&reading)?, Uses::read(&reading)?));
        let (policy, uses) = tokio::task::spawn_blocking(read)
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
            lockouts: Mutex::default(),
            asked_last: Mutex::default(),
            last_round: Mutex::default(),
            unposted: Mutex::default(),
            session_times: OnceLock::new(),
            decisions: RwLock::default(),
            uses,
            shown: OnceLock::new(),
            core: OnceLock::new(),
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
        let key = self.key(&policy, user)?;
        if let Some(met) = policy.met.get(&key) {
            return Some(Account {
                name: met.name.clone(),
                full_name: met.full_name.clone(),
                ..Account::default()
            });
        }
        let known = policy.accounts.get(&key)?;
        Some(Account {
            name: self.realm.canonical(&known.name),
            full_name: known.full_name.clone(),
            ..Account::default()
        })
    }
}

/// Roles that a refusal names.
const MAX_NAMED_ROLES: usize = 5;

impl Accounts {
    /// The account if this is its password, expired or not. Wrong ones lock it after a while.
    async fn verified(&self, user: &str, password: &str) -> Result<Account, Fault> {
        let key = self.realm.key(user);
        let locked = key.as_ref().is_some_and(|key| self.lockouts.lock().is_locked(key, Instant::now()));
        let known = |key: &String| self.policy.load().accounts.get(key)?.hash.clone();
        // A locked account takes as long as others: nobody learns of the lock.
        let hash = key.as_ref().filter(|_| !locked).and_then(known);
        let has_password = hash.is_some();
        let good = self.passwords.verify(hash, password).await?;
        let Some(key) = key.filter(|_| has_password) else { return Err(invalid_login()) };
        if !good {
            self.note_failure(&key);
            return Err(invalid_login());
        }
        self.lockouts.lock().clear(&key, Instant::now());
        // The account may have been removed or disabled while its password was verified.
        self.named(user).ok_or_else(invalid_login)
    }

    fn note_failure(&self, key: &str) {
        let policy = self.policy.load();
        if policy.is_administrator(key, self.root.id()) {
            return;
        }
        let limit = policy.rules.lock();
        if !self.lockouts.lock().failed(key, limit, Instant::now()) {
            return;
        }
        let name =
            policy.accounts.get(key).map(|known| self.realm.canonical(&known.name)).unwrap_or_default();
        tracing::warn!(user = name, failures = limit.failures, "an account is locked after wrong passwords");
        let message = format!(
            "The account {name} is locked for {} seconds after {} failed login attempts",
            limit.time.as_secs(),
            limit.failures
        );
        let event = vim!(EventEx {
            eventTypeId: "esx.audit.account.locked",
            severity: "warning",
            userName: name,
            fullFormattedMessage: message,
        });
        let mut unposted = self.unposted.lock();
        if unposted.len() < MAX_UNPOSTED {
            unposted.push(event.into());
        }
    }

    fn has_expired(&self, user: &str) -> bool {
        let policy = self.policy.load();
        let Some(known) = self.realm.key(user).and_then(|key| policy.accounts.get(&key)) else {
            return false;
        };
        let set = known.password_set_ms.filter(|_| !known.password_stays);
        set.and_then(|set| policy.rules.password_ends(set)).is_some_and(|ends| ends <= now_ms())
    }
}

/// The same fault for a wrong password as for an unknown user.
fn invalid_login() -> Fault {
    fault!(InvalidLogin {}, "Cannot complete login due to an incorrect user name or password.")
}

#[async_trait]
impl Authority for Accounts {
    async fn login(&self, user: &str, password: &str) -> Result<Account, Fault> {
        let key = self.key(&self.policy.load(), user);
        if let Some(narrowed) = key.and_then(|key| self.narrowed_by(&key, password)) {
            let account = match self.named(user) {
                Some(account) => account,
                None => self.meet_named(user).await?.ok_or_else(invalid_login)?,
            };
            return Ok(Account { narrowed: Some(narrowed), ..account });
        }
        if let Some(answer) = self.login_abroad(user, password).await {
            return answer;
        }
        let account = self.verified(user, password).await?;
        if self.has_expired(user) {
            return Err(fault!(
                PasswordExpired {},
                "The password of {user} has expired; change it (ChangePassword, esfera passwd) and log in again"
            ));
        }
        Ok(account)
    }

    fn named(&self, user: &str) -> Option<Account> {
        let policy = self.policy.load();
        let key = self.key(&policy, user)?;
        if !policy.met.contains_key(&key) {
            policy.accounts.get(&key).filter(|known| !known.disabled)?;
        }
        self.find(user)
    }

    fn counted_as(&self, user: &str) -> String {
        match self.policy.load().abroad(user) {
            // A name that nobody can have in the built-in directory.
            Some((source, name)) if self.realm.key(user).is_none() => format!("{name}\0{}", source.key()),
            _ => user.to_owned(),
        }
    }

    async fn look_after(&self, present: &dyn Present) {
        let begun = Instant::now();
        let is_due = {
            let mut last = self.last_round.lock();
            let is_due = last.is_none_or(|last| begun.duration_since(last) >= rounds::ROUND_TIME);
            if is_due {
                *last = Some(begun);
            }
            is_due
        };
        if is_due {
            self.make_round(present).await;
        }
    }

    fn unposted_events(&self) -> Vec<Object> {
        std::mem::take(&mut *self.unposted.lock())
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

    fn granting(&self, privilege: &str) -> Vec<String> {
        let policy = self.policy.load();
        // The administrator's role has every privilege, and naming it would advise nobody to give less.
        let roles = policy.roles.values().filter(|role| role.id != ADMIN && role.has(privilege));
        roles.take(MAX_NAMED_ROLES).map(|role| role.label.clone()).collect()
    }

    fn note(&self, used: &Use<'_>) {
        self.uses.note(&self.store, used);
    }
}
