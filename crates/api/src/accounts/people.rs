//! Users as administrators see and change them: full name, mail address, password and its age, disabled and locked.

use std::time::Instant;

use vim::DateTime;

use super::change::{Result, within};
use super::groups::{MAX_TEXT_BYTES, text};
use super::records::{ACCOUNT_NUMBERS, ACCOUNTS, StoredAccount};
use super::{AccountError, Accounts, MAX_ACCOUNTS};

/// The first number of an account; smaller ones belong to a system's own.
const FIRST_NUMBER: i32 = 1000;

/// A user, as administrators see him.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    pub name: String,
    pub full_name: String,
    pub email: Option<String>,
    pub enabled: bool,
    /// Whether wrong passwords have locked the account for now.
    pub locked: bool,
    pub has_password: bool,
    pub password_set: Option<DateTime>,
    pub password_ends: Option<DateTime>,
    pub administrator: bool,
}

/// The changes of a user that are asked for; none stays as it is.
#[derive(Clone, Copy, Debug, Default)]
pub struct Edit<'a> {
    pub full_name: Option<&'a str>,
    /// Empty for none.
    pub email: Option<&'a str>,
    pub password: Option<&'a str>,
    pub enabled: Option<bool>,
    /// Whether the password stays valid whatever its age.
    pub password_stays: Option<bool>,
    /// The number that `PosixUserSearchResult.id` shows; only for a new user.
    pub number: Option<i32>,
}

impl Accounts {
    /// The user of this name.
    pub fn person(&self, name: &str) -> Option<Person> {
        let key = self.realm.key(name)?;
        let policy = self.policy.load();
        let known = policy.accounts.get(&key)?;
        let time = |ms: i64| DateTime::from_micros(ms.saturating_mul(1000));
        let ends = known.password_set_ms.filter(|_| !known.password_stays);
        Some(Person {
            name: known.name.clone(),
            full_name: known.full_name.clone(),
            email: known.email.clone(),
            enabled: !known.disabled,
            locked: self.lockouts.lock().is_locked(&key, Instant::now()),
            has_password: known.hash.is_some(),
            password_set: known.password_set_ms.map(time),
            password_ends: ends.and_then(|set| policy.rules.password_ends(set)).map(time),
            administrator: policy.is_administrator(&key, self.root.id()),
        })
    }

    /// Plain names of all users.
    pub fn plain_names(&self) -> Vec<String> {
        self.policy.load().accounts.values().map(|known| known.name.clone()).collect()
    }

    /// Makes a user whose password is as good as the rules want.
    pub(super) async fn add_person(&self, name: &str, new: &Edit<'_>) -> Result<()> {
        let plain = self.realm.plain(name).ok_or_else(|| AccountError::BadName(name.to_owned()))?.to_owned();
        let key = plain.to_lowercase();
        if self.policy.load().accounts.contains_key(&key) {
            return Err(AccountError::UserExists(plain));
        }
        let mut account = StoredAccount { name: plain, ..StoredAccount::default() };
        let hash = self.checked_hash(name, new.password).await?;
        apply(&mut account, new, hash)?;
        account.number = Some(match new.number {
            Some(number) if number >= FIRST_NUMBER => number,
            Some(_) => return Err(AccountError::BadText("number")),
            None => self.new_number().await?,
        });
        self.change(|policy, batch| {
            if policy.accounts.contains_key(&key) {
                return Err(AccountError::UserExists(account.name.clone()));
            }
            if policy.accounts.values().any(|other| other.number == account.number) {
                return Err(AccountError::BadText("number"));
            }
            within("accounts", policy.accounts.len(), MAX_ACCOUNTS)?;
            ACCOUNTS.put(batch, &key, &account)?;
            policy.accounts.insert(key, account);
            Ok(())
        })
        .await
    }

    async fn new_number(&self) -> Result<i32> {
        let mut ids = store::Batch::new();
        ids.reserve(ACCOUNT_NUMBERS, 1);
        let reserved = self.store.commit(ids).await?.reserved;
        let number = reserved.first().and_then(|range| i32::try_from(range.start).ok());
        let number = number.and_then(|number| number.checked_add(FIRST_NUMBER));
        number.ok_or(AccountError::Internal("numbering an account"))
    }

    /// Changes a user. A new password, and enabling him, unlock him.
    pub(super) async fn edit_person(&self, name: &str, edit: &Edit<'_>) -> Result<()> {
        let unknown = || AccountError::UnknownUser(name.to_owned());
        let key = self.realm.key(name).ok_or_else(unknown)?;
        if !self.policy.load().accounts.contains_key(&key) {
            return Err(unknown());
        }
        let hash = self.checked_hash(name, edit.password).await?;
        self.change(|policy, batch| {
            let remembered = policy.rules.remembered();
            let account = policy.accounts.get_mut(&key).ok_or_else(unknown)?;
            if hash.is_some() {
                remember(account, remembered);
            }
            apply(account, edit, hash)?;
            ACCOUNTS.put(batch, &key, account)?;
            self.still_administered(policy)
        })
        .await?;
        if edit.password.is_some() || edit.enabled == Some(true) {
            self.lockouts.lock().clear(&key, Instant::now());
        }
        Ok(())
    }

    /// Gives a user the password that he has chosen himself, which is none of those that he had lately.
    pub(super) async fn choose_password(&self, name: &str, password: &str) -> Result<()> {
        let unknown = || AccountError::UnknownUser(name.to_owned());
        let key = self.realm.key(name).ok_or_else(unknown)?;
        let policy = self.policy.load_full();
        let known = policy.accounts.get(&key).ok_or_else(unknown)?;
        let remembered = policy.rules.remembered();
        let had = known.hash.iter().chain(&known.former).take(remembered);
        for hash in had {
            let used = self.passwords.verify(Some(hash.clone()), password).await;
            if used.map_err(|_| AccountError::Internal("comparing passwords"))? {
                return Err(AccountError::WeakPassword(format!("it is one of your last {remembered}")));
            }
        }
        self.edit_person(name, &Edit { password: Some(password), ..Edit::default() }).await
    }

    /// Ends the lock of an account; true if it was locked.
    pub(super) fn unlock(&self, name: &str) -> Result<bool> {
        let key = self.realm.key(name).filter(|key| self.policy.load().accounts.contains_key(key));
        let key = key.ok_or_else(|| AccountError::UnknownUser(name.to_owned()))?;
        Ok(self.lockouts.lock().clear(&key, Instant::now()))
    }

    async fn checked_hash(&self, name: &str, password: Option<&str>) -> Result<Option<String>> {
        let Some(password) = password else { return Ok(None) };
        let plain = self.realm.plain(name).unwrap_or(name);
        let quality = self.policy.load().rules.quality();
        quality.check(plain, password)?;
        self.passwords.hash(password).await.map(Some)
    }
}

/// Keeps the present password among the former ones.
pub(super) fn remember(account: &mut StoredAccount, limit: usize) {
    account.former.splice(0..0, account.hash.take());
    account.former.truncate(limit);
}

fn apply(account: &mut StoredAccount, edit: &Edit<'_>, hash: Option<String>) -> Result<()> {
    if let Some(full_name) = edit.full_name {
        account.full_name = text("full name", full_name)?;
    }
    if let Some(email) = edit.email {
        let known = email.split_once('@').is_some_and(|(user, at)| !user.is_empty() && !at.is_empty());
        if !email.is_empty()
            && (!known || email.contains(char::is_whitespace) || email.len() > MAX_TEXT_BYTES)
        {
            return Err(AccountError::BadText("mail address"));
        }
        account.email = (!email.is_empty()).then(|| email.to_owned());
    }
    if hash.is_some() {
        account.hash = hash;
        account.password_set_ms = Some(now_ms());
    }
    account.disabled = edit.enabled.map_or(account.disabled, |enabled| !enabled);
    account.password_stays = edit.password_stays.unwrap_or(account.password_stays);
    Ok(())
}

pub(super) fn now_ms() -> i64 {
    DateTime::now().as_micros() / 1000
}
