//! From a declaration and the observed links to the exact content of the maps: pure functions.

mod captures;
mod compare;
mod connected;
mod difference;
mod extras;
mod failover;
mod learning;
mod limits;
pub mod load;
mod mirrors;
mod multicast;
mod shaping;
mod steady;
mod tables;
mod teams;

pub use captures::{Looks, look_at_ports, look_at_teams};
pub(crate) use connected::slot_of_mac;
pub use difference::{Actual, Step, difference};
pub use extras::{Extra, Extras, Key, Store};
pub use failover::Serving;
pub use limits::check_limits;
pub use mirrors::check_mirrors;
pub use multicast::filter_multicast;
pub use shaping::{Queue, Queues, place};
pub use steady::Steady;
pub use tables::{queues, tables};
pub use teams::{Fitness, Seats, remembered, teams};

use std::collections::BTreeMap;

use crate::layout::{Port, StationKey, Target, Team};

/// The exact content that the maps should have.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tables {
    /// By ifindex.
    pub ports: BTreeMap<u32, Port>,
    pub stations: BTreeMap<StationKey, Target>,
    pub groups: BTreeMap<StationKey, Members>,
    /// By number of the port group.
    pub teams: BTreeMap<u32, Team>,
    pub extras: Extras,
}

/// Receivers of copies: ports without tags first, then ports that take tags.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Members {
    pub untagged: Vec<Target>,
    pub tagged: Vec<Target>,
}

/// The interfaces of the host's network namespace, by name.
pub type Links = BTreeMap<String, Link>;

/// The switch's internal interfaces that exist, by ifindex.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Own {
    /// Takes frames to be delayed.
    pub queue: Option<u32>,
    /// Takes copies of mirrors.
    pub mirror: Option<u32>,
}

/// The state of an interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Link {
    pub index: u32,
    /// Up, with a carrier.
    pub running: bool,
}

/// Slots of ports that load balancing has moved, by ifindex.
pub type Placements = BTreeMap<u32, u8>;

/// Indexes of ports in the maps of counters, by ifindex. A port keeps its index as long as its interface lives.
pub type Numbers = BTreeMap<u32, u32>;
