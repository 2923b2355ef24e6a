//! The hosts of the inventory: adding and removing them, keeping them connected, maintenance mode.
//!
//! [`Membership`] adds and removes hosts; [`Supervisor`] keeps each of them followed by the mirror.

mod announce;
mod connection;
mod join;
mod maintenance;
mod membership;
mod moving;
mod removal;
mod supervise;
mod wanted;

pub(crate) use announce::Announcer;
pub use join::Place;
pub(crate) use membership::Membership;
pub(crate) use supervise::Supervisor;

use std::sync::Arc;

use api::Methods;

/// Registers the methods of hosts, and those that add, move and remove them.
pub(crate) fn register(methods: &mut Methods, membership: &Arc<Membership>) {
    join::register(methods, membership);
    connection::register(methods, membership);
    maintenance::register(methods, membership);
    moving::register(methods, membership);
    removal::register(methods, membership);
}
