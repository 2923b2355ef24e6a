//! The daemon of one host: virtual machines on its datastores, shown and driven through the vSphere API.
//!
//! [`Host`] is the whole; [`Host::open`] runs real guests, [`Host::simulated`] the same host over an engine and
//! datastores in memory. [`vm`] is the typed model, [`plan`] decides what a specification changes, [`engine`] runs
//! machines, [`show`] turns types into the API's values.
#![forbid(unsafe_code)]

mod captured;
pub mod cpuid;
pub mod datastores;
pub mod disk_image;
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
pub mod plan;
mod screens;
mod serial_file;
mod service;
pub mod show;
pub mod vm;

pub use error::{Error, Result};
pub use host::{DEFAULT_NETWORK, Host, HostOptions, SimulatedOptions};
pub use inventory::about;
pub use service::{ADMINISTRATOR, Subsystem};
