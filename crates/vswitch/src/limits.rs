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
/// MTU of the switch's internal interfaces: the largest of a port, plus room for headers.
pub const OWN_MTU: u32 = MAX_MTU + 256;
/// Broadcast and multicast frames that a port may send in 100 ms.
pub const STORM_FRAMES: u16 = 1000;
/// Commands waiting for the engine.
pub const COMMANDS: usize = 64;
/// Longest name of a network interface (`IFNAMSIZ` less its terminator).
pub const INTERFACE_NAME: usize = 15;
/// How long the engine waits for an answer over netlink.
pub const NETLINK: Duration = Duration::from_secs(5);
/// How many times a starting engine asks: a booting host may be busy with its network for a minute.
pub const NETLINK_TRIES: u32 = 12;
/// VMkernel adapters of one host, as on ESXi.
pub const ADAPTERS: usize = 256;
/// TCP/IP stacks of one host.
pub const STACKS: usize = 32;
/// Declared routes of one TCP/IP stack.
pub const ROUTES: usize = 256;
/// Declared IPv6 addresses of one adapter.
pub const ADDRESSES: usize = 64;
/// Longest name of a TCP/IP stack, in bytes.
pub const STACK_NAME: usize = 32;
/// Longest host prefix (see `Options::prefix`), in bytes.
pub const HOST_PREFIX: usize = 64;
/// Name servers that are kept of a DHCP lease.
pub const DHCP_SERVERS: usize = 16;
/// Longest domain name, in bytes.
pub const DOMAIN_NAME: usize = 253;
/// Largest frame that the DHCP client accepts, in bytes.
pub const DHCP_FRAME: usize = 2048;
/// Largest message that the DHCPv6 client accepts, in bytes.
pub const DHCP6_MESSAGE: usize = 2048;
/// Addresses that are read of one DHCPv6 message.
pub const DHCP6_ADDRESSES: usize = 16;
/// Search domains that are kept of a DHCPv6 lease.
pub const DHCP6_DOMAINS: usize = 16;
/// How long a DHCP client may take to release its lease when its adapter is removed.
pub const DHCP_RELEASE: Duration = Duration::from_secs(1);
/// Elements that are read of one LLDP or CDP frame.
pub const DISCOVERY_TLVS: usize = 64;
/// Addresses that are read of one list in a CDP frame.
pub const DISCOVERY_ADDRESSES: usize = 16;
/// Bytes of a text that are read of one LLDP or CDP frame; an LLDP element has no more.
pub const DISCOVERY_TEXT: usize = 511;
/// Remembered neighbours of one uplink, both protocols together.
pub const NEIGHBOURS: usize = 8;
/// How often the host announces itself: *msgTxInterval* (IEEE 802.1AB, 9.2.5.7), and the interval of Cisco's devices.
pub const LLDP_INTERVAL: Duration = Duration::from_secs(30);
pub const CDP_INTERVAL: Duration = Duration::from_secs(60);
/// How many seconds a neighbour remembers the host: until it misses the fourth LLDP or the third CDP frame.
pub const LLDP_TTL_S: u16 = 120;
pub const CDP_TTL_S: u16 = 180;
/// Largest frame that the control plane reads from an uplink, in bytes.
pub const CONTROL_FRAME: usize = 2048;
/// Frames from all uplinks that wait for the control plane.
pub const CONTROL_FRAMES: usize = 64;
/// After this many frames a socket pauses for this long, so that no sender can keep the engine busy.
pub const CONTROL_BURST: u32 = 64;
pub const CONTROL_PAUSE: Duration = Duration::from_millis(10);
/// VLANs of one switch in which beacons are sent.
pub const BEACON_VLANS: usize = 64;
/// Bytes that a capture keeps of a frame: the largest that segmentation offload makes.
pub const CAPTURE_SNAP: u32 = 65_550;
/// Bytes of a name or a comment in a capture.
pub const CAPTURE_TEXT: usize = 1024;
/// How often an uplink sends a beacon (vSphere).
pub const BEACON_INTERVAL: Duration = Duration::from_secs(1);
/// An uplink that receives no beacon for this long counts as isolated: three beacons (vSphere).
pub const BEACON_LOST: Duration = Duration::from_secs(3);
/// Group records that are read of one IGMP or MLD report: more than fit in a frame of [`MAX_MTU`].
pub const SNOOP_RECORDS: usize = 1200;
/// Groups that one port may join, all VLANs together.
pub const SNOOP_GROUPS_PER_PORT: usize = 256;
/// Memberships of all ports of a host.
pub const SNOOP_GROUPS: usize = 16_384;
/// Remembered queriers of all switches and VLANs.
pub const SNOOP_QUERIERS: usize = 8192;
/// Life of a membership that is not repeated: *group membership interval* (RFC 3376, 8.4; RFC 3810, 9.4).
pub const SNOOP_MEMBER: Duration = Duration::from_secs(260);
/// Life of a membership after a leave: *last member query time* (RFC 3376, 8.10; RFC 3810, 9.10).
pub const SNOOP_LEAVE: Duration = Duration::from_secs(2);
/// Life of a silent querier: *other querier present interval* (RFC 3376, 8.5; RFC 3810, 9.5).
pub const SNOOP_QUERIER: Duration = Duration::from_secs(255);
/// Member lists of a host. Equals `MAX_GROUPS` of the layout.
pub const GROUPS: usize = 16_384;
/// Members of all lists of a host. Equals `MAX_MEMBERS` of the layout.
pub const MEMBERS: usize = 262_144;
/// How long multicast filters hold unless the engine extends them, which it does every [`BEAT`].
pub const FILTERS_HOLD: Duration = Duration::from_secs(4);
/// How often the engine looks for memberships and flows that have ended.
pub const BEAT: Duration = Duration::from_secs(1);
/// Shortest time between two changes of the filters: all messages in between make one change.
pub const SNOOP_PAUSE: Duration = Duration::from_millis(300);
/// … or this many times as long as the last change took, but no longer than [`SNOOP_LONGEST_PAUSE`].
pub const SNOOP_REST: u32 = 4;
pub const SNOOP_LONGEST_PAUSE: Duration = Duration::from_secs(3);
/// IGMP and MLD messages that the engine reads before it turns to other work.
pub const SNOOP_BATCH: usize = 64;
/// Most portions in a full ring: 1 MiB of entries of 64 bytes.
pub const SNOOP_PORTIONS: usize = (1 << 20) / 64 / SNOOP_BATCH;
/// How long hosts may take to answer a query that does not state it (RFC 3376, 8.3).
pub const SNOOP_RESPONSE: Duration = Duration::from_secs(10);
/// How much later an answer may arrive.
pub const SNOOP_LATE: Duration = Duration::from_secs(1);
/// Flows in progress.
pub const IPFIX_FLOWS: usize = 65_536;
/// Records that wait to be exported.
pub const IPFIX_PENDING: usize = 8192;
/// Bytes of a message that holds the templates, and any record.
pub const IPFIX_SMALLEST: usize = 512;
/// Bytes of a message to a collector behind an MTU of [`MAX_MTU`], with the headers of IPv6 and UDP.
pub const IPFIX_LARGEST: usize = 8952;
/// Bytes of a message for a collector anywhere: the least MTU of IPv6 less its header and that of UDP.
pub const IPFIX_MESSAGE: usize = 1232;
/// How long a batch of records may take to leave. The rest is lost.
pub const IPFIX_SEND: Duration = Duration::from_millis(500);
/// Longest time that a running program takes to finish counting; it needs microseconds.
pub const IPFIX_GRACE: Duration = Duration::from_millis(20);
/// How often templates are repeated: three times in the shortest life that collectors give them (RFC 7011, 10.3.6 and
/// 10.3.7).
pub const IPFIX_TEMPLATES: Duration = Duration::from_secs(600);
/// Lowest rate of traffic shaping in bits per second.
pub const MIN_RATE: u64 = 1_000;
/// Highest rate of traffic shaping in bits per second.
pub const MAX_RATE: u64 = 100_000_000_000;
/// Longest delay of a frame by traffic shaping …
pub const QUEUE_TIME: Duration = Duration::from_millis(50);
/// … or the time that this many bytes take, whichever is longer.
pub const QUEUE_BYTES: u64 = 128 << 10;
/// Port mirroring sessions of one host.
pub const MIRRORS: usize = 128;
/// Destinations of one session. Times the sessions it equals `MAX_MIRRORS` of the layout.
pub const MIRROR_DESTINATIONS: usize = 8;
/// Shortest length to which a mirror cuts frames, in bytes (vSphere).
pub const MIRROR_LENGTH: u32 = 60;
/// MACs that one port may learn (vSphere).
pub const LEARNED_BY_PORT: u32 = 4096;
/// MACs that all ports of a host learn. Equals `MAX_LEARNED` of the layout.
pub const LEARNED: usize = 262_144;
/// Learned MACs that one call to the kernel looks at, to forget what is old: no packet passes its processor meanwhile. Equals
/// `MAX_SWEPT` of the layout.
pub const LEARNED_BATCH: usize = 256;
/// Portions of learned MACs that wait for the engine.
pub const LEARNED_PORTIONS: usize = 2;
/// How long a change of learning ports waits until MACs that no longer belong to their ports are forgotten; the rest
/// follows later.
pub const LEARNED_WAIT: Duration = Duration::from_millis(100);
/// A learned MAC that sends nothing for this long is forgotten (vSphere).
pub const LEARNED_AGE: Duration = Duration::from_secs(300);
/// Learned MACs that are announced when ports change uplinks; the engine does nothing else meanwhile.
pub const LEARNED_LOOK: usize = 16_384;
pub const LEARNED_NOTICES: usize = 1024;
/// How long an uplink must be up before it is used again (vSphere).
pub const UP_DELAY: Duration = Duration::from_millis(100);
/// Load balancing: how long loads are added up before ports are moved, the load of a link that is too much (vSphere),
/// in millionths …
pub const LOAD_WINDOW: Duration = Duration::from_secs(30);
pub const LOAD_TOO_MUCH: u64 = 750_000;
/// … the assumed speed of a link that does not report its own, in bits per second …
pub const LOAD_SPEED: u64 = 10_000_000_000;
/// … and the most ports that move at once.
pub const LOAD_MOVES: usize = 8;
/// Captures at one time. Equals `MAX_CAPTURES` of the layout.
pub const CAPTURES: usize = 8;
/// Most bytes that a capture takes of a frame. Equals `MAX_SNAP` of the layout.
pub const CAPTURE_LENGTH: u32 = 9216;
/// Frames that wait for a capture's reader.
pub const CAPTURE_FRAMES: usize = 1024;
/// Frames that the engine hands to captures before it turns to other work.
pub const CAPTURE_BATCH: usize = 256;
/// Bytes that are read of an ARP frame.
pub const ARP_FRAME: usize = 64;
/// Blocks of addresses observed in one VLAN of an uplink, and VLANs of one uplink in which any are.
pub const OBSERVED_BLOCKS: usize = 16;
pub const OBSERVED_VLANS: usize = 256;
/// How long a block is shown after it was last observed.
pub const OBSERVED_AGE: Duration = Duration::from_secs(3600);
/// How often observations are read, and how many at once: the ring holds no more.
pub const OBSERVED_PAUSE: Duration = Duration::from_secs(1);
pub const OBSERVED_BATCH: usize = (16 << 10) / 56;
