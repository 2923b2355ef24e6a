//! What ethtool(8) asks and sets.
//!
//! Unsafe for one ioctl (`SIOCETHTOOL`), which no safe interface covers.
#![allow(unsafe_code)]

use std::io;
use std::mem;
use std::os::fd::AsRawFd;

use rustix::net::{AddressFamily, SocketType, socket};

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

/// Sets a value.
///
/// # Errors
/// What the kernel says.
pub(super) fn set(interface: &str, command: u32, data: u32) -> io::Result<()> {
    ask(interface, &mut Value { command, data })
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
}
