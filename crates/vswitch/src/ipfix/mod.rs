//! IPFIX (RFC 7011): exporting the flows that pass the switch to a collector. [`Cache`] makes flows of packets,
//! [`Exporter`] datagrams of flows; both are pure, their caller has the clock and the socket.

mod cache;
mod export;
mod template;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

pub use cache::{Cache, Observation, Timeouts};
pub use export::{Datagram, Exporter};

/// Both addresses, of one family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Addresses {
    V4 { source: Ipv4Addr, destination: Ipv4Addr },
    V6 { source: Ipv6Addr, destination: Ipv6Addr },
}

impl Addresses {
    /// `None` if one is IPv4 and the other IPv6.
    pub fn new(source: IpAddr, destination: IpAddr) -> Option<Self> {
        match (source, destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => Some(Self::V4 { source, destination }),
            (IpAddr::V6(source), IpAddr::V6(destination)) => Some(Self::V6 { source, destination }),
            _ => None,
        }
    }
}

/// Seen from the switch (element 61).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Direction {
    /// Into the switch.
    Ingress = 0,
    /// Out of it.
    Egress = 1,
}

/// The fields that all packets of a flow share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    pub addresses: Addresses,
    /// 0 for protocols that have none.
    pub source_port: u16,
    pub destination_port: u16,
    /// Number of the protocol above IP (IANA).
    pub protocol: u8,
    /// *Type of service* or *traffic class*, whole.
    pub class: u8,
    /// 0 for none.
    pub vlan: u16,
    /// Number of the port by which it entered, and of the one by which it leaves; 0 if unknown.
    pub ingress: u32,
    pub egress: u32,
    pub direction: Direction,
}

/// Why a record was made (element 136).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// No packet came for a while.
    Idle = 1,
    /// The flow goes on, but a record was due.
    Active = 2,
    /// The flow ended itself, such as by FIN.
    Detected = 3,
    /// By force, such as when the export is turned off.
    Forced = 4,
    /// The cache is full.
    LackOfResources = 5,
}

/// A flow, or the part of it since the record before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record {
    pub key: Key,
    /// From the IP header on.
    pub octets: u64,
    pub packets: u64,
    /// First and last packet, since 1970-01-01 00:00 UTC.
    pub start: Duration,
    pub last: Duration,
    pub end: End,
}

/// Whole seconds and milliseconds of a time, as far as they fit.
fn seconds(time: Duration) -> u32 {
    // Wraps in 2106, as RFC 7011, 3.1 has it.
    u32::try_from(time.as_secs() & u64::from(u32::MAX)).expect("is masked")
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
