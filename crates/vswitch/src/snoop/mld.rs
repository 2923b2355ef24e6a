//! MLD, versions 1 (RFC 2710) and 2 (RFC 3810), from an IPv6 packet. Messages come from the link itself: hop limit 1, a
//! link-local source, and the *router alert* option; others are ignored (RFC 3810, 5).

use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use super::{Family, Message, asked, one, records};
use crate::frame::{IP_ICMPV6, Reader, Sum};

const QUERY: u8 = 130;
const V1_REPORT: u8 = 131;
const V1_DONE: u8 = 132;
const V2_REPORT: u8 = 143;

/// Shortest MLDv2 query, in bytes.
const V2_QUERY: usize = 28;

const HOP_BY_HOP: u8 = 0;
const HOP_LIMIT: u8 = 1;
/// Options of the hop-by-hop header (RFC 8200, 4.2; RFC 2711).
const PAD_1: u8 = 0;
const ROUTER_ALERT: u8 = 5;

/// The MLD message in an IPv6 packet.
pub(super) fn read(packet: &[u8]) -> Option<Message> {
    let mut packet = Reader::new(packet);
    let (first, length) = (packet.u32()?, packet.u16()?);
    let (next, hop_limit) = (packet.u8()?, packet.u8()?);
    let (source, destination) = (packet.ipv6()?, packet.ipv6()?);
    let is_local = source.is_unicast_link_local() || source.is_unspecified();
    if first >> 28 != 6 || next != HOP_BY_HOP || hop_limit != HOP_LIMIT || !is_local {
        return None;
    }
    let mut payload = packet.part(length.into())?;
    let (next, words) = (payload.u8()?, payload.u8()?);
    let options = payload.part(usize::from(words) * 8 + 6)?;
    if next != IP_ICMPV6 || !alerts_routers(options) {
        return None;
    }
    let length = u32::try_from(payload.rest().len()).ok()?;
    let sum = Sum::default().with_ipv6(source, destination, length, IP_ICMPV6).with(payload.rest());
    if sum.checksum() != 0 {
        return None;
    }
    message(source, payload)
}

fn message(source: Ipv6Addr, mut message: Reader<'_>) -> Option<Message> {
    // MLDv2 queries are longer, and write longer times as a power of two (RFC 3810, 5.1.3 and 8.1).
    let is_v2 = message.rest().len() >= V2_QUERY;
    let (kind, _code, _checksum) = (message.u8()?, message.u8()?, message.u16()?);
    let ipv6 = |reader: &mut Reader<'_>| reader.ipv6().map(IpAddr::V6);
    if kind == V2_REPORT {
        let _reserved = message.u16()?;
        return records(message, 16, ipv6);
    }
    let (response, _reserved) = (message.u16()?, message.u16()?);
    match kind {
        QUERY => {
            let group = asked(ipv6(&mut message)?)?;
            let response = response_time(response, is_v2);
            Some(Message::Query { family: Family::V6, source: source.into(), group, response })
        }
        V1_REPORT => one(ipv6(&mut message)?, true),
        V1_DONE => one(ipv6(&mut message)?, false),
        _ => None,
    }
}

fn response_time(code: u16, is_v2: bool) -> Duration {
    let (exponent, mantissa) = (code >> 12 & 7, code & 0xfff);
    Duration::from_millis(match code {
        0x8000.. if is_v2 => (u64::from(mantissa) | 0x1000) << (exponent + 3),
        plain => plain.into(),
    })
}

fn alerts_routers(mut options: Reader<'_>) -> bool {
    while let Some(kind) = options.u8() {
        if kind == PAD_1 {
            continue;
        }
        let Some(value) = options.u8().and_then(|length| options.take(length.into())) else { return false };
        if kind == ROUTER_ALERT {
            return value == [0, 0];
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::pcapng;
    use crate::frame::tests::tshark;
    use crate::frame::{self, ETHER_IPV6};
    use crate::snoop::{IS_EXCLUDE, Membership, TO_INCLUDE, mac_of, read};

    const ALERT: [u8; 6] = [ROUTER_ALERT, 2, 0, 0, 1, 0];
    const GROUP: &str = "ff0e::1234:1";

    fn ip(text: &str) -> Ipv6Addr {
        text.parse().unwrap()
    }

    fn frame(source: &str, to: &str, hop_limit: u8, options: [u8; 6], message: &[u8]) -> Vec<u8> {
        let (source, to) = (ip(source), ip(to));
        let mut message = message.to_vec();
        let length = u16::try_from(message.len()).unwrap();
        let sum = Sum::default().with_ipv6(source, to, length.into(), IP_ICMPV6).with(&message).checksum();
        message[2..4].copy_from_slice(&sum.to_be_bytes());
        let mut frame = frame::ethernet(mac_of(to.into()), crate::Mac([2; 6]), 0, ETHER_IPV6);
        frame.extend([0x60, 0, 0, 0]);
        frame.extend((length + 8).to_be_bytes());
        frame.extend([HOP_BY_HOP, hop_limit]);
        frame.extend(source.octets());
        frame.extend(to.octets());
        frame.extend([IP_ICMPV6, 0]);
        frame.extend(options);
        frame.extend(message);
        frame::pad(frame)
    }

    fn old(kind: u8, group: &str) -> Vec<u8> {
        [&[kind, 0, 0, 0, 0, 0, 0, 0][..], &ip(group).octets()].concat()
    }

    fn v2() -> Vec<u8> {
        let head = [V2_REPORT, 0, 0, 0, 0, 0, 0, 3];
        let exclude = [&[IS_EXCLUDE, 0, 0, 1][..], &ip(GROUP).octets(), &ip("2001:db8::1").octets()].concat();
        let include = [&[TO_INCLUDE, 1, 0, 0][..], &ip("ff05::2").octets(), b"more"].concat();
        let local = [&[IS_EXCLUDE, 0, 0, 0][..], &ip("ff02::1").octets()].concat();
        [&head[..], &exclude, &include, &local].concat()
    }

    fn report(list: &[(&str, bool)]) -> Option<Message> {
        let members = list
            .iter()
            .map(|(group, is_member)| Membership { group: ip(group).into(), is_member: *is_member });
        Some(Message::Report(members.collect()))
    }

    #[test]
    fn both_versions_are_understood() {
        let query = |group: Option<&str>| {
            let group = group.map(|group| ip(group).into());
            let (source, response) = (ip("fe80::1").into(), Duration::ZERO);
            Some(Message::Query { family: Family::V6, source, group, response })
        };
        let v2_query = [&old(QUERY, GROUP)[..], &[2, 125, 0, 0]].concat();
        let cases = [
            (
                "v1 report",
                frame("fe80::5", GROUP, 1, ALERT, &old(V1_REPORT, GROUP)),
                report(&[(GROUP, true)]),
            ),
            (
                "v1 done",
                frame("fe80::5", "ff02::2", 1, ALERT, &old(V1_DONE, GROUP)),
                report(&[(GROUP, false)]),
            ),
            (
                "before it has an address",
                frame("::", GROUP, 1, ALERT, &old(V1_REPORT, GROUP)),
                report(&[(GROUP, true)]),
            ),
            (
                "v2 report",
                frame("fe80::5", "ff02::16", 1, ALERT, &v2()),
                report(&[(GROUP, true), ("ff05::2", false)]),
            ),
            ("query", frame("fe80::1", "ff02::1", 1, ALERT, &old(QUERY, "::")), query(None)),
            ("v2 query of a group", frame("fe80::1", GROUP, 1, ALERT, &v2_query), query(Some(GROUP))),
            ("neighbour discovery", frame("fe80::1", GROUP, 1, ALERT, &old(135, GROUP)), None),
            ("not of the link", frame("2001:db8::1", GROUP, 1, ALERT, &old(V1_REPORT, GROUP)), None),
            ("from afar", frame("fe80::5", GROUP, 64, ALERT, &old(V1_REPORT, GROUP)), None),
            (
                "without an alert",
                frame("fe80::5", GROUP, 1, [1, 4, 0, 0, 0, 0], &old(V1_REPORT, GROUP)),
                None,
            ),
            (
                "padded another way",
                frame("fe80::5", GROUP, 1, [0, 0, 5, 2, 0, 0], &old(V1_REPORT, GROUP)),
                report(&[(GROUP, true)]),
            ),
            (
                "options that run over",
                frame("fe80::5", GROUP, 1, [1, 9, 0, 0, 0, 0], &old(V1_REPORT, GROUP)),
                None,
            ),
        ];
        for (name, frame, wanted) in cases {
            assert_eq!(read(&frame), wanted, "{name}");
        }
    }

    #[test]
    fn a_query_says_how_long_answers_may_take() {
        for (code, is_v2, ms) in [
            (10_000, true, 10_000),
            (0x8000, false, 0x8000),
            (0x8000, true, 0x8000),
            (0xffff, true, 0x1fff << 10),
        ] {
            assert_eq!(response_time(code, is_v2), Duration::from_millis(ms), "{code} {is_v2}");
        }
    }

    #[test]
    fn damaged_packets_say_nothing() {
        let good = frame("fe80::5", "ff02::16", 1, ALERT, &v2());
        // The checksum covers addresses and message, but not the options.
        for at in (22..54).chain(62..good.len()) {
            let mut bad = good.clone();
            bad[at] ^= 0x10;
            assert_eq!(read(&bad), None, "byte {at}");
        }
        for length in 0..good.len() {
            assert_eq!(read(&good[..length]), None, "{length} bytes");
        }
    }

    #[test]
    fn wireshark_agrees_about_the_frames_of_these_tests() {
        let good = frame("fe80::5", "ff02::16", 1, ALERT, &v2());
        let fields =
            ["icmpv6.type", "icmpv6.mldr.mar.record_type", "icmpv6.checksum.status", "_ws.malformed"];
        assert_eq!(tshark(&pcapng::tests::capture(&[&good]), &[], &fields), ["143|2,3,2|1|"]);
    }
}
