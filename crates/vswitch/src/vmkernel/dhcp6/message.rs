//! DHCPv6 messages between clients and servers (RFC 8415 sections 8 and 21; name servers and search lists of RFC 3646).

use std::net::Ipv6Addr;

use crate::Mac;
use crate::limits::{DHCP_SERVERS, DHCP6_ADDRESSES, DHCP6_DOMAINS, DOMAIN_NAME};

/// Type and transaction.
const FIXED: usize = 4;
/// Bytes of an identity association, and of an address in it, before their options.
const ASSOCIATION: usize = 12;
const ADDRESS: usize = 24;
/// Shortest and longest DHCP unique identifier, in bytes (section 11.1).
const DUID: std::ops::RangeInclusive<usize> = 3..=130;
/// A DUID from an Ethernet address (section 11.4).
const LINK_LAYER: [u8; 4] = [0, 3, 0, 1];
/// Longest part of a name between dots.
const LABEL: usize = 63;
/// Transactions have 24 bits.
const TRANSACTION: u32 = 0xff_ffff;

mod option {
    pub const CLIENT: u16 = 1;
    pub const SERVER: u16 = 2;
    pub const ASSOCIATION: u16 = 3;
    pub const ADDRESS: u16 = 5;
    pub const REQUESTED: u16 = 6;
    pub const PREFERENCE: u16 = 7;
    pub const ELAPSED: u16 = 8;
    pub const STATUS: u16 = 13;
    pub const DNS: u16 = 23;
    pub const DOMAINS: u16 = 24;
    pub const SOLICIT_MOST: u16 = 82;
}

/// The type of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Solicit = 1,
    Advertise = 2,
    Request = 3,
    Renew = 5,
    Rebind = 6,
    Reply = 7,
    Release = 8,
    Decline = 9,
}

/// A server's status of a request (section 21.13).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Outcome {
    #[default]
    Success,
    NoAddresses,
    NoBinding,
    NotOnLink,
    /// It failed for another reason.
    Other(u16),
}

/// A message. If an option may occur once, the first one counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    pub kind: Kind,
    pub transaction: u32,
    /// DUID of the client.
    pub client: Vec<u8>,
    /// DUID of the server.
    pub server: Option<Vec<u8>>,
    /// Hundredths of a second since the client began.
    pub elapsed: u16,
    pub association: Option<Association>,
    /// The highest wins; 255 ends the choice.
    pub preference: u8,
    pub outcome: Outcome,
    pub dns: Vec<Ipv6Addr>,
    pub domains: Vec<String>,
    /// Most seconds between two solicitations.
    pub solicit_most: Option<u32>,
}

/// An identity association for addresses (IA_NA). Times are in seconds, 0 where the other side may choose.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Association {
    pub id: u32,
    /// T1 and T2.
    pub renew: u32,
    pub rebind: u32,
    pub addresses: Vec<Given>,
    pub outcome: Outcome,
}

/// An address of an association. Times are in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Given {
    pub address: Ipv6Addr,
    pub preferred: u32,
    pub valid: u32,
    pub outcome: Outcome,
}

impl Given {
    /// As a client requests it: the server chooses the times.
    pub fn asked(address: Ipv6Addr) -> Self {
        Self { address, preferred: 0, valid: 0, outcome: Outcome::Success }
    }
}

/// The DUID of a client with this MAC.
pub(super) fn duid(mac: Mac) -> Vec<u8> {
    [&LINK_LAYER[..], &mac.0].concat()
}

impl Message {
    /// An otherwise empty message.
    pub fn new(kind: Kind, transaction: u32, client: Vec<u8>) -> Self {
        Self {
            kind,
            transaction: transaction & TRANSACTION,
            client,
            server: None,
            elapsed: 0,
            association: None,
            preference: 0,
            outcome: Outcome::Success,
            dns: Vec::new(),
            domains: Vec::new(),
            solicit_most: None,
        }
    }

    /// The bytes of a client's message.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = ((self.kind as u32) << 24 | self.transaction & TRANSACTION).to_be_bytes().to_vec();
        put(&mut bytes, option::CLIENT, &self.client);
        if let Some(server) = &self.server {
            put(&mut bytes, option::SERVER, server);
        }
        put(&mut bytes, option::ELAPSED, &self.elapsed.to_be_bytes());
        if let Some(association) = &self.association {
            let times = [association.id, association.renew, association.rebind];
            let mut value: Vec<u8> = times.iter().flat_map(|time| time.to_be_bytes()).collect();
            for given in association.addresses.iter().take(DHCP6_ADDRESSES) {
                let mut address = given.address.octets().to_vec();
                address.extend([given.preferred, given.valid].iter().flat_map(|time| time.to_be_bytes()));
                put(&mut value, option::ADDRESS, &address);
            }
            put(&mut bytes, option::ASSOCIATION, &value);
        }
        if matches!(self.kind, Kind::Solicit | Kind::Request | Kind::Renew | Kind::Rebind) {
            let wanted = [option::DNS, option::DOMAINS, option::SOLICIT_MOST];
            let wanted: Vec<u8> = wanted.iter().flat_map(|code| code.to_be_bytes()).collect();
            put(&mut bytes, option::REQUESTED, &wanted);
        }
        bytes
    }

    /// Reads a server's message; `None` if it is not DHCPv6, or does not name both its sender and its receiver
    /// (sections 16.3 and 16.10).
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (fixed, rest) = bytes.split_first_chunk::<FIXED>()?;
        let kind = match fixed[0] {
            2 => Kind::Advertise,
            7 => Kind::Reply,
            _ => return None,
        };
        let mut message = Self::new(kind, u32::from_be_bytes(*fixed), Vec::new());
        let (mut client, mut outcome, mut preference) = (None, None, None);
        let (mut dns, mut domains) = (None, None);
        for option in options(rest) {
            let (code, value) = option?;
            match code {
                option::CLIENT => _ = client.get_or_insert(value),
                option::SERVER if message.server.is_none() => message.server = Some(value.to_vec()),
                option::ASSOCIATION if message.association.is_none() => {
                    message.association = Some(association(value)?);
                }
                option::PREFERENCE => _ = preference.get_or_insert(single(value)?),
                option::STATUS => _ = outcome.get_or_insert(status(value)?),
                option::DNS => _ = dns.get_or_insert(value),
                option::DOMAINS => _ = domains.get_or_insert(value),
                option::SOLICIT_MOST if message.solicit_most.is_none() => {
                    message.solicit_most = value.try_into().ok().map(u32::from_be_bytes);
                }
                _ => {}
            }
        }
        message.client = client?.to_vec();
        let is_good = |duid: &Vec<u8>| DUID.contains(&duid.len());
        if !is_good(&message.client) || !message.server.as_ref().is_some_and(is_good) {
            return None;
        }
        message.outcome = outcome.unwrap_or_default();
        message.preference = preference.unwrap_or_default();
        let (servers, _) = dns.unwrap_or_default().as_chunks::<16>();
        let servers = servers.iter().map(|octets| Ipv6Addr::from(*octets));
        message.dns = servers.filter(|server| !is_of_many(server)).take(DHCP_SERVERS).collect();
        message.domains = names(domains.unwrap_or_default());
        Some(message)
    }
}

/// Whether a single station can have the address on a network: neither a group nor unspecified, nor loopback or
/// link-local.
pub(super) fn is_station(address: &Ipv6Addr) -> bool {
    !is_of_many(address) && !address.is_unicast_link_local()
}

fn is_of_many(address: &Ipv6Addr) -> bool {
    address.is_multicast() || address.is_unspecified() || address.is_loopback()
}

fn put(bytes: &mut Vec<u8>, code: u16, value: &[u8]) {
    let length = u16::try_from(value.len()).expect("an option of ours is short");
    bytes.extend(code.to_be_bytes());
    bytes.extend(length.to_be_bytes());
    bytes.extend(value);
}

/// Codes and values; `None` where the bytes are not an option.
fn options(mut bytes: &[u8]) -> impl Iterator<Item = Option<(u16, &[u8])>> {
    std::iter::from_fn(move || {
        if bytes.is_empty() {
            return None;
        }
        let found = split(bytes);
        bytes = found.map_or(&[], |(_, rest)| rest);
        Some(found.map(|(option, _)| option))
    })
}

type Split<'a> = ((u16, &'a [u8]), &'a [u8]);

fn split(bytes: &[u8]) -> Option<Split<'_>> {
    let ([code_high, code_low, high, low], rest) = bytes.split_first_chunk::<4>()?;
    let length = u16::from_be_bytes([*high, *low]);
    let (value, rest) = rest.split_at_checked(length.into())?;
    Some(((u16::from_be_bytes([*code_high, *code_low]), value), rest))
}

fn association(value: &[u8]) -> Option<Association> {
    let (fixed, rest) = value.split_first_chunk::<ASSOCIATION>()?;
    let mut found = Association {
        id: number(&fixed[..4])?,
        renew: number(&fixed[4..8])?,
        rebind: number(&fixed[8..])?,
        ..Association::default()
    };
    let mut outcome = None;
    for option in options(rest) {
        match option? {
            (option::ADDRESS, value) if found.addresses.len() < DHCP6_ADDRESSES => {
                found.addresses.push(given(value)?);
            }
            (option::STATUS, value) => _ = outcome.get_or_insert(status(value)?),
            _ => {}
        }
    }
    found.outcome = outcome.unwrap_or_default();
    Some(found)
}

fn given(value: &[u8]) -> Option<Given> {
    let (fixed, rest) = value.split_first_chunk::<ADDRESS>()?;
    let octets: [u8; 16] = fixed[..16].try_into().ok()?;
    let mut outcome = None;
    for option in options(rest) {
        if let (option::STATUS, value) = option? {
            outcome.get_or_insert(status(value)?);
        }
    }
    Some(Given {
        address: octets.into(),
        preferred: number(&fixed[16..20])?,
        valid: number(&fixed[20..])?,
        outcome: outcome.unwrap_or_default(),
    })
}

/// The code; the text behind it is for people.
fn status(value: &[u8]) -> Option<Outcome> {
    let (code, _) = value.split_first_chunk::<2>()?;
    Some(match u16::from_be_bytes(*code) {
        0 => Outcome::Success,
        2 => Outcome::NoAddresses,
        3 => Outcome::NoBinding,
        4 => Outcome::NotOnLink,
        other => Outcome::Other(other),
    })
}

fn number(bytes: &[u8]) -> Option<u32> {
    bytes.try_into().ok().map(u32::from_be_bytes)
}

fn single(value: &[u8]) -> Option<u8> {
    if let [one] = value { Some(*one) } else { None }
}

/// A list of names (RFC 1035 section 3.1, never compressed: RFC 8415 section 10), up to the first error. Names that are
/// not safe in files of other programs are left out.
fn names(mut bytes: &[u8]) -> Vec<String> {
    let mut found = Vec::new();
    while found.len() < DHCP6_DOMAINS
        && let Some((name, rest)) = name(bytes)
    {
        let is_fit = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        if (1..=DOMAIN_NAME).contains(&name.len()) && name.iter().all(|byte| is_fit(*byte)) {
            found.push(String::from_utf8_lossy(&name).into_owned());
        }
        bytes = rest;
    }
    found
}

fn name(mut bytes: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut name = Vec::new();
    loop {
        let (length, rest) = bytes.split_first()?;
        let length = usize::from(*length);
        if length == 0 {
            return Some((name, rest));
        }
        let (label, rest) = rest.split_at_checked(length).filter(|_| length <= LABEL)?;
        if !name.is_empty() {
            name.push(b'.');
        }
        name.extend(label);
        bytes = rest;
    }
}

#[cfg(test)]
#[path = "message_tests.rs"]
mod tests;
