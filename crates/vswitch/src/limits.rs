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
/// MTU of the switch's own interfaces, which what needs something of them passes: the largest of a port, and room for headers.
pub const OWN_MTU: u32 = MAX_MTU + 256;
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
/// Lowest rate of traffic shaping in bits per second.
pub const MIN_RATE: u64 = 1_000;
/// Highest rate of traffic shaping in bits per second.
pub const MAX_RATE: u64 = 100_000_000_000;
/// Longest that traffic shaping delays a frame …
pub const QUEUE_TIME: Duration = Duration::from_millis(50);
/// … or as long as so many bytes take, whichever is more.
pub const QUEUE_BYTES: u64 = 128 << 10;
/// Port mirroring sessions of one host.
pub const MIRRORS: usize = 128;
/// Destinations of one session. Times the sessions it equals `MAX_MIRRORS` of the layout.
pub const MIRROR_DESTINATIONS: usize = 8;
/// Least that a mirror keeps of a frame, in bytes (vSphere).
pub const MIRROR_LENGTH: u32 = 60;
