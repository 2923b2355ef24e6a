//! Changes of accounts and trusted certificates. Each is stored before it takes effect.

use std::collections::BTreeSet;
use std::sync::{Arc, Weak};
use std::time::Instant;

use store::Batch;
use vim::{DateTime, MoRef};

use super::groups::{Member, leave_all};
use super::people::{now_ms, remember};
use super::policy::Policy;
use super::records::{
    ACCOUNTS, CERTIFICATES, PERMISSIONS, StoredAccount, StoredCertificate, StoredPermission, TOKENS,
};
use super::roles::ADMIN;
use super::{AccountError, Accounts, MAX_ACCOUNTS};
use crate::{Actor, Core};

const MAX_CERTIFICATES: usize = 1_000;

pub(super) type Result<T> = std::result::Result<T, AccountError>;

/// A client certificate that logs in as an account, or an authority whose certificates with a certain URI do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustedCertificate {
    /// SHA-256 thumbprint.
    pub fingerprint: String,
    /// The URI that a client's certificate must bear, if this is the certificate of its authority.
    pub uri: Option<String>,
    pub account: String,
    pub description: String,
}

impl Accounts {
    /// Makes an account, for the daemon itself: with whatever password. Without one it logs in by certificate only.
    ///
    /// # Errors
    /// [`AccountError::UserExists`], [`AccountError::BadName`], [`AccountError::BadPassword`],
    /// [`AccountError::Store`].
    pub async fn create(&self, name: &str, full_name: &str, password: Option<&str>) -> Result<()> {
        let bad = || AccountError::BadName(name.to_owned());
        let plain = self.realm.plain(name).ok_or_else(bad)?.to_owned();
        let hash = match password {
            Some(password) => Some(self.passwords.hash(password).await?),
            None => None,
        };
        let key = plain.to_lowercase();
        let account = new_account(plain, full_name, hash);
        self.change(|policy, batch| {
            if policy.accounts.contains_key(&key) {
                return Err(AccountError::UserExists(account.name.clone()));
            }
            within("accounts", policy.accounts.len(), MAX_ACCOUNTS)?;
            ACCOUNTS.put(batch, &key, &account)?;
            policy.accounts.insert(key, account);
            Ok(())
        })
        .await
    }

    /// Makes an account that may do everything, at the first start. An existing account keeps its password, and its permissions unless the
    /// daemon has no administrator.
    ///
    /// # Errors
    /// As [`Accounts::create`].
    pub async fn ensure_administrator(
        &self,
        name: &str,
        full_name: &str,
        password: Option<&str>,
    ) -> Result<()> {
        let bad = || AccountError::BadName(name.to_owned());
        let plain = self.realm.plain(name).ok_or_else(bad)?.to_owned();
        let key = plain.to_lowercase();
        let there = |policy: &Policy| policy.accounts.contains_key(&key);
        let hash = match password {
            Some(password) if !there(&self.policy.load()) => Some(self.passwords.hash(password).await?),
            _ => None,
        };
        let account = new_account(plain.clone(), full_name, hash);
        self.change(|policy, batch| {
            if plain != crate::acting::CENTER_ACCOUNT {
                self.make_built_in(policy, batch, &key)?;
            }
            if !there(policy) {
                within("accounts", policy.accounts.len(), MAX_ACCOUNTS)?;
                ACCOUNTS.put(batch, &key, &account)?;
                policy.accounts.insert(key.clone(), account);
            } else if policy.has_administrator(self.root.id()) {
                return Ok(());
            }
            let permission = StoredPermission {
                entity_type: self.root.type_name().to_owned(),
                entity: self.root.id().to_owned(),
                principal: plain,
                group: false,
                role: ADMIN,
                propagate: true,
            };
            PERMISSIONS.put(batch, &permission.key(), &permission)?;
            policy.put_permission(permission);
            Ok(())
        })
        .await
    }

    /// Gives an account a new password, whatever the rules are.
    ///
    /// # Errors
    /// [`AccountError::UnknownUser`], [`AccountError::BadPassword`], [`AccountError::Store`].
    pub async fn set_password(&self, name: &str, password: &str) -> Result<()> {
        let hash = self.passwords.hash(password).await?;
        let unknown = || AccountError::UnknownUser(name.to_owned());
        let key = self.realm.key(name).ok_or_else(unknown)?;
        self.change(|policy, batch| {
            let remembered = policy.rules.remembered();
            let account = policy.accounts.get_mut(&key).ok_or_else(unknown)?;
            remember(account, remembered);
            account.hash = Some(hash);
            account.password_set_ms = Some(now_ms());
            ACCOUNTS.put(batch, &key, account)?;
            Ok(())
        })
        .await
    }

    /// Removes an account with its permissions, memberships, certificates and tokens. Its sessions may do nothing from then on.
    ///
    /// # Errors
    /// [`AccountError::UnknownUser`], [`AccountError::LastAdministrator`], [`AccountError::Store`].
    pub async fn remove(&self, name: &str) -> Result<()> {
        let unknown = || AccountError::UnknownUser(name.to_owned());
        let key = self.realm.key(name).ok_or_else(unknown)?;
        self.change(|policy, batch| {
            policy.accounts.remove(&key).ok_or_else(unknown)?;
            ACCOUNTS.delete(batch, &key);
            let none = BTreeSet::new();
            let mine: Vec<_> = policy.all_permissions().filter(|p| p.is_for(&key, &none)).cloned().collect();
            for permission in mine {
                policy.remove_permission(&permission);
                PERMISSIONS.delete(batch, &permission.key());
            }
            let certificates: Vec<String> = policy
                .certificates
                .iter()
                .filter(|(_, trusted)| self.realm.key(&trusted.account).as_ref() == Some(&key))
                .map(|(fingerprint, _)| fingerprint.clone())
                .collect();
            for fingerprint in certificates {
                policy.certificates.remove(&fingerprint);
                CERTIFICATES.delete(batch, &fingerprint);
            }
            let tokens: Vec<String> = policy
                .tokens
                .iter()
                .filter(|(_, token)| token.account == key)
                .map(|(id, _)| id.clone())
                .collect();
            for id in tokens {
                policy.tokens.remove(&id);
                TOKENS.delete(batch, &id);
            }
            leave_all(policy, batch, &Member::User(key.clone()))?;
            self.still_administered(policy)
        })
        .await?;
        self.lockouts.lock().clear(&key, Instant::now());
        Ok(())
    }

    /// Lets the holder of this certificate's key log in as the account. The certificate is DER.
    ///
    /// # Errors
    /// [`AccountError::UnknownUser`], [`AccountError::Store`].
    pub async fn trust_certificate(
        &self,
        certificate: &[u8],
        uri: Option<&str>,
        account: &str,
        description: &str,
    ) -> Result<()> {
        let fingerprint = crate::tls::thumbprint_sha256(certificate);
        let key = self.realm.key(account).unwrap_or_default();
        let trusted = StoredCertificate {
            uri: uri.map(str::to_owned),
            account: account.to_owned(),
            description: description.to_owned(),
            added_ms: DateTime::now().as_micros() / 1000,
        };
        self.change(|policy, batch| {
            if !policy.accounts.contains_key(&key) {
                return Err(AccountError::UnknownUser(account.to_owned()));
            }
            within("trusted certificates", policy.certificates.len(), MAX_CERTIFICATES)?;
            CERTIFICATES.put(batch, &fingerprint, &trusted)?;
            policy.certificates.insert(fingerprint, trusted);
            Ok(())
        })
        .await
    }

    /// Stops trusting a certificate (by its SHA-256 thumbprint), and returns whether it was trusted.
    ///
    /// # Errors
    /// [`AccountError::Store`].
    pub async fn distrust_certificate(&self, fingerprint: &str) -> Result<bool> {
        self.change(|policy, batch| {
            CERTIFICATES.delete(batch, fingerprint);
            Ok(policy.certificates.remove(fingerprint).is_some())
        })
        .await
    }

    /// The trusted client certificates.
    pub fn trusted_certificates(&self) -> Vec<TrustedCertificate> {
        let policy = self.policy.load();
        let all = policy.certificates.iter().map(|(fingerprint, trusted)| TrustedCertificate {
            fingerprint: fingerprint.clone(),
            uri: trusted.uri.clone(),
            account: trusted.account.clone(),
            description: trusted.description.clone(),
        });
        all.collect()
    }

    /// Removes the permissions on an entity; a daemon calls it when it removes the entity.
    ///
    /// # Errors
    /// [`AccountError::Store`].
    pub async fn forget_entity(&self, entity: &MoRef) -> Result<()> {
        if !self.policy.load().permissions.contains_key(entity.id()) || *entity == self.root {
            return Ok(());
        }
        // The entity goes, and its event says so.
        self.change_untold(|policy, batch| {
            for permission in policy.permissions.remove(entity.id()).unwrap_or_default() {
                PERMISSIONS.delete(batch, &permission.key());
            }
            Ok(())
        })
        .await
    }

    pub(super) fn still_administered(&self, policy: &Policy) -> Result<()> {
        // A store without accounts has no administrator to lose.
        let was = self.policy.load().has_administrator(self.root.id());
        if was && !policy.has_administrator(self.root.id()) {
            return Err(AccountError::LastAdministrator);
        }
        Ok(())
    }

    /// Makes a new policy out of the present one, stores the changes, and puts it into effect. A user's changes of roles and
    /// permissions leave events, in the same batch.
    pub(super) async fn change<T>(
        &self,
        change: impl FnOnce(&mut Policy, &mut Batch) -> Result<T>,
    ) -> Result<T> {
        let by_user = !Actor::current().user.is_empty();
        self.change_telling(self.core.get().and_then(Weak::upgrade).filter(|_| by_user), change).await
    }

    /// As [`Self::change`], without events.
    async fn change_untold<T>(&self, change: impl FnOnce(&mut Policy, &mut Batch) -> Result<T>) -> Result<T> {
        self.change_telling(None, change).await
    }

    async fn change_telling<T>(
        &self,
        core: Option<Arc<Core>>,
        change: impl FnOnce(&mut Policy, &mut Batch) -> Result<T>,
    ) -> Result<T> {
        let _one_at_a_time = self.changing.lock().await;
        let before = self.policy.load_full();
        let mut next = Policy::clone(&before);
        let mut batch = Batch::new();
        let result = change(&mut next, &mut batch)?;
        next.version += 1;
        match core {
            Some(core) => {
                let events = self.told(&before, &next, &core.tree.snapshot());
                core.events.post_all(events, batch).await?;
            }
            None => drop(self.store.commit(batch).await?),
        }
        self.policy.store(Arc::new(next));
        self.show();
        Ok(result)
    }
}

/// # Errors
/// [`AccountError::TooMany`].
pub(super) fn within(what: &'static str, count: usize, limit: usize) -> Result<()> {
    if count < limit { Ok(()) } else { Err(AccountError::TooMany { what, limit }) }
}

fn new_account(name: String, full_name: &str, hash: Option<String>) -> StoredAccount {
    let password_set_ms = hash.is_some().then(now_ms);
    StoredAccount { name, full_name: full_name.into(), hash, password_set_ms, ..StoredAccount::default() }
}
