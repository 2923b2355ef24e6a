//! Building Ethernet, IPv4 and UDP headers, checksums, and a reader of untrusted bytes that cannot overrun. Every
//! module that builds or reads frames uses these functions.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddrV4};

use crate::Mac;

/// Shortest Ethernet frame without its checksum, in bytes (IEEE 802.3, 3.2.8).
pub const SHORTEST: usize = 60;
/// EtherTypes (IANA, *IEEE 802 Numbers*).
pub const ETHER_IPV4: u16 = 0x0800;
pub const ETHER_ARP: u16 = 0x0806;
pub const ETHER_RARP: u16 = 0x8035;
pub const ETHER_VLAN: u16 = 0x8100;
pub const ETHER_IPV6: u16 = 0x86dd;
pub const ETHER_LLDP: u16 = 0x88cc;
/// VMware's beacons.
pub const ETHER_BEACON: u16 = 0x8922;
/// Smallest EtherType; a smaller number is a length (IEEE 802.3, 3.2.6).
pub const ETHER_FIRST: u16 = 0x0600;

/// Protocol numbers of IP (IANA).
pub const IP_IGMP: u8 = 2;
pub const IP_UDP: u8 = 17;
pub const IP_ICMPV6: u8 = 58;

const IPV4_BYTES: u16 = 20;
const UDP_BYTES: u16 = 8;
/// Version 4, five words of header.
const IPV4_FIRST: u8 = 0x45;
const DONT_FRAGMENT: u16 = 0x4000;

/// An Ethernet header to append a payload to; `vlan` is 0 for no tag.
pub fn ethernet(destination: Mac, source: Mac, vlan: u16, ether_type: u16) -> Vec<u8> {
    let mut frame = Vec::with_capacity(SHORTEST + 4);
    frame.extend(destination.0);
    frame.extend(source.0);
    if vlan != 0 {
        frame.extend(ETHER_VLAN.to_be_bytes());
        frame.extend(vlan.to_be_bytes());
    }
    frame.extend(ether_type.to_be_bytes());
    frame
}

/// Pads a short frame with zeroes.
pub fn pad(mut frame: Vec<u8>) -> Vec<u8> {
    frame.resize(frame.len().max(SHORTEST), 0);
    frame
}

/// Appends an IPv4 packet with a UDP datagram (RFC 791, RFC 768). `None` if the payload does not fit.
pub fn udp(
    mut frame: Vec<u8>,
    source: SocketAddrV4,
    destination: SocketAddrV4,
    payload: &[u8],
) -> Option<Vec<u8>> {
    const TIME_TO_LIVE: u8 = 64;
    let datagram = u16::try_from(payload.len()).ok()?.checked_add(UDP_BYTES)?;
    let packet = datagram.checked_add(IPV4_BYTES)?;
    let start = frame.len();
    frame.extend([IPV4_FIRST, 0]);
    frame.extend(packet.to_be_bytes());
    frame.extend([0, 0]);
    frame.extend(DONT_FRAGMENT.to_be_bytes());
    frame.extend([TIME_TO_LIVE, IP_UDP, 0, 0]);
    frame.extend(source.ip().octets());
    frame.extend(destination.ip().octets());
    let header = Sum::default().with(&frame[start..]).checksum();
    frame[start + 10..start + 12].copy_from_slice(&header.to_be_bytes());
    let start = frame.len();
    frame.extend(source.port().to_be_bytes());
    frame.extend(destination.port().to_be_bytes());
    frame.extend(datagram.to_be_bytes());
    frame.extend([0, 0]);
    frame.extend(payload);
    let pseudo = Sum::default().with(&source.ip().octets()).with(&destination.ip().octets());
    let sum = pseudo.with(&[0, IP_UDP]).with(&datagram.to_be_bytes()).with(&frame[start..]).checksum();
    // Zero would mean that the datagram carries no checksum.
    let sum = if sum == 0 { u16::MAX } else { sum };
    frame[start + 6..start + 8].copy_from_slice(&sum.to_be_bytes());
    Some(frame)
}

/// The Internet checksum (RFC 1071), part by part. All parts but the last have an even number of bytes.
#[derive(Debug, Clone, Copy, Default)]
pub struct Sum(u64);

impl Sum {
    #[must_use]
    pub fn with(self, bytes: &[u8]) -> Self {
        let words = bytes.chunks(2).map(|word| match *word {
            [high, low] => u64::from(u16::from_be_bytes([high, low])),
            [high] => u64::from(high) << 8,
            _ => 0,
        });
        Self(self.0 + words.sum::<u64>())
    }

    /// The checksum; 0 over bytes that contain a correct one.
    pub fn checksum(self) -> u16 {
        let mut sum = self.0;
        while sum > u64::from(u16::MAX) {
            sum = (sum & u64::from(u16::MAX)) + (sum >> 16);
        }
        !u16::try_from(sum).expect("was folded")
    }

    /// Adds the pseudo-header of an IPv6 payload (RFC 8200, 8.1).
    #[must_use]
    pub fn with_ipv6(self, source: Ipv6Addr, destination: Ipv6Addr, length: u32, protocol: u8) -> Self {
        let addresses = self.with(&source.octets()).with(&destination.octets());
        addresses.with(&length.to_be_bytes()).with(&[0, 0, 0, protocol])
    }
}

/// Reads untrusted bytes from front to back. Every method returns `None` if too few bytes are left.
#[derive(Debug, Clone, Copy)]
pub struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// The bytes not read yet.
    pub fn rest(&self) -> &'a [u8] {
        self.0
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn take(&mut self, bytes: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(bytes)?;
        self.0 = rest;
        Some(taken)
    }

    /// A reader of the next bytes only.
    pub fn part(&mut self, bytes: usize) -> Option<Self> {
        self.take(bytes).map(Self)
    }

    pub fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*taken)
    }

    pub fn u8(&mut self) -> Option<u8> {
        self.array().map(u8::from_be_bytes)
    }

    /// In network byte order, as in the methods below.
    pub fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_be_bytes)
    }

    pub fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }

    pub fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_be_bytes)
    }

    pub fn mac(&mut self) -> Option<Mac> {
        self.array().map(Mac)
    }

    pub fn ipv4(&mut self) -> Option<Ipv4Addr> {
        self.array::<4>().map(Ipv4Addr::from)
    }

    pub fn ipv6(&mut self) -> Option<Ipv6Addr> {
        self.array::<16>().map(Ipv6Addr::from)
    }
}

/// An Ethernet frame without a tag.
#[derive(Debug, Clone, Copy)]
pub struct Ethernet<'a> {
    pub destination: Mac,
    pub source: Mac,
    /// Below [`ETHER_FIRST`]: the length of the payload in bytes.
    pub ether_type: u16,
    /// Padding included.
    pub payload: &'a [u8],
}

impl<'a> Ethernet<'a> {
    /// `None` if the frame is shorter than its header.
    pub fn read(frame: &'a [u8]) -> Option<Self> {
        let mut frame = Reader::new(frame);
        let (destination, source) = (frame.mac()?, frame.mac()?);
        Some(Self { destination, source, ether_type: frame.u16()?, payload: frame.rest() })
    }
}

/// Untrusted bytes as a text that can be shown anywhere: characters that XML 1.0 forbids, and bytes that are not
/// characters, become spaces; the ends are trimmed, and the text has at most `most` bytes.
pub fn text(bytes: &[u8], most: usize) -> String {
    let bytes = &bytes[..bytes.len().min(most)];
    let shown = |c: char| match c {
        '\n' | '\t' => c,
        '\u{fffd}' | '\u{fffe}' | '\u{ffff}' => ' ',
        control if control.is_control() => ' ',
        other => other,
    };
    let text: String = String::from_utf8_lossy(bytes).chars().map(shown).collect();
    text.trim().to_owned()
}

/// The beginning of a text, at most `most` bytes.
pub fn cut(text: &str, most: usize) -> &str {
    &text[..text.floor_char_boundary(most)]
}

#[cfg(test)]
pub(crate) mod tests {
    use std::io::Write;
    use std::process::{Command, Stdio};

    use super::*;

    /// Wireshark's reading of a capture file: a line per frame, fields separated by `|`, values of one field by commas.
    pub(crate) fn tshark(capture: &[u8], options: &[&str], fields: &[&str]) -> Vec<String> {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(capture).unwrap();
        let mut command = Command::new("tshark");
        command.arg("-n").arg("-r").arg(file.path()).args(options).args([
            "-T",
            "fields",
            "-E",
            "separator=|",
        ]);
        for field in fields {
            command.args(["-e", field]);
        }
        let output = command.stdin(Stdio::null()).output().expect("tshark is installed");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
    }

    #[test]
    fn a_datagram_carries_right_checksums() {
        let (from, to) = ("10.0.0.1:4000".parse().unwrap(), "10.0.0.2:4739".parse().unwrap());
        for payload in [&b""[..], b"odd", b"even"] {
            let frame = udp(Vec::new(), from, to, payload).unwrap();
            assert_eq!(Sum::default().with(&frame[..20]).checksum(), 0);
            let length = u16::try_from(8 + payload.len()).unwrap().to_be_bytes();
            let pseudo = Sum::default().with(&frame[12..20]).with(&[0, 17]).with(&length);
            assert_eq!(pseudo.with(&frame[20..]).checksum(), 0);
        }
        assert_eq!(udp(Vec::new(), from, to, &[0; 65_508]), None);
    }

    #[test]
    fn the_example_of_rfc_1071() {
        let words = [0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7];
        assert_eq!(Sum::default().with(&words).checksum(), !0xddf2);
    }

    #[test]
    fn a_reader_does_not_run_over_the_end() {
        let mut reader = Reader::new(&[1, 2, 3]);
        assert_eq!(
            (reader.u16(), reader.u16(), reader.u8(), reader.u8()),
            (Some(0x102), None, Some(3), None)
        );
        assert!(reader.is_empty() && Reader::new(&[0; 5]).mac().is_none());
    }

    #[test]
    fn a_foreign_text_can_be_shown() {
        for (bytes, shown) in [
            (&b"sw1\0\0"[..], "sw1"),
            (b"a\x1b[2Jb", "a [2Jb"),
            (b"caf\xe9", "caf"),
            (b"two\nlines", "two\nlines"),
            (b"0123456789", "01234567"),
        ] {
            assert_eq!(text(bytes, 8 + usize::from(shown.contains('\n'))), shown);
        }
        assert_eq!(cut("häuser", 2), "h");
    }
}
