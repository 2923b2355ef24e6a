//! Tokens: secrets by which scripts log in as a user, for a limited time and with the privileges of one role at most.
//!
//! A token is given in place of the password. The store has a SHA-256 of the secret, which suffices because the secret is random and long.

use sha2::{Digest, Sha256};
use vim::DateTime;

use super::change::{Result, within};
use super::groups::text;
use super::people::now_ms;
use super::records::{StoredToken, TOKENS};
use super::{AccountError, Accounts};
use crate::Narrowed;

const MAX_TOKENS: usize = 10_000;
/// Tokens of one user.
const MAX_OF_USER: usize = 50;
const MAX_DAYS: i64 = 3_650;
const MAX_NAME_BYTES: usize = 80;
const DAY_MS: i64 = 24 * 3600 * 1000;
/// A token begins with it, so that people and scanners of secrets recognise one.
const PREFIX: &str = "esfera-token-";

/// A token as it is listed, without its secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Listed {
    pub id: String,
    pub user: String,
    pub name: String,
    pub role: i32,
    pub made: DateTime,
    pub ends: DateTime,
}

fn hash(secret: &str) -> String {
    Sha256::digest(secret.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Accounts {
    /// Makes a token of a user; returns its id and the text that stands for the password, which nobody can read again.
    pub(super) async fn add_token(
        &self,
        user: &str,
        name: &str,
        role: i32,
        days: i64,
    ) -> Result<(String, String)> {
        let unknown = || AccountError::UnknownUser(user.to_owned());
        let account = self.key(&self.policy.load(), user).ok_or_else(unknown)?;
        let name = text("name of a token", name)?;
        if name.is_empty() || name.len() > MAX_NAME_BYTES {
            return Err(AccountError::BadText("name of a token"));
        }
        if !(1..=MAX_DAYS).contains(&days) {
            return Err(AccountError::BadText("number of days"));
        }
        let id = format!("{:016x}", rand::random::<u64>());
        let secret = format!("{:032x}{:032x}", rand::random::<u128>(), rand::random::<u128>());
        let made_ms = now_ms();
        let ends_ms = made_ms + days * DAY_MS;
        let token = StoredToken { account, name, hash: hash(&secret), role, made_ms, ends_ms };
        self.change(|policy, batch| {
            if !policy.is_user(&token.account) {
                return Err(unknown());
            }
            let ended: Vec<String> = policy
                .tokens
                .iter()
                .filter(|(_, known)| known.ends_ms <= made_ms)
                .map(|(id, _)| id.clone())
                .collect();
            for old in ended {
                policy.tokens.remove(&old);
                TOKENS.delete(batch, &old);
            }
            if !policy.roles.contains_key(&role) {
                return Err(AccountError::UnknownRole(role));
            }
            within("tokens", policy.tokens.len(), MAX_TOKENS)?;
            let mine = policy.tokens.values().filter(|known| known.account == token.account);
            let mine: Vec<_> = mine.map(|known| &known.name).collect();
            within("tokens of a user", mine.len(), MAX_OF_USER)?;
            if mine.contains(&&token.name) {
                return Err(AccountError::TokenExists(token.name.clone()));
            }
            TOKENS.put(batch, &id, &token)?;
            policy.tokens.insert(id.clone(), token);
            Ok(())
        })
        .await?;
        let whole = format!("{PREFIX}{id}-{secret}");
        Ok((id, whole))
    }

    /// The tokens of a user, or of all.
    pub(super) fn tokens(&self, user: Option<&str>) -> Vec<Listed> {
        let policy = self.policy.load();
        let key = user.map(|user| self.key(&policy, user).unwrap_or_default());
        let time = |ms: i64| DateTime::from_micros(ms.saturating_mul(1000));
        let listed =
            policy.tokens.iter().filter(|(_, token)| key.as_ref().is_none_or(|key| *key == token.account));
        listed
            .map(|(id, token)| Listed {
                id: id.clone(),
                user: match policy.accounts.get(&token.account) {
                    Some(known) => known.name.clone(),
                    None => policy.met.get(&token.account).map_or(&token.account, |met| &met.name).clone(),
                },
                name: token.name.clone(),
                role: token.role,
                made: time(token.made_ms),
                ends: time(token.ends_ms),
            })
            .collect()
    }

    pub(super) async fn remove_token(&self, id: &str) -> Result<()> {
        self.change(|policy, batch| {
            policy.tokens.remove(id).ok_or_else(|| AccountError::UnknownToken(id.to_owned()))?;
            TOKENS.delete(batch, id);
            Ok(())
        })
        .await
    }

    /// The limit of the token that is given in place of the password; none if it is not a token of his that works.
    pub(super) fn narrowed_by(&self, key: &str, password: &str) -> Option<Narrowed> {
        let (id, secret) = password.strip_prefix(PREFIX)?.split_once('-')?;
        let policy = self.policy.load();
        let token =
            policy.tokens.get(id).filter(|token| token.account == key && token.hash == hash(secret))?;
        (token.ends_ms > now_ms()).then(|| Narrowed {
            token: id.to_owned(),
            ends: DateTime::from_micros(token.ends_ms.saturating_mul(1000)),
        })
    }
}
