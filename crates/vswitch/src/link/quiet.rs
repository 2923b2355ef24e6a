//! A port's interface belongs to the switch: the host's own network stack must neither send nor receive on it.

use std::fs;
use std::io;

/// Turns the host's IPv6 off on an interface. Otherwise every tap would announce an address of the host to its guest.
///
/// # Errors
/// If the setting cannot be written. A kernel without IPv6 does not have it, which is fine.
pub fn silence(interface: &str) -> io::Result<()> {
    set(interface, "1")
}

/// Whether IPv6 is off.
pub fn is_silent(interface: &str) -> bool {
    fs::read_to_string(path(interface)).is_ok_and(|value| value.trim() != "0")
}

/// Gives a former port the IPv6 setting of a new interface in the namespace.
///
/// # Errors
/// If the setting cannot be read or written.
pub fn restore(interface: &str) -> io::Result<()> {
    match fs::read_to_string(path("default")) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        value => set(interface, value?.trim()),
    }
}

fn set(interface: &str, value: &str) -> io::Result<()> {
    match fs::write(path(interface), value) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

fn path(interface: &str) -> String {
    format!("/proc/sys/net/ipv6/conf/{interface}/disable_ipv6")
}
