//! The daemon of one host: virtual machines on its datastores, shown and driven through the vSphere API.
//!
//! [`Host`] is the whole; [`Host::open`] runs real guests, [`Host::simulated`] the same host over an engine and
//! datastores in memory. Crate [`vm`] is the typed model of a VM, [`engine`] runs VMs.
#![forbid(unsafe_code)]

mod captured;
pub mod cpuid;
pub mod datastores;
pub mod engine;
mod error;
mod events;
mod folder_access;
pub mod hardware;
mod host;
pub mod ids;
mod inventory;
pub mod limits;
mod methods;
mod mounts;
mod ops;
mod screens;
mod serial_file;
mod service;
mod vms;

pub use error::{Error, Result};
pub use host::{DEFAULT_NETWORK, Host, HostOptions, SimulatedOptions};
pub use inventory::about;
pub use service::{ADMINISTRATOR, Subsystem};
pub use vms::Vm;
