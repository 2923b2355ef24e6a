//! Every bound of the crate in one place. The sizes of the kernel's maps are in `bpf/layout.h`.

use std::time::Duration;

/// Ports of one host, uplinks included. Equals `MAX_PORTS` of the layout.
pub const PORTS: usize = 4096;
/// Port groups of one host, each a team. Equals `MAX_TEAMS` of the layout.
pub const PORT_GROUPS: usize = 1024;
/// Uplinks of one switch, as on ESXi.
pub const UPLINKS: usize = 32;
/// Smallest MTU of a switch (vSphere).
pub const MIN_MTU: u32 = 1280;
/// Largest MTU of a switch (vSphere).
pub const MAX_MTU: u32 = 9000;
/// Frames to groups (broadcast and multicast) that a port may send in 100 ms.
pub const STORM_FRAMES: u16 = 1000;
/// Commands waiting for the engine.
pub const COMMANDS: usize = 64;
/// Longest name of a network interface (`IFNAMSIZ` less its terminator).
pub const INTERFACE_NAME: usize = 15;
/// For the kernel to answer over netlink.
pub const NETLINK: Duration = Duration::from_secs(5);
/// VMkernel adapters of one host, as on ESXi.
pub const ADAPTERS: usize = 256;
/// TCP/IP stacks of one host.
pub const STACKS: usize = 32;
/// Routes of one TCP/IP stack that are declared.
pub const ROUTES: usize = 256;
/// IPv6 addresses of one adapter that are declared.
pub const ADDRESSES: usize = 64;
/// Longest name of a TCP/IP stack, in bytes.
pub const STACK_NAME: usize = 32;
/// Longest name of a host among those of one machine, in bytes.
pub const HOST_PREFIX: usize = 64;
/// Name servers of a DHCP lease that are kept.
pub const DHCP_SERVERS: usize = 16;
/// Longest domain name, in bytes.
pub const DOMAIN_NAME: usize = 253;
/// Largest frame that the DHCP client takes, in bytes.
pub const DHCP_FRAME: usize = 2048;
/// For a DHCP client to give its lease back when its adapter goes.
pub const DHCP_RELEASE: Duration = Duration::from_secs(1);
