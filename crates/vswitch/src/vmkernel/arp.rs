//! ARP for address conflict detection (RFC 826, RFC 5227): probes for an address, announcements of it, and other
//! stations' claims.

use std::net::Ipv4Addr;

use crate::Mac;
use crate::frame::{self, ETHER_ARP, Ethernet, Reader};
use crate::packet::Instruction;

/// Ethernet and IPv4, with the lengths of their addresses.
const KINDS: [u8; 6] = [0, 1, 8, 0, 6, 4];
const REQUEST: u16 = 1;
const REPLY: u16 = 2;

/// The two stations in a packet; the sender's address is unspecified in a probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arp {
    pub is_request: bool,
    pub sender: (Mac, Ipv4Addr),
    pub target: Ipv4Addr,
}

impl Arp {
    /// A probe for an address, which does not claim it (RFC 5227, 2.1.1).
    pub(crate) fn probe(mac: Mac, address: Ipv4Addr) -> Self {
        Self { is_request: true, sender: (mac, Ipv4Addr::UNSPECIFIED), target: address }
    }

    /// An announcement, which claims an address (RFC 5227, 2.3).
    pub(crate) fn announcement(mac: Mac, address: Ipv4Addr) -> Self {
        Self { is_request: true, sender: (mac, address), target: address }
    }

    /// The broadcast frame.
    pub(crate) fn frame(&self) -> Vec<u8> {
        let mut frame = frame::ethernet(Mac::BROADCAST, self.sender.0, 0, ETHER_ARP);
        frame.extend(KINDS);
        frame.extend(if self.is_request { REQUEST } else { REPLY }.to_be_bytes());
        frame.extend(self.sender.0.0);
        frame.extend(self.sender.1.octets());
        frame.extend(Mac::ZERO.0);
        frame.extend(self.target.octets());
        frame::pad(frame)
    }

    /// Reads a frame without a tag; `None` if it is not ARP for IPv4 over Ethernet.
    pub fn read(frame: &[u8]) -> Option<Self> {
        let ethernet = Ethernet::read(frame).filter(|ethernet| ethernet.ether_type == ETHER_ARP)?;
        let mut reader = Reader::new(ethernet.payload);
        if reader.array::<6>()? != KINDS {
            return None;
        }
        let is_request = match reader.u16()? {
            REQUEST => true,
            REPLY => false,
            _ => return None,
        };
        let sender = (reader.mac()?, reader.ipv4()?);
        reader.mac()?;
        Some(Self { is_request, sender, target: reader.ipv4()? })
    }

    /// The other station that claims an address, by any packet (RFC 5227, 2.1.1 and 2.4). Another station's probe is
    /// not a claim: switches that track devices probe for addresses that a DHCP server has just given.
    pub(crate) fn claims(&self, address: Ipv4Addr, own: Mac) -> Option<Mac> {
        (self.sender.1 == address && self.sender.0 != own).then_some(self.sender.0)
    }
}

/// A filter that passes only packets that claim an address, so that the rest of a segment wakes nobody.
pub(crate) fn filter(address: Ipv4Addr) -> Vec<Instruction> {
    // Compares the sender's address.
    vec![(0x20, 0, 0, 28), (0x15, 0, 1, address.to_bits()), (0x06, 0, 0, 0x4_0000), (0x06, 0, 0, 0)]
}

/// A filter that passes nothing.
pub(crate) fn deaf() -> Vec<Instruction> {
    vec![(0x06, 0, 0, 0)]
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: Mac = Mac([2, 0, 0, 0, 0, 1]);
    const OTHER: Mac = Mac([2, 0, 0, 0, 0, 2]);
    const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);

    #[test]
    fn packets_are_written_and_read() {
        for packet in [
            Arp::probe(OWN, ADDRESS),
            Arp::announcement(OWN, ADDRESS),
            Arp { is_request: false, sender: (OWN, ADDRESS), target: Ipv4Addr::new(10, 0, 0, 2) },
        ] {
            let frame = packet.frame();
            assert_eq!((frame.len(), Arp::read(&frame)), (60, Some(packet)));
            for length in 0..42 {
                assert_eq!(Arp::read(&frame[..length]), None, "{length} bytes");
            }
            for at in [12, 14, 16, 18, 19, 20] {
                let mut wrong = frame.clone();
                wrong[at] ^= 0x40;
                assert_eq!(Arp::read(&wrong), None, "byte {at}");
            }
        }
    }

    #[test]
    fn a_conflict_is_what_another_says_of_our_address() {
        let elsewhere = Ipv4Addr::new(10, 0, 0, 9);
        let asks = |sender, target| Arp { is_request: true, sender, target };
        for (packet, is_claim) in [
            (Arp::announcement(OTHER, ADDRESS), true),
            (Arp { is_request: false, ..asks((OTHER, ADDRESS), elsewhere) }, true),
            (Arp::probe(OTHER, ADDRESS), false),
            (asks((OTHER, elsewhere), ADDRESS), false),
            (Arp::announcement(OWN, ADDRESS), false),
            (Arp::probe(OWN, ADDRESS), false),
        ] {
            assert_eq!(packet.claims(ADDRESS, OWN), is_claim.then_some(OTHER), "{packet:?}");
        }
    }
}
