//! Keys and values of the maps, as defined in `bpf/layout.h`. No struct has padding, so that values can be compared and
//! passed as bytes.
//!
//! Unsafe for `aya::Pod`, which asserts exactly that: each struct is `repr(C)` and made of integers only, and a test
//! compares its size and offsets with those that a C compiler gives the header.
#![allow(unsafe_code)]

mod told;

pub use told::*;

/// Version of the layout: maps of another version are left alone.
pub const LAYOUT: u32 = 7;
/// Slots of a team.
pub const TEAM_SLOTS: usize = 32;
/// VLAN of a port that takes every tag.
pub const VLAN_TRUNK: u16 = 4095;
/// VLAN of a key that stands for every VLAN.
pub const VLAN_ANY: u16 = 4096;

pub const PORT_BLOCKED: u32 = 1 << 0;
pub const PORT_FORGED: u32 = 1 << 1;
pub const PORT_DEAF: u32 = 1 << 2;
pub const PORT_SNOOPED: u32 = 1 << 3;
pub const PORT_TEAMED: u32 = 1 << 4;
pub const PORT_UPLINK: u32 = 1 << 5;
/// In a port: its sent frames are shaped. In a target: its received frames are.
pub const PORT_SHAPED: u32 = 1 << 6;
/// In a port: its sent frames are mirrored. In a target: its received frames. In an uplink: the frames that arrive in
/// some VLAN.
pub const PORT_MIRRORED: u32 = 1 << 7;
/// A capture looks at its frames.
pub const PORT_CAPTURED: u32 = 1 << 8;
/// It accepts only some VLANs.
pub const PORT_RANGES: u32 = 1 << 9;
/// The control plane hears its IGMP and MLD messages, and groups are filtered.
pub const PORT_LISTENED: u32 = 1 << 10;
/// Its flows are counted.
pub const PORT_WATCHED: u32 = 1 << 11;
/// It learns MACs.
pub const PORT_LEARNS: u32 = 1 << 12;
/// A port of its switch learns MACs.
pub const PORT_LEARNED: u32 = 1 << 13;
/// Words of a set of VLANs.
pub const VLAN_WORDS: usize = 64;

/// Points of a port or an uplink: entering the switch, leaving it, and dropped in between.
pub const POINT_FROM: u32 = 0;
pub const POINT_TO: u32 = 1;
pub const POINT_DROPPED: u32 = 2;
/// Set in the tag field of a frame that has a tag.
pub const CAPTURED_TAG: u32 = 0x1_0000;

/// As a direction: sent by a port's owner.
pub const WAY_FROM: u32 = 0;
/// As a direction: received by a port's owner.
pub const WAY_TO: u32 = 1;
/// As a direction: arriving at an uplink in a VLAN.
pub const WAY_VLAN: u32 = 2;

/// Most mirrors of one source.
pub const MAX_COPIES: usize = 8;
pub const ENCAPSULATE_NOT: u8 = 0;
pub const ENCAPSULATE_GRE: u8 = 1;
pub const ENCAPSULATE_ERSPAN2: u8 = 2;
pub const ENCAPSULATE_ERSPAN3: u8 = 3;
pub const MIRROR_STRIP: u32 = 1 << 0;
pub const MIRROR_ENTER: u32 = 1 << 1;
pub const MIRROR_FINE_TIME: u32 = 1 << 2;
pub const MIRROR_TEAMED: u32 = 1 << 3;

/// Costs are in nanoseconds per byte, times 2 to the power of this.
pub const COST_SHIFT: u32 = 16;
/// Marks of frames on the switch's internal interfaces: the mask of the kind, and the kind of a delayed frame.
pub const MARK_KIND: u32 = 0xff00_0000;
pub const MARK_QUEUED: u32 = 0xe500_0000;
/// The kind of a mirror's copy, and the bit that is added for a frame that the port received.
pub const MARK_COPY: u32 = 0xe600_0000;
pub const MARK_COPY_TO: u32 = 0x0080_0000;
/// Class of a bucket's queue: this plus the bucket's place.
pub const QUEUE_MAJOR: u32 = 0x1_0000;
pub const QUEUE_FIRST: u32 = 1;

pub const HASH_PORT: u8 = 0;
pub const HASH_SOURCE_MAC: u8 = 1;
pub const HASH_IP: u8 = 2;

/// Value of `ports`, whose key is an ifindex.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Port {
    /// Place in `counters` and `storms`.
    pub number: u32,
    /// Number of the switch.
    pub network: u32,
    /// Key of `teams`.
    pub team: u32,
    pub flags: u32,
    /// In bytes, without the Ethernet header.
    pub mtu: u32,
    pub vlan: u16,
    pub mac: [u8; 6],
    pub hashing: u8,
    pub slot: u8,
    /// Broadcast and multicast frames per window; 0 for no limit.
    pub storm_limit: u16,
}

/// Key of `stations` and `groups`.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct StationKey {
    pub network: u32,
    pub vlan: u16,
    pub mac: [u8; 6],
}

/// Value of `stations` and `members`.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Target {
    pub ifindex: u32,
    pub number: u32,
    pub flags: u32,
    pub team: u32,
    pub vlan: u16,
    pub slot: u8,
    pub hashing: u8,
}

/// Value of `groups`.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Group {
    pub list: u32,
    /// Members that receive untagged frames come first in the list.
    pub untagged: u32,
    pub tagged: u32,
}

/// Key of `members`.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct MemberKey {
    pub list: u32,
    pub position: u32,
}

/// A slot of a team; ifindex 0 if empty.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Uplink {
    pub ifindex: u32,
    pub number: u32,
    pub flags: u32,
}

/// Value of `teams`.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Team {
    pub slot: [Uplink; TEAM_SLOTS],
}

/// Why a frame was dropped, in the order of `enum drop`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Drop {
    NoPort,
    Blocked,
    Forged,
    Tagged,
    Oversize,
    Malformed,
    Control,
    Storm,
    Shaped,
    Reflection,
    Unknown,
    NoUplink,
    Deaf,
    Send,
    /// From a MAC that the port's limit does not let it learn.
    Unlearned,
}

impl Drop {
    /// By its number in the maps.
    pub fn from_number(number: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| *reason as u32 == number)
    }

    pub const ALL: [Self; 15] = [
        Self::NoPort,
        Self::Blocked,
        Self::Forged,
        Self::Tagged,
        Self::Oversize,
        Self::Malformed,
        Self::Control,
        Self::Storm,
        Self::Shaped,
        Self::Reflection,
        Self::Unknown,
        Self::NoUplink,
        Self::Deaf,
        Self::Send,
        Self::Unlearned,
    ];
}

/// Value of `counters`, for one processor. `from` counts frames that the port's owner sent.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    pub from_packets: u64,
    pub from_bytes: u64,
    pub from_multicast: u64,
    pub from_broadcast: u64,
    pub to_packets: u64,
    pub to_bytes: u64,
    pub to_multicast: u64,
    pub to_broadcast: u64,
    pub drops: [u64; Drop::ALL.len()],
}

impl Counters {
    /// How many frames were dropped for this reason.
    pub fn dropped(&self, reason: Drop) -> u64 {
        self.drops[reason as usize]
    }

    pub(super) fn add(&mut self, other: &Self) {
        self.from_packets += other.from_packets;
        self.from_bytes += other.from_bytes;
        self.from_multicast += other.from_multicast;
        self.from_broadcast += other.from_broadcast;
        self.to_packets += other.to_packets;
        self.to_bytes += other.to_bytes;
        self.to_multicast += other.to_multicast;
        self.to_broadcast += other.to_broadcast;
        for (mine, theirs) in self.drops.iter_mut().zip(other.drops) {
            *mine += theirs;
        }
    }
}

/// Value of `storms`.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Storm {
    pub window_ns: u64,
    pub frames: u64,
}

/// A port's number and a direction. The place in `shapers` and `buckets` is twice the number plus the direction.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct WayKey {
    pub number: u32,
    pub way: u32,
}

/// Value of `shapers`, by place.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Shaper {
    pub average_cost: u64,
    /// How far ahead the average may be used up.
    pub average_ahead_ns: u64,
    pub peak_cost: u64,
    pub peak_ahead_ns: u64,
    /// The interface with the queues; 0 if it does not exist.
    pub queue: u32,
    /// The port's interface.
    pub ifindex: u32,
}

/// Key of `sources`: the number of a port or of a network, and a direction.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct SourceKey {
    pub of: u32,
    pub vlan: u16,
    pub way: u16,
}

/// Value of `sources`.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Copies {
    /// The interface that copies are sent to.
    pub ifindex: u32,
    pub count: u32,
    pub mirror: [u32; MAX_COPIES],
}

/// Value of `mirrors`: one destination of a session.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Mirror {
    pub ifindex: u32,
    pub flags: u32,
    /// One frame in this many is copied.
    pub every: u32,
    /// Bytes that are kept, 0 for all.
    pub snap: u32,
    pub team: u32,
    /// The copy's tag, 0 for none.
    pub vlan: u16,
    pub session: u16,
    pub encapsulation: u8,
    pub class_of_service: u8,
    pub slot: u8,
    pub reserved: u8,
    pub source_ip: [u8; 4],
    pub destination_ip: [u8; 4],
    pub source: [u8; 6],
    pub next_hop: [u8; 6],
}

/// Value of `mirrored_by`.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Mirrored {
    pub seen: u64,
    pub sent: u64,
}

/// Value of `trunks`: a bit for each VLAN.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trunk {
    pub vlans: [u64; VLAN_WORDS],
}

impl Default for Trunk {
    fn default() -> Self {
        Self { vlans: [0; VLAN_WORDS] }
    }
}

/// Key of `captures`: the number of a port or an uplink.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct PointKey {
    pub number: u32,
    pub point: u32,
}

/// Value of `captures`.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Capture {
    /// A bit for each capture.
    pub captures: u32,
    pub snap: u32,
}

/// The head of an entry of the ring `captured`; the frame's bytes follow.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Captured {
    /// On the monotonic clock.
    pub time_ns: u64,
    pub captures: u32,
    pub number: u32,
    pub point: u32,
    pub reason: u32,
    pub length: u32,
    pub taken: u32,
    pub tag: u32,
    pub reserved: u32,
}

impl Captured {
    /// Reads an entry of the ring: the head and the bytes that follow. `None` if it is too short.
    pub fn read(entry: &[u8]) -> Option<(Self, &[u8])> {
        let (time, rest) = entry.split_first_chunk::<8>()?;
        let (words, bytes) = rest.split_at_checked(8 * 4)?;
        let word = |at: usize| u32::from_ne_bytes(std::array::from_fn(|byte| words[4 * at + byte]));
        let head = Self {
            time_ns: u64::from_ne_bytes(*time),
            captures: word(0),
            number: word(1),
            point: word(2),
            reason: word(3),
            length: word(4),
            taken: word(5),
            tag: word(6),
            reserved: word(7),
        };
        // The ring rounds lengths up.
        bytes.get(..head.taken as usize).map(|bytes| (head, bytes))
    }
}

/// At its limit, a learner drops frames from unknown MACs.
pub const LEARNER_DROPS: u32 = 1 << 0;

/// Value of `learners`, by the number of a port that learns.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Learner {
    /// The target of frames to its MACs.
    pub target: Target,
    pub network: u32,
    /// The most MACs that it may learn.
    pub limit: u32,
    pub flags: u32,
}

/// Value of `learned`, whose key is a [`StationKey`].
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Learned {
    /// The interface in the upper half, the number of the port in the lower; 0 while the entry is being removed.
    pub owner: u64,
    /// On the monotonic clock.
    pub seen_ns: u64,
}

impl Learned {
    /// The interface of the port that has this MAC.
    pub fn ifindex(&self) -> u32 {
        u32::try_from(self.owner >> 32).expect("has 32 bits")
    }
}

/// Value of `buckets`, by place.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Bucket {
    /// Frames in the queue.
    pub queued: u32,
    pub reserved: u32,
    pub average_ns: u64,
    pub peak_ns: u64,
}

// SAFETY: each is `repr(C)` and made of integers without padding; the test below checks it.
unsafe impl aya::Pod for Port {}
// SAFETY: as above.
unsafe impl aya::Pod for StationKey {}
// SAFETY: as above.
unsafe impl aya::Pod for Target {}
// SAFETY: as above.
unsafe impl aya::Pod for Group {}
// SAFETY: as above.
unsafe impl aya::Pod for MemberKey {}
// SAFETY: as above.
unsafe impl aya::Pod for Team {}
// SAFETY: as above.
unsafe impl aya::Pod for Counters {}
// SAFETY: as above.
unsafe impl aya::Pod for Storm {}
// SAFETY: as above.
unsafe impl aya::Pod for WayKey {}
// SAFETY: as above.
unsafe impl aya::Pod for Shaper {}
// SAFETY: as above.
unsafe impl aya::Pod for Bucket {}
// SAFETY: as above.
unsafe impl aya::Pod for SourceKey {}
// SAFETY: as above.
unsafe impl aya::Pod for Copies {}
// SAFETY: as above.
unsafe impl aya::Pod for Mirror {}
// SAFETY: as above.
unsafe impl aya::Pod for Mirrored {}
// SAFETY: as above.
unsafe impl aya::Pod for Trunk {}
// SAFETY: as above.
unsafe impl aya::Pod for Learner {}
// SAFETY: as above.
unsafe impl aya::Pod for Learned {}
// SAFETY: as above.
unsafe impl aya::Pod for PointKey {}
// SAFETY: as above.
unsafe impl aya::Pod for Capture {}

#[cfg(test)]
mod tests {
    use super::*;
    use std::mem::{offset_of, size_of};
    use std::process::Command;

    macro_rules! fields {
        ($asserts:ident, $rust:ident, $c:literal: $($field:ident),+) => {
            let mut covered = 0;
            $(
                $asserts.push_str(&format!(
                    "_Static_assert(__builtin_offsetof({}, {}) == {}, \"{}\");\n",
                    $c, stringify!($field), offset_of!($rust, $field), stringify!($field),
                ));
                covered += { let value = $rust::default(); std::mem::size_of_val(&value.$field) };
            )+
            assert_eq!(covered, size_of::<$rust>(), "{} has holes", $c);
            $asserts.push_str(&format!("_Static_assert(sizeof({}) == {}, \"{}\");\n", $c, size_of::<$rust>(), $c));
        };
    }

    #[test]
    fn the_layout_is_that_of_the_header() {
        let mut c = String::from("#include \"layout.h\"\n");
        fields!(c, Port, "struct port": number, network, team, flags, mtu, vlan, mac, hashing, slot, storm_limit);
        fields!(c, StationKey, "struct station_key": network, vlan, mac);
        fields!(c, Target, "struct target": ifindex, number, flags, team, vlan, slot, hashing);
        fields!(c, Group, "struct group": list, untagged, tagged);
        fields!(c, MemberKey, "struct member_key": list, position);
        fields!(c, Uplink, "struct uplink": ifindex, number, flags);
        fields!(c, Team, "struct team": slot);
        fields!(c, Counters, "struct counters": from_packets, from_bytes, from_multicast, from_broadcast,
            to_packets, to_bytes, to_multicast, to_broadcast, drops);
        fields!(c, Shaper, "struct shaper": average_cost, average_ahead_ns, peak_cost,
            peak_ahead_ns, queue, ifindex);
        fields!(c, Bucket, "struct bucket": queued, reserved, average_ns, peak_ns);
        fields!(c, SourceKey, "struct source_key": of, vlan, way);
        fields!(c, Copies, "struct copies": ifindex, count, mirror);
        fields!(c, Mirror, "struct mirror": ifindex, flags, every, snap, team, vlan, session, encapsulation,
            class_of_service, slot, reserved, source_ip, destination_ip, source, next_hop);
        fields!(c, Mirrored, "struct mirrored": seen, sent);
        fields!(c, Trunk, "struct trunk": vlans);
        fields!(c, PointKey, "struct point_key": number, point);
        fields!(c, Capture, "struct capture": captures, snap);
        fields!(c, Captured, "struct captured": time_ns, captures, number, point, reason, length, taken, tag, reserved);
        fields!(c, Learner, "struct learner": target, network, limit, flags);
        fields!(c, Learned, "struct learned": owner, seen_ns);
        fields!(c, Storm, "struct storm": window_ns, frames);
        fields!(c, Heard, "struct heard": time_ns, number, taken, vlan, reserved, reserved2);
        fields!(c, Sighted, "struct sighted": ifindex, vlan, frame);
        fields!(c, Listening, "struct listening": lost, ignored);
        fields!(c, FlowKey, "struct flow_key": source, destination, number, other, source_port, destination_port,
            vlan, protocol, class, family, way, turn, reserved);
        fields!(c, Flow, "struct flow": packets, octets, first_ns, last_ns, flags, reserved);
        fields!(c, Watch, "struct watch": every, flags);
        fields!(c, Watched, "struct watched": seen, lost, window_ns, flows);
        for (name, value) in [
            ("LAYOUT", LAYOUT as usize),
            ("TEAM_SLOTS", TEAM_SLOTS),
            ("VLAN_TRUNK", VLAN_TRUNK.into()),
            ("VLAN_ANY", VLAN_ANY.into()),
            ("MAX_PORTS", crate::limits::PORTS),
            ("MAX_TEAMS", crate::limits::PORT_GROUPS),
            ("PORT_BLOCKED", PORT_BLOCKED as usize),
            ("PORT_FORGED", PORT_FORGED as usize),
            ("PORT_DEAF", PORT_DEAF as usize),
            ("PORT_SNOOPED", PORT_SNOOPED as usize),
            ("PORT_TEAMED", PORT_TEAMED as usize),
            ("PORT_UPLINK", PORT_UPLINK as usize),
            ("PORT_SHAPED", PORT_SHAPED as usize),
            ("WAY_FROM", WAY_FROM as usize),
            ("WAY_TO", WAY_TO as usize),
            ("PORT_CAPTURED", PORT_CAPTURED as usize),
            ("PORT_RANGES", PORT_RANGES as usize),
            ("PORT_LISTENED", PORT_LISTENED as usize),
            ("PORT_WATCHED", PORT_WATCHED as usize),
            ("MAX_GROUPS", crate::limits::GROUPS),
            ("MAX_MEMBERS", crate::limits::MEMBERS),
            ("LISTEN_LIMIT", crate::limits::SNOOP_GROUPS_PER_PORT),
            ("SIGHTED_FRAME", SIGHTED_FRAME),
            ("FLOW_ENDS", FLOW_ENDS as usize),
            ("WATCH_INTERNAL", WATCH_INTERNAL as usize),
            ("PORT_LEARNS", PORT_LEARNS as usize),
            ("PORT_LEARNED", PORT_LEARNED as usize),
            ("LEARNER_DROPS", LEARNER_DROPS as usize),
            ("MAX_LEARNED", crate::limits::LEARNED),
            ("MAX_SWEPT", crate::limits::LEARNED_BATCH),
            ("DROP_UNLEARNED", Drop::Unlearned as usize),
            ("VLAN_WORDS", VLAN_WORDS),
            ("POINT_FROM", POINT_FROM as usize),
            ("POINT_TO", POINT_TO as usize),
            ("POINT_DROPPED", POINT_DROPPED as usize),
            ("CAPTURED_TAG", CAPTURED_TAG as usize),
            ("MAX_CAPTURES", crate::limits::CAPTURES),
            ("MAX_SNAP", crate::limits::CAPTURE_LENGTH as usize),
            ("PORT_MIRRORED", PORT_MIRRORED as usize),
            ("WAY_VLAN", WAY_VLAN as usize),
            ("MAX_COPIES", MAX_COPIES),
            ("ENCAPSULATE_NOT", ENCAPSULATE_NOT.into()),
            ("ENCAPSULATE_GRE", ENCAPSULATE_GRE.into()),
            ("ENCAPSULATE_ERSPAN2", ENCAPSULATE_ERSPAN2.into()),
            ("ENCAPSULATE_ERSPAN3", ENCAPSULATE_ERSPAN3.into()),
            ("MIRROR_STRIP", MIRROR_STRIP as usize),
            ("MIRROR_ENTER", MIRROR_ENTER as usize),
            ("MIRROR_FINE_TIME", MIRROR_FINE_TIME as usize),
            ("MIRROR_TEAMED", MIRROR_TEAMED as usize),
            ("MARK_COPY", MARK_COPY as usize),
            ("MARK_COPY_TO", MARK_COPY_TO as usize),
            ("MAX_MIRRORS", crate::limits::MIRRORS * crate::limits::MIRROR_DESTINATIONS),
            ("COST_SHIFT", COST_SHIFT as usize),
            ("MARK_KIND", MARK_KIND as usize),
            ("MARK_QUEUED", MARK_QUEUED as usize),
            ("QUEUE_MAJOR", QUEUE_MAJOR as usize),
            ("QUEUE_FIRST", QUEUE_FIRST as usize),
            ("HASH_SOURCE_MAC", HASH_SOURCE_MAC.into()),
            ("HASH_IP", HASH_IP.into()),
            ("DROP_NO_PORT", Drop::NoPort as usize),
            ("DROP_FORGED", Drop::Forged as usize),
            ("DROP_SHAPED", Drop::Shaped as usize),
            ("DROP_REFLECTION", Drop::Reflection as usize),
            ("DROP_SEND", Drop::Send as usize),
            ("DROP_REASONS", Drop::ALL.len()),
        ] {
            c.push_str(&format!("_Static_assert({name} == {value}, \"{name}\");\n"));
        }
        let room = tempfile::tempdir().unwrap();
        let source = room.path().join("layout.c");
        std::fs::write(&source, c).unwrap();
        let header = concat!(env!("CARGO_MANIFEST_DIR"), "/../../bpf");
        let include = format!("-I/usr/include/{}-linux-gnu", std::env::consts::ARCH);
        let output = Command::new("clang")
            .args(["-target", "bpf", "-fsyntax-only", &include, "-I", header])
            .arg(&source)
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}
