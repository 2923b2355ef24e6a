//! Users and groups of identity sources beside the built-in directory: their names, logins, and what the daemon keeps of them.
//!
//! The key of such a user or group is `domain\name` in lower case; the keys of the built-in directory have no `\`. The daemon keeps every
//! user who has logged in, with the groups that his directory told, so that decisions ask no server.

use std::collections::BTreeSet;
use std::future::Future;
use std::sync::Arc;

use directory::{Directory, Person, Source};
use tokio::sync::Semaphore;
use vim::{Fault, fault};

use super::change::within;
use super::groups::Member;
use super::people::now_ms;
use super::permissions::is_deceptive;
use super::policy::Policy;
use super::records::{MET, StoredMet};
use super::{AccountError, Accounts, invalid_login};
use crate::Account;

/// Users of identity sources that are kept.
const MAX_MET: usize = 10_000;
/// Questions that wait for one source: fewer than the passwords of one address that the server tries at the same time, so that a source
/// that hangs leaves places to users of the others.
const MAX_WAITING: usize = 24;
const MAX_NAME_BYTES: usize = 256;
const DAY_MS: i64 = 24 * 3600 * 1000;

/// Days since 1970.
pub(super) fn today() -> i64 {
    now_ms() / DAY_MS
}

/// An identity source in use.
pub(super) struct Abroad {
    directory: Directory,
    waiting: Semaphore,
}

impl Abroad {
    pub(super) fn new(source: Source) -> directory::Result<Self> {
        Ok(Self { directory: Directory::new(source)?, waiting: Semaphore::new(MAX_WAITING) })
    }

    pub(super) fn source(&self) -> &Source {
        self.directory.source()
    }

    /// The key of the source.
    pub(super) fn key(&self) -> String {
        self.source().domain.to_lowercase()
    }

    /// A name of the source as the API shows it.
    pub(super) fn canonical(&self, plain: &str) -> String {
        format!("{}\\{plain}", self.source().domain.to_uppercase())
    }

    pub(super) fn key_of(&self, plain: &str) -> String {
        format!("{}\\{}", self.key(), plain.to_lowercase())
    }

    /// Asks the source, unless too many questions wait for it.
    pub(super) async fn ask<'a, T, F: Future<Output = directory::Result<T>>>(
        &'a self,
        question: impl FnOnce(&'a Directory) -> F,
    ) -> directory::Result<T> {
        let busy = || directory::Error::Busy(self.source().domain.clone());
        let _place = self.waiting.try_acquire().map_err(|_| busy())?;
        question(&self.directory).await
    }

    fn met(&self, person: &Person, seen_day: i64) -> StoredMet {
        StoredMet {
            name: self.canonical(&person.name),
            full_name: person.full_name.clone(),
            groups: person
                .groups
                .iter()
                .filter(|name| is_usable(name))
                .map(|name| self.key_of(name))
                .collect(),
            seen_day,
        }
    }
}

/// Whether a key is of an identity source.
pub(super) fn is_abroad(key: &str) -> bool {
    key.contains('\\')
}

/// Whether a name can be of a user or group of an identity source.
fn is_usable(name: &str) -> bool {
    let allowed = |c: char| !is_deceptive(c) && !matches!(c, '\\' | '@' | '/');
    !name.is_empty() && name.len() <= MAX_NAME_BYTES && name.trim() == name && name.chars().all(allowed)
}

/// The domain and the name in `domain\name` or `name@domain`.
fn split(user: &str) -> Option<(&str, &str)> {
    let split = user.split_once('\\').or_else(|| user.rsplit_once('@').map(|(name, domain)| (domain, name)));
    split.filter(|(_, name)| is_usable(name))
}

/// The fault for a user whose source gives no answer. Strangers learn nothing of its servers; the log has the reason.
pub(super) fn unavailable(error: &directory::Error, source: &Abroad) -> Fault {
    let domain = &source.source().domain;
    tracing::warn!(domain, %error, "an identity source gave no answer");
    fault!(
        SystemError { reason: "identity source" },
        "The identity source {domain} gives no answer at the moment; try again later"
    )
}

impl Policy {
    /// The source of a name in a domain, and the plain name.
    pub(super) fn abroad<'a>(&self, user: &'a str) -> Option<(&Arc<Abroad>, &'a str)> {
        let (domain, name) = split(user)?;
        Some((self.source(domain)?, name))
    }

    /// The source with this domain or alias.
    pub(super) fn source(&self, domain: &str) -> Option<&Arc<Abroad>> {
        self.sources.values().find(|source| source.source().is_for(domain))
    }

    fn has_source(&self, source: &Arc<Abroad>) -> bool {
        self.sources.get(&source.key()).is_some_and(|known| Arc::ptr_eq(known, source))
    }
}

impl Accounts {
    /// The key of a user or group, of the built-in directory or of an identity source. It need not exist.
    pub(super) fn key(&self, policy: &Policy, user: &str) -> Option<String> {
        let key = self.realm.key(user);
        key.or_else(|| policy.abroad(user).map(|(source, name)| source.key_of(name)))
    }

    /// The name of a principal as permissions keep it: plain in the built-in directory, with its domain from an identity source.
    pub(super) fn principal_name(&self, policy: &Policy, user: &str) -> Option<String> {
        let plain = self.realm.plain(user).map(str::to_owned);
        plain.or_else(|| policy.abroad(user).map(|(source, name)| source.canonical(name)))
    }

    /// Logs a user of an identity source in; none if the name is of none.
    pub(super) async fn login_abroad(&self, user: &str, password: &str) -> Option<Result<Account, Fault>> {
        if self.realm.key(user).is_some() {
            return None;
        }
        let policy = self.policy.load_full();
        let (source, name) = policy.abroad(user)?;
        let person = source.ask(|directory| directory.login(name, password)).await;
        Some(match person {
            Ok(Some(person)) => self.meet(source, &person, today()).await,
            Ok(None) => Err(invalid_login()),
            Err(error) => Err(unavailable(&error, source)),
        })
    }

    /// Asks an identity source for a user and keeps what it tells; none if he does not exist or is disabled.
    pub(super) async fn meet_named(&self, user: &str) -> Result<Option<Account>, Fault> {
        if self.realm.key(user).is_some() {
            return Ok(None);
        }
        let policy = self.policy.load_full();
        let Some((source, name)) = policy.abroad(user) else { return Ok(None) };
        let person = source.ask(|directory| directory.person(name)).await;
        match person.map_err(|error| unavailable(&error, source))?.filter(|person| !person.disabled) {
            Some(person) => self.meet(source, &person, today()).await.map(Some),
            None => Ok(None),
        }
    }

    /// Keeps what a source tells of a user.
    pub(super) async fn meet(
        &self,
        source: &Arc<Abroad>,
        person: &Person,
        seen_day: i64,
    ) -> Result<Account, Fault> {
        if !is_usable(&person.name) {
            tracing::warn!(
                user = person.name,
                domain = source.source().domain,
                "a user has a name that cannot be used"
            );
            return Err(invalid_login());
        }
        let (key, met) = (source.key_of(&person.name), source.met(person, seen_day));
        let account =
            Account { name: met.name.clone(), full_name: met.full_name.clone(), ..Account::default() };
        let policy = self.policy.load_full();
        if policy.has_source(source) && policy.met.get(&key).is_some_and(|known| **known == met) {
            return Ok(account);
        }
        self.change(|policy, batch| {
            // The source may have been removed or changed while it was asked.
            if !policy.has_source(source) {
                return Err(AccountError::UnknownSource(source.source().domain.clone()));
            }
            if !policy.met.contains_key(&key) {
                within("users of identity sources", policy.met.len(), MAX_MET)?;
            }
            MET.put(batch, &key, &met)?;
            Arc::make_mut(&mut policy.met).insert(key, Arc::new(met));
            Ok(())
        })
        .await?;
        Ok(account)
    }

    /// Forgets users of identity sources; they have no rights until they log in again.
    pub(super) async fn forget(&self, keys: &BTreeSet<String>) -> Result<(), AccountError> {
        self.change(|policy, batch| {
            for key in keys {
                MET.delete(batch, key);
            }
            Arc::make_mut(&mut policy.met).retain(|key, _| !keys.contains(key));
            Ok(())
        })
        .await
    }

    /// The user or group of this name, which is asked for if the daemon does not know it yet.
    pub(super) async fn any_member(&self, name: &str) -> Result<Member, Fault> {
        let policy = self.policy.load_full();
        let unknown = || AccountError::UnknownUser(name.to_owned());
        if self.realm.key(name).is_some() {
            return Ok(self.member(&policy, name)?);
        }
        let (source, plain) = policy.abroad(name).ok_or_else(unknown)?;
        if let Some(met) = self.meet_named(name).await? {
            return Ok(Member::User(self.key(&policy, &met.name).ok_or_else(unknown)?));
        }
        let group = source.ask(|directory| directory.group(plain)).await;
        let group =
            group.map_err(|error| unavailable(&error, source))?.filter(|group| is_usable(&group.name));
        Ok(Member::Group(source.key_of(&group.ok_or_else(unknown)?.name)))
    }

    /// Checks that the principals of permissions that identity sources have exist there, and spells them as they do.
    pub(super) async fn spelled(&self, name: &str, group: bool) -> Result<String, AccountError> {
        if self.realm.key(name).is_some() {
            return Ok(name.to_owned());
        }
        let policy = self.policy.load_full();
        let unknown = || AccountError::UnknownUser(name.to_owned());
        let (source, plain) = policy.abroad(name).ok_or_else(unknown)?;
        let key = source.key_of(plain);
        let named =
            |p: &&super::records::StoredPermission| p.group == group && p.principal.to_lowercase() == key;
        if let Some(known) = policy.all_permissions().find(named) {
            return Ok(known.principal.clone());
        }
        let unavailable = |fault: Fault| AccountError::Source(fault.message().to_owned());
        if !group {
            return self.meet_named(name).await.map_err(unavailable)?.map(|met| met.name).ok_or_else(unknown);
        }
        let found = source.ask(|directory| directory.group(plain)).await;
        let found = found.map_err(|error| unavailable(self::unavailable(&error, source)))?;
        let found = found.filter(|found| is_usable(&found.name)).ok_or_else(unknown)?;
        Ok(source.canonical(&found.name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_in_a_domain_is_read_in_both_forms() {
        let cases = [
            ("EXAMPLE\\alice", Some(("EXAMPLE", "alice"))),
            ("alice@example.org", Some(("example.org", "alice"))),
            ("alice", None),
            ("EXAMPLE\\", None),
            ("EXAMPLE\\a\\b", None),
            ("EXAMPLE\\a@b", None),
            ("a@b@example.org", None),
            ("EXAMPLE\\a\u{202e}b", None),
            ("EXAMPLE\\a\0", None),
            ("EXAMPLE\\ alice", None),
        ];
        for (user, expected) in cases {
            assert_eq!(split(user), expected, "{user:?}");
        }
    }
}
