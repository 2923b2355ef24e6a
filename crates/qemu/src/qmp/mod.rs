//! A client of QEMU's machine protocol. Lines are parsed in [`line`] (pure), the connection is [`client`], and
//! [`command`] holds a typed struct for every command in use; everything unknown is passed through.

pub mod client;
pub mod command;
pub mod line;

pub use client::Client;
pub use command::Command;
pub use line::{Event, Message, ParseError, parse_line};
