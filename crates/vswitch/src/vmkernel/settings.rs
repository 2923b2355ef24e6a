//! Settings of the kernel (`/proc/sys/net`) that an adapter or a stack needs, in the calling thread's namespace.

use std::fs;
use std::io;

use super::wanted::Adapter;

/// A file below `/proc/sys/net`, and its value.
pub(crate) type Setting = (String, &'static str);

/// Of an adapter.
pub(crate) fn of_adapter(adapter: &Adapter) -> Vec<Setting> {
    let device = &adapter.device;
    let ipv4 = |name: &str, value| (format!("ipv4/conf/{device}/{name}"), value);
    let ipv6 = |name: &str, value| (format!("ipv6/conf/{device}/{name}"), value);
    let choice = |yes: bool, on, off| if yes { on } else { off };
    vec![
        // Several adapters may be on one segment: each answers only for its own addresses, and announces no others.
        ipv4("arp_ignore", "1"),
        ipv4("arp_announce", "2"),
        // An answer may arrive at another adapter than the one that the routes name.
        ipv4("rp_filter", "2"),
        // The kernel announces a new MAC at once.
        ipv4("arp_notify", "1"),
        // Replacing an address keeps the other addresses of its network.
        ipv4("promote_secondaries", "1"),
        ipv6("disable_ipv6", choice(adapter.speaks_ipv6, "0", "1")),
        ipv6("autoconf", choice(adapter.autoconf, "1", "0")),
        // Even on a host that forwards.
        ipv6("accept_ra", choice(adapter.hears_routers, "2", "0")),
    ]
}

/// The kernel's name of an algorithm, given vSphere's name.
pub(crate) fn congestion_control(name: &str) -> &str {
    if name == "newreno" { "reno" } else { name }
}

/// The algorithms that namespaces may use: a setting of the whole Linux system, not of a namespace.
const ALLOWED: &str = "/proc/sys/net/ipv4/tcp_allowed_congestion_control";

/// Allows an algorithm in all namespaces. Only the initial namespace can do so: a host in a namespace of its own
/// cannot.
pub(crate) fn allow_congestion_control(algorithm: &str) -> io::Result<()> {
    let allowed = match fs::read_to_string(ALLOWED) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        read => read?,
    };
    match allowed_with(&allowed, algorithm) {
        None => Ok(()),
        Some(more) => fs::write(ALLOWED, more),
    }
}

/// The list with the algorithm added, unless it is there.
fn allowed_with(allowed: &str, algorithm: &str) -> Option<String> {
    let is_there = allowed.split_whitespace().any(|known| known == algorithm);
    (!is_there).then(|| format!("{} {algorithm}", allowed.trim()))
}

/// Sets the stack's algorithm.
pub(crate) fn set_congestion_control(algorithm: &str) -> Result<(), String> {
    set("ipv4/tcp_congestion_control", algorithm).map_err(|error| {
        format!(
            "{error}; load the kernel's {algorithm} and add it to net.ipv4.tcp_allowed_congestion_control"
        )
    })
}

/// Writes the settings that differ. A setting that the kernel lacks is skipped: it has no IPv6.
pub(crate) fn apply(settings: &[Setting]) -> Result<(), String> {
    settings.iter().try_for_each(|(name, value)| set(name, value))
}

/// Writes one setting.
pub(crate) fn set(name: &str, value: &str) -> Result<(), String> {
    let path = format!("/proc/sys/net/{name}");
    let is = match fs::read_to_string(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(format!("{path}: {error}")),
        Ok(is) => is,
    };
    if is.trim() == value {
        return Ok(());
    }
    fs::write(&path, value).map_err(|error| format!("{path} to {value}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_algorithm_is_allowed_beside_those_that_are() {
        assert_eq!(allowed_with("reno bbr\n", "cubic").as_deref(), Some("reno bbr cubic"));
        assert_eq!(allowed_with("reno cubic\n", "cubic"), None);
    }
}
