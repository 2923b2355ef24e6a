//! What ethtool(8) asks and sets: what an interface may leave to whoever gets its frames, the MAC that it was made with, its speed.
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
/// The bit of a MAC's first byte that says that no manufacturer has given it (IEEE 802).
const LOCAL: u8 = 2;
/// `MAX_ADDR_LEN`.
const MAX_ADDRESS: usize = 32;
/// `ETHTOOL_GSET` (linux/ethtool.h).
const GET: u32 = 1;
/// `SPEED_UNKNOWN`.
const UNKNOWN: u32 = u32::MAX;

/// A structure that the ioctl takes.
///
/// # Safety
/// It is `repr(C)`, made of integers without holes, begins with a command, and is as large as the kernel takes it to be by that.
unsafe trait Request {}

/// `struct ethtool_value`.
#[repr(C)]
struct Value {
    command: u32,
    data: u32,
}

// SAFETY: so it is, for the commands that set a value.
unsafe impl Request for Value {}

/// `struct ethtool_cmd`.
#[repr(C)]
#[derive(Default)]
struct Settings {
    command: u32,
    modes: [u32; 2],
    speed: u16,
    port: [u8; 6],
    most: [u32; 2],
    speed_high: u16,
    crossed: [u8; 2],
    more: [u32; 3],
}

// SAFETY: so it is, for `ETHTOOL_GSET`.
unsafe impl Request for Settings {}

/// `struct ethtool_perm_addr`, with room for every address.
#[repr(C)]
struct Permanent {
    command: u32,
    size: u32,
    address: [u8; MAX_ADDRESS],
}

// SAFETY: so it is, for `ETHTOOL_GPERMADDR`: no more than `size` bytes of an address are written.
unsafe impl Request for Permanent {}

fn ask<R: Request>(interface: &str, asked: &mut R) -> io::Result<()> {
    let socket = socket(AddressFamily::INET, SocketType::DGRAM, None)?;
    // SAFETY: all zeroes is an `ifreq`.
    let mut request: libc::ifreq = unsafe { mem::zeroed() };
    if interface.len() >= request.ifr_name.len() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    for (to, from) in request.ifr_name.iter_mut().zip(interface.bytes()) {
        *to = from.cast_signed();
    }
    request.ifr_ifru.ifru_data = (&raw mut *asked).cast();
    // SAFETY: the request and what it points to outlive the call, which reads and writes what a `Request` says that it does.
    if unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCETHTOOL, &raw mut request) } < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// Lets an interface leave nothing to others: what it sends is cut into segments and has its checksums.
///
/// # Errors
/// What the kernel says.
pub(super) fn leave_nothing(interface: &str) -> io::Result<()> {
    OFFLOADS.iter().try_for_each(|command| ask(interface, &mut Value { command: *command, data: 0 }))
}

/// The MAC that an interface was made with, in the calling thread's network namespace; none if it has none of its own, as
/// most virtual ones. One that is locally administered counts as none: virtual functions may have another after each boot.
pub fn permanent_mac(interface: &str) -> Option<Mac> {
    let mut data = Permanent { command: PERMANENT, size: 32, address: [0; MAX_ADDRESS] };
    ask(interface, &mut data).ok()?;
    let mac = Mac(*data.address.first_chunk()?);
    (data.size == 6 && mac != Mac([0; 6]) && mac.0[0] & LOCAL == 0).then_some(mac)
}

/// The speed of a link in bits per second; none if it is down or does not say.
pub fn speed(interface: &str) -> Option<u64> {
    let mut settings = Settings { command: GET, ..Settings::default() };
    ask(interface, &mut settings).ok()?;
    let megabits = u32::from(settings.speed_high) << 16 | u32::from(settings.speed);
    (megabits != 0 && megabits != UNKNOWN).then(|| u64::from(megabits) * 1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_as_long_as_the_kernel_takes_them_to_be() {
        assert_eq!(mem::size_of::<Settings>(), 44);
        assert_eq!(mem::offset_of!(Settings, speed_high), 28);
        assert_eq!(speed("lo"), None, "it has none");
    }
    #[test]
    fn what_was_not_made_with_a_mac_has_none() {
        assert_eq!(permanent_mac("lo"), None);
        assert_eq!(permanent_mac("no-such-if"), None);
        assert_eq!(permanent_mac("a name that is too long"), None);
    }
}
