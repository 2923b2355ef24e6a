//! DHCP in whole Ethernet frames: without an address, a client can neither send nor receive through the host's network
//! stack.

use std::net::Ipv4Addr;

use super::message::Message;
use crate::Mac;

pub(super) const CLIENT_PORT: u16 = 68;
pub(super) const SERVER_PORT: u16 = 67;
const ETHERNET: usize = 14;
const IPV4: [u8; 2] = [8, 0];
const HEADER: usize = 20;
const UDP: usize = 8;
const UDP_PROTOCOL: u8 = 17;

/// A client's message to all servers of the segment. `from` is unspecified until the client has an address.
pub(super) fn write(message: &Message, from: Ipv4Addr) -> Vec<u8> {
    let body = message.encode();
    let length = |of: usize| u16::try_from(of).expect("a message of ours is short").to_be_bytes();
    let mut packet = vec![0x45, 0x10];
    packet.extend(length(HEADER + UDP + body.len()));
    packet.extend([0, 0, 0, 0, 64, UDP_PROTOCOL, 0, 0]);
    packet.extend(from.octets());
    packet.extend(Ipv4Addr::BROADCAST.octets());
    let sum = !add(0, &packet);
    packet[10..12].copy_from_slice(&sum.to_be_bytes());

    let udp = packet.len();
    packet.extend(CLIENT_PORT.to_be_bytes());
    packet.extend(SERVER_PORT.to_be_bytes());
    packet.extend(length(UDP + body.len()));
    packet.extend([0, 0]);
    packet.extend(&body);
    let mut pseudo = packet[12..20].to_vec();
    pseudo.extend([0, UDP_PROTOCOL]);
    pseudo.extend(length(UDP + body.len()));
    // Zero would mean that the datagram has no checksum.
    let sum = match !add(add(0, &pseudo), &packet[udp..]) {
        0 => u16::MAX,
        sum => sum,
    };
    packet[udp + 6..udp + 8].copy_from_slice(&sum.to_be_bytes());

    let mut frame = Mac::BROADCAST.0.to_vec();
    frame.extend(message.mac.0);
    frame.extend(IPV4);
    frame.extend(packet);
    frame
}

/// The server's message in a frame, and its sender. UDP checksums are not verified: between interfaces of one host they
/// are left to hardware that the frame never passes.
pub fn read(frame: &[u8]) -> Option<(Ipv4Addr, Message)> {
    let packet = frame.get(ETHERNET..)?;
    if frame[12..ETHERNET] != IPV4 {
        return None;
    }
    let header = usize::from(*packet.first()? & 15) * 4;
    let fixed = packet.get(..header).filter(|_| header >= HEADER)?;
    let total = usize::from(u16::from_be_bytes([fixed[2], fixed[3]]));
    let fragment = u16::from_be_bytes([fixed[6], fixed[7]]) & 0x3fff;
    if fixed[0] >> 4 != 4 || fixed[9] != UDP_PROTOCOL || fragment != 0 || add(0, fixed) != u16::MAX {
        return None;
    }
    // Short frames are padded.
    let datagram = packet.get(header..total)?;
    let udp = datagram.get(..UDP)?;
    let field = |at: usize| u16::from_be_bytes([udp[at], udp[at + 1]]);
    if (field(0), field(2)) != (SERVER_PORT, CLIENT_PORT) {
        return None;
    }
    let body = datagram.get(UDP..usize::from(field(4)))?;
    let from = Ipv4Addr::new(fixed[12], fixed[13], fixed[14], fixed[15]);
    Some((from, Message::decode(body)?))
}

/// The one's complement sum of 16-bit words (RFC 1071).
fn add(sum: u16, bytes: &[u8]) -> u16 {
    let mut sum = u32::from(sum);
    let (words, rest) = bytes.as_chunks::<2>();
    for word in words {
        sum += u32::from(u16::from_be_bytes(*word));
        sum = (sum & 0xffff) + (sum >> 16);
    }
    if let [last] = rest {
        sum += u32::from(*last) << 8;
        sum = (sum & 0xffff) + (sum >> 16);
    }
    u16::try_from(sum).expect("carries were folded in")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vmkernel::dhcp::Kind;

    /// As a server would send it: ports and addresses swapped, which leaves all checksums as they are.
    fn turned(message: &Message) -> Vec<u8> {
        let mut frame = write(message, Ipv4Addr::new(10, 0, 0, 1));
        let udp = ETHERNET + HEADER;
        frame[udp..udp + 4].rotate_left(2);
        frame
    }

    #[test]
    fn a_frame_of_a_server_is_read_and_others_are_not() {
        let mac = Mac([0, 0x50, 0x56, 1, 2, 3]);
        let good = turned(&Message::new(Kind::Offer, 9, mac));
        let (from, message) = read(&good).unwrap();
        assert_eq!((from, message.kind, message.transaction), (Ipv4Addr::new(10, 0, 0, 1), Kind::Offer, 9));
        let mut padded = good.clone();
        padded.extend([0; 30]);
        assert!(read(&padded).is_some());
        for length in 0..good.len() {
            assert!(read(&good[..length]).is_none(), "{length} bytes");
        }
        let cases = [
            ("no IPv4", 12, 0x86),
            ("a fragment", 20, 0x20),
            ("no UDP", 23, 6),
            ("another port", 37, 69),
            ("a bad sum", 24, 1),
        ];
        for (case, at, byte) in cases {
            let mut bad = good.clone();
            bad[at] = byte;
            assert!(read(&bad).is_none(), "{case}");
        }
        let ours = write(&Message::new(Kind::Discover, 9, mac), Ipv4Addr::UNSPECIFIED);
        assert!(read(&ours).is_none(), "a client's");
        assert_eq!(add(0, &ours[ETHERNET..ETHERNET + HEADER]), u16::MAX);
    }
}
