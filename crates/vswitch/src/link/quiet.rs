//! A port's interface belongs to the switch: the host's own network stack must neither speak nor listen on it.

use std::fs;
use std::io;

/// Keeps IPv6 of the host off an interface. Without it every tap announces an address of the host to its guest.
///
/// # Errors
/// If the setting cannot be written. A kernel without IPv6 has none, which is as good.
pub fn silence(interface: &str) -> io::Result<()> {
    match fs::write(format!("/proc/sys/net/ipv6/conf/{interface}/disable_ipv6"), "1") {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}
