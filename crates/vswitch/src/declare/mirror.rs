//! Port mirroring sessions, as vSphere's `VMwareVspanSession` has them.

use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};

use crate::{Mac, VlanId};

/// A session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MirrorSession {
    /// Unique on the host, the same for as long as the session lives, less than [`crate::limits::MIRRORS`].
    pub number: u32,
    pub source: MirrorSource,
    pub destination: MirrorDestination,
    /// One frame in this many is mirrored (`samplingRate`); 0 and 1 mirror all.
    pub every: u32,
    /// Bytes that are kept of a frame, at least 60 (`mirroredPacketLength`).
    pub length: Option<u32>,
    /// Copies lose their VLAN tag (`stripOriginalVlan`).
    pub strip_vlan: bool,
    /// Destination ports may also send and receive frames of their own (`normalTrafficAllowed`).
    pub normal_traffic: bool,
}

/// The source of a session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum MirrorSource {
    /// Ports, by interface.
    Ports {
        /// Ports whose sent frames are mirrored (`sourcePortTransmitted`): *ingress*, seen from the switch.
        transmitted: Vec<String>,
        /// Ports whose received frames are mirrored (`sourcePortReceived`): *egress*, seen from the switch.
        received: Vec<String>,
    },
    /// Frames that arrive at uplinks in these VLANs (`remoteMirrorDest`).
    Vlans {
        /// Number of the switch.
        switch: u32,
        vlans: Vec<VlanId>,
    },
}

/// The destination of a session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum MirrorDestination {
    /// Ports (`dvPortMirror`, `remoteMirrorDest`), by interface.
    Ports {
        interfaces: Vec<String>,
        /// The tag that copies get (`encapsulationVlanId`).
        vlan: Option<VlanId>,
    },
    /// A VLAN, through the first of these uplinks that has a link (`remoteMirrorSource`).
    Uplink { interfaces: Vec<String>, vlan: VlanId },
    /// An address (`encapsulatedRemoteMirrorSource`), along a way that the declaration states.
    Address(Box<Encapsulated>),
    /// An address, as if sent by the VMkernel adapter through which the default TCP/IP stack reaches it: the switch
    /// follows the stack's routes and neighbours as they change. Nothing is mirrored while the address cannot be
    /// reached.
    Routed { encapsulation: Encapsulation, destination_ip: Ipv4Addr },
}

/// Destination and format of encapsulated copies. They are not fragmented: a copy longer than the MTU allows is cut.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Encapsulated {
    pub encapsulation: Encapsulation,
    pub source_ip: Ipv4Addr,
    pub destination_ip: Ipv4Addr,
    pub source: Mac,
    /// MAC of the destination, or of the router towards it.
    pub next_hop: Mac,
    pub via: MirrorVia,
}

/// The kind of encapsulation (`encapType`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Encapsulation {
    /// GRE alone (`gre`).
    Gre,
    /// ERSPAN type II (`erspan2`).
    Erspan2 {
        /// 10 bits (`erspanId`).
        session: u16,
        /// 3 bits (`erspanCOS`).
        class_of_service: u8,
    },
    /// ERSPAN type III (`erspan3`).
    Erspan3 {
        /// 10 bits.
        session: u16,
        /// 3 bits.
        class_of_service: u8,
        /// Times in units of 100 ns rather than 100 us (`erspanGraNanosec`).
        fine_time: bool,
    },
}

/// How an encapsulated copy leaves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum MirrorVia {
    /// By an uplink, with this tag.
    Uplink { interface: String, vlan: Option<VlanId> },
    /// As if this port had sent it, such as a VMkernel adapter's: in its VLAN, through its team.
    Port { interface: String },
}
