use super::*;

/// From a second on, the islands of the network.
type Phase<'a> = (u64, &'a str);

/// A changing physical network: from a second on, its islands, in words; an uplink in no island has its link down. A
/// beacon takes 10 ms, plus one for each uplink before. The answer is the health of all uplinks at the end of each
/// second, a letter per uplink: `w`ell, `d`own or `i`solated.
fn play(phases: &[Phase<'_>], seconds: u64, uplinks: &str) -> Vec<String> {
    let mut probe = Probe::new(9);
    let positions: BTreeMap<char, u8> = uplinks.chars().zip(0..).collect();
    let mut seen = Vec::new();
    for second in 0..seconds {
        let (_, network) = phases.iter().rev().find(|(from, _)| *from <= second).unwrap();
        let links = positions.iter().map(|(name, position)| (*position, network.contains(*name))).collect();
        let start = Duration::from_secs(second);
        probe.set_links(&links);
        probe.judge(start);
        let sequence = probe.send(start).unwrap();
        for island in network.split_whitespace() {
            for (receiver, sender) in island.chars().flat_map(|a| island.chars().map(move |b| (a, b))) {
                let receiver = positions[&receiver];
                let now = start + Duration::from_millis(10 + u64::from(receiver));
                let beacon = Beacon { host: [0; 16], switch: 9, uplink: positions[&sender], sequence };
                assert_eq!(probe.hear(now, receiver, &beacon), receiver != beacon.uplink);
                // A call in between must not judge hastily.
                probe.judge(now);
            }
        }
        let health = probe.judge(start + Duration::from_millis(999));
        seen.push(
            health
                .values()
                .map(|health| match health {
                    Health::Well => 'w',
                    Health::Down => 'd',
                    Health::Isolated => 'i',
                })
                .collect(),
        );
    }
    seen
}

#[test]
fn an_uplink_that_hears_nobody_while_others_do_has_failed() {
    let cases: [(&str, &str, &[Phase<'_>], &[&str]); 11] = [
        ("whole", "abc", &[(0, "abc")], &["www", "www", "www", "www", "www"]),
        ("one is cut off", "abc", &[(0, "abc"), (1, "ab c")], &["www", "www", "www", "wwi", "wwi"]),
        ("cut off from the start", "abc", &[(0, "ab c")], &["www", "www", "www", "wwi", "wwi"]),
        (
            "it recovers",
            "abc",
            &[(0, "ab c"), (5, "abc")],
            &["www", "www", "www", "wwi", "wwi", "www", "www"],
        ),
        ("two of four", "abcd", &[(0, "abcd"), (1, "ab c d")], &["wwww", "wwww", "wwww", "wwii", "wwii"]),
        ("all alone", "abc", &[(0, "abc"), (1, "a b c")], &["www", "www", "www", "www", "www", "www"]),
        (
            "all alone, and together again",
            "abc",
            &[(0, "abc"), (1, "a b c"), (6, "abc")],
            &["www", "www", "www", "www", "www", "www", "www", "www", "www", "www"],
        ),
        ("two islands", "abcd", &[(0, "abcd"), (1, "ab cd")], &["wwww", "wwww", "wwww", "wwww", "wwww"]),
        ("two uplinks", "ab", &[(0, "ab"), (1, "a b")], &["ww", "ww", "ww", "ww", "ww", "ww"]),
        ("two that are left", "abc", &[(0, "abc"), (1, "a b")], &["www", "wwd", "wwd", "wwd", "wwd"]),
        ("none has a link", "abc", &[(0, "abc"), (1, "")], &["www", "ddd", "ddd", "ddd", "ddd"]),
    ];
    for (name, uplinks, phases, wanted) in cases {
        let seconds = u64::try_from(wanted.len()).unwrap();
        assert_eq!(play(phases, seconds, uplinks), wanted, "{name}");
    }
}

#[test]
fn one_that_failed_stays_so_until_it_is_heard_or_is_the_last() {
    let lone = [(0, "ab c"), (4, "a c"), (6, "c"), (7, "a c")];
    let wanted = ["www", "www", "www", "wwi", "wdi", "wdi", "ddw", "wdw"];
    assert_eq!(play(&lone, 8, "abc"), wanted);
    // Its link goes down and up, and its switch still does not forward.
    let flapping = [(0, "ab c"), (4, "ab"), (5, "ab c"), (7, "abc")];
    assert_eq!(play(&flapping, 8, "abc")[3..], ["wwi", "wwd", "wwi", "wwi", "www"]);
}

#[test]
fn one_that_comes_up_carries_nothing_before_it_is_heard() {
    let blocked = [(0, "ab"), (4, "ab c"), (6, "abc")];
    assert_eq!(play(&blocked, 7, "abc"), ["wwd", "wwd", "wwd", "wwd", "wwi", "wwi", "www"]);
}

/// The result when three uplinks receive each other's beacons as in these pairs of receiver and sender, for long
/// enough.
fn hearing(pairs: &[(u8, u8)]) -> BTreeMap<u8, Health> {
    let mut probe = Probe::new(1);
    probe.set_links(&[(0, true), (1, true), (2, true)].into());
    let mut health = BTreeMap::new();
    for second in 0..6 {
        let now = Duration::from_secs(second);
        let sequence = probe.send(now).unwrap();
        for (receiver, sender) in pairs {
            probe.hear(now, *receiver, &Beacon { host: [0; 16], switch: 1, uplink: *sender, sequence });
        }
        health = probe.judge(now);
    }
    health
}

#[test]
fn an_uplink_that_is_only_deaf_or_only_mute_has_failed_too() {
    let others = [(0, 1), (1, 0)];
    for last in [[(0, 2), (1, 2)], [(2, 0), (2, 1)]] {
        let health = hearing(&[others, last].concat());
        assert_eq!(health, [(0, Health::Well), (1, Health::Well), (2, Health::Isolated)].into());
        assert!(!health[&2].is_usable());
    }
}

#[test]
fn beacons_that_prove_nothing_are_not_heard() {
    let mut probe = Probe::new(1);
    probe.set_links(&[(0, true), (1, true), (2, false)].into());
    let start = Duration::from_secs(100);
    let sequence = probe.send(start).unwrap();
    assert_eq!((probe.send(start), probe.next()), (None, start + BEACON_INTERVAL));
    let good = Beacon { host: [0; 16], switch: 1, uplink: 1, sequence };
    let cases = [
        ("good", 0, good, 0, true),
        ("its own", 1, good, 0, false),
        ("another switch's", 0, Beacon { switch: 2, ..good }, 0, false),
        ("of an uplink that is down", 0, Beacon { uplink: 2, ..good }, 0, false),
        ("at an uplink that is down", 2, good, 0, false),
        ("of an uplink that is not there", 0, Beacon { uplink: 9, ..good }, 0, false),
        ("not sent yet", 0, Beacon { sequence: sequence + 1, ..good }, 0, false),
        ("sent again later", 0, good, 3, false),
    ];
    for (name, receiver, beacon, later, heard) in cases {
        assert_eq!(probe.hear(start + Duration::from_secs(later), receiver, &beacon), heard, "{name}");
    }
}
