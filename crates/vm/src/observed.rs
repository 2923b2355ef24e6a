//! The observations that a host makes of a VM beside its configuration, as plain values that [`crate::show`] shows.

use crate::file::FileRef;

/// On, off or asleep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Power {
    Off,
    On,
    Suspended,
}

impl Power {
    /// As the API writes it.
    pub fn value(self) -> vim::ty!(VirtualMachinePowerState) {
        match self {
            Self::Off => vim::vim_enum!(VirtualMachinePowerState.poweredOff),
            Self::On => vim::vim_enum!(VirtualMachinePowerState.poweredOn),
            Self::Suspended => vim::vim_enum!(VirtualMachinePowerState.suspended),
        }
    }
}

/// A question that the VM waits for somebody to answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    pub id: String,
    pub text: String,
}

/// Use of the host's resources.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Statistics {
    pub resident_bytes: u64,
    pub cpu_mhz: u64,
}

/// A file of the VM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnFile {
    pub file: FileRef,
    pub allocated_bytes: u64,
}

/// The guest's own report, from its agent.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct GuestReport {
    pub host_name: Option<String>,
    /// Name and version of the system.
    pub system: Option<String>,
    /// `linuxGuest` or `windowsGuest`.
    pub family: Option<&'static str>,
    /// Version of the agent.
    pub agent_version: Option<String>,
    pub interfaces: Vec<GuestInterface>,
}

/// An interface of a guest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GuestInterface {
    /// Lower case, with colons.
    pub mac: String,
    /// Addresses with the length of their prefix.
    pub addresses: Vec<(std::net::IpAddr, u8)>,
}
