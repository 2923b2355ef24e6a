//! The DHCPv6 client of an adapter (RFC 8415): one address (IA_NA), requested from all servers of the link.
//!
//! [`message`] is the bytes, [`client`] is the state machine, pure: time and messages in, actions out; [`task`] gives
//! it a socket and a clock. Nothing is kept on disk: a restarted daemon requests the address that it finds on the
//! interface, which stays there meanwhile. Routes come from router advertisements.

mod client;
mod message;
mod task;
mod timing;

pub use client::Lease;
pub use message::{Association, Given, Kind, Message, Outcome};
pub(crate) use task::{Identity, start};
