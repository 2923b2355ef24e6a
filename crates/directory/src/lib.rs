//! Identity sources beside the built-in directory: users and groups that an LDAP server or Active Directory keeps.
//!
//! A [`Directory`] answers questions about one [`Source`]: whether a password is right, who a user is and to which groups he belongs,
//! which names match. It remembers nothing between two questions. Each question has a deadline, and all that a server sends passes
//! `guard`, which bounds it: a server that hangs, lies or floods costs its own users their login and nobody else anything.
#![forbid(unsafe_code)]

mod connect;
mod directory;
mod entry;
mod error;
mod filter;
mod groups;
mod guard;
mod source;

pub use directory::{Directory, MAX_FOUND};
pub use entry::{Group, Person};
pub use error::{Error, Result};
pub use groups::{MAX_DEPTH, MAX_GROUPS};
pub use guard::{MAX_MESSAGE_BYTES, MAX_NESTING};
pub use source::{Endpoint, Schema, Security, Source};

/// The deepest checks of what a server sends, for fuzzing.
#[doc(hidden)]
pub fn message_length(bytes: &[u8]) -> std::result::Result<Option<usize>, &'static str> {
    guard::message_length(bytes)
}

/// Whether a whole message is nested no deeper than [`MAX_NESTING`] and keeps within its own length, for fuzzing.
#[doc(hidden)]
pub fn is_sound(message: &[u8]) -> bool {
    guard::check(message).is_ok()
}
