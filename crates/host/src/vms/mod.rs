//! The VMs of this host as it keeps them at run time. Crate `vm` is their typed model.

mod datastores;
mod vm;

pub use vm::Vm;
pub(crate) use vm::{State, usable};
