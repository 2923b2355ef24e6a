//! Frames that are still to be segmented, with sizes that a guest chooses.

use super::shaping::slow;
use super::*;
use crate::layout::Flow;

impl Bench {
    /// Makes a port send a frame to be segmented with this many bytes of payload; 0 for none.
    fn send_segments(&mut self, frame: &[u8], size: u32) -> u32 {
        // `gso_size` is the word at 176 of `struct __sk_buff`.
        let mut context = vec![0; 192];
        context[176..180].copy_from_slice(&size.to_ne_bytes());
        self.run_with(Program::FromPort, frame, &context).0
    }
}

/// IPv4 and TCP, of this many bytes.
fn tcp(bytes: usize) -> Vec<u8> {
    let mut sent = frame(OTHER, OWN, IPV4);
    sent.truncate(14);
    sent.extend([0x45, 0]);
    sent.extend(u16::try_from(bytes - 14).unwrap().to_be_bytes());
    sent.extend([0, 0, 0, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
    sent.resize(46, 0);
    sent.push(0x50);
    sent.resize(bytes, 0);
    sent
}

#[test]
fn frames_of_too_many_or_too_large_segments_go_nowhere() {
    for (name, bytes, size, expected) in [
        ("as a guest does", 3000, 1448, Ok(())),
        ("as much as a link takes", 3000, MTU, Ok(())),
        ("more than a link takes", 3000, MTU + 1, Err(Drop::Oversize)),
        ("more than it has", 100, 1448, Ok(())),
        ("the most that there is", 3000, 65_535, Err(Drop::Oversize)),
        ("a few small ones", 1000, 1, Ok(())),
        ("as many as the longest frame has of the smallest", 2800, 2, Ok(())),
        ("many small ones", 2802, 2, Err(Drop::Oversize)),
        ("one for each byte", 3000, 1, Err(Drop::Oversize)),
        ("not to be cut, and too large", 3000, 0, Err(Drop::Oversize)),
    ] {
        let mut bench = Bench::with_port(0, 10);
        let verdict = bench.send_segments(&tcp(bytes), size);
        let to = bench.kernel.counters(2).unwrap().to_packets;
        match expected {
            Ok(()) => assert_eq!((verdict, to), (REDIRECT, 1), "{name}"),
            Err(reason) => assert_eq!((verdict, to, bench.drops(reason)), (SHOT, 0, 1), "{name}"),
        }
    }
}

#[test]
fn a_rate_pays_for_what_segments_are_on_the_wire_and_not_for_what_they_say() {
    const SECOND: u64 = 1_000_000_000;
    // A byte takes a second, and the frames so far use up this many seconds.
    for (name, size, least, most) in [
        ("one frame", 0, 999, 1001),
        ("two segments", 500, 1100, 1140),
        ("ten segments", 100, 1600, 1670),
        ("larger than it is: one frame", 1448, 999, 1001),
        ("a segment for each byte", 1, 50_000, 67_001),
    ] {
        for (ahead, verdict) in [(least, SHOT), (most, REDIRECT)] {
            let mut bench = Bench::with_port(PORT_SHAPED, 10);
            let shaper = Shaper { average_ahead_ns: ahead * SECOND, ..slow(0) };
            let key = WayKey { number: 1, way: WAY_FROM };
            bench.apply(Step::Extra(Extra::Shaper(key, Some(Box::new(shaper)))));
            assert_eq!(bench.send_segments(&tcp(1000), size), REDIRECT, "{name}");
            // It passes unless the first has cost more.
            let least = ahead == least;
            assert_eq!(
                bench.send_segments(&tcp(1000), 0),
                verdict,
                "{name}: at {}",
                if least { "least" } else { "most" }
            );
        }
    }
}

#[test]
fn flows_count_the_packets_that_segments_will_be() {
    for (name, size, packets, octets) in [
        ("not to be cut", 0, 1, 986),
        ("into ten", 100, 10, 986 + 9 * 40),
        ("larger than it is", 1448, 1, 986),
        ("into one for each byte", 1, 946, 986 + 945 * 40),
    ] {
        let mut bench = Bench::with_port(PORT_WATCHED, 10);
        bench.apply(Step::Extra(Extra::Watch(1, Some(Box::new(Watch { every: 1, flags: 0 })))));
        assert_eq!(bench.send_segments(&tcp(1000), size), REDIRECT, "{name}");
        let flows: Vec<(FlowKey, Flow)> =
            bench.kernel.hash("flows").unwrap().iter().map(Result::unwrap).collect();
        let counted: Vec<_> = flows.iter().map(|(_, flow)| (flow.packets, flow.octets)).collect();
        assert_eq!(counted, [(packets, octets)], "{name}");
    }
}
