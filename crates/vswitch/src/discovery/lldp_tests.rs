use super::*;
use crate::capture::pcapng;
use crate::discovery::tests::announcement;
use crate::frame::tests::tshark;

type Tlv<'a> = (u8, &'a [u8]);

fn frame(tlvs: &[Tlv<'_>]) -> Vec<u8> {
    let mut frame = frame::ethernet(DESTINATION, Mac([2; 6]), 0, ETHER_LLDP);
    for (kind, value) in tlvs {
        put(&mut frame, *kind, &[value]);
    }
    frame
}

const CHASSIS: Tlv<'_> = (CHASSIS_ID, &[CHASSIS_MAC, 2, 0, 0, 0, 0, 1]);
const PORT: Tlv<'_> = (PORT_ID, b"\x05Ethernet1/7");
const TTL: Tlv<'_> = (TIME_TO_LIVE, &[0, 90]);

#[test]
fn what_is_announced_can_be_read() {
    let info = parse(&build(&announcement())).unwrap();
    assert_eq!(
        (info.chassis_id.as_str(), info.port_id.as_str(), info.ttl_s),
        ("02:00:00:00:00:07", "vmnic0", 120)
    );
    let shown: Vec<(&str, &str)> =
        info.parameters.iter().map(|(key, value)| (*key, value.as_str())).collect();
    let wanted = [
        ("Port Description", "Uplink of vSwitch0"),
        ("System Name", "host1.example"),
        ("System Description", "Esfera 1.0"),
        ("System Capabilities", "Bridge"),
        ("Enabled Capabilities", "Bridge"),
        ("Management Address", "192.0.2.10"),
        ("Vlan ID", "30"),
        ("MTU", "9000"),
    ];
    assert_eq!(shown, wanted);
}

#[test]
fn texts_that_are_too_long_are_cut() {
    let long = Announcement { system_name: "ä".repeat(400), interface: "x".repeat(600), ..announcement() };
    let info = parse(&build(&long)).unwrap();
    assert_eq!(info.port_id.len(), LONGEST_TEXT);
    assert!(info.parameters.contains(&("System Name", "ä".repeat(LONGEST_TEXT / 2))));
}

#[test]
fn identities_are_shown_by_their_subtype() {
    let cases: [(&[u8], &str); 7] = [
        (&[4, 2, 0, 0, 0, 0, 1], "02:00:00:00:00:01"),
        (&[5, 1, 10, 0, 0, 1], "10.0.0.1"),
        (&[5, 2, 0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1], "fe80::1"),
        (b"\x07switch 1", "switch 1"),
        (b"\x06ge-0/0/1", "ge-0/0/1"),
        // An address of an impossible length is shown as what it may be.
        (b"\x04abc", "abc"),
        (b"\x05\x01ab", "ab"),
    ];
    for (value, shown) in cases {
        let info = parse(&frame(&[(CHASSIS_ID, value), PORT, TTL])).unwrap();
        assert_eq!((info.chassis_id.as_str(), info.port_id.as_str()), (shown, "Ethernet1/7"), "{value:?}");
    }
}

#[test]
fn frames_that_lack_what_must_be_there_are_refused() {
    let end: Tlv<'_> = (END, &[]);
    let cases: [(&str, &[Tlv<'_>], bool); 9] = [
        ("whole", &[CHASSIS, PORT, TTL, end], true),
        ("without an end", &[CHASSIS, PORT, TTL], true),
        ("a TLV that nobody knows", &[CHASSIS, PORT, TTL, (100, b"?"), end], true),
        ("an organization's that is too short", &[CHASSIS, PORT, TTL, (ORGANIZATION, b"?"), end], true),
        ("in another order", &[PORT, CHASSIS, TTL, end], false),
        ("no time to live", &[CHASSIS, PORT, end], false),
        ("two ports", &[CHASSIS, PORT, TTL, PORT, end], false),
        ("an empty chassis", &[(CHASSIS_ID, &[4]), PORT, TTL, end], false),
        ("half a time to live", &[CHASSIS, PORT, (TIME_TO_LIVE, &[1]), end], false),
    ];
    for (name, tlvs, good) in cases {
        assert_eq!(parse(&frame(tlvs)).is_some(), good, "{name}");
    }
    let mut short = frame(&[CHASSIS, PORT, TTL, (SYSTEM_NAME, b"switch")]);
    short.pop();
    assert_eq!(parse(&short), None, "a TLV runs over the end");
}

#[test]
fn a_frame_of_many_tlvs_is_read_only_so_far() {
    let mut tlvs = vec![CHASSIS, PORT, TTL];
    tlvs.extend((0..DISCOVERY_TLVS).map(|_| (PORT_DESCRIPTION, &b"first"[..])));
    tlvs.push((SYSTEM_NAME, b"late"));
    assert_eq!(parse(&frame(&tlvs)).unwrap().parameters, [("Port Description", "first".to_owned())]);
}

#[test]
fn wireshark_reads_the_announcement() {
    let v6 = Announcement { management: Some("2001:db8::1".parse().unwrap()), ..announcement() };
    let capture = pcapng::tests::capture(&[&build(&announcement()), &build(&v6)]);
    let fields = [
        "lldp.chassis.id.mac",
        "lldp.port.id",
        "lldp.time_to_live",
        "lldp.port.desc",
        "lldp.tlv.system.name",
        "lldp.tlv.system.desc",
        "lldp.tlv.enable_system_cap.bridge",
        "lldp.mgn.addr.ip4",
        "lldp.mgn.addr.ip6",
        "lldp.ieee.802_1.port_vlan.id",
        "lldp.ieee.802_3.max_frame_size",
        "_ws.malformed",
    ];
    let common = "02:00:00:00:00:07|vmnic0|120|Uplink of vSwitch0|host1.example|Esfera 1.0|1";
    let wanted = [format!("{common}|192.0.2.10||30|9018|"), format!("{common}||2001:db8::1|30|9018|")];
    assert_eq!(tshark(&capture, &[], &fields), wanted);
}
