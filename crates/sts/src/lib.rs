//! The Security Token Service: SAML 2.0 bearer tokens for a user name and a password, which log in to the vSphere API in their place.
//!
//! [`Tokens`] issues, renews and recognises tokens. [`TokenService`] serves it as WS-Trust at `/sts/STSService`, with the lookup service
//! at `/lookupservice/sdk` that tells clients where it is; [`register`] adds `SessionManager.LoginByToken`.
//!
//! A token is written in one form, which is its own canonical form (`assertion`). A token that comes back is read into its values
//! (`read`), and the form is written again from these: the signature is checked over text of our own, so nothing that a client adds to the
//! XML or moves within it can matter, and no general XML signature is needed.
//!
//! Sources: WS-Trust 1.3, WS-Security UsernameToken profile 1.0, SAML 2.0 core, Exclusive XML Canonicalization 1.0.
#![forbid(unsafe_code)]

mod assertion;
mod keys;
mod login;
mod lookup;
mod read;
mod service;
mod tokens;
mod trust;
mod xml;

pub use login::register;
pub use service::TokenService;
pub use tokens::{Tokens, TokensError};

use vim::DateTime;

/// Whether the token service can read the message; its password is not checked.
pub fn is_request(message: &str) -> bool {
    xml::parse(message).is_ok_and(|document| trust::request(document.root_element(), DateTime::now()).is_ok())
}

/// The token in the form in which this server writes tokens, without the certificate and with the signature unchecked. None if it is not like
/// one of ours.
pub fn rewritten(token: &str) -> Option<String> {
    let document = xml::parse(token).ok()?;
    let presented = read::read(document.root_element()).ok()?;
    Some(presented.assertion.signed(&presented.signature, &[]))
}
