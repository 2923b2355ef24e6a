//! The one error type of the crate: each variant is something that a caller can act on.

use std::path::PathBuf;

/// Result with [`enum@Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What can go wrong with the switch.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The kernel lacks something that the data plane needs.
    #[error(
        "this kernel cannot run the virtual switch: {what}; it needs Linux 5.17 or newer with BPF_SYSCALL, NET_CLS_ACT and BTF"
    )]
    Kernel {
        /// What was tried, and what the kernel said.
        what: String,
    },
    /// Where maps and links are kept is not there or is no BPF file system.
    #[error("{path} is no BPF file system: {reason}; mount one there with `mount -t bpf bpf {path}`", path = .path.display())]
    Pins {
        /// The directory.
        path: PathBuf,
        /// In words.
        reason: String,
    },
    /// A map could not be read or written.
    #[error("the map {map} of the virtual switch: {reason}")]
    Map {
        /// Its name.
        map: &'static str,
        /// In words.
        reason: String,
    },
    /// A program could not be attached to an interface.
    #[error("cannot attach the virtual switch to {interface}: {reason}")]
    Attach {
        /// The interface.
        interface: String,
        /// In words.
        reason: String,
    },
    /// The kernel refused a change of an interface.
    #[error("network interface {interface}: {what}: {reason}")]
    Link {
        /// The interface.
        interface: String,
        /// What was asked.
        what: &'static str,
        /// In words.
        reason: String,
    },
    /// A VMkernel adapter cannot be as it was declared.
    #[error("VMkernel adapter {device}: {reason}")]
    Adapter {
        /// The device.
        device: String,
        /// In words.
        reason: String,
    },
    /// The network namespace of a TCP/IP stack.
    #[error("TCP/IP stack {name}: {reason}")]
    Namespace {
        /// The stack, or the host.
        name: String,
        /// In words.
        reason: String,
    },
    /// More than the switch can hold.
    #[error("{what}: {asked} are asked for, {most} are possible")]
    Limit {
        /// What there is too much of.
        what: &'static str,
        /// How many.
        asked: usize,
        /// Most.
        most: usize,
    },
    /// The engine has ended.
    #[error("the virtual switch's engine has ended")]
    Ended,
}
