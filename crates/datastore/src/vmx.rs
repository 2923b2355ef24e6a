//! `.vmx`: the configuration of a virtual machine, in VMware's text format.
//!
//! [`parse`] gives the text as a [`Dictionary`] that keeps every line; [`VmxConfig::read`] gives what it means, and
//! [`VmxConfig::write_into`] changes a dictionary to mean something else while keeping order, comments and unknown
//! keys.

mod config;
mod device;
mod file_name;
mod read;
mod uuids;
mod write;

pub use crate::dictionary::{Dictionary, DictionaryError};
pub use config::{Firmware, VmxConfig};
pub use device::{
    AddressType, Backing, Bus, Cdrom, Controller, Disk, DiskMode, DvsPort, Floppy, MacAddress, Nic, NicModel,
    OtherKeys, ScsiModel, Serial, SerialBacking, Slot,
};
pub use file_name::FileName;
pub use uuids::{format_uuid, parse_uuid};

/// Reads a `.vmx` file, keeping every line and its order.
///
/// # Errors
/// [`DictionaryError`].
pub fn parse(text: &[u8]) -> Result<Dictionary, DictionaryError> {
    Dictionary::parse(text)
}
