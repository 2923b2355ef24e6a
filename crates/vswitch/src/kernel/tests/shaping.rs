//! Traffic shaping.

use rustix::time::{ClockId, clock_gettime};

use super::*;
use crate::plan::place;

/// A rate at which a byte takes a second, so that the test is over before another frame may pass.
pub(super) fn slow(queue: u32) -> Shaper {
    let cost = 1_000_000_000 << COST_SHIFT;
    Shaper {
        average_cost: cost,
        average_ahead_ns: 150 * 1_000_000_000,
        peak_cost: cost / 2,
        peak_ahead_ns: 1 << 60,
        queue,
        ifindex: LOOPBACK,
    }
}

fn shaper(way: u32, number: u32, queue: u32) -> Step {
    Step::Extra(Extra::Shaper(WayKey { number, way }, Some(Box::new(slow(queue)))))
}

#[test]
fn a_shaped_port_sends_no_more_than_its_burst() {
    let mut bench = Bench::with_port(PORT_SHAPED, 10);
    let sent = frame(OTHER, OWN, IPV4);
    assert_eq!(bench.run(Program::FromPort, &sent), REDIRECT, "no shaper, no limit");
    bench.apply(shaper(WAY_FROM, 1, 0));
    for (name, verdict) in
        [("first", REDIRECT), ("second", REDIRECT), ("the burst's last", REDIRECT), ("fourth", SHOT)]
    {
        assert_eq!(bench.run(Program::FromPort, &sent), verdict, "{name}");
    }
    assert_eq!((bench.drops(Drop::Shaped), bench.kernel.counters(2).unwrap().to_packets), (1, 4));
    bench.kernel.clear_counters(1).unwrap();
    assert_eq!(bench.run(Program::FromPort, &sent), REDIRECT, "another port with this number begins anew");
}

#[test]
fn a_frame_beyond_a_targets_rate_is_the_targets_drop() {
    let mut bench = Bench::with_port(0, 10);
    let target = Target { ifindex: 50, number: 2, flags: PORT_SHAPED, vlan: 10, ..Target::default() };
    bench.apply(Step::Station(StationKey { network: 7, vlan: 10, mac: OTHER }, target));
    bench.apply(shaper(WAY_TO, 2, 0));
    let verdicts: Vec<u32> = (0..5).map(|_| bench.run(Program::FromPort, &frame(OTHER, OWN, IPV4))).collect();
    assert_eq!(verdicts, [REDIRECT, REDIRECT, REDIRECT, SHOT, SHOT]);
    let theirs = bench.kernel.counters(2).unwrap();
    assert_eq!((theirs.to_packets, theirs.dropped(Drop::Shaped), bench.drops(Drop::Shaped)), (3, 2, 0));
}

#[test]
fn early_frames_wait_in_a_queue_and_are_not_overtaken() {
    let mut bench = Bench::with_port(PORT_SHAPED, 10);
    // A frame takes some 60 ms.
    let shaper = Shaper { average_cost: 1_000_000 << COST_SHIFT, ..slow(70) };
    let key = WayKey { number: 1, way: WAY_FROM };
    bench.apply(Step::Extra(Extra::Shaper(key, Some(Box::new(Shaper { peak_cost: 0, ..shaper })))));
    let sent = frame(OTHER, OWN, IPV4);
    let counted = |bench: &Bench| {
        [1, 2].map(|number| bench.kernel.counters(number).unwrap()).map(|it| (it.from_packets, it.to_packets))
    };
    let send = |bench: &mut Bench| {
        assert_eq!(bench.run(Program::FromPort, &sent), REDIRECT);
        counted(bench)
    };
    assert_eq!(send(&mut bench), [(1, 0), (0, 1)], "the first passes at once");
    assert_eq!(send(&mut bench), [(2, 0), (0, 1)], "the second is early");
    std::thread::sleep(std::time::Duration::from_millis(150));
    assert_eq!(send(&mut bench), [(3, 0), (0, 1)], "the third is not, but the second has not left yet");
    assert_eq!(bench.run(Program::FromQueue, &sent), SHOT, "without a mark");
    let nobody = MARK_QUEUED | place(WayKey { number: 4, way: WAY_TO });
    assert_eq!(bench.run_marked(Program::FromQueue, &sent, nobody), SHOT, "of a port that is not shaped");
    let mark = MARK_QUEUED | place(key);
    for to in [2, 3] {
        assert_eq!(bench.run_marked(Program::FromQueue, &sent, mark), REDIRECT);
        assert_eq!(counted(&bench), [(3, 0), (0, to)]);
    }
    std::thread::sleep(std::time::Duration::from_millis(150));
    assert_eq!(send(&mut bench), [(4, 0), (0, 4)], "the queue is empty");
}

#[test]
fn frames_lost_in_a_queue_do_not_keep_a_port_in_it() {
    let mut bench = Bench::with_port(PORT_SHAPED, 10);
    let key = WayKey { number: 1, way: WAY_FROM };
    // A frame takes some 60 ms.
    let shaper = Shaper { average_cost: 1_000_000 << COST_SHIFT, peak_cost: 0, ..slow(70) };
    bench.apply(Step::Extra(Extra::Shaper(key, Some(Box::new(shaper)))));
    let delivered = |bench: &mut Bench, after_ms| {
        std::thread::sleep(std::time::Duration::from_millis(after_ms));
        let before = bench.kernel.counters(2).unwrap().to_packets;
        assert_eq!(bench.run(Program::FromPort, &frame(OTHER, OWN, IPV4)), REDIRECT);
        bench.kernel.counters(2).unwrap().to_packets > before
    };
    assert!(delivered(&mut bench, 0));
    for _ in 0..3 {
        assert!(!delivered(&mut bench, 0), "it is early, and will be lost");
    }
    assert!(!delivered(&mut bench, 400), "what is in the queue is not overtaken");
    assert!(delivered(&mut bench, 1500), "nothing can be in there any more");
    assert!(!delivered(&mut bench, 0), "early once more");
    bench.kernel.empty_queue(place(key)).unwrap();
    assert!(delivered(&mut bench, 200), "the queue is another one");
}

#[test]
fn a_copy_that_goes_through_the_switch_is_not_shaped() {
    let mut bench = Bench::with_port(PORT_SHAPED, 10);
    let target = Target { ifindex: 50, number: 2, flags: PORT_SHAPED, vlan: 10, ..Target::default() };
    bench.apply(Step::Station(StationKey { network: 7, vlan: 10, mac: OTHER }, target));
    bench.apply(shaper(WAY_FROM, 1, 0));
    bench.apply(shaper(WAY_TO, 2, 0));
    for _ in 0..6 {
        let sent = frame(OTHER, OWN, IPV4);
        assert_eq!(bench.run_marked(Program::FromPort, &sent, MARK_COPY | 9), REDIRECT);
    }
    assert_eq!((bench.drops(Drop::Shaped), bench.kernel.counters(2).unwrap().dropped(Drop::Shaped)), (0, 0));
    let sent = frame(OTHER, OWN, IPV4);
    assert_eq!(bench.run(Program::FromPort, &sent), REDIRECT, "and takes nothing from what is");
}

fn bucket(bench: &mut Bench, key: WayKey) -> Bucket {
    bench.kernel.array_mut("buckets").unwrap().get(&place(key), 0).unwrap()
}

fn now_ns() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    u64::try_from(now.tv_sec).unwrap() * 1_000_000_000 + u64::try_from(now.tv_nsec).unwrap()
}

#[test]
fn frames_that_pass_on_several_processors_are_all_paid_for() {
    const THREADS: u64 = 4;
    const FRAMES: u32 = 500_000;
    let mut bench = Bench::with_port(PORT_SHAPED, 10);
    let key = WayKey { number: 1, way: WAY_FROM };
    // A byte takes a second at one rate and half a second at the other, and none is ever too much.
    let shaper = Shaper { average_ahead_ns: 1 << 60, ..slow(0) };
    bench.apply(Step::Extra(Extra::Shaper(key, Some(Box::new(shaper)))));
    let sent = frame(OTHER, OWN, IPV4);
    let began = now_ns();
    let program = &*attach::program(&mut bench.kernel.ebpf, Program::FromPort).unwrap();
    std::thread::scope(|threads| {
        for _ in 0..THREADS {
            threads.spawn(|| {
                let options =
                    TestRunOptions { data_in: Some(&sent), repeat: FRAMES, ..TestRunOptions::default() };
                assert_eq!(program.test_run(options).unwrap().return_value, REDIRECT);
            });
        }
    });
    let paid = THREADS * u64::from(FRAMES) * sent.len() as u64 * 1_000_000_000;
    let bucket = bucket(&mut bench, key);
    for (name, until, paid) in [("average", bucket.average_ns, paid), ("peak", bucket.peak_ns, paid / 2)] {
        let first = until.checked_sub(paid).unwrap_or_else(|| panic!("{name}: some has passed for nothing"));
        assert!((began..=now_ns()).contains(&first), "{name}: {first} is not when it began, {began}");
    }
}

#[test]
fn a_frame_leaves_the_count_of_its_queue_once() {
    let mut bench = Bench::with_port(PORT_SHAPED, 10);
    let key = WayKey { number: 1, way: WAY_FROM };
    bench.apply(shaper(WAY_FROM, 1, 70));
    let sent = frame(OTHER, OWN, IPV4);
    for (verdicts, queued) in [(1, 0), (2, 1), (3, 2)] {
        assert_eq!(bench.run(Program::FromPort, &sent), REDIRECT);
        assert_eq!(bucket(&mut bench, key).queued, queued, "after {verdicts}");
    }
    bench.kernel.empty_queue(place(key)).unwrap();
    for _ in 0..3 {
        assert_eq!(bench.run_marked(Program::FromQueue, &sent, MARK_QUEUED | place(key)), REDIRECT);
        assert_eq!(bucket(&mut bench, key).queued, 0);
    }
}

#[test]
fn shapers_are_read_as_they_were_written() {
    let mut bench = Bench::with_port(PORT_SHAPED, 10);
    let read = |bench: &Bench| bench.kernel.read().unwrap().extras.shapers.into_iter().collect::<Vec<_>>();
    assert_eq!(read(&bench), []);
    let last = u32::try_from(crate::limits::PORTS).unwrap() - 1;
    let keys = [(0, WAY_TO), (7, WAY_FROM), (last, WAY_TO)].map(|(number, way)| WayKey { number, way });
    keys.iter().for_each(|key| bench.apply(shaper(key.way, key.number, 70)));
    assert_eq!(read(&bench), keys.map(|key| (key, slow(70))));
    bench.apply(Step::Extra(Extra::Shaper(keys[1], None)));
    assert_eq!(read(&bench), [keys[0], keys[2]].map(|key| (key, slow(70))));
}
