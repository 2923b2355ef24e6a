//! The control center: the inventory above the hosts, and the hosts that it manages.
//!
//! Start with [`link::HostLink`], the one way to a host, then [`Center`]: it keeps the tree of folders, clusters and
//! pools durable, mirrors each host's objects into it, and carries every operation to the right host. What hosts own
//! is a cache here, rebuilt whenever a host connects; what the center owns is in the store before a client hears of it.
#![forbid(unsafe_code)]

mod about;
mod center;
mod error;
mod events;
mod forward;
mod hosts;
mod ids;
mod inventory;
pub mod link;
mod mirror;
mod names;
mod objects;
mod ops;
mod options;
mod records;
mod reference;
pub mod sim;
mod state;
mod stored;

pub use center::Center;
pub use error::Error;
pub use hosts::{Place, RemoteConnector, connector};
pub use link::{HostLink, HostStream, LinkError};
pub use options::{Network, Options};
