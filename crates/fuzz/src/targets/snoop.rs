//! An IGMP or MLD message from a guest or a stranger.

use std::time::Duration;

use vswitch::frame::{IP_ICMPV6, Reader, Sum};
use vswitch::limits::{SNOOP_GROUPS_PER_PORT, SNOOP_RECORDS};
use vswitch::snoop::{self, Memberships, Message, Origin, Place};

/// Offset of the packet, and length of an IPv6 header.
const PACKET: usize = 14;
const IPV6: usize = 40;

pub(crate) fn run(frame: &[u8]) {
    read(frame);
    // A guest can compute checksums, so the target corrects them.
    let mut frame = frame.to_vec();
    if let Some(packet) = frame.get_mut(PACKET..) {
        let put_right = if packet.first().is_some_and(|first| first >> 4 == 6) { ipv6 } else { ipv4 };
        if put_right(packet).is_some() {
            read(&frame);
        }
    }
}

fn ipv4(packet: &mut [u8]) -> Option<()> {
    let header = usize::from(packet.first()? & 0xf) * 4;
    let length = usize::from(u16::from_be_bytes([*packet.get(2)?, *packet.get(3)?]));
    fill(packet.get_mut(..header)?, 10, Sum::default())?;
    fill(packet.get_mut(header..length)?, 2, Sum::default())
}

fn ipv6(packet: &mut [u8]) -> Option<()> {
    let mut reader = Reader::new(packet.get(4..IPV6)?);
    let length = usize::from(reader.u16()?);
    reader.u16()?;
    let (source, destination) = (reader.ipv6()?, reader.ipv6()?);
    let options = (usize::from(*packet.get(IPV6 + 1)?) + 1) * 8;
    let message = packet.get_mut(IPV6 + options..IPV6 + length)?;
    let bytes = u32::try_from(message.len()).ok()?;
    fill(message, 2, Sum::default().with_ipv6(source, destination, bytes, IP_ICMPV6))
}

fn fill(bytes: &mut [u8], at: usize, sum: Sum) -> Option<()> {
    bytes.get_mut(at..at + 2)?.fill(0);
    let sum = sum.with(bytes).checksum().to_be_bytes();
    bytes[at..at + 2].copy_from_slice(&sum);
    Some(())
}

fn read(frame: &[u8]) {
    let Some(message) = snoop::read(frame) else { return };
    if let Message::Report(list) = &message {
        assert!(list.len() <= SNOOP_RECORDS && list.iter().all(|membership| membership.group.is_multicast()));
    }
    let mut table = Memberships::default();
    let place = Place { network: 1, vlan: 0 };
    for origin in [Origin::Port(1), Origin::Uplink(2)] {
        table.hear(Duration::ZERO, place, origin, &message);
    }
    assert!(table.groups().len() <= SNOOP_GROUPS_PER_PORT);
    table.expire(Duration::from_secs(1000));
    assert_eq!(table, Memberships::default());
}
