use super::*;
use crate::capture::pcapng;
use crate::discovery::tests::announcement;
use crate::frame::tests::tshark;

/// A neighbour's frame.
fn frame(fields: &[(u16, &[u8])], checksum: fn(&[u8]) -> u16) -> Vec<u8> {
    let mut body = vec![VERSION, 180, 0, 0];
    for (kind, value) in fields {
        put(&mut body, *kind, value);
    }
    let sum = checksum(&body).to_be_bytes();
    body[2..4].copy_from_slice(&sum);
    let length = u16::try_from(SNAP.len() + body.len()).unwrap();
    let mut frame = frame::ethernet(DESTINATION, Mac([2; 6]), 0, length);
    frame.extend(SNAP);
    frame.extend(body);
    frame::pad(frame)
}

#[test]
fn what_is_announced_can_be_read() {
    let info = parse(&build(&announcement())).unwrap();
    let wanted = Info {
        version: 2,
        ttl_s: 120,
        device_id: Some("host1.example".into()),
        address: Some("192.0.2.10".parse().unwrap()),
        port_id: Some("vmnic0".into()),
        capabilities: Some(Capabilities(Capabilities::NETWORK_SWITCH)),
        software_version: Some("Esfera 1.0".into()),
        platform: Some("x86_64".into()),
        native_vlan: Some(30),
        mtu: Some(9000),
        system_name: Some("host1.example".into()),
        management_address: Some("192.0.2.10".parse().unwrap()),
        ..Info::default()
    };
    assert_eq!(info, wanted);
    let v6 = Announcement { management: Some("2001:db8::1".parse().unwrap()), ttl_s: 300, ..announcement() };
    let info = parse(&build(&v6)).unwrap();
    assert_eq!((info.address, info.ttl_s), (v6.management, 255));
}

#[test]
fn fields_of_a_physical_switch_are_read() {
    let addresses =
        [&[0, 0, 0, 2][..], &[1, 1, 0x81, 0, 2, 9, 9], &PROTOCOL_IPV4, &[0, 4, 10, 0, 0, 1]].concat();
    let fields: [(u16, &[u8]); 8] = [
        (ADDRESSES, &addresses),
        (CAPABILITIES, &[0, 0, 0, 0x29]),
        (IP_PREFIX, &[10, 1, 0, 0, 16, 10, 2, 0, 0, 24]),
        (DUPLEX, &[1]),
        (SYSTEM_OID, &[6, 8, 0x2b, 6, 1, 4, 1, 9, 0x81, 0x02]),
        (LOCATION, b"\0Rack 7"),
        (0x1001, b"unknown"),
        (NATIVE_VLAN, &[1]),
    ];
    for checksum in [cisco_checksum as fn(&[u8]) -> u16, |body| Sum::default().with(body).checksum()] {
        let info = parse(&frame(&fields, checksum)).unwrap();
        assert_eq!(info.address, Some("10.0.0.1".parse().unwrap()));
        assert_eq!(info.ip_prefix, Some(([10, 1, 0, 0].into(), 16)));
        assert_eq!((info.full_duplex, info.native_vlan), (Some(true), None));
        assert_eq!(info.system_oid.as_deref(), Some("1.3.6.1.4.1.9.130"));
        assert_eq!(info.location.as_deref(), Some("Rack 7"));
        let can = info.capabilities.unwrap();
        assert!(can.has(Capabilities::ROUTER) && can.has(Capabilities::IGMP_ENABLED));
        assert!(!can.has(Capabilities::HOST));
    }
}

#[test]
fn damaged_frames_are_refused() {
    let good = build(&announcement());
    assert!(parse(&good).is_some());
    for (name, at, value) in [
        ("a letter has changed", 40, b'X'),
        ("another SNAP protocol", 21, 1),
        ("longer than the frame", 12, 5),
        ("another version", 22, 3),
    ] {
        let mut bad = good.clone();
        bad[at] = value;
        assert_eq!(parse(&bad), None, "{name}");
    }
    assert_eq!(parse(&good[..good.len() - 1]), None);
    let zero = |_: &[u8]| 0;
    assert_eq!(parse(&frame(&[], zero)), None);
}

#[test]
fn wireshark_finds_the_checksum_right_whatever_the_length() {
    let names = ["a", "ab", "abé", "abc\u{7f}"];
    let frames: Vec<Vec<u8>> = names
        .iter()
        .map(|name| {
            let odd = Announcement { management: None, system_name: (*name).into(), ..announcement() };
            build(&odd)
        })
        .chain([build(&announcement())])
        // Ends with an odd byte that is negative.
        .chain([frame(&[(PORT_ID, b"ab"), (PLATFORM, b"\xe9")], cisco_checksum)])
        .collect();
    let frames: Vec<&[u8]> = frames.iter().map(Vec::as_slice).collect();
    let lines = tshark(&pcapng::tests::capture(&frames), &[], &["cdp.checksum.status", "_ws.malformed"]);
    assert_eq!(lines, ["1|"; 6]);
}

#[test]
fn wireshark_reads_the_announcement() {
    let capture = pcapng::tests::capture(&[&build(&announcement())]);
    let fields = [
        "cdp.version",
        "cdp.ttl",
        "cdp.deviceid",
        "cdp.portid",
        "cdp.capabilities.switch",
        "cdp.software_version",
        "cdp.platform",
        "cdp.native_vlan",
        "cdp.mtu",
        "cdp.system_name",
        "cdp.nrgyz.ip_address",
    ];
    let line = tshark(&capture, &[], &fields);
    assert_eq!(
        line,
        ["2|120|host1.example|vmnic0|1|Esfera 1.0|x86_64|30|9000|host1.example|192.0.2.10,192.0.2.10"]
    );
}
