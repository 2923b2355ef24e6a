//! A client of the API, over VI-JSON: for the command line, and for a center that manages hosts.
//!
//! [`Client::connect`] agrees on a release with the server; then come [`Client::login`] and [`Client::invoke`]. A call is sent once: the
//! client repeats only reads of properties when a connection breaks.

mod address;
mod automation;
mod call;
mod console;
mod error;
mod plain;
mod read;
mod transfer;
mod wire;

pub use address::Address;
pub use console::ConsoleStream;
pub use error::CallError;
pub use read::{Batch, Updates};
pub use transfer::{FilePath, Received};

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use vim::Object;

use crate::tls::{Identity, Trust};
use wire::Wire;

/// Limits for the time of each kind of work.
#[derive(Clone, Debug)]
pub struct Timeouts {
    /// To connect, TLS included.
    pub connect: Duration,
    /// For the answer to a call.
    pub call: Duration,
    /// For the answer to a call that waits for changes, beyond the time that it asks the server to wait.
    pub wait_grace: Duration,
    /// For a pause in a transfer of a file.
    pub stall: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            call: Duration::from_secs(60),
            wait_grace: Duration::from_secs(30),
            stall: Duration::from_secs(60),
        }
    }
}

/// How to connect.
#[derive(Clone, Debug)]
pub struct Options {
    pub trust: Trust,
    /// The client shows it to a server that asks for a client certificate.
    pub identity: Option<Identity>,
    /// The client's name, as the server sees it: `esfera-cli/0.1.0`.
    pub user_agent: String,
    pub timeouts: Timeouts,
}

impl Options {
    pub fn new(trust: Trust) -> Self {
        let user_agent = concat!("esfera/", env!("CARGO_PKG_VERSION")).to_owned();
        Self { trust, identity: None, user_agent, timeouts: Timeouts::default() }
    }
}

/// A connection to one server, or several; clones share it and its session.
#[derive(Clone)]
pub struct Client(Arc<Inner>);

struct Inner {
    wire: Wire,
    /// The release in paths, which the server chose.
    release: String,
    session: ArcSwapOption<String>,
    content: OnceLock<Arc<Object>>,
}
