//! Runs each virtual machine (VM) as one QEMU process.
//!
//! [`Machine`] starts a [`MachineSpec`] as a confined, detached process, or adopts one that outlived its daemon, and
//! drives it over QMP: power, devices, media, snapshots, saved state. [`image`] works on disk files that no process
//! has open, [`agent`] talks to the agent inside the guest, [`accel`] chooses between KVM and emulation. The crate
//! knows no inventory and no API. Start reading at [`machine`].
#![deny(unsafe_code)]

pub mod accel;
pub mod agent;
mod child;
pub mod cmdline;
mod error;
pub mod image;
#[allow(unsafe_code)]
mod kvm_probe;
pub mod limits;
mod lines;
pub mod machine;
pub mod process;
pub mod qmp;
#[allow(unsafe_code)]
mod readiness;
pub mod runtime;
#[allow(unsafe_code)]
mod spawn;
pub mod spec;
#[allow(unsafe_code)]
mod tap;

pub use error::{Error, Result};
pub use machine::{Events, ExitReason, Machine, MachineEvent, RunState, StartOptions};
pub use spec::MachineSpec;
