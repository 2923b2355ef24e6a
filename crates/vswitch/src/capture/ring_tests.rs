use super::*;

/// When captures are started.
const START: Duration = Duration::from_secs(3);

/// Adds a capture and starts it; `lost` frames were lost before.
fn begin(all: &mut Capturing, filter: Filter, lost: u64) -> Captures {
    let captures = all.add(filter).unwrap();
    all.start(START, |_| Ok(lost)).unwrap();
    captures
}

fn links() -> Links {
    let names = [("t1", 1), ("t2", 2), ("up0", 90)];
    names.map(|(name, index)| (name.to_owned(), Link { index, running: true })).into()
}

fn numbers() -> Numbers {
    [(1, 10), (2, 20), (90, 30)].into()
}

fn ports() -> BTreeMap<u32, Port> {
    let port = |(index, number)| {
        let flags = if index == 90 { PORT_UPLINK } else { 0 };
        (index, Port { number, flags, ..Port::default() })
    };
    numbers().into_iter().map(port).collect()
}

fn filter(interfaces: &[&str], points: &[Point], length: u32) -> Filter {
    let interfaces = interfaces.iter().map(|name| (*name).into()).collect();
    Filter { interfaces, points: points.iter().copied().collect(), length }
}

/// An entry stamped well after [`START`].
fn entry(number: u32, point: u32, captures: u32, bytes: &[u8]) -> Vec<u8> {
    entry_at(2 * START, number, point, captures, bytes)
}

fn entry_at(time: Duration, number: u32, point: u32, captures: u32, bytes: &[u8]) -> Vec<u8> {
    let mut entry = u64::try_from(time.as_nanos()).unwrap().to_ne_bytes().to_vec();
    let taken = u32::try_from(bytes.len()).unwrap();
    for word in [captures, number, point, 2, 1000, taken, CAPTURED_TAG | 10, 0] {
        entry.extend(word.to_ne_bytes());
    }
    [&entry[..], bytes, &[0; 3]].concat()
}

#[test]
fn captures_share_points_and_each_gets_what_it_asked_for() {
    let mut all = Capturing::default();
    let mut one = begin(&mut all, filter(&["t1", "up0"], &[Point::FromPort, Point::UplinkOut], 4), 0);
    let mut two = begin(&mut all, filter(&["t1"], &[Point::FromPort, Point::Dropped], 8), 7);
    let looks = all.looks(&links(), &numbers(), |name| name == "up0");
    let look = |number, point, captures, snap| (PointKey { number, point }, Capture { captures, snap });
    assert_eq!(
        looks.into_iter().collect::<Vec<_>>(),
        [look(10, POINT_FROM, 3, 8), look(10, POINT_DROPPED, 2, 8), look(30, POINT_TO, 1, 4)]
    );
    let lost = |bit| if bit == 1 { 9 } else { 0 };
    all.hand_out(&entry(10, POINT_FROM, 3, b"12345678"), &interfaces(&ports(), &links()), lost);
    all.hand_out(&entry(10, POINT_DROPPED, 2, b"123"), &interfaces(&ports(), &links()), lost);
    all.hand_out(&entry(30, POINT_TO, 1, b"12"), &interfaces(&ports(), &links()), lost);
    all.hand_out(&entry(77, POINT_TO, 3, b"12"), &interfaces(&ports(), &links()), lost);
    all.hand_out(b"short", &interfaces(&ports(), &links()), lost);
    let brief = |frame: Captured| (frame.interface, frame.point, frame.reason, frame.bytes, frame.lost);
    let ones: Vec<_> = std::iter::from_fn(|| one.frames.try_recv().ok()).map(brief).collect();
    assert_eq!(
        ones,
        [
            ("t1".into(), Point::FromPort, None, b"1234".to_vec(), 0),
            ("up0".into(), Point::UplinkOut, None, b"12".to_vec(), 0)
        ]
    );
    let first = two.frames.try_recv().unwrap();
    assert_eq!((first.length, first.tag, first.lost), (1000, Some(10), 2));
    assert_eq!(
        brief(two.frames.try_recv().unwrap()),
        ("t1".into(), Point::Dropped, Some(Drop::Forged), b"123".to_vec(), 0)
    );
    assert!(!all.forget_ended());
    drop(one);
    assert!(all.forget_ended() && all.is_active());
}

#[test]
fn a_slow_reader_is_told_what_it_has_lost() {
    let mut all = Capturing::default();
    let mut slow = begin(&mut all, filter(&["t1"], &[Point::FromPort], 64), 0);
    for _ in 0..CAPTURE_FRAMES + 5 {
        all.hand_out(&entry(10, POINT_FROM, 1, b"x"), &interfaces(&ports(), &links()), |_| 0);
    }
    assert_eq!(slow.frames.try_recv().map(|frame| frame.lost), Ok(0));
    all.hand_out(&entry(10, POINT_FROM, 1, b"y"), &interfaces(&ports(), &links()), |_| 0);
    let rest: Vec<Captured> = std::iter::from_fn(|| slow.frames.try_recv().ok()).collect();
    assert_eq!(rest.len(), CAPTURE_FRAMES);
    assert_eq!(rest.last().map(|frame| (frame.bytes.clone(), frame.lost)), Some((b"y".to_vec(), 5)));
}

#[test]
fn there_are_only_so_many() {
    let mut all = Capturing::default();
    let running: Vec<Captures> = (0..CAPTURES).map(|_| all.add(Filter::default()).unwrap()).collect();
    assert!(all.add(Filter::default()).is_err());
    drop(running);
    assert!(all.forget_ended() && all.add(Filter::default()).is_ok());
}

#[test]
fn frames_of_an_ended_capture_do_not_reach_the_next_with_its_bit() {
    let mut all = Capturing::default();
    let mut other = begin(&mut all, filter(&["t1"], &[Point::FromPort], 64), 0);
    let first = begin(&mut all, filter(&["t1"], &[Point::FromPort], 64), 0);
    drop(first);
    assert!(all.forget_ended());
    let mut second = all.add(filter(&["t1"], &[Point::FromPort], 64)).unwrap();
    let started = START + Duration::from_secs(1);
    let of = |time, bytes: &[u8]| entry_at(time, 10, POINT_FROM, 3, bytes);
    all.hand_out(&of(started, b"the kernel does not know it"), &interfaces(&ports(), &links()), |_| 0);
    all.start(started, |_| Ok(0)).unwrap();
    let just_before = started - Duration::from_nanos(1);
    for (time, bytes) in [(START, b"old"), (just_before, b"ago"), (started, b"new"), (2 * started, b"now")] {
        all.hand_out(&of(time, bytes), &interfaces(&ports(), &links()), |_| 0);
    }
    let bytes = |captures: &mut Captures| -> Vec<Vec<u8>> {
        std::iter::from_fn(|| captures.frames.try_recv().ok()).map(|frame| frame.bytes).collect()
    };
    assert_eq!(bytes(&mut second), [b"new", b"now"]);
    assert_eq!(bytes(&mut other).len(), 5, "who goes on gets all");
}

#[test]
fn the_ring_is_read_until_nothing_is_left_in_it() {
    let mut all = Capturing::default();
    assert!(all.is_active(), "what a former daemon has left");
    all.emptied();
    assert!(!all.is_active());
    let captures = begin(&mut all, Filter::default(), 0);
    assert!(all.is_active());
    all.emptied();
    assert!(all.is_active(), "somebody looks");
    drop(captures);
    assert!(all.forget_ended() && all.is_active(), "what was seen last");
    all.emptied();
    assert!(!all.is_active() && !all.forget_ended() && !all.is_active());
}
