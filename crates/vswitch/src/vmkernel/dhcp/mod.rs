//! The DHCP client of an adapter (RFC 2131, IPv4).
//!
//! [`message`] and [`frame`] are the bytes, [`client`] is the state machine, pure: time and messages in, actions out;
//! [`task`] gives it sockets and a clock. Nothing is kept on disk: a restarted daemon requests the address that it
//! finds on the interface (INIT-REBOOT), which stays there meanwhile.
//!
//! Messages are encoded here, since crates for it depend on a DNS library; the necessary part is a page.

mod client;
mod frame;
mod message;
mod task;

pub use client::Lease;
pub use frame::read as read_frame;
pub use message::{Kind, Message};
pub(crate) use task::{Identity, Taken, start};
