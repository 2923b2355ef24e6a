//! Issues tokens, and recognises those that it issued.

use std::sync::Arc;

use api::accounts::Accounts;
use api::{Account, Authority};
use store::Store;
use vim::DateTime;

use crate::assertion::Assertion;
use crate::keys::Signer;
use crate::read::Presented;

const SECOND: i64 = 1_000_000;
/// How long a token is valid if the client does not say.
const DEFAULT_LIFETIME: i64 = 10 * 60 * SECOND;
/// How long it is valid at most: whoever has it is the user.
const MAX_LIFETIME: i64 = 60 * 60 * SECOND;
/// How long a token may be renewed after the password was given.
const MAX_RENEWALS: i64 = 24 * 60 * 60 * SECOND;

/// Why tokens cannot be issued.
#[derive(Debug, thiserror::Error)]
pub enum TokensError {
    #[error(transparent)]
    Store(#[from] store::Error),
    #[error("the key for tokens cannot be used: {0}")]
    Key(String),
}

/// Why a token is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unacceptable {
    #[error("the token was not issued by this server")]
    Foreign,
    #[error("the token has expired")]
    Expired,
    #[error("the user of the token cannot log in, or has changed his password since")]
    User,
    #[error("the token may not be renewed")]
    Renewal,
}

/// The issuer of a center's tokens.
pub struct Tokens {
    signer: Signer,
    accounts: Arc<Accounts>,
    issuer: String,
}

/// A token that was issued.
#[derive(Debug)]
pub(crate) struct Issued {
    /// The signed assertion.
    pub(crate) text: String,
    pub(crate) begins: DateTime,
    pub(crate) ends: DateTime,
    pub(crate) renewable: bool,
}

impl Tokens {
    /// The issuer for these accounts, whose key lies in the store. `center` is the center's UUID, which tokens name.
    ///
    /// # Errors
    /// [`TokensError`].
    pub async fn open(
        store: &Store,
        accounts: Arc<Accounts>,
        center: &str,
    ) -> Result<Arc<Self>, TokensError> {
        let signer = Signer::open(store).await?;
        Ok(Arc::new(Self { signer, accounts, issuer: format!("urn:esfera:center:{center}") }))
    }

    /// Issues a token to a user who has given his password, for so many microseconds from now on, if that is not too long.
    pub(crate) fn issue(
        &self,
        account: &Account,
        lifetime: Option<i64>,
        renewable: bool,
    ) -> Result<Issued, TokensError> {
        self.make(&principal(&account.name), DateTime::now(), lifetime, renewable)
    }

    /// Issues a new token in the place of one that is still valid.
    pub(crate) fn renew(
        &self,
        presented: &Presented,
        lifetime: Option<i64>,
    ) -> Result<Result<Issued, TokensError>, Unacceptable> {
        self.accept(presented)?;
        let old = &presented.assertion;
        let age = DateTime::now().as_micros() - old.authenticated.as_micros();
        if !old.renewable || age > MAX_RENEWALS {
            return Err(Unacceptable::Renewal);
        }
        Ok(self.make(&old.subject, old.authenticated, lifetime, true))
    }

    fn make(
        &self,
        subject: &str,
        authenticated: DateTime,
        lifetime: Option<i64>,
        renewable: bool,
    ) -> Result<Issued, TokensError> {
        let lifetime = lifetime.unwrap_or(DEFAULT_LIFETIME).clamp(SECOND, MAX_LIFETIME);
        let issued = DateTime::now();
        let assertion = Assertion {
            id: format!("_{}", uuid::Uuid::new_v4()),
            issuer: self.issuer.clone(),
            subject: subject.to_owned(),
            issued,
            ends: DateTime::from_micros(issued.as_micros() + lifetime),
            // A renewed token was authenticated before.
            authenticated: authenticated.min(issued),
            renewable,
        };
        let signature = self.signer.sign(&assertion.signed_info())?;
        let text = assertion.signed(&signature, &self.signer.certificate);
        Ok(Issued { text, begins: issued, ends: assertion.ends, renewable })
    }

    /// The user of a token that this server issued, if the token is valid and the user may log in.
    ///
    /// # Errors
    /// [`Unacceptable`].
    pub(crate) fn accept(&self, presented: &Presented) -> Result<Account, Unacceptable> {
        let token = &presented.assertion;
        if token.issuer != self.issuer || !self.signer.verifies(&token.signed_info(), &presented.signature) {
            return Err(Unacceptable::Foreign);
        }
        let now = DateTime::now();
        if now >= token.ends || now < token.issued {
            return Err(Unacceptable::Expired);
        }
        self.user(&token.subject, token.authenticated).ok_or(Unacceptable::User)
    }

    /// The account that has had its present password since this time or longer, if it may log in.
    fn user(&self, subject: &str, since: DateTime) -> Option<Account> {
        let Some(person) = self.accounts.person(subject) else {
            // A user of an identity source, which the accounts ask again from time to time.
            return self.accounts.named(subject);
        };
        let unchanged = person.password_set.is_none_or(|set| set <= since);
        let valid = person.password_ends.is_none_or(|ends| DateTime::now() < ends);
        if !person.enabled || person.locked || !unchanged || !valid {
            return None;
        }
        self.accounts.find(subject)
    }
}

/// `user@domain` of an account's canonical name.
fn principal(name: &str) -> String {
    match name.split_once('\\') {
        Some((domain, user)) => format!("{user}@{domain}"),
        None => name.to_owned(),
    }
}

#[cfg(test)]
#[path = "tokens_tests.rs"]
mod tests;
