//! What an interface may leave to whoever gets its frames.
//!
//! Unsafe for one ioctl (`SIOCETHTOOL`), which no safe interface covers.
#![allow(unsafe_code)]

use std::io;
use std::mem;
use std::os::fd::AsRawFd;

use rustix::net::{AddressFamily, SocketType, socket};

/// `ETHTOOL_STSO`, `ETHTOOL_SGSO`, `ETHTOOL_STXCSUM`, `ETHTOOL_SSG` (linux/ethtool.h): segmentation first, which needs the others.
const OFFLOADS: [u32; 4] = [0x1f, 0x24, 0x17, 0x19];

/// `struct ethtool_value`.
#[repr(C)]
struct Value {
    command: u32,
    data: u32,
}

/// Lets an interface leave nothing to others: what it sends is cut into segments and has its checksums.
///
/// # Errors
/// What the kernel says.
pub(super) fn leave_nothing(interface: &str) -> io::Result<()> {
    let socket = socket(AddressFamily::INET, SocketType::DGRAM, None)?;
    for command in OFFLOADS {
        let mut value = Value { command, data: 0 };
        // SAFETY: all zeroes is an `ifreq`.
        let mut request: libc::ifreq = unsafe { mem::zeroed() };
        if interface.len() >= request.ifr_name.len() {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        for (to, from) in request.ifr_name.iter_mut().zip(interface.bytes()) {
            *to = from.cast_signed();
        }
        request.ifr_ifru.ifru_data = (&raw mut value).cast();
        // SAFETY: the request and the value that it points to outlive the call, which reads a `struct ethtool_value`.
        if unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCETHTOOL, &raw mut request) } < 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}
