//! A virtual machine as the host keeps it.

pub mod config;
mod defaults;
pub mod device;

pub(crate) use defaults::is_default;

use vim::MoRef;

/// A virtual machine of this host.
pub struct Vm {
    /// Its object.
    pub me: MoRef,
}
