//! CDP, Cisco's discovery protocol, version 2: building the frame that announces this host, and reading a neighbour's.
//! Cisco published the types of fields (*Catalyst Token Ring Switching Implementation Guide*, appendix); the rest
//! follows Wireshark's dissector.

use std::net::{IpAddr, Ipv4Addr};

use super::Announcement;
use crate::Mac;
use crate::frame::{self, ETHER_FIRST, Ethernet, Reader, Sum};
use crate::limits::{DISCOVERY_ADDRESSES, DISCOVERY_TEXT, DISCOVERY_TLVS};

/// Cisco's switches receive this address and do not forward it.
pub const DESTINATION: Mac = Mac([0x01, 0x00, 0x0c, 0xcc, 0xcc, 0xcc]);

/// LLC and SNAP headers (IEEE 802.2): organization Cisco, protocol CDP.
const SNAP: [u8; 8] = [0xaa, 0xaa, 0x03, 0x00, 0x00, 0x0c, 0x20, 0x00];
const VERSION: u8 = 2;

/// Types of fields.
const DEVICE_ID: u16 = 0x01;
const ADDRESSES: u16 = 0x02;
const PORT_ID: u16 = 0x03;
const CAPABILITIES: u16 = 0x04;
const SOFTWARE_VERSION: u16 = 0x05;
const PLATFORM: u16 = 0x06;
const IP_PREFIX: u16 = 0x07;
const NATIVE_VLAN: u16 = 0x0a;
const DUPLEX: u16 = 0x0b;
const MTU: u16 = 0x11;
const SYSTEM_NAME: u16 = 0x14;
const SYSTEM_OID: u16 = 0x15;
const MANAGEMENT_ADDRESSES: u16 = 0x16;
const LOCATION: u16 = 0x17;

/// Type and length.
const FIELD_HEAD: usize = 4;
/// Longest text that is announced.
const LONGEST_TEXT: usize = 255;

/// Protocols of addresses: kind, length, identification.
const PROTOCOL_IPV4: [u8; 3] = [1, 1, 0xcc];
const PROTOCOL_IPV6: [u8; 10] = [2, 8, 0xaa, 0xaa, 3, 0, 0, 0, 0x86, 0xdd];

/// The functions of a device: `PhysicalNicCdpDeviceCapability`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Capabilities(pub u32);

impl Capabilities {
    pub const ROUTER: u32 = 1;
    pub const TRANSPARENT_BRIDGE: u32 = 1 << 1;
    pub const SOURCE_ROUTE_BRIDGE: u32 = 1 << 2;
    pub const NETWORK_SWITCH: u32 = 1 << 3;
    pub const HOST: u32 = 1 << 4;
    pub const IGMP_ENABLED: u32 = 1 << 5;
    pub const REPEATER: u32 = 1 << 6;

    /// Whether the device has one of these functions.
    pub fn has(self, capability: u32) -> bool {
        self.0 & capability != 0
    }
}

/// A neighbour's announcement: `PhysicalNicCdpInfo`, of which the listener adds `timeout` and `samples`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Info {
    pub version: u8,
    /// 0 means that the neighbour is about to leave.
    pub ttl_s: u8,
    pub device_id: Option<String>,
    /// The first IP address.
    pub address: Option<IpAddr>,
    pub port_id: Option<String>,
    pub capabilities: Option<Capabilities>,
    pub software_version: Option<String>,
    pub platform: Option<String>,
    /// The first prefix: address and length in bits.
    pub ip_prefix: Option<(Ipv4Addr, u8)>,
    pub native_vlan: Option<u16>,
    pub full_duplex: Option<bool>,
    pub mtu: Option<u32>,
    pub system_name: Option<String>,
    /// In dotted form.
    pub system_oid: Option<String>,
    pub management_address: Option<IpAddr>,
    pub location: Option<String>,
}

/// The frame that announces the host. A time to live above 255 s becomes 255 s.
pub fn build(announcement: &Announcement) -> Vec<u8> {
    let mut body = vec![VERSION, u8::try_from(announcement.ttl_s).unwrap_or(u8::MAX), 0, 0];
    let text = |text| frame::cut(text, LONGEST_TEXT).as_bytes().to_vec();
    put(&mut body, DEVICE_ID, &text(&announcement.system_name));
    if let Some(address) = announcement.management {
        put(&mut body, ADDRESSES, &address_list(address));
    }
    put(&mut body, PORT_ID, &text(&announcement.interface));
    put(&mut body, CAPABILITIES, &Capabilities::NETWORK_SWITCH.to_be_bytes());
    put(&mut body, SOFTWARE_VERSION, &text(&announcement.system_description));
    put(&mut body, PLATFORM, &text(&announcement.platform));
    if let Some(vlan) = announcement.native_vlan {
        put(&mut body, NATIVE_VLAN, &u16::from(vlan).to_be_bytes());
    }
    put(&mut body, MTU, &announcement.mtu.to_be_bytes());
    put(&mut body, SYSTEM_NAME, &text(&announcement.system_name));
    if let Some(address) = announcement.management {
        put(&mut body, MANAGEMENT_ADDRESSES, &address_list(address));
    }
    let checksum = cisco_checksum(&body).to_be_bytes();
    body[2..4].copy_from_slice(&checksum);
    let length = u16::try_from(SNAP.len() + body.len()).expect("texts are cut");
    let mut frame = frame::ethernet(DESTINATION, announcement.mac, 0, length);
    frame.extend(SNAP);
    frame.extend(body);
    frame::pad(frame)
}

fn put(body: &mut Vec<u8>, kind: u16, value: &[u8]) {
    body.extend(kind.to_be_bytes());
    body.extend(u16::try_from(FIELD_HEAD + value.len()).expect("texts are cut").to_be_bytes());
    body.extend(value);
}

fn address_list(address: IpAddr) -> Vec<u8> {
    let count = 1_u32.to_be_bytes();
    match address {
        IpAddr::V4(ip) => [&count, &PROTOCOL_IPV4[..], &[0, 4], &ip.octets()].concat(),
        IpAddr::V6(ip) => [&count, &PROTOCOL_IPV6[..], &[0, 16], &ip.octets()].concat(),
    }
}

/// The Internet checksum, except that a last odd byte is the low half of a word, sign-extended, less one if negative.
fn cisco_checksum(bytes: &[u8]) -> u16 {
    let (even, odd) = bytes.split_at(bytes.len() & !1);
    let last = match odd {
        [byte] if byte & 0x80 != 0 => [0xff, byte - 1],
        [byte] => [0, *byte],
        _ => [0, 0],
    };
    Sum::default().with(even).with(&last).checksum()
}

/// Accepts both Cisco's checksum and RFC 1071's: other implementations differ.
fn is_intact(body: &[u8]) -> bool {
    Sum::default().with(body).checksum() == 0 || cisco_checksum(body) == 0
}

/// The content of a CDP frame without a tag. `None` if it is damaged or not CDP; a broken field is left out.
pub fn parse(frame: &[u8]) -> Option<Info> {
    let ethernet = Ethernet::read(frame).filter(|ethernet| ethernet.ether_type < ETHER_FIRST)?;
    let mut payload = Reader::new(ethernet.payload).part(ethernet.ether_type.into())?;
    if payload.array()? != SNAP || !is_intact(payload.rest()) {
        return None;
    }
    let (version, ttl_s, _checksum) = (payload.u8()?, payload.u8()?, payload.u16()?);
    if !(1..=VERSION).contains(&version) {
        return None;
    }
    let mut info = Info { version, ttl_s, ..Info::default() };
    for _ in 0..DISCOVERY_TLVS {
        if payload.is_empty() {
            break;
        }
        let (kind, length) = (payload.u16()?, usize::from(payload.u16()?));
        read(&mut info, kind, payload.part(length.checked_sub(FIELD_HEAD)?)?);
    }
    Some(info)
}

fn read(info: &mut Info, kind: u16, mut value: Reader<'_>) {
    let text = |value: Reader<'_>| Some(frame::text(value.rest(), DISCOVERY_TEXT));
    match kind {
        DEVICE_ID => info.device_id = text(value),
        ADDRESSES => info.address = first_address(value),
        PORT_ID => info.port_id = text(value),
        CAPABILITIES => info.capabilities = value.u32().map(Capabilities),
        SOFTWARE_VERSION => info.software_version = text(value),
        PLATFORM => info.platform = text(value),
        IP_PREFIX => info.ip_prefix = value.ipv4().zip(value.u8()).filter(|(_, bits)| *bits <= 32),
        NATIVE_VLAN => info.native_vlan = value.u16(),
        DUPLEX => info.full_duplex = value.u8().map(|duplex| duplex != 0),
        MTU => info.mtu = value.u32(),
        SYSTEM_NAME => info.system_name = text(value),
        SYSTEM_OID => info.system_oid = object_identifier(value),
        MANAGEMENT_ADDRESSES => info.management_address = first_address(value),
        // A kind (always 0), then text.
        LOCATION => info.location = value.u8().and_then(|_| text(value)),
        _ => {}
    }
}

fn first_address(mut list: Reader<'_>) -> Option<IpAddr> {
    let count = usize::try_from(list.u32()?).ok()?.min(DISCOVERY_ADDRESSES);
    for _ in 0..count {
        let protocol = list.rest();
        let length = list.u16()? & 0xff;
        list.take(length.into())?;
        let length = list.u16()?;
        let mut address = list.part(length.into())?;
        if protocol.starts_with(&PROTOCOL_IPV4) && length == 4 {
            return address.ipv4().map(IpAddr::V4);
        }
        if protocol.starts_with(&PROTOCOL_IPV6) && length == 16 {
            return address.ipv6().map(IpAddr::V6);
        }
    }
    None
}

/// From its basic encoding (ITU-T X.690, 8.19), with or without the tag before it.
fn object_identifier(mut value: Reader<'_>) -> Option<String> {
    const TAG: u8 = 6;
    let mut inner = value;
    if inner.u8() == Some(TAG) && inner.u8().map(usize::from) == Some(inner.rest().len()) {
        value = inner;
    }
    let bytes = value.rest();
    if bytes.is_empty() || bytes.len() > DISCOVERY_TEXT / 4 {
        return None;
    }
    let (mut arcs, mut arc) = (Vec::new(), 0_u32);
    for byte in bytes {
        arc = arc.checked_mul(128)?.checked_add(u32::from(byte & 0x7f))?;
        if byte & 0x80 == 0 {
            if arcs.is_empty() {
                let root = (arc / 40).min(2);
                arcs.push(root.to_string());
                arc -= root * 40;
            }
            arcs.push(arc.to_string());
            arc = 0;
        }
    }
    let ended = bytes.last().is_some_and(|byte| byte & 0x80 == 0);
    ended.then(|| arcs.join("."))
}

#[cfg(test)]
#[path = "cdp_tests.rs"]
mod tests;
