use super::*;

const MAC: Mac = Mac([0, 0x50, 0x56, 1, 2, 3]);
const SERVER: &[u8] = &[0, 1, 0, 1, 9, 9, 9, 9, 2, 0, 0, 0, 0, 1];

type Options<'a> = &'a [(u16, &'a [u8])];

fn all(options: Options<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (code, value) in options {
        put(&mut bytes, *code, value);
    }
    bytes
}

/// A server's message with these options.
fn says(kind: u8, options: Options<'_>) -> Vec<u8> {
    [&[kind, 1, 2, 3][..], &all(options)].concat()
}

fn ip(text: &str) -> Ipv6Addr {
    text.parse().unwrap()
}

fn address(text: &str, preferred: u32, valid: u32, options: Options<'_>) -> Vec<u8> {
    [&ip(text).octets()[..], &preferred.to_be_bytes(), &valid.to_be_bytes(), &all(options)].concat()
}

fn association_of(id: u32, options: Options<'_>) -> Vec<u8> {
    [&id.to_be_bytes()[..], &60u32.to_be_bytes(), &105u32.to_be_bytes(), &all(options)].concat()
}

#[test]
fn a_reply_is_read_with_its_options() {
    let bytes = says(
        7,
        &[
            (1, &duid(MAC)),
            (2, SERVER),
            (2, &[9; 4]),
            (
                3,
                &association_of(
                    7,
                    &[
                        (5, &address("fd00::5", 100, 120, &[])),
                        (5, &address("fd00::6", 1, 2, &[(13, &[0, 4])])),
                    ],
                ),
            ),
            (7, &[255]),
            (13, &[0, 0, b'o', b'k']),
            (23, &[ip("fd00::53").octets(), ip("ff02::1").octets(), ip("fe80::53").octets()].concat()),
            (24, b"\x07example\x03org\x00\x03a b\x00\x04test\x00\xc0\x00"),
            (82, &[0, 0, 2, 0]),
            (999, &[1]),
        ],
    );
    let given = Given { address: ip("fd00::5"), preferred: 100, valid: 120, outcome: Outcome::Success };
    let other = Given { address: ip("fd00::6"), preferred: 1, valid: 2, outcome: Outcome::NotOnLink };
    let expected = Message {
        server: Some(SERVER.to_vec()),
        association: Some(Association {
            id: 7,
            renew: 60,
            rebind: 105,
            addresses: vec![given, other],
            outcome: Outcome::Success,
        }),
        preference: 255,
        dns: vec![ip("fd00::53"), ip("fe80::53")],
        domains: vec!["example.org".into(), "test".into()],
        solicit_most: Some(512),
        ..Message::new(Kind::Reply, 0x01_0203, duid(MAC))
    };
    assert_eq!(Message::decode(&bytes), Some(expected));
}

#[test]
fn a_refusal_concerns_the_whole_or_a_part() {
    for (code, outcome) in [
        (0, Outcome::Success),
        (1, Outcome::Other(1)),
        (2, Outcome::NoAddresses),
        (3, Outcome::NoBinding),
        (4, Outcome::NotOnLink),
        (5, Outcome::Other(5)),
    ] {
        let part = association_of(7, &[(13, &[0, code])]);
        let bytes = says(2, &[(1, &duid(MAC)), (2, SERVER), (3, &part), (13, &[0, code])]);
        let message = Message::decode(&bytes).unwrap();
        assert_eq!((message.kind, message.outcome), (Kind::Advertise, outcome));
        assert_eq!(message.association.unwrap().outcome, outcome);
    }
}

#[test]
fn only_messages_of_servers_are_accepted() {
    let (client, part) = (duid(MAC), association_of(7, &[(5, &address("fd00::5", 1, 2, &[]))]));
    let good = says(7, &[(1, &client), (2, SERVER), (3, &part)]);
    assert!(Message::decode(&good).is_some());
    let ends = [FIXED + 4 + client.len(), FIXED + 8 + client.len() + SERVER.len()];
    for length in 0..good.len() {
        // The message may end between two options, once both sides are named.
        assert_eq!(Message::decode(&good[..length]).is_some(), length == ends[1], "{length} bytes");
    }
    let cases: [(&str, Vec<u8>); 10] = [
        ("of a client", says(1, &[(1, &client), (2, SERVER)])),
        ("for nobody", says(7, &[(2, SERVER)])),
        ("of nobody", says(7, &[(1, &client)])),
        ("a short identifier", says(7, &[(1, &client), (2, &[1, 2])])),
        ("a long identifier", says(7, &[(1, &client), (2, &[1; 131])])),
        ("a short association", says(7, &[(1, &client), (2, SERVER), (3, &part[..11])])),
        ("a short address", says(7, &[(1, &client), (2, SERVER), (3, &association_of(7, &[(5, &[0; 23])]))])),
        ("a short status", says(7, &[(1, &client), (2, SERVER), (13, &[0])])),
        ("a long preference", says(2, &[(1, &client), (2, SERVER), (7, &[1, 2])])),
        (
            "an option cut off",
            says(7, &[(1, &client), (2, SERVER)]).into_iter().chain([0, 9, 0, 1]).collect(),
        ),
    ];
    for (case, bytes) in cases {
        assert_eq!(Message::decode(&bytes), None, "{case}");
    }
}

#[test]
fn lists_have_an_end() {
    let client = duid(MAC);
    let one = address("fd00::5", 1, 2, &[]);
    let part = association_of(7, &vec![(5, &one[..]); 1000]);
    let (dns, names) = (ip("fd00::53").octets().repeat(1000), b"\x01a\x00".repeat(1000));
    let bytes = says(7, &[(1, &client), (2, SERVER), (3, &part), (23, &dns), (24, &names)]);
    let message = Message::decode(&bytes).unwrap();
    assert_eq!(message.association.unwrap().addresses.len(), DHCP6_ADDRESSES);
    assert_eq!((message.dns.len(), message.domains.len()), (DHCP_SERVERS, DHCP6_DOMAINS));
    let long = [&b"\x3f"[..], &[b'a'; 63]].concat().repeat(5);
    assert_eq!(super::names(&[&long[..], b"\x00\x01b\x00"].concat()), ["b"]);
    assert_eq!(super::names(b"\x01a"), Vec::<String>::new(), "it does not end");
}

#[test]
fn a_clients_message_is_as_servers_read_it() {
    let mut message = Message::new(Kind::Request, 0xff01_0203, duid(MAC));
    (message.server, message.elapsed) = (Some(SERVER.to_vec()), 300);
    let addresses = vec![Given::asked(ip("fd00::5"))];
    message.association = Some(Association { id: 7, addresses, ..Association::default() });
    let part =
        [&[0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 0][..], &all(&[(5, &address("fd00::5", 0, 0, &[]))])].concat();
    let expected: Options<'_> = &[
        (1, &[0, 3, 0, 1, 0, 0x50, 0x56, 1, 2, 3]),
        (2, SERVER),
        (8, &[1, 44]),
        (3, &part),
        (6, &[0, 23, 0, 24, 0, 82]),
    ];
    assert_eq!(message.encode(), says(3, expected));
    message.kind = Kind::Release;
    assert_eq!(message.encode(), says(8, &expected[..4]), "nothing is asked for");
}
