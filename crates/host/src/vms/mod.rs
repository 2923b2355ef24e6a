//! The VMs of this host. Crate `vm` is their typed model; here is what the host knows of them, keeps of them and does with
//! them.
//!
//! [`Register`] has the VMs, each a [`Vm`] whose [`State`] changes, and is shown, by [`Vm::change`] alone. [`Vms`] holds what
//! operations need. Each operation is a function in a file of its own, which `methods` calls for the API. The order of steps
//! in each file is such that a daemon that dies anywhere leaves a state that [`recover`] finds and repairs.

mod bases;
mod create;
mod destroy;
mod end;
mod environment;
#[cfg(test)]
mod fault_tests;
#[cfg(test)]
mod faulty;
mod files;
mod follow;
mod home;
mod index;
mod layers;
mod merge;
mod methods;
mod own_files;
mod planning;
mod pools;
mod populate;
mod ports;
mod power;
mod reconfigure;
mod records;
mod recover;
mod register;
mod registration;
mod saved_state;
mod service;
mod settings;
mod snapshot;
mod state;
mod suspend;
mod view;
mod vm;
mod watch;

pub(crate) use environment::{Environment, register as register_environment};
pub(crate) use methods::{Screenshots, register as register_methods};
pub(crate) use populate::populate;
pub(crate) use recover::{recover, storage_users};
pub(crate) use service::{Identity, Parts, Vms};

pub use self::vm::Vm;
pub use register::Register;
