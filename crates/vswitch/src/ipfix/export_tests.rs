use super::*;
use crate::capture::pcapng;
use crate::frame::tests::tshark;
use crate::frame::{self, ETHER_IPV4};
use crate::ipfix::{Addresses, Direction, End, Key};

const NOW: Duration = Duration::from_secs(1_700_000_000);

fn flow(source: &str, destination: &str, port: u16) -> Record {
    let key = Key {
        addresses: Addresses::new(source.parse().unwrap(), destination.parse().unwrap()).unwrap(),
        source_port: port,
        destination_port: 443,
        protocol: 6,
        class: 0xb8,
        vlan: 30,
        ingress: 5,
        egress: 9,
        direction: Direction::Egress,
    };
    let (start, last) = (NOW - Duration::from_millis(12_345), NOW - Duration::from_millis(5));
    Record { key, octets: 5_000_000_000, packets: 4_000_000, start, last, end: End::Active }
}

fn many(count: u16) -> Vec<Record> {
    (0..count)
        .map(|port| match port % 3 {
            0 => flow("2001:db8::1", "2001:db8::2", port),
            _ => flow("10.0.0.1", "10.0.0.2", port),
        })
        .collect()
}

/// The datagrams in a capture, for Wireshark.
fn capture(messages: &[Vec<u8>]) -> Vec<u8> {
    let (from, to) = ("192.0.2.1:50000".parse().unwrap(), "192.0.2.2:4739".parse().unwrap());
    let frames: Vec<Vec<u8>> = messages
        .iter()
        .map(|message| {
            let header = frame::ethernet(crate::Mac([2; 6]), crate::Mac([6; 6]), 0, ETHER_IPV4);
            frame::udp(header, from, to, message).unwrap()
        })
        .collect();
    let frames: Vec<&[u8]> = frames.iter().map(Vec::as_slice).collect();
    pcapng::tests::capture(&frames)
}

fn export(exporter: &mut Exporter, now: Duration, records: &[Record]) -> Vec<Vec<u8>> {
    let datagrams = exporter.export(now, records);
    assert_eq!(datagrams.iter().map(|datagram| datagram.flows).sum::<usize>(), records.len());
    datagrams.into_iter().map(|datagram| datagram.bytes).collect()
}

fn sequence(message: &[u8]) -> u32 {
    u32::from_be_bytes(message[8..12].try_into().unwrap())
}

#[test]
fn wireshark_reads_every_field() {
    let mut exporter = Exporter::new(77, 1400, 10);
    let messages =
        export(&mut exporter, NOW, &[flow("10.0.0.1", "10.0.0.2", 1), flow("2001:db8::1", "2001:db8::2", 2)]);
    assert_eq!(messages.len(), 2);
    let fields = [
        "cflow.version",
        "cflow.od_id",
        "cflow.srcaddr",
        "cflow.dstaddr",
        "cflow.srcaddrv6",
        "cflow.dstaddrv6",
        "cflow.srcport",
        "cflow.dstport",
        "cflow.protocol",
        "cflow.tos",
        "cflow.octets",
        "cflow.packets",
        "cflow.inputint",
        "cflow.outputint",
        "cflow.vlanid",
        "cflow.flow_end_reason",
        "cflow.direction",
        "cflow.sampling_interval",
        "_ws.malformed",
    ];
    let options = ["-E", "occurrence=a", "-o", "ip.check_checksum:TRUE", "-o", "udp.check_checksum:TRUE"];
    let lines = tshark(&capture(&messages), &options, &fields);
    let wanted = [
        "10|77,77||||||||||||||||10|",
        "10|77|10.0.0.1|10.0.0.2|2001:db8::1|2001:db8::2|1,2|443,443|6,6|0xb8,0xb8|5000000000,5000000000|\
         4000000,4000000|5,5|9,9|30,30|2,2|1,1||",
    ];
    assert_eq!(lines, wanted);
    // Versions of Wireshark write dates differently.
    let times = tshark(&capture(&messages), &[], &["cflow.abstimestart", "cflow.abstimeend"]);
    let (start, end) = times[1].split_once('|').unwrap();
    assert_eq!(start.matches("22:13:07.655000000").count(), 2, "{start}");
    assert_eq!(end.matches("22:13:19.995000000").count(), 2, "{end}");
    let checks = tshark(&capture(&messages), &options, &["ip.checksum.status", "udp.checksum.status"]);
    assert_eq!(checks, ["1|1"; 2]);
}

#[test]
fn messages_stay_below_their_limit_and_are_numbered_by_records() {
    for most in [0, 600, 1400, 100_000] {
        let mut exporter = Exporter::new(1, most, 1);
        let messages = export(&mut exporter, NOW, &many(1000));
        let limit = most.clamp(IPFIX_SMALLEST, IPFIX_LARGEST);
        assert!(messages.iter().all(|message| message.len() <= limit), "{most}");
        // All but the last are as full as they can be: a record of IPv6 takes 86 bytes.
        let full = &messages[1..messages.len() - 1];
        assert!(full.iter().all(|message| message.len() + SET_HEADER + 86 > limit), "{most}");
        let lines = tshark(&capture(&messages), &[], &["cflow.sequence", "cflow.srcport", "_ws.malformed"]);
        let (mut expected, mut ports) = (1, Vec::new());
        for (line, message) in lines.iter().zip(&messages).skip(1) {
            let [number, found, malformed] = line.split('|').collect::<Vec<_>>()[..] else {
                panic!("{line}")
            };
            assert_eq!((number, malformed), (expected.to_string().as_str(), ""));
            assert_eq!(sequence(message), expected);
            let found: Vec<u16> = found.split(',').map(|port| port.parse().unwrap()).collect();
            expected += u32::try_from(found.len()).unwrap();
            ports.extend(found);
        }
        assert_eq!(ports, (0..1000).collect::<Vec<u16>>());
    }
}

#[test]
fn templates_are_sent_again_in_time() {
    let mut exporter = Exporter::new(1, 1400, 1);
    assert_eq!(export(&mut exporter, NOW, &[]).len(), 1);
    assert_eq!(export(&mut exporter, NOW + IPFIX_TEMPLATES / 2, &[]).len(), 0);
    let again = export(&mut exporter, NOW + IPFIX_TEMPLATES, &many(1));
    assert_eq!((again.len(), sequence(&again[0]), sequence(&again[1])), (2, 1, 2));
    assert_eq!(export(&mut exporter, NOW, &[]).len(), 1, "a clock that was set back");
}

#[test]
fn templates_fit_in_the_smallest_message() {
    let messages = export(&mut Exporter::new(1, 0, 1), NOW, &[]);
    assert!(messages[0].len() <= IPFIX_SMALLEST);
}
