//! The daemon of one host: virtual machines on its datastores, shown and driven through the vSphere API.
//!
//! [`Host`] is the whole; [`Host::open`] runs real guests, [`Host::simulated`] the same host over an engine and
//! datastores in memory. Crate [`vm`] is the typed model of a VM, [`engine`] runs VMs.
#![forbid(unsafe_code)]

mod blocking;
pub mod datastores;
pub mod engine;
mod error;
mod events;
mod host;
pub mod ids;
pub mod limits;
pub mod network;
mod service;
mod statistics;
pub mod storage;
mod subsystems;
pub mod system;
mod users;
mod vms;

/// References of the host's managers and subsystems.
pub mod managers {
    pub use crate::network::{network_system, virtual_nic_manager};
    pub use crate::storage::{datastore_system, file_manager, virtual_disk_manager};
    pub use crate::system::{access_manager, advanced_options, auto_start_manager, date_time_system};
}

pub use error::{Error, Result};
pub use host::{DEFAULT_NETWORK, Host, HostOptions, SimulatedOptions};
pub use service::{ADMINISTRATOR, Subsystem};
pub use system::lift_lockdown;
pub use vms::Vm;
