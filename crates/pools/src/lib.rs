//! Resource pools as centers and hosts have them alike: what a specification may ask of a pool ([`allocation`]), whether
//! the reservations of a tree of pools fit into each other ([`admission`]), who may move something into a pool
//! ([`privileges`]), and how clients see one ([`show`]). The daemons keep the pools, each in a store of its own.

pub mod admission;
pub mod allocation;
pub mod privileges;
pub mod show;

pub use admission::{Capacity, Member, admit};
pub use allocation::{Allocation, Shares, configure, fresh};

/// Pools of one compute resource, beside its root pool.
pub const MAX_POOLS: usize = 1600;
/// Pools above each other, the root pool counted.
pub const MAX_DEPTH: usize = 9;
/// Most shares that a client may give a pool, for one resource.
pub const MAX_SHARES: i32 = 4_000_000;
