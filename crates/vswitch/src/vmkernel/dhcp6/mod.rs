//! The DHCPv6 client of an adapter (RFC 8415): one address (IA_NA), asked for by all servers of the link.
//!
//! [`message`] is the bytes, [`client`] is the state machine, pure: time and messages in, actions out; [`task`] gives it a socket
//! and a clock. Nothing is kept on disk: a daemon that starts again asks for the address that it finds on the interface, which
//! stays there meanwhile. Routes do not come from here but from routers' advertisements, as IPv6 has it.

mod client;
mod message;
mod task;
mod timing;

pub use client::Lease;
pub use message::{Association, Given, Kind, Message, Outcome};
pub(crate) use task::{Identity, start};
