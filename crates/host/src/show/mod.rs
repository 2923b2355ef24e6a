//! From types to the API's values.

/// The virtual hardware that new machines get.
pub const HARDWARE_KEY: &str = "vmx-21";
