//! MAC learning.

use std::time::Duration;

use super::*;
use crate::limits::LEARNED_BATCH;

const NESTED: [u8; 6] = [0x52, 0x54, 0, 0, 0, 1];
const LEARNS: u32 = PORT_FORGED | PORT_LEARNS | PORT_LEARNED;
const LONG: Duration = Duration::from_secs(3600);

fn nested(last: u8) -> [u8; 6] {
    [0x52, 0x54, 0, 0, 0, last]
}

fn now() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    u64::try_from(now.tv_sec).unwrap() * 1_000_000_000 + u64::try_from(now.tv_nsec).unwrap()
}

fn learner(number: u32, ifindex: u32, limit: u32, flags: u32) -> Learner {
    let target = Target { ifindex, number, vlan: 10, ..Target::default() };
    Learner { target, network: 7, limit, flags }
}

impl Bench {
    /// [`Bench::with_port`], with learning.
    fn learning(limit: u32, at_limit: u32) -> Self {
        let mut bench = Self::with_port(LEARNS, 10);
        bench.learner(1, learner(1, LOOPBACK, limit, at_limit));
        bench
    }

    fn learner(&mut self, number: u32, learner: Learner) {
        self.apply(Step::Extra(Extra::Learner(number, Some(Box::new(learner)))));
    }

    /// Makes a port have learned a MAC, this many nanoseconds ago.
    fn has_learned(&mut self, vlan: u16, mac: [u8; 6], (ifindex, number): (u32, u32), ago_ns: u64) {
        let learned =
            Learned { owner: u64::from(ifindex) << 32 | u64::from(number), seen_ns: now() - ago_ns };
        self.kernel.put("learned", StationKey { network: 7, vlan, mac }, learned).unwrap();
        let count = self.kernel.learned_by(number).unwrap() + 1;
        self.kernel.array_mut("learned_by").unwrap().set(number, count, 0).unwrap();
    }

    fn learned(&self) -> Vec<[u8; 6]> {
        let mut macs: Vec<_> = self.kernel.learned().unwrap().iter().map(|(key, _)| key.mac).collect();
        macs.sort_unstable();
        macs
    }

    /// Sweeps all learned MACs; returns how many there were in each portion.
    fn forget(&mut self, age: Duration) -> Vec<usize> {
        let (keys, mut portions) = (self.kernel.learned_keys().unwrap(), Vec::new());
        let take = |portion: Vec<StationKey>| {
            self.kernel.forget_learned(age, &portion).unwrap();
            portions.push(portion.len());
            true
        };
        keys.read(take).unwrap();
        portions
    }

    fn counts(&self) -> [u64; 2] {
        [1, 2].map(|number| self.kernel.learned_by(number).unwrap())
    }

    fn got(&self, number: u32) -> u64 {
        self.kernel.counters(number).unwrap().to_packets
    }
}

#[test]
fn a_port_learns_whom_its_frames_come_from() {
    let mut bench = Bench::learning(10, 0);
    let before = now();
    for _ in 0..3 {
        assert_eq!(bench.run(Program::FromPort, &frame(OUTSIDE, NESTED, IPV4)), REDIRECT);
    }
    for (name, source, mark, verdict) in [
        ("its own", OWN, 0, REDIRECT),
        ("a station's", OTHER, 0, REDIRECT),
        ("none", [0; 6], 0, REDIRECT),
        ("a group's", [1, 0, 0, 0, 0, 1], 0, SHOT),
        ("that of a mirror's copy", nested(9), MARK_COPY | 9, REDIRECT),
    ] {
        let verdict_is = bench.run_marked(Program::FromPort, &frame(OUTSIDE, source, IPV4), mark);
        assert_eq!((verdict_is, bench.learned()), (verdict, vec![NESTED]), "{name}");
    }
    assert_eq!(bench.counts(), [1, 0]);
    let (key, learned) = bench.kernel.learned().unwrap()[0];
    assert_eq!((key.network, key.vlan, learned.ifindex()), (7, 10, LOOPBACK));
    assert!(learned.seen_ns >= before && learned.seen_ns <= now());

    let mut strict = Bench::with_port(PORT_LEARNS | PORT_LEARNED, 10);
    strict.learner(1, learner(1, LOOPBACK, 10, 0));
    assert_eq!(strict.run(Program::FromPort, &frame(OUTSIDE, NESTED, IPV4)), SHOT);
    assert_eq!((strict.drops(Drop::Forged), strict.learned().len()), (1, 0), "forging is refused first");
    let mut off = Bench::with_port(PORT_FORGED, 10);
    assert_eq!(off.run(Program::FromPort, &frame(OUTSIDE, NESTED, IPV4)), REDIRECT);
    assert!(off.learned().is_empty());
}

#[test]
fn at_its_limit_a_port_drops_or_passes_what_it_cannot_learn() {
    for (flags, verdict, dropped) in [(LEARNER_DROPS, SHOT, 1), (0, REDIRECT, 0)] {
        let mut bench = Bench::learning(2, flags);
        for last in [1, 2] {
            assert_eq!(bench.run(Program::FromPort, &frame(OUTSIDE, nested(last), IPV4)), REDIRECT);
        }
        assert_eq!(bench.run(Program::FromPort, &frame(OUTSIDE, nested(3), IPV4)), verdict);
        assert_eq!(bench.drops(Drop::Unlearned), dropped);
        for source in [nested(1), nested(2), OWN] {
            assert_eq!(bench.run(Program::FromPort, &frame(OUTSIDE, source, IPV4)), REDIRECT, "known");
        }
        assert_eq!((bench.learned(), bench.counts()), (vec![nested(1), nested(2)], [2, 0]));
    }
}

#[test]
fn a_mac_moves_to_the_port_that_sends_from_it_but_a_station_does_not() {
    let mut bench = Bench::learning(1, LEARNER_DROPS);
    bench.has_learned(10, NESTED, (50, 2), 0);
    bench.has_learned(20, NESTED, (50, 2), 0);
    assert_eq!(bench.run(Program::FromPort, &frame(OUTSIDE, NESTED, IPV4)), REDIRECT);
    assert_eq!(bench.counts(), [1, 1], "in its own VLAN only");
    assert_eq!(bench.run(Program::FromPort, &frame(OUTSIDE, OTHER, IPV4)), REDIRECT);
    assert_eq!(bench.counts(), [1, 1]);
    bench.has_learned(10, nested(2), (50, 2), 0);
    assert_eq!(bench.run(Program::FromPort, &frame(OUTSIDE, nested(2), IPV4)), SHOT, "it is at its limit");
    assert_eq!(bench.counts(), [1, 2], "and takes nothing away");
    let owner = |bench: &Bench, mac| {
        let all = bench.kernel.learned().unwrap();
        all.iter().find(|(key, _)| (key.vlan, key.mac) == (10, mac)).map(|(_, learned)| learned.ifindex())
    };
    assert_eq!((owner(&bench, NESTED), owner(&bench, nested(2))), (Some(LOOPBACK), Some(50)));
}

#[test]
fn a_learned_mac_leads_only_to_the_same_port() {
    let there = learner(2, 50, 10, 0);
    let elsewhere = Target { vlan: 20, ..there.target };
    let renumbered = Target { ifindex: 51, ..there.target };
    for (name, learner, to) in [
        ("as it was", Some(there), 2),
        ("it does not learn any more", None, 3),
        ("another interface has its number", Some(Learner { target: renumbered, ..there }), 3),
        ("it is in another VLAN", Some(Learner { target: elsewhere, ..there }), 3),
        ("it is on another switch", Some(Learner { network: 8, ..there }), 3),
    ] {
        let mut bench = Bench::with_port(PORT_LEARNED, 10);
        bench.has_learned(10, NESTED, (50, 2), 0);
        if let Some(learner) = learner {
            bench.learner(2, learner);
        }
        assert_eq!(bench.run(Program::FromPort, &frame(NESTED, OWN, IPV4)), REDIRECT, "{name}");
        assert_eq!(bench.got(to), 1, "{name}");
    }
    let mut bench = Bench::learning(10, 0);
    bench.run(Program::FromPort, &frame(OUTSIDE, NESTED, IPV4));
    assert_eq!(bench.run(Program::FromPort, &frame(NESTED, OWN, IPV4)), SHOT, "behind the port itself");
    assert_eq!(bench.drops(Drop::Unknown), 1);

    let mut bench = uplink(PORT_LEARNED);
    bench.has_learned(0, NESTED, (50, 2), 0);
    assert_eq!(bench.run(Program::FromUplink, &frame(NESTED, OUTSIDE, IPV4)), REDIRECT);
    assert_eq!(bench.got(2), 1);
}

/// An uplink of a switch on which port 2, untagged, learns.
fn uplink(flags: u32) -> Bench {
    let mut bench = Bench::with_port(PORT_UPLINK | flags, VLAN_TRUNK);
    let there = learner(2, 50, 10, 0);
    bench.learner(2, Learner { target: Target { vlan: 0, ..there.target }, ..there });
    bench
}

#[test]
fn unicast_that_comes_back_is_a_reflection_only_as_long_as_its_mac_sends_here() {
    let soon = 1_000_000;
    let late = 2_000_000_000;
    for (name, flags, ago, is_reflection) in [
        ("just sent, and it may have come back by another uplink", PORT_TEAMED, soon, true),
        ("silent for a while", PORT_TEAMED, late, false),
        ("without another uplink", 0, soon, false),
    ] {
        let mut bench = uplink(flags | PORT_LEARNED);
        bench.has_learned(0, NESTED, (50, 2), ago);
        bench.run(Program::FromUplink, &frame(OUTSIDE, NESTED, IPV4));
        let expected = u64::from(is_reflection);
        assert_eq!(bench.drops(Drop::Reflection), expected, "{name}");
        assert_eq!(
            (bench.learned().len() as u64, bench.counts()[1]),
            (expected, expected),
            "{name}: forgotten"
        );
    }
}

/// Makes a learning port send an untagged frame, and then an uplink bring another one. Returns whether the second
/// counts as a reflection of the first, and how many MACs are learned afterwards. `teamed` says whether the switch has
/// several uplinks.
fn comes_back(teamed: u32, sent: &[u8], back: &[u8]) -> (bool, usize) {
    // A test that is stopped for a moment would be late.
    for _ in 0..100 {
        let mut bench = Bench::with_port(LEARNS | teamed, 0);
        bench.learner(
            1,
            Learner {
                target: Target { vlan: 0, ..learner(1, LOOPBACK, 10, 0).target },
                ..learner(1, LOOPBACK, 10, 0)
            },
        );
        let began = now();
        assert_eq!(bench.run(Program::FromPort, sent), REDIRECT);
        let port = Port { number: 1, network: 7, mtu: MTU, vlan: VLAN_TRUNK, ..Port::default() };
        bench.apply(Step::Port(LOOPBACK, Port { flags: PORT_UPLINK | PORT_LEARNED | teamed, ..port }));
        bench.run(Program::FromUplink, back);
        let is_reflection = bench.drops(Drop::Reflection) == 1;
        if is_reflection || now() - began < 250_000_000 {
            return (is_reflection, bench.learned().len());
        }
    }
    panic!("the test never ran fast enough");
}

#[test]
fn a_reflection_is_recognised_whatever_changes_on_the_way() {
    let long = |protocol, bytes: usize| {
        let mut frame = frame(BROADCAST, NESTED, protocol);
        frame.truncate(14);
        frame.extend((0..bytes - 14).map(|at| (at % 251) as u8));
        frame
    };
    let (mut v4, mut v6) = (long(IPV4, 300), long(0x86dd, 300));
    (v4[14], v4[23], v6[14], v6[15], v6[20]) = (0x46, 17, 0x60, 0x05, 17);
    let with = |frame: &[u8], changed: &[usize]| {
        let mut frame = frame.to_vec();
        changed.iter().for_each(|at| frame[*at] ^= 0xff);
        frame
    };
    let cut = |frame: &[u8], bytes| frame[..bytes].to_vec();
    let (arp, other) = (long(0x0806, 60), long(0x88b5, 1500));
    let mut padded = cut(&arp, 42);
    padded.resize(60, 0);
    let mut class6 = v6.clone();
    (class6[14], class6[15]) = (0x6f, 0xf5);
    let mut igmp = v4.clone();
    igmp[23] = 2;
    for (name, sent, back, is_reflection) in [
        ("as it was", arp.clone(), arp.clone(), true),
        ("padded on the wire", cut(&arp, 42), padded, true),
        ("what is asked for", arp.clone(), with(&arp, &[41]), false),
        ("another group", arp.clone(), with(&arp, &[5]), false),
        ("another source", arp.clone(), with(&arp, &[11]), false),
        ("longer", long(0x0806, 60), long(0x0806, 61), false),
        ("class and checksums, IPv4", v4.clone(), with(&v4, &[15, 24, 25, 14 + 24 + 6, 14 + 24 + 7]), true),
        ("an address, IPv4", v4.clone(), with(&v4, &[26]), false),
        ("a UDP port", v4.clone(), with(&v4, &[14 + 24 + 5]), false),
        ("no UDP", igmp.clone(), with(&igmp, &[14 + 24 + 6]), false),
        ("class and checksum, IPv6", v6.clone(), with(&class6, &[60, 61]), true),
        ("an address, IPv6", v6.clone(), with(&v6, &[22]), false),
        ("a flow label", v6.clone(), with(&v6, &[16]), false),
        ("the last byte that is looked at", other.clone(), with(&other, &[255]), false),
        ("as long as may be", other.clone(), other.clone(), true),
    ] {
        // A frame that is not a reflection, from the same MAC, shows that the MAC is elsewhere.
        let learned = usize::from(is_reflection || sent[6..12] != back[6..12]);
        assert_eq!(comes_back(PORT_TEAMED, &sent, &back), (is_reflection, learned), "{name}");
    }
    assert_eq!(comes_back(0, &arp, &arp), (false, 0), "without another uplink");
}

#[test]
fn a_frame_sent_to_a_group_long_ago_is_not_a_reflection() {
    let mut bench = Bench::with_port(LEARNS | PORT_TEAMED, 0);
    let sent = frame(BROADCAST, NESTED, IPV4);
    assert_eq!(bench.run(Program::FromPort, &sent), REDIRECT);
    std::thread::sleep(Duration::from_millis(510));
    let port = Port { number: 1, network: 7, mtu: MTU, vlan: VLAN_TRUNK, ..Port::default() };
    bench.apply(Step::Port(LOOPBACK, Port { flags: PORT_UPLINK | PORT_LEARNED | PORT_TEAMED, ..port }));
    bench.run(Program::FromUplink, &sent);
    assert_eq!(bench.drops(Drop::Reflection), 0);
}

#[test]
fn a_port_that_forges_a_mac_cuts_off_no_station() {
    for (name, to, is_reflection) in [
        ("to a station", OTHER, false),
        ("to a learned MAC", nested(2), false),
        ("to nobody here, so it may have been sent up", nested(7), true),
        ("to all, and nobody has sent that here", BROADCAST, false),
    ] {
        let mut bench = uplink(PORT_TEAMED | PORT_LEARNED);
        let there = Target { ifindex: 51, number: 4, ..Target::default() };
        bench.apply(Step::Station(StationKey { network: 7, vlan: 0, mac: OTHER }, there));
        bench.apply(Step::Member(MemberKey { list: 4, position: 0 }, Target { hashing: HASH_IP, ..there }));
        let key = StationKey { network: 7, vlan: 0, mac: BROADCAST };
        bench.apply(Step::Group(key, Group { list: 4, untagged: 1, tagged: 0 }));
        bench.has_learned(0, nested(2), (50, 2), 0);
        // The gateway's.
        bench.has_learned(0, OUTSIDE, (50, 2), 0);
        bench.run(Program::FromUplink, &frame(to, OUTSIDE, IPV4));
        assert_eq!(bench.drops(Drop::Reflection), u64::from(is_reflection), "{name}");
        assert_eq!(bench.got(2) + bench.got(4), u64::from(!is_reflection), "{name}");
        assert_eq!(bench.learned().contains(&OUTSIDE), is_reflection, "{name}: it is elsewhere");
    }
}

#[test]
fn unknown_destinations_are_copied_to_ports_that_want_them() {
    let flooded = |bench: &mut Bench, vlan| {
        let target = Target { ifindex: 50, number: 2, vlan, ..Target::default() };
        bench.apply(Step::Member(MemberKey { list: 4, position: 0 }, target));
        let key = StationKey { network: 7, vlan, mac: crate::Mac::NOBODY.0 };
        bench.apply(Step::Group(key, Group { list: 4, untagged: 1, tagged: 0 }));
    };
    let mut bench = Bench::with_port(PORT_LEARNED, 10);
    flooded(&mut bench, 10);
    assert_eq!(bench.run(Program::FromPort, &frame(NESTED, OWN, IPV4)), REDIRECT);
    assert_eq!((bench.got(2), bench.got(3)), (1, 1), "and it goes up");
    bench.run(Program::FromPort, &frame(OTHER, OWN, IPV4));
    assert_eq!((bench.got(2), bench.got(3)), (2, 1), "a station gets it alone");

    let mut bench = uplink(PORT_LEARNED);
    bench.apply(Step::NoPort(50));
    flooded(&mut bench, 0);
    assert_eq!(bench.run(Program::FromUplink, &frame(nested(7), OUTSIDE, IPV4)), SHOT);
    assert_eq!((bench.got(2), bench.drops(Drop::Unknown)), (1, 0));
}

#[test]
fn old_and_orphaned_entries_are_removed() {
    let second = 1_000_000_000;
    let mut bench = Bench::with_port(LEARNS, 10);
    bench.learner(2, learner(2, 50, 3, 0));
    bench.has_learned(10, nested(1), (50, 2), 0);
    bench.has_learned(10, nested(2), (50, 2), 10 * second);
    bench.has_learned(10, nested(3), (51, 2), 0);
    bench.forget(Duration::from_secs(20));
    assert_eq!(
        (bench.learned(), bench.counts()),
        (vec![nested(1), nested(2)], [0, 2]),
        "of another interface"
    );
    bench.forget(Duration::from_secs(5));
    assert_eq!((bench.learned(), bench.counts()), (vec![nested(1)], [0, 1]), "old");
    bench.has_learned(10, OTHER, (50, 2), 0);
    bench.has_learned(20, nested(1), (50, 2), 0);
    bench.forget(LONG);
    assert_eq!((bench.learned(), bench.counts()), (vec![nested(1)], [0, 1]), "a station's, another VLAN's");
    for last in 2..6 {
        bench.has_learned(10, nested(last), (50, 2), 0);
    }
    bench.forget(LONG);
    assert_eq!((bench.learned().len(), bench.counts()), (3, [0, 3]), "beyond a limit that was lowered");
    bench.apply(Step::Extra(Extra::Learner(2, None)));
    bench.forget(LONG);
    assert_eq!((bench.learned().len(), bench.counts()), (0, [0, 0]), "nobody learns any more");
    // An entry that could not be removed once has no owner.
    bench.has_learned(10, nested(1), (0, 0), 10 * second);
    bench.forget(LONG);
    assert_eq!(bench.learned().len(), 1, "it may just be on its way out");
    bench.forget(Duration::from_secs(5));
    assert_eq!((bench.learned().len(), bench.kernel.learned_by(0).unwrap()), (0, 1), "and no count changes");
}

#[test]
fn macs_learned_in_a_vlan_that_a_trunk_has_lost_go_up_again() {
    for (name, bit, to) in [("it takes it", 10, 2), ("it does not", 20, 3)] {
        let mut bench = Bench::with_port(PORT_LEARNED, 10);
        let there = learner(2, 50, 10, 0);
        let target = Target { vlan: VLAN_TRUNK, flags: PORT_RANGES, ..there.target };
        bench.learner(2, Learner { target, ..there });
        let mut trunk = Trunk::default();
        trunk.vlans[0] = 1 << bit;
        bench.apply(Step::Extra(Extra::Trunk(2, Some(Box::new(trunk)))));
        bench.has_learned(10, NESTED, (50, 2), 0);
        assert_eq!(bench.run(Program::FromPort, &frame(NESTED, OWN, IPV4)), REDIRECT, "{name}");
        assert_eq!((bench.got(to), bench.drops(Drop::Deaf)), (1, 0), "{name}");
        bench.forget(LONG);
        assert_eq!(bench.learned().len(), usize::from(to == 2), "{name}");
    }
}

#[test]
fn learned_macs_are_swept_in_portions() {
    let mut bench = Bench::with_port(LEARNS, 10);
    let macs: Vec<[u8; 6]> =
        (0..600_u16).map(|number| [2, 0, 0, 1, number.to_be_bytes()[0], number.to_be_bytes()[1]]).collect();
    macs.iter().for_each(|mac| bench.has_learned(10, *mac, (50, 2), 0));
    // One call checks the given keys, and no more.
    let key = |mac: &[u8; 6]| StationKey { network: 7, vlan: 10, mac: *mac };
    bench.kernel.forget_learned(LONG, &[]).unwrap();
    assert_eq!(bench.counts(), [0, 600]);
    let most: Vec<_> = macs[..LEARNED_BATCH].iter().map(key).collect();
    bench.kernel.forget_learned(LONG, &most).unwrap();
    assert_eq!(bench.counts(), [0, 600 - 256]);
    assert_eq!(bench.learned(), macs[LEARNED_BATCH..]);
}

#[test]
fn a_sweep_goes_on_where_it_was_whatever_is_removed_behind_it() {
    const ENTRIES: u16 = 2000;
    let mut bench = Bench::with_port(LEARNS, 10);
    bench.learner(2, learner(2, 50, ENTRIES.into(), 0));
    for number in 0..ENTRIES {
        let [high, low] = number.to_be_bytes();
        bench.has_learned(10, [2, 0, 0, 1, high, low], (if number % 2 == 0 { 50 } else { 51 }, 2), 0);
    }
    assert_eq!(bench.forget(LONG), [256, 256, 256, 256, 256, 256, 256, 208]);
    assert_eq!(bench.counts(), [0, 1000]);
    assert!(bench.learned().iter().all(|mac| mac[5] % 2 == 0));
    assert_eq!(bench.forget(Duration::ZERO).iter().sum::<usize>(), 1000);
    assert_eq!((bench.forget(LONG), bench.counts()), (vec![], [0, 0]));
}

/// The verifier follows every path through a program at each start, so its count bounds the loading time.
#[test]
fn the_programs_are_cheap_to_verify() {
    let mut bench = Bench::new();
    for one in Program::ALL {
        let program = attach::program(&mut bench.kernel.ebpf, one).unwrap();
        let looked_at = program.info().unwrap().verified_instruction_count().expect("the kernel says it");
        eprintln!("{one:?}: {looked_at} instructions");
        assert!(looked_at < 100_000, "{one:?}: {looked_at} of the million that the kernel allows");
    }
}
