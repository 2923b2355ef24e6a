//! The named limits of a host's network; those of the data plane are in `vswitch::limits`.

/// Longest name of a network interface (`IFNAMSIZ` less its terminator).
pub(crate) const MAX_INTERFACE: usize = 15;
/// Longest name of a standard switch, as ESXi has it.
pub(crate) const SWITCH_NAME: usize = 31;
/// Longest name of a port group, as ESXi has it.
pub(crate) const GROUP_NAME: usize = 80;
/// Longest name of a mirroring session.
pub(crate) const MIRROR_NAME: usize = 80;
/// Most standard switches of a host.
pub(crate) const MOST_SWITCHES: usize = 127;
/// Most ports of a switch, as ESXi has it.
pub(crate) const MOST_PORTS: i32 = 4088;
/// Most port groups of a switch, as ESXi shows it.
pub(crate) const MOST_GROUPS: i32 = 512;
/// Most name servers. (glibc asks the first three.)
pub(crate) const MOST_SERVERS: usize = 16;
/// Most domains that are searched.
pub(crate) const MOST_DOMAINS: usize = 32;
/// Longest part of a name between dots.
pub(crate) const LABEL: usize = 63;
/// Longest name of a Linux system.
pub(crate) const HOST_NAME: usize = 64;
/// Network cards that a host remembers, also those that were taken out.
pub(crate) const MOST_CARDS: usize = 1024;
