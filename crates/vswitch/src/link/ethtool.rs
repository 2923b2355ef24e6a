//! What ethtool says of an interface: what it may leave to whoever gets its frames, and the MAC that it was made with.
//!
//! Unsafe for one ioctl (`SIOCETHTOOL`), which no safe interface covers.
#![allow(unsafe_code)]

use std::io;
use std::mem;
use std::os::fd::AsRawFd;

use rustix::net::{AddressFamily, SocketType, socket};

use crate::Mac;

/// `ETHTOOL_STSO`, `ETHTOOL_SGSO`, `ETHTOOL_STXCSUM`, `ETHTOOL_SSG` (linux/ethtool.h): segmentation first, which needs the others.
const OFFLOADS: [u32; 4] = [0x1f, 0x24, 0x17, 0x19];
/// `ETHTOOL_GPERMADDR`.
const PERMANENT: u32 = 0x20;
/// `MAX_ADDR_LEN`.
const MAX_ADDRESS: usize = 32;

/// What the kernel reads and writes in place: a command, and what belongs to it.
trait Data {}

/// `struct ethtool_value`.
#[repr(C)]
struct Value {
    command: u32,
    data: u32,
}

impl Data for Value {}

/// `struct ethtool_perm_addr`, with room for every address.
#[repr(C)]
struct Permanent {
    command: u32,
    size: u32,
    address: [u8; MAX_ADDRESS],
}

impl Data for Permanent {}

fn ask(interface: &str, data: &mut impl Data) -> io::Result<()> {
    let socket = socket(AddressFamily::INET, SocketType::DGRAM, None)?;
    // SAFETY: all zeroes is an `ifreq`.
    let mut request: libc::ifreq = unsafe { mem::zeroed() };
    if interface.len() >= request.ifr_name.len() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    for (to, from) in request.ifr_name.iter_mut().zip(interface.bytes()) {
        *to = from.cast_signed();
    }
    request.ifr_ifru.ifru_data = (&raw mut *data).cast();
    // SAFETY: the request and what it points to outlive the call. Both kinds of data have the layout that their command has in
    // linux/ethtool.h, and room for all that the kernel writes: it writes no more than `size` bytes of an address.
    match unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCETHTOOL, &raw mut request) } {
        0.. => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Lets an interface leave nothing to others: what it sends is cut into segments and has its checksums.
///
/// # Errors
/// What the kernel says.
pub(super) fn leave_nothing(interface: &str) -> io::Result<()> {
    OFFLOADS.iter().try_for_each(|command| ask(interface, &mut Value { command: *command, data: 0 }))
}

/// The MAC that an interface was made with, in the calling thread's network namespace; none if it has none of its own, as
/// most virtual ones.
pub fn permanent_mac(interface: &str) -> Option<Mac> {
    let mut data = Permanent { command: PERMANENT, size: 32, address: [0; MAX_ADDRESS] };
    ask(interface, &mut data).ok()?;
    let mac = Mac(*data.address.first_chunk()?);
    (data.size == 6 && mac != Mac([0; 6])).then_some(mac)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_made_with_a_mac_has_none() {
        assert_eq!(permanent_mac("lo"), None);
        assert_eq!(permanent_mac("no-such-if"), None);
        assert_eq!(permanent_mac("a name that is too long"), None);
    }
}
