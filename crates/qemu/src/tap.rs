//! Opens a tap device for a VM, whose user may not open `/dev/net/tun`.
//!
//! Unsafe for one ioctl that no safe interface covers: `TUNSETIFF` (Linux, networking/tuntap) on a `struct ifreq`.

use crate::{Error, Result};
use rustix::net::netdevice::name_to_index;
use std::fs::OpenOptions;
use std::os::fd::{AsRawFd, OwnedFd};

const TUNSETIFF: libc::c_ulong = 0x4004_54ca;
/// `struct ifreq` on a 64-bit system: 16 bytes of name, then a union that begins with the flags.
const IFREQ_BYTES: usize = 40;
const NAME_BYTES: usize = 16;

/// Attaches to an existing tap of this network namespace, with the header that QEMU expects (`vnet_hdr`).
pub(crate) fn open(ifname: &str) -> Result<OwnedFd> {
    let what = || format!("open the tap {ifname}");
    let tap = OpenOptions::new().read(true).write(true).open("/dev/net/tun").map_err(Error::io(what()))?;
    // TUNSETIFF would create a missing tap, on no switch, and remove it with the VM.
    let socket = rustix::net::socket(rustix::net::AddressFamily::INET, rustix::net::SocketType::DGRAM, None)
        .map_err(|e| Error::io(what())(e.into()))?;
    name_to_index(&socket, ifname).map_err(|e| Error::io(what())(e.into()))?;
    let flags = libc::IFF_TAP | libc::IFF_NO_PI | libc::IFF_VNET_HDR;
    let flags = i16::try_from(flags).expect("fits ifr_flags, which is a short");
    let mut request = [0u8; IFREQ_BYTES];
    if ifname.len() >= NAME_BYTES {
        return Err(Error::Spec(format!("{ifname:?} is not the name of an interface")));
    }
    request[..ifname.len()].copy_from_slice(ifname.as_bytes());
    request[NAME_BYTES..NAME_BYTES + 2].copy_from_slice(&flags.to_ne_bytes());
    // SAFETY: the request is as long as the kernel reads and writes, and outlives the call.
    let attached = unsafe { libc::ioctl(tap.as_raw_fd(), TUNSETIFF, request.as_mut_ptr()) };
    if attached < 0 {
        return Err(Error::io(what())(std::io::Error::last_os_error()));
    }
    Ok(tap.into())
}
