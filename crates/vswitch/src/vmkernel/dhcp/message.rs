//! DHCP messages (RFC 2131 section 2, options of RFC 2132, long ones split as in RFC 3396).

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use crate::Mac;
use crate::limits::{DHCP_SERVERS, DOMAIN_NAME};

/// Bytes of the fields before the options, and the cookie that begins those.
const FIXED: usize = 236;
const COOKIE: [u8; 4] = [99, 130, 83, 99];
/// The fields that may hold options too (`sname`, `file`).
const SNAME: std::ops::Range<usize> = 44..108;
const FILE: std::ops::Range<usize> = 108..236;
/// Least length that BOOTP relays expect.
const SHORTEST: usize = 300;
const ETHERNET: u8 = 1;
/// Largest message that the client accepts, as the option states it: an Ethernet frame.
const LARGEST: u16 = 1500;

mod option {
    pub const PAD: u8 = 0;
    pub const MASK: u8 = 1;
    pub const ROUTER: u8 = 3;
    pub const DNS: u8 = 6;
    pub const HOST_NAME: u8 = 12;
    pub const DOMAIN: u8 = 15;
    pub const MTU: u8 = 26;
    pub const REQUESTED: u8 = 50;
    pub const LEASE: u8 = 51;
    pub const OVERLOAD: u8 = 52;
    pub const KIND: u8 = 53;
    pub const SERVER: u8 = 54;
    pub const PARAMETERS: u8 = 55;
    pub const LARGEST: u8 = 57;
    pub const RENEW: u8 = 58;
    pub const REBIND: u8 = 59;
    pub const CLIENT: u8 = 61;
    pub const END: u8 = 255;
}

/// The type of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Discover = 1,
    Offer = 2,
    Request = 3,
    Decline = 4,
    Ack = 5,
    Nak = 6,
    Release = 7,
}

impl Kind {
    const ALL: [Self; 7] =
        [Self::Discover, Self::Offer, Self::Request, Self::Decline, Self::Ack, Self::Nak, Self::Release];

    fn is_reply(self) -> bool {
        matches!(self, Self::Offer | Self::Ack | Self::Nak)
    }
}

/// A message. Times are in seconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    pub kind: Kind,
    pub transaction: u32,
    /// Since the client began.
    pub elapsed: u16,
    /// The address that the client uses.
    pub client: Ipv4Addr,
    /// The address that the server gives.
    pub yours: Ipv4Addr,
    pub mac: Mac,
    pub server: Option<Ipv4Addr>,
    pub requested: Option<Ipv4Addr>,
    pub host_name: String,
    /// Length of the network's prefix.
    pub prefix: Option<u8>,
    pub router: Option<Ipv4Addr>,
    pub dns: Vec<Ipv4Addr>,
    pub domain: Option<String>,
    pub mtu: Option<u16>,
    pub lease: Option<u32>,
    pub renew: Option<u32>,
    pub rebind: Option<u32>,
}

impl Message {
    /// An otherwise empty message.
    pub fn new(kind: Kind, transaction: u32, mac: Mac) -> Self {
        let none = Ipv4Addr::UNSPECIFIED;
        Self {
            kind,
            transaction,
            elapsed: 0,
            client: none,
            yours: none,
            mac,
            server: None,
            requested: None,
            host_name: String::new(),
            prefix: None,
            router: None,
            dns: Vec::new(),
            domain: None,
            mtu: None,
            lease: None,
            renew: None,
            rebind: None,
        }
    }

    /// The bytes of a client's message.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![0; FIXED];
        bytes[0] = if self.kind.is_reply() { 2 } else { 1 };
        bytes[1] = ETHERNET;
        bytes[2] = 6;
        bytes[4..8].copy_from_slice(&self.transaction.to_be_bytes());
        bytes[8..10].copy_from_slice(&self.elapsed.to_be_bytes());
        bytes[12..16].copy_from_slice(&self.client.octets());
        bytes[16..20].copy_from_slice(&self.yours.octets());
        bytes[28..34].copy_from_slice(&self.mac.0);
        bytes.extend(COOKIE);
        let mut put = |code: u8, value: &[u8]| {
            let length = value.len().min(255);
            bytes.extend([code, u8::try_from(length).expect("is at most 255")]);
            bytes.extend(&value[..length]);
        };
        put(option::KIND, &[self.kind as u8]);
        let mut id = vec![ETHERNET];
        id.extend(self.mac.0);
        put(option::CLIENT, &id);
        if let Some(server) = self.server {
            put(option::SERVER, &server.octets());
        }
        if let Some(requested) = self.requested {
            put(option::REQUESTED, &requested.octets());
        }
        if matches!(self.kind, Kind::Discover | Kind::Request) {
            put(option::LARGEST, &LARGEST.to_be_bytes());
            use option::{DNS, DOMAIN, LEASE, MASK, MTU, REBIND, RENEW, ROUTER};
            put(option::PARAMETERS, &[MASK, ROUTER, DNS, DOMAIN, MTU, LEASE, RENEW, REBIND]);
            if !self.host_name.is_empty() {
                put(option::HOST_NAME, self.host_name.as_bytes());
            }
        }
        bytes.push(option::END);
        bytes.resize(bytes.len().max(SHORTEST), 0);
        bytes
    }

    /// Reads a server's message; `None` if it is not DHCP, or not for Ethernet.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let fixed = bytes.get(..FIXED)?;
        if fixed[..3] != [2, ETHERNET, 6] || bytes.get(FIXED..FIXED + COOKIE.len())? != COOKIE {
            return None;
        }
        let mut options = BTreeMap::new();
        collect(&bytes[FIXED + COOKIE.len()..], &mut options);
        let overload = options.get(&option::OVERLOAD).and_then(|value| value.first()).copied().unwrap_or(0);
        for (bit, field) in [(1, FILE), (2, SNAME)] {
            if overload & bit != 0 {
                collect(&fixed[field], &mut options);
            }
        }
        let address = |at: usize| {
            let octets: [u8; 4] = fixed[at..at + 4].try_into().expect("is inside of the fixed fields");
            Ipv4Addr::from(octets)
        };
        let kind = single(&options, option::KIND)?;
        let kind = Kind::ALL.into_iter().find(|known| *known as u8 == kind).filter(|kind| kind.is_reply())?;
        let addresses = |code: u8| {
            let value = options.get(&code).map(Vec::as_slice).unwrap_or_default();
            let (octets, _) = value.as_chunks::<4>();
            octets.iter().map(|octets| Ipv4Addr::from(*octets)).filter(is_station).collect::<Vec<_>>()
        };
        let number = |code: u8| {
            let value = options.get(&code)?.as_slice().try_into().ok()?;
            Some(u32::from_be_bytes(value))
        };
        let mut dns = addresses(option::DNS);
        dns.truncate(DHCP_SERVERS);
        let domain = options.get(&option::DOMAIN).and_then(|bytes| domain(bytes));
        Some(Self {
            transaction: u32::from_be_bytes(fixed[4..8].try_into().expect("is four bytes")),
            elapsed: 0,
            client: address(12),
            yours: address(16),
            mac: Mac(fixed[28..34].try_into().expect("is six bytes")),
            server: addresses(option::SERVER).first().copied(),
            prefix: number(option::MASK).and_then(prefix),
            router: addresses(option::ROUTER).first().copied(),
            dns,
            domain,
            mtu: options
                .get(&option::MTU)
                .and_then(|value| Some(u16::from_be_bytes(value.as_slice().try_into().ok()?))),
            lease: number(option::LEASE),
            renew: number(option::RENEW),
            rebind: number(option::REBIND),
            ..Self::new(kind, 0, Mac::ZERO)
        })
    }
}

/// Collects options by code; the parts of a split option are joined.
fn collect(mut bytes: &[u8], options: &mut BTreeMap<u8, Vec<u8>>) {
    while let [code, rest @ ..] = bytes {
        match *code {
            option::PAD => bytes = rest,
            option::END => return,
            code => {
                let [length, rest @ ..] = rest else { return };
                let Some((value, rest)) = rest.split_at_checked((*length).into()) else { return };
                options.entry(code).or_default().extend(value);
                bytes = rest;
            }
        }
    }
}

fn single(options: &BTreeMap<u8, Vec<u8>>, code: u8) -> Option<u8> {
    match options.get(&code)?.as_slice() {
        [one] => Some(*one),
        _ => None,
    }
}

/// The prefix length of a mask.
fn prefix(mask: u32) -> Option<u8> {
    let ones = mask.leading_ones();
    (mask.count_ones() == ones).then(|| u8::try_from(ones).expect("is at most 32"))
}

/// Whether a single station can have the address.
pub(super) fn is_station(address: &Ipv4Addr) -> bool {
    !address.is_unspecified() && !address.is_broadcast() && !address.is_multicast() && !address.is_loopback()
}

/// A name that is safe in files of other programs. Some servers end it with a zero.
fn domain(bytes: &[u8]) -> Option<String> {
    let bytes = bytes.strip_suffix(b"\0").unwrap_or(bytes);
    let is_fit = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.".contains(byte);
    let good = (1..=DOMAIN_NAME).contains(&bytes.len()) && bytes.iter().all(is_fit);
    good.then(|| String::from_utf8_lossy(bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAC: Mac = Mac([0, 0x50, 0x56, 1, 2, 3]);

    /// A server's reply with these options.
    fn reply(options: &[(u8, &[u8])]) -> Vec<u8> {
        let mut bytes = vec![0; FIXED];
        bytes[..3].copy_from_slice(&[2, 1, 6]);
        bytes[4..8].copy_from_slice(&[0, 0, 0, 7]);
        bytes[16..20].copy_from_slice(&[10, 0, 0, 5]);
        bytes[28..34].copy_from_slice(&MAC.0);
        bytes.extend(COOKIE);
        for (code, value) in options {
            bytes.extend([*code, value.len() as u8]);
            bytes.extend(*value);
        }
        bytes.push(option::END);
        bytes
    }

    #[test]
    fn a_reply_is_read_with_its_options() {
        let bytes = reply(&[
            (53, &[5]),
            (54, &[10, 0, 0, 1]),
            (1, &[255, 255, 252, 0]),
            (3, &[10, 0, 0, 254, 10, 0, 0, 253]),
            (6, &[10, 0, 0, 2, 10, 0, 0, 3, 9]),
            (15, b"example.org\0"),
            (26, &[5, 170]),
            (51, &[0, 0, 14, 16]),
            (58, &[0, 0, 1]),
        ]);
        let message = Message::decode(&bytes).unwrap();
        let ip = |last| Ipv4Addr::new(10, 0, 0, last);
        let expected = Message {
            yours: ip(5),
            server: Some(ip(1)),
            prefix: Some(22),
            router: Some(ip(254)),
            dns: vec![ip(2), ip(3)],
            domain: Some("example.org".into()),
            mtu: Some(1450),
            lease: Some(3600),
            ..Message::new(Kind::Ack, 7, MAC)
        };
        assert_eq!(message, expected);
    }

    #[test]
    fn options_may_be_split_and_lie_in_other_fields() {
        let mut bytes = reply(&[(53, &[2]), (6, &[10, 0]), (52, &[3]), (6, &[0, 9]), (15, b"evil; rm")]);
        bytes[FILE.start..FILE.start + 6].copy_from_slice(&[54, 4, 10, 0, 0, 1]);
        bytes[SNAME.start..SNAME.start + 7].copy_from_slice(&[0, 51, 4, 0, 0, 0, 60]);
        let message = Message::decode(&bytes).unwrap();
        assert_eq!(message.dns, [Ipv4Addr::new(10, 0, 0, 9)]);
        assert_eq!((message.server, message.lease), (Some(Ipv4Addr::new(10, 0, 0, 1)), Some(60)));
        assert_eq!(message.domain, None);
    }

    #[test]
    fn only_replies_are_accepted() {
        let good = reply(&[(53, &[5])]);
        assert!(Message::decode(&good).is_some());
        for length in 0..good.len() - 1 {
            assert!(Message::decode(&good[..length]).is_none(), "{length} bytes");
        }
        for (case, at, byte) in [
            ("a request", 0, 1),
            ("no Ethernet", 1, 6),
            ("a bad cookie", FIXED, 0),
            ("no kind", FIXED + 4, 200),
        ] {
            let mut bad = good.clone();
            bad[at] = byte;
            assert!(Message::decode(&bad).is_none(), "{case}");
        }
        let request = Message::new(Kind::Discover, 7, MAC).encode();
        assert!(Message::decode(&request).is_none());
        assert_eq!((request.len(), request[0], &request[28..34]), (SHORTEST, 1, &MAC.0[..]));
        assert_eq!(request[FIXED + 4..FIXED + 7], [53, 1, 1]);
    }

    #[test]
    fn a_mask_is_a_prefix_or_nothing() {
        for (mask, length) in
            [(u32::MAX, Some(32)), (0, Some(0)), (0xffff_ff00, Some(24)), (0xff00_ff00, None)]
        {
            assert_eq!(prefix(mask), length);
        }
    }
}
