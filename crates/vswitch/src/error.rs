//! The one error type of the crate: each variant names one cause, and what its message says to do can be done.

use std::io;
use std::path::PathBuf;

/// Result with [`enum@Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of the switch.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The kernel refuses the programs of the data plane.
    #[error(
        "this kernel cannot run the virtual switch: {reason}; it needs Linux 5.17 or newer with BPF_SYSCALL, NET_CLS_ACT and BTF"
    )]
    Kernel {
        /// The kernel.s reason.
        reason: String,
    },
    /// The directory of pins does not exist, or cannot be made a BPF file system.
    #[error("{path} is not a BPF file system: {source}; mount one there with `mount -t bpf bpf {path}`", path = .path.display())]
    Pins {
        /// The directory.
        path: PathBuf,
        source: io::Error,
    },
    /// A map could not be read or written.
    #[error("the map {map} of the virtual switch: {reason}")]
    Map {
        /// Its name.
        map: &'static str,
        /// In words.
        reason: String,
    },
    /// A loaded program did not run.
    #[error("the program {program} of the virtual switch: {reason}")]
    Program {
        /// Its name.
        program: &'static str,
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
    /// The kernel refused a change of an interface, or did not answer.
    #[error("network interface {interface}: cannot {what}: {reason}")]
    Link {
        /// The interface.
        interface: String,
        /// The request, as a verb and its object: "set its MTU".
        what: &'static str,
        /// In words.
        reason: String,
    },
    /// The kernel did not list its network interfaces.
    #[error("cannot list the network interfaces: {reason}")]
    Links {
        /// In words.
        reason: String,
    },
    /// A socket could not be opened.
    #[error("cannot open a {kind} socket: {source}")]
    Socket {
        /// Its kind: "netlink", "packet".
        kind: &'static str,
        source: io::Error,
    },
    /// A thread, or the runtime in it, could not be started.
    #[error("cannot start the thread {name}: {source}")]
    Thread {
        /// Its name.
        name: &'static str,
        source: io::Error,
    },
    /// The kernel gave no random numbers for the key of beacons.
    #[error("cannot make a key for beacons: {source}")]
    Random { source: io::Error },
    /// A network namespace could not be entered.
    #[error("cannot enter the network namespace {path}: {source}", path = .path.display())]
    Enter {
        /// Its file.
        path: PathBuf,
        source: io::Error,
    },
    /// The name of a host cannot be part of the names of namespaces.
    #[error("{prefix:?} cannot begin the names of network namespaces; use 1 to {most} letters, digits, `-`, `_` and `.`, not beginning with `.`", most = crate::limits::HOST_PREFIX)]
    Prefix {
        /// The name as given.
        prefix: String,
    },
    /// A VMkernel adapter cannot be as it was declared.
    #[error("VMkernel adapter {device}: {reason}")]
    Adapter {
        /// The device.
        device: String,
        /// In words.
        reason: String,
    },
    /// A TCP/IP stack cannot be as it was declared.
    #[error("TCP/IP stack {name}: {reason}")]
    Stack {
        /// Its name.
        name: String,
        /// In words.
        reason: String,
    },
    /// More than the switch can hold.
    #[error("{what}: {asked} requested, at most {most} possible")]
    Limit {
        /// The objects, in the plural.
        what: &'static str,
        /// The number requested.
        asked: usize,
        /// The most.
        most: usize,
    },
    /// The engine has ended.
    #[error("the virtual switch's engine has ended")]
    Ended,
}
