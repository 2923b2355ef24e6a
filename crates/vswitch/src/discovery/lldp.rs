//! LLDP (IEEE 802.1AB-2016, clauses 8 and 9): building the frame that announces this host, and reading a neighbour's.

use std::net::IpAddr;

use super::Announcement;
use crate::Mac;
use crate::frame::{self, ETHER_LLDP, Ethernet, Reader};
use crate::limits::{DISCOVERY_TEXT, DISCOVERY_TLVS};

/// *Nearest bridge* (7.1): bridges do not forward it.
pub const DESTINATION: Mac = Mac([0x01, 0x80, 0xc2, 0x00, 0x00, 0x0e]);

/// Types of TLVs (8.4).
const END: u8 = 0;
const CHASSIS_ID: u8 = 1;
const PORT_ID: u8 = 2;
const TIME_TO_LIVE: u8 = 3;
const PORT_DESCRIPTION: u8 = 4;
const SYSTEM_NAME: u8 = 5;
const SYSTEM_DESCRIPTION: u8 = 6;
const CAPABILITIES: u8 = 7;
const MANAGEMENT_ADDRESS: u8 = 8;
const ORGANIZATION: u8 = 127;

/// Subtypes of chassis (8.5.2) and port (8.5.3); all others are texts.
const CHASSIS_MAC: u8 = 4;
const CHASSIS_ADDRESS: u8 = 5;
const PORT_MAC: u8 = 3;
const PORT_ADDRESS: u8 = 4;
const PORT_INTERFACE_NAME: u8 = 5;

/// Address families (IANA), and the subtype of an unknown interface number (8.5.9).
const FAMILY_IPV4: u8 = 1;
const FAMILY_IPV6: u8 = 2;
const FAMILY_802: u8 = 6;
const INTERFACE_UNKNOWN: u8 = 1;

/// Extensions: IEEE 802.1Q annex D and IEEE 802.3 clause 79.
const IEEE_802_1: [u8; 3] = [0x00, 0x80, 0xc2];
const PORT_VLAN: u8 = 1;
const IEEE_802_3: [u8; 3] = [0x00, 0x12, 0x0f];
const LINK_AGGREGATION: u8 = 3;
const MAXIMUM_FRAME: u8 = 4;

const BRIDGE: u16 = 1 << 2;
/// Names of capabilities by bit (table 8-4).
const CAPABILITY_NAMES: [&str; 11] = [
    "Other",
    "Repeater",
    "Bridge",
    "WLAN Access Point",
    "Router",
    "Telephone",
    "DOCSIS Cable Device",
    "Station Only",
    "C-VLAN Component",
    "S-VLAN Component",
    "Two-port MAC Relay",
];
/// Longest value of a TLV whose length has nine bits, and longest text in one (8.5.5-8.5.7).
const LONGEST: usize = 511;
const LONGEST_TEXT: usize = 255;
/// Bytes of a frame besides its payload: header and checksum.
const FRAME_OVERHEAD: u32 = 18;

/// A neighbour's announcement: `LinkLayerDiscoveryProtocolInfo`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Info {
    pub chassis_id: String,
    pub port_id: String,
    /// 0 means that the neighbour is about to leave.
    pub ttl_s: u16,
    /// Under vSphere's keys, such as `System Name`; each key once, at most [`DISCOVERY_TLVS`].
    pub parameters: Vec<(&'static str, String)>,
}

/// The frame that announces the host.
pub fn build(announcement: &Announcement) -> Vec<u8> {
    let mut frame = frame::ethernet(DESTINATION, announcement.mac, 0, ETHER_LLDP);
    put(&mut frame, CHASSIS_ID, &[&[CHASSIS_MAC], &announcement.mac.0]);
    let interface = frame::cut(&announcement.interface, LONGEST_TEXT);
    put(&mut frame, PORT_ID, &[&[PORT_INTERFACE_NAME], interface.as_bytes()]);
    put(&mut frame, TIME_TO_LIVE, &[&announcement.ttl_s.to_be_bytes()]);
    let texts = [
        (PORT_DESCRIPTION, &announcement.port_description),
        (SYSTEM_NAME, &announcement.system_name),
        (SYSTEM_DESCRIPTION, &announcement.system_description),
    ];
    for (kind, text) in texts {
        put(&mut frame, kind, &[frame::cut(text, LONGEST_TEXT).as_bytes()]);
    }
    put(&mut frame, CAPABILITIES, &[&BRIDGE.to_be_bytes(), &BRIDGE.to_be_bytes()]);
    if let Some(address) = announcement.management {
        // Interface number and object identifier are unknown: zeroes.
        let end = [INTERFACE_UNKNOWN, 0, 0, 0, 0, 0];
        match address {
            IpAddr::V4(ip) => put(&mut frame, MANAGEMENT_ADDRESS, &[&[5, FAMILY_IPV4], &ip.octets(), &end]),
            IpAddr::V6(ip) => put(&mut frame, MANAGEMENT_ADDRESS, &[&[17, FAMILY_IPV6], &ip.octets(), &end]),
        }
    }
    if let Some(vlan) = announcement.native_vlan {
        put(&mut frame, ORGANIZATION, &[&IEEE_802_1, &[PORT_VLAN], &u16::from(vlan).to_be_bytes()]);
    }
    let largest = u16::try_from(announcement.mtu.saturating_add(FRAME_OVERHEAD)).unwrap_or(u16::MAX);
    put(&mut frame, ORGANIZATION, &[&IEEE_802_3, &[MAXIMUM_FRAME], &largest.to_be_bytes()]);
    put(&mut frame, END, &[]);
    frame::pad(frame)
}

/// Seven bits of type, nine of length (8.4).
fn put(frame: &mut Vec<u8>, kind: u8, value: &[&[u8]]) {
    let value = value.concat();
    let length = u16::try_from(value.len().min(LONGEST)).expect("has nine bits");
    frame.extend((u16::from(kind) << 9 | length).to_be_bytes());
    frame.extend(&value[..length.into()]);
}

/// The content of an LLDP frame without a tag. `None` if it is not LLDP, or if mandatory TLVs are missing or out of
/// order (9.2.7.7).
pub fn parse(frame: &[u8]) -> Option<Info> {
    let ethernet = Ethernet::read(frame).filter(|ethernet| ethernet.ether_type == ETHER_LLDP)?;
    let mut tlvs = Reader::new(ethernet.payload);
    let mut info = Info {
        chassis_id: identity(required(&mut tlvs, CHASSIS_ID)?, CHASSIS_MAC, CHASSIS_ADDRESS)?,
        port_id: identity(required(&mut tlvs, PORT_ID)?, PORT_MAC, PORT_ADDRESS)?,
        ttl_s: required(&mut tlvs, TIME_TO_LIVE)?.u16()?,
        parameters: Vec::new(),
    };
    for _ in 0..DISCOVERY_TLVS {
        // Without an End TLV, the end of the frame ends it.
        if tlvs.is_empty() {
            return Some(info);
        }
        match next(&mut tlvs)? {
            (END, _) => return Some(info),
            (CHASSIS_ID | PORT_ID | TIME_TO_LIVE, _) => return None,
            // An unknown TLV is skipped.
            (kind, value) => _ = optional(&mut info, kind, value),
        }
    }
    Some(info)
}

fn next<'a>(tlvs: &mut Reader<'a>) -> Option<(u8, Reader<'a>)> {
    let head = tlvs.u16()?;
    let kind = u8::try_from(head >> 9).expect("has seven bits");
    Some((kind, tlvs.part(usize::from(head) & LONGEST)?))
}

fn required<'a>(tlvs: &mut Reader<'a>, wanted: u8) -> Option<Reader<'a>> {
    let (kind, value) = next(tlvs)?;
    (kind == wanted).then_some(value)
}

/// A chassis or a port: an address in one of its subtypes, otherwise a text.
fn identity(mut value: Reader<'_>, mac: u8, address: u8) -> Option<String> {
    let subtype = value.u8().filter(|_| !value.is_empty())?;
    let bytes = value.rest();
    let special = if subtype == mac {
        value.mac().map(|mac| mac.to_string())
    } else if subtype == address {
        value.u8().and_then(|family| network_address(family, value))
    } else {
        None
    };
    Some(special.unwrap_or_else(|| frame::text(bytes, DISCOVERY_TEXT)))
}

fn network_address(family: u8, mut value: Reader<'_>) -> Option<String> {
    match (family, value.rest().len()) {
        (FAMILY_IPV4, 4) => value.ipv4().map(|ip| ip.to_string()),
        (FAMILY_IPV6, 16) => value.ipv6().map(|ip| ip.to_string()),
        (FAMILY_802, 6) => value.mac().map(|mac| mac.to_string()),
        _ => None,
    }
}

fn optional(info: &mut Info, kind: u8, mut value: Reader<'_>) -> Option<()> {
    let text = |value: Reader<'_>| frame::text(value.rest(), DISCOVERY_TEXT);
    let mut add = |key, value| {
        if !info.parameters.iter().any(|(known, _)| *known == key) {
            info.parameters.push((key, value));
        }
    };
    match kind {
        PORT_DESCRIPTION => add("Port Description", text(value)),
        SYSTEM_NAME => add("System Name", text(value)),
        SYSTEM_DESCRIPTION => add("System Description", text(value)),
        CAPABILITIES => {
            let (can, does) = (value.u16()?, value.u16()?);
            add("System Capabilities", capabilities(can));
            add("Enabled Capabilities", capabilities(does));
        }
        MANAGEMENT_ADDRESS => {
            let mut address = value.u8().and_then(|length| value.part(length.into()))?;
            add("Management Address", network_address(address.u8()?, address)?);
        }
        ORGANIZATION => match (value.array()?, value.u8()?) {
            (IEEE_802_1, PORT_VLAN) => add("Vlan ID", value.u16()?.to_string()),
            (IEEE_802_3, MAXIMUM_FRAME) => {
                add("MTU", u32::from(value.u16()?).saturating_sub(FRAME_OVERHEAD).to_string());
            }
            (IEEE_802_3, LINK_AGGREGATION) => {
                let (status, port) = (value.u8()?, value.u32()?);
                add("Aggregation Capable", (status & 1 != 0).to_string());
                add("Aggregation Status", (status & 2 != 0).to_string());
                add("Aggregated Port ID", port.to_string());
            }
            _ => {}
        },
        _ => {}
    }
    Some(())
}

fn capabilities(bits: u16) -> String {
    let named = CAPABILITY_NAMES.iter().enumerate().filter(|(bit, _)| bits & 1 << bit != 0);
    named.map(|(_, name)| *name).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
#[path = "lldp_tests.rs"]
mod tests;
