//! Beacon probing, as vSphere does it: every uplink of a switch sends a frame each second that the other uplinks of
//! this host receive if the physical network between them is whole. Beacons find failures behind the next switch, which
//! leave the link up.
//!
//! This module is the frame; [`Probe`] judges uplinks by the beacons that they received. A beacon carries a check under
//! a key of this host alone, so that neither a guest nor a stranger can forge one. A recorded beacon is useless after
//! [`crate::limits::BEACON_LOST`], since [`Probe`] accepts only recently sent ones.
//!
//! ```text
//! Ethernet: to broadcast, from the uplink's own beacon MAC, EtherType 0x8922; then, in network byte order
//!  0  version, 1                      1 byte
//!  1  position of the uplink          1 byte
//!  2  zero                            2 bytes
//!  4  number of the switch            4 bytes
//!  8  sequence                        8 bytes
//! 16  host                           16 bytes
//! 32  check                          16 bytes: the first of HMAC-SHA-256 over the 32 before it and the source MAC
//! ```

mod probe;

use hmac::{Hmac, Mac as _};
use sha2::{Digest, Sha256};

use crate::Mac;
use crate::frame::{self, ETHER_BEACON, Ethernet, Reader};

pub use probe::{Health, Probe};

const VERSION: u8 = 1;
/// Bytes of the payload that the check covers, and the length of the check.
const CHECKED: usize = 32;
const CHECK: usize = 16;
/// First byte of a MAC: the group bit and the locally administered bit (IEEE 802, 8.4).
const GROUP: u8 = 1;
const LOCAL: u8 = 2;

/// The UUID of a host.
pub type Host = [u8; 16];

/// The secret of one host, new at every start.
#[derive(Clone)]
pub struct Key(pub [u8; 32]);

/// The content of a beacon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Beacon {
    pub host: Host,
    /// Number of the switch.
    pub switch: u32,
    /// Position of the sender among the uplinks of its switch.
    pub uplink: u8,
    pub sequence: u64,
}

/// Why a frame is not a beacon of this host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// It is not a beacon, or one of another vendor.
    Malformed,
    /// Another host sent it.
    Stranger,
    /// It claims to be this host's, but the check is wrong.
    Forged,
}

impl Beacon {
    /// The frame, in a VLAN (0 for none).
    pub fn build(&self, key: &Key, vlan: u16) -> Vec<u8> {
        let source = self.source();
        let payload = self.payload();
        let mut frame = frame::ethernet(Mac::BROADCAST, source, vlan, ETHER_BEACON);
        frame.extend(payload);
        let check: [u8; 32] = hmac(key, &payload, source).finalize().into_bytes().into();
        frame.extend(&check[..CHECK]);
        frame::pad(frame)
    }

    /// Reads a frame without a tag.
    ///
    /// # Errors
    /// If `host` did not send it.
    pub fn parse(frame: &[u8], host: &Host, key: &Key) -> Result<Self, Refusal> {
        let ethernet = Ethernet::read(frame).ok_or(Refusal::Malformed)?;
        if ethernet.ether_type != ETHER_BEACON {
            return Err(Refusal::Malformed);
        }
        let (beacon, check) = Self::read(ethernet.payload).ok_or(Refusal::Malformed)?;
        if beacon.host != *host {
            return Err(Refusal::Stranger);
        }
        let genuine = hmac(key, &beacon.payload(), ethernet.source).verify_truncated_left(&check);
        genuine.map(|()| beacon).map_err(|_| Refusal::Forged)
    }

    fn read(payload: &[u8]) -> Option<(Self, [u8; CHECK])> {
        let mut reader = Reader::new(payload);
        let (version, uplink, reserved) = (reader.u8()?, reader.u8()?, reader.u16()?);
        let (switch, sequence, host) = (reader.u32()?, reader.u64()?, reader.array()?);
        let beacon = Self { host, switch, uplink, sequence };
        (version == VERSION && reserved == 0).then_some((beacon, reader.array()?))
    }

    fn payload(&self) -> [u8; CHECKED] {
        let mut payload = [0; CHECKED];
        payload[0] = VERSION;
        payload[1] = self.uplink;
        payload[4..8].copy_from_slice(&self.switch.to_be_bytes());
        payload[8..16].copy_from_slice(&self.sequence.to_be_bytes());
        payload[16..].copy_from_slice(&self.host);
        payload
    }

    /// The source MAC of this uplink's beacons: locally administered, constant, and never a guest's.
    pub fn source(&self) -> Mac {
        let hash = Sha256::new().chain_update(self.host).chain_update(self.switch.to_be_bytes());
        let [first, b, c, d, e, f, ..]: [u8; 32] = hash.chain_update([self.uplink]).finalize().into();
        Mac([(first | LOCAL) & !GROUP, b, c, d, e, f])
    }
}

fn hmac(key: &Key, payload: &[u8], source: Mac) -> Hmac<Sha256> {
    let hmac = Hmac::<Sha256>::new_from_slice(&key.0).expect("a key may have any length");
    hmac.chain_update(payload).chain_update(source.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::pcapng;
    use crate::frame::tests::tshark;

    const KEY: Key = Key([7; 32]);
    const BEACON: Beacon = Beacon { host: [0x42; 16], switch: 3, uplink: 1, sequence: 77 };

    #[test]
    fn what_was_sent_can_be_read() {
        let frame = BEACON.build(&KEY, 0);
        assert_eq!(Beacon::parse(&frame, &BEACON.host, &KEY), Ok(BEACON));
        assert_eq!(frame.len(), 14 + CHECKED + CHECK);
        assert_eq!(BEACON.build(&KEY, 10)[12..18], [0x81, 0, 0, 10, 0x89, 0x22]);
    }

    #[test]
    fn every_uplink_has_a_mac_of_its_own_that_no_vendor_gives() {
        let uplinks = (0..32).map(|uplink| Beacon { uplink, ..BEACON });
        let others = [Beacon { switch: 4, ..BEACON }, Beacon { host: [0x43; 16], ..BEACON }];
        let macs: Vec<Mac> = uplinks.chain(others).map(|beacon| beacon.source()).collect();
        assert!(macs.iter().all(|mac| !mac.is_group() && mac.0[0] & LOCAL != 0));
        let different: std::collections::BTreeSet<&Mac> = macs.iter().collect();
        assert_eq!(different.len(), 34);
        assert_eq!(Beacon { sequence: 78, ..BEACON }.source(), BEACON.source());
    }

    #[test]
    fn no_other_host_can_send_our_beacons() {
        let good = BEACON.build(&KEY, 0);
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1;
            let refusal = match at {
                // Any destination will do.
                0..=5 => continue,
                12..=14 | 16..=17 => Refusal::Malformed,
                30..=45 => Refusal::Stranger,
                _ => Refusal::Forged,
            };
            assert_eq!(Beacon::parse(&bad, &BEACON.host, &KEY), Err(refusal), "byte {at}");
        }
        assert_eq!(Beacon::parse(&good, &BEACON.host, &Key([8; 32])), Err(Refusal::Forged));
        for length in 0..good.len() {
            assert_eq!(Beacon::parse(&good[..length], &BEACON.host, &KEY), Err(Refusal::Malformed));
        }
    }

    #[test]
    fn wireshark_sees_a_broadcast_with_the_type_of_beacons() {
        let lines = tshark(
            &pcapng::tests::capture(&[&BEACON.build(&KEY, 10)]),
            &[],
            &["eth.dst", "vlan.id", "vlan.etype"],
        );
        assert_eq!(lines, ["ff:ff:ff:ff:ff:ff|10|0x8922"]);
    }
}
