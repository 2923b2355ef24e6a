//! The control center: the inventory above the hosts, and the hosts that it manages.
//!
//! [`Center`] wires the services together; each folder has a page of its own to start with. [`link::HostLink`] is the
//! only connection to a host. `estate` holds the inventory that the center owns, `mirror` copies each host's objects into
//! the center's tree, `hosts` decides which hosts are managed, and `carry` carries operations to them. The state of hosts
//! is only a cache, rebuilt whenever a host connects; the center's own state is in the store before a client is told.
#![forbid(unsafe_code)]

mod about;
mod access;
mod carry;
mod center;
mod cluster;
mod error;
mod estate;
mod hosts;
pub mod link;
mod mirror;
mod options;
mod policies;
mod reply;
mod schedule;
pub mod sim;

pub use center::Center;
pub use error::Error;
pub use hosts::Place;
pub use link::{HostLink, HostStream, LinkError, RemoteConnector, connector};
pub use options::{Network, Options};
pub use schedule::Clock;
