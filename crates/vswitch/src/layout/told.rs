//! The reports of the programs to the control plane: IGMP and MLD messages, stations behind uplinks, and flows.

/// The head of an entry of the ring `heard`; the bytes of the IGMP or MLD message follow.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Heard {
    /// On the monotonic clock.
    pub time_ns: u64,
    pub number: u32,
    pub taken: u32,
    pub vlan: u16,
    pub reserved: u16,
    pub reserved2: u32,
}

impl Heard {
    /// Reads an entry of the ring: the head and the bytes that follow. `None` if it is too short.
    pub fn read(entry: &[u8]) -> Option<(Self, &[u8])> {
        let (time, rest) = entry.split_first_chunk::<8>()?;
        let (number, rest) = rest.split_first_chunk::<4>()?;
        let (taken, rest) = rest.split_first_chunk::<4>()?;
        let (vlan, rest) = rest.split_first_chunk::<2>()?;
        let (_reserved, bytes) = rest.split_first_chunk::<6>()?;
        let head = Self {
            time_ns: u64::from_ne_bytes(*time),
            number: u32::from_ne_bytes(*number),
            taken: u32::from_ne_bytes(*taken),
            vlan: u16::from_ne_bytes(*vlan),
            ..Self::default()
        };
        // The ring rounds lengths up.
        bytes.get(..head.taken as usize).map(|bytes| (head, bytes))
    }
}

/// The one value of `listening`.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Listening {
    /// Messages for which the ring had no room.
    pub lost: u64,
    /// Messages beyond one port's limit.
    pub ignored: u64,
}

/// Bytes that are reported of an ARP frame: all of it but the padding.
pub const SIGHTED_FRAME: usize = 42;

/// An entry of the ring `sightings`: a broadcast or multicast ARP frame that arrived at an uplink.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sighted {
    /// The uplink's.
    pub ifindex: u32,
    /// 0 for none.
    pub vlan: u16,
    /// Without its tag.
    pub frame: [u8; SIGHTED_FRAME],
}

impl Default for Sighted {
    fn default() -> Self {
        Self { ifindex: 0, vlan: 0, frame: [0; SIGHTED_FRAME] }
    }
}

impl Sighted {
    /// Reads an entry of the ring. `None` if it is too short.
    pub fn read(entry: &[u8]) -> Option<Self> {
        let (ifindex, rest) = entry.split_first_chunk::<4>()?;
        let (vlan, rest) = rest.split_first_chunk::<2>()?;
        let (ifindex, vlan) = (u32::from_ne_bytes(*ifindex), u16::from_ne_bytes(*vlan));
        Some(Self { ifindex, vlan, frame: *rest.first_chunk()? })
    }
}

/// The address family of flows whose IPv4 addresses are in the first four bytes.
pub const FAMILY_V4: u8 = 4;
pub const FAMILY_V6: u8 = 6;
/// A FIN or RST was seen.
pub const FLOW_ENDS: u32 = 1 << 0;
/// Only flows between two ports of this host.
pub const WATCH_INTERNAL: u32 = 1 << 0;

/// Key of `flows`.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct FlowKey {
    pub source: [u8; 16],
    pub destination: [u8; 16],
    /// The port whose flows are counted.
    pub number: u32,
    /// The port at the other end, plus one; 0 if unknown.
    pub other: u32,
    pub source_port: u16,
    pub destination_port: u16,
    pub vlan: u16,
    pub protocol: u8,
    pub class: u8,
    pub family: u8,
    pub way: u8,
    /// The turn (0 or 1): one is filled while the other is read.
    pub turn: u8,
    pub reserved: u8,
}

/// Value of `flows`.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Flow {
    pub packets: u64,
    pub octets: u64,
    /// On the monotonic clock.
    pub first_ns: u64,
    pub last_ns: u64,
    pub flags: u32,
    pub reserved: u32,
}

/// Value of `watches`, by the number of a port.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Watch {
    pub every: u32,
    pub flags: u32,
}

/// Value of `watched_by`, by the number of a port.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Watched {
    pub seen: [u64; 2],
    pub lost: u64,
    pub window_ns: u64,
    pub flows: u64,
}

// SAFETY: as in the parent module, whose test covers these too.
unsafe impl aya::Pod for Listening {}
// SAFETY: as above.
unsafe impl aya::Pod for FlowKey {}
// SAFETY: as above.
unsafe impl aya::Pod for Flow {}
// SAFETY: as above.
unsafe impl aya::Pod for Watch {}
// SAFETY: as above.
unsafe impl aya::Pod for Watched {}
