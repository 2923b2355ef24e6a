//! IGMP, versions 1 (RFC 1112), 2 (RFC 2236) and 3 (RFC 3376), from an IPv4 packet.

use std::net::IpAddr;
use std::time::Duration;

use super::{Family, Message, asked, one, records};
use crate::frame::{IP_IGMP, Reader, Sum};
use crate::limits::SNOOP_RESPONSE;

const QUERY: u8 = 0x11;
const V1_REPORT: u8 = 0x12;
const V2_REPORT: u8 = 0x16;
const V2_LEAVE: u8 = 0x17;
const V3_REPORT: u8 = 0x22;

/// Shortest IGMPv3 query, in bytes.
const V3_QUERY: usize = 12;
/// Shortest header, in bytes.
const HEADER: usize = 20;
/// The bits of flags and offset that only fragments have: *more fragments* and the offset.
const FRAGMENT: u16 = 0x3fff;

/// The IGMP message in an IPv4 packet.
pub(super) fn read(packet: &[u8]) -> Option<Message> {
    let header_bytes = usize::from(packet.first()? & 0xf) * 4;
    let mut header = Reader::new(packet.get(..header_bytes.max(HEADER))?);
    if Sum::default().with(header.rest()).checksum() != 0 || header.u16()? >> 12 != 4 || header_bytes < HEADER
    {
        return None;
    }
    let (length, _identification, fragment) = (header.u16()?, header.u16()?, header.u16()?);
    let (_time_to_live, protocol, _checksum) = (header.u8()?, header.u8()?, header.u16()?);
    let source = IpAddr::V4(header.ipv4()?);
    if protocol != IP_IGMP || fragment & FRAGMENT != 0 {
        return None;
    }
    // Options such as *router alert* do not matter; bytes after the packet are padding.
    let message = packet.get(header_bytes..length.into())?;
    if Sum::default().with(message).checksum() != 0 {
        return None;
    }
    let mut message = Reader::new(message);
    // IGMPv3 queries are longer, and write longer times as a power of two (RFC 3376, 4.1.1 and 7.1).
    let is_v3 = message.rest().len() >= V3_QUERY;
    let (kind, response, _checksum) = (message.u8()?, message.u8()?, message.u16()?);
    let ipv4 = |reader: &mut Reader<'_>| reader.ipv4().map(IpAddr::V4);
    match kind {
        QUERY => {
            let (group, response) = (asked(ipv4(&mut message)?)?, response_time(response, is_v3));
            Some(Message::Query { family: Family::V4, source, group, response })
        }
        V1_REPORT | V2_REPORT => one(ipv4(&mut message)?, true),
        V2_LEAVE => one(ipv4(&mut message)?, false),
        V3_REPORT => {
            let _reserved = message.u16()?;
            records(message, 4, ipv4)
        }
        _ => None,
    }
}

/// IGMPv1 states no time (RFC 2236, 4).
fn response_time(code: u8, is_v3: bool) -> Duration {
    let (exponent, mantissa) = (code >> 4 & 7, code & 0xf);
    let tenths = match code {
        0 => return SNOOP_RESPONSE,
        128.. if is_v3 => (u64::from(mantissa) | 0x10) << (exponent + 3),
        plain => plain.into(),
    };
    Duration::from_millis(100 * tenths)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::capture::pcapng;
    use crate::frame::tests::tshark;
    use crate::frame::{self, ETHER_IPV4};
    use crate::snoop::{Membership, mac_of, read};

    /// A frame with an IGMP message, with its checksum filled in.
    pub(in crate::snoop) fn frame(source: [u8; 4], to: [u8; 4], options: &[u8], message: &[u8]) -> Vec<u8> {
        let mut frame = frame::ethernet(mac_of(to.into()), crate::Mac([2; 6]), 0, ETHER_IPV4);
        let length = u16::try_from(HEADER + options.len() + message.len()).unwrap().to_be_bytes();
        let first = 0x45 + u8::try_from(options.len() / 4).unwrap();
        let mut header = vec![first, 0xc0, length[0], length[1], 0, 0, 0x40, 0, 1, IP_IGMP, 0, 0];
        header.extend(source);
        header.extend(to);
        header.extend(options);
        let sum = Sum::default().with(&header).checksum().to_be_bytes();
        header[10..12].copy_from_slice(&sum);
        let mut message = message.to_vec();
        let sum = Sum::default().with(&message).checksum().to_be_bytes();
        message[2..4].copy_from_slice(&sum);
        frame.extend(header);
        frame.extend(message);
        frame::pad(frame)
    }

    const ROUTER_ALERT: [u8; 4] = [0x94, 4, 0, 0];
    const HOST: [u8; 4] = [10, 0, 0, 5];

    fn record(kind: u8, group: [u8; 4], sources: &[[u8; 4]]) -> Vec<u8> {
        let count = u8::try_from(sources.len()).unwrap();
        [&[kind, 0, 0, count][..], &group, &sources.concat()].concat()
    }

    fn report(records: &[Vec<u8>]) -> Vec<u8> {
        let count = u16::try_from(records.len()).unwrap().to_be_bytes();
        let message = [&[V3_REPORT, 0, 0, 0, 0, 0][..], &count, &records.concat()].concat();
        frame(HOST, [224, 0, 0, 22], &ROUTER_ALERT, &message)
    }

    fn memberships(list: &[([u8; 4], bool)]) -> Option<Message> {
        let members = list
            .iter()
            .map(|(group, is_member)| Membership { group: (*group).into(), is_member: *is_member });
        Some(Message::Report(members.collect()))
    }

    fn query(source: [u8; 4], group: Option<[u8; 4]>) -> Option<Message> {
        let (source, group) = (source.into(), group.map(IpAddr::from));
        Some(Message::Query { family: Family::V4, source, group, response: SNOOP_RESPONSE })
    }

    const GROUP: [u8; 4] = [239, 1, 1, 1];

    #[test]
    fn every_version_is_understood() {
        let old = |kind, group: [u8; 4]| [&[kind, 0, 0, 0][..], &group].concat();
        let cases = [
            ("v1 report", frame(HOST, GROUP, &[], &old(V1_REPORT, GROUP)), memberships(&[(GROUP, true)])),
            (
                "v2 report",
                frame(HOST, GROUP, &ROUTER_ALERT, &old(V2_REPORT, GROUP)),
                memberships(&[(GROUP, true)]),
            ),
            (
                "v2 leave",
                frame(HOST, [224, 0, 0, 2], &ROUTER_ALERT, &old(V2_LEAVE, GROUP)),
                memberships(&[(GROUP, false)]),
            ),
            (
                "of the link",
                frame(HOST, [224, 0, 0, 251], &[], &old(V2_REPORT, [224, 0, 0, 251])),
                memberships(&[]),
            ),
            ("of no group", frame(HOST, GROUP, &[], &old(V2_REPORT, [10, 0, 0, 1])), None),
            (
                "query",
                frame([10, 0, 0, 1], [224, 0, 0, 1], &ROUTER_ALERT, &old(QUERY, [0; 4])),
                query([10, 0, 0, 1], None),
            ),
            ("of a switch", frame([0; 4], [224, 0, 0, 1], &[], &old(QUERY, [0; 4])), query([0; 4], None)),
            (
                "v3 query of a group",
                frame(
                    [10, 0, 0, 1],
                    GROUP,
                    &ROUTER_ALERT,
                    &[&old(QUERY, GROUP)[..], &[2, 125, 0, 0]].concat(),
                ),
                query([10, 0, 0, 1], Some(GROUP)),
            ),
            ("another kind", frame(HOST, GROUP, &[], &old(0x13, GROUP)), None),
        ];
        for (name, frame, wanted) in cases {
            assert_eq!(read(&frame), wanted, "{name}");
        }
    }

    #[test]
    fn a_query_says_how_long_answers_may_take() {
        for (code, is_v3, tenths) in [
            (0, true, 100),
            (100, false, 100),
            (127, true, 127),
            (200, false, 200),
            (0x8f, true, 248),
            (0xff, true, 31_744),
        ] {
            assert_eq!(response_time(code, is_v3), Duration::from_millis(100 * tenths), "{code} {is_v3}");
        }
    }

    #[test]
    fn records_say_who_is_a_member() {
        let source = [10, 9, 9, 9];
        let group = |last| [239, 1, 1, last];
        let records = [
            record(super::super::IS_INCLUDE, group(1), &[source]),
            record(super::super::IS_EXCLUDE, group(2), &[source]),
            record(super::super::TO_INCLUDE, group(3), &[]),
            record(super::super::TO_INCLUDE, group(4), &[source, source]),
            record(super::super::TO_EXCLUDE, group(5), &[]),
            record(super::super::ALLOW, group(6), &[source]),
            record(super::super::BLOCK, group(7), &[source]),
            record(super::super::TO_EXCLUDE, [224, 0, 0, 9], &[]),
            record(99, group(8), &[]),
        ];
        let wanted = [(1, true), (2, true), (3, false), (4, true), (5, true), (6, true)];
        let wanted = wanted.map(|(last, is_member)| (group(last), is_member));
        assert_eq!(read(&report(&records)), memberships(&wanted));
    }

    #[test]
    fn damaged_packets_say_nothing() {
        let good = report(&[record(super::super::TO_EXCLUDE, GROUP, &[])]);
        assert!(read(&good).is_some());
        for at in 14..good.len() - 6 {
            let mut bad = good.clone();
            bad[at] ^= 0x10;
            assert_eq!(read(&bad), None, "byte {at}");
        }
        for length in 0..14 + 24 + 16 {
            assert_eq!(read(&good[..length]), None, "{length} bytes");
        }
        // More records announced than present.
        let message = [V3_REPORT, 0, 0, 0, 0, 0, 0, 2, super::super::TO_EXCLUDE, 0, 0, 0, 239, 1, 1, 1];
        assert_eq!(read(&frame(HOST, [224, 0, 0, 22], &ROUTER_ALERT, &message)), None);
    }

    #[test]
    fn wireshark_agrees_about_the_frames_of_these_tests() {
        let frame = report(&[
            record(super::super::TO_EXCLUDE, GROUP, &[]),
            record(super::super::TO_INCLUDE, GROUP, &[]),
        ]);
        let fields =
            ["igmp.version", "igmp.record_type", "igmp.maddr", "igmp.checksum.status", "_ws.malformed"];
        let lines = tshark(&pcapng::tests::capture(&[&frame]), &[], &fields);
        assert_eq!(lines, ["3|4,3|239.1.1.1,239.1.1.1|1|"]);
    }
}
