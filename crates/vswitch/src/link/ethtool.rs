//! The ethtool(8) requests that the switch needs: offloads of an interface, its permanent MAC, its speed.
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
/// The bit of a MAC's first byte that marks it as locally administered (IEEE 802).
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
/// The type is `repr(C)`, made of integers without padding, begins with a command, and has the size that the kernel
/// expects for it.
unsafe trait Request {}

/// `struct ethtool_value`.
#[repr(C)]
struct Value {
    command: u32,
    data: u32,
}

// SAFETY: it is, for the commands that set a value.
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

// SAFETY: it is, for `ETHTOOL_GSET`.
unsafe impl Request for Settings {}

/// `struct ethtool_perm_addr`, with room for every address.
#[repr(C)]
struct Permanent {
    command: u32,
    size: u32,
    address: [u8; MAX_ADDRESS],
}

// SAFETY: it is, for `ETHTOOL_GPERMADDR`: the kernel writes at most `size` bytes of an address.
unsafe impl Request for Permanent {}

fn ask<R: Request>(interface: &str, asked: &mut R) -> io::Result<()> {
    let socket = socket(AddressFamily::INET, SocketType::DGRAM, None)?;
    // SAFETY: all zeroes is a valid `ifreq`.
    let mut request: libc::ifreq = unsafe { mem::zeroed() };
    if interface.len() >= request.ifr_name.len() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    for (to, from) in request.ifr_name.iter_mut().zip(interface.bytes()) {
        *to = from.cast_signed();
    }
    request.ifr_ifru.ifru_data = (&raw mut *asked).cast();
    // SAFETY: the request and its data outlive the call, which reads and writes as `Request` promises.
    if unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCETHTOOL, &raw mut request) } < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// Turns the offloads of an interface off: the kernel itself segments and checksums the frames that it sends.
///
/// # Errors
/// Those of the ioctl.
pub(super) fn leave_nothing(interface: &str) -> io::Result<()> {
    OFFLOADS.iter().try_for_each(|command| ask(interface, &mut Value { command: *command, data: 0 }))
}

/// The permanent MAC of an interface in the calling thread's network namespace; `None` if it has none, as most virtual
/// ones. A locally administered one does not count: virtual functions may have another after each boot.
pub fn permanent_mac(interface: &str) -> Option<Mac> {
    let mut data = Permanent { command: PERMANENT, size: 32, address: [0; MAX_ADDRESS] };
    ask(interface, &mut data).ok()?;
    let mac = Mac(*data.address.first_chunk()?);
    (data.size == 6 && mac != Mac([0; 6]) && mac.0[0] & LOCAL == 0).then_some(mac)
}

/// The speed of a link in bits per second; `None` if it is down or does not report one.
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
    fn an_interface_without_a_permanent_mac_has_none() {
        assert_eq!(permanent_mac("lo"), None);
        assert_eq!(permanent_mac("no-such-if"), None);
        assert_eq!(permanent_mac("a name that is too long"), None);
    }
}
