//! Errors of opening a center and attaching hosts.

use vim::Fault;

/// A failure to open the center or to attach a host.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the center's database cannot be used: {0}")]
    Store(#[from] store::Error),
    #[error("the center's accounts cannot be used: {0}")]
    Accounts(#[from] api::accounts::AccountError),
    #[error("the center's tags cannot be used: {0}")]
    Tags(tags::TagError),
    #[error("the center's client certificate cannot be used: {0}")]
    Tls(#[from] api::tls::TlsError),
    #[error("the center cannot issue tokens: {0}")]
    Tokens(#[from] sts::TokensError),
    #[error("the center cannot start: {0}")]
    Start(Fault),
    #[error("the inventory cannot be changed: {0}")]
    Inventory(Fault),
    #[error("the host cannot be attached: {0}")]
    Attach(Fault),
}
