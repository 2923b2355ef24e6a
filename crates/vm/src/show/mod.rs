//! From the model to the API's values: a file for each part that a `VirtualMachine` shows. Each kind of device shows
//! itself, in [`crate::device`].

pub mod config;
pub mod machine;

use vim::Object;

use crate::config::VmConfig;
use crate::device::{Device, Shown};
pub use crate::names::Names;
pub(crate) use crate::names::signed;

/// The virtual hardware of new VMs.
pub const HARDWARE_KEY: &str = "vmx-21";

/// The device as a `VirtualDevice` of the right type.
pub fn device(config: &VmConfig, device: &Device, names: &Names<'_>) -> Object {
    device.kind.show(&Shown { devices: &config.devices, device, names })
}
