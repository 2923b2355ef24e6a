//! A client of the QEMU machine protocol (QMP). [`line`] parses lines (pure), [`client`] holds the connection, and
//! [`command`] has a typed struct for every command in use; everything unknown passes through.

pub mod client;
pub mod command;
pub mod line;

pub use client::Client;
pub use command::Command;
pub use line::{Event, Message, ParseError, parse_line};
