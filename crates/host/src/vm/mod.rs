//! A virtual machine as the host keeps it: its configuration and devices as plain types, their text in `.vmx`, and
//! what is known of it at this moment ([`Vm`]).

pub mod config;
mod defaults;
pub mod device;
pub(crate) mod efi;
pub mod guest_os;
pub mod place;
pub(crate) mod state;
pub(crate) mod vmx;

pub(crate) use defaults::is_default;
pub use state::{Power, Vm};
