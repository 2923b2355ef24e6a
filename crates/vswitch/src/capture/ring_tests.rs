use super::*;

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

fn entry(number: u32, point: u32, captures: u32, bytes: &[u8]) -> Vec<u8> {
    let mut entry = 5u64.to_ne_bytes().to_vec();
    let taken = u32::try_from(bytes.len()).unwrap();
    for word in [captures, number, point, 2, 1000, taken, CAPTURED_TAG | 10, 0] {
        entry.extend(word.to_ne_bytes());
    }
    [&entry[..], bytes, &[0; 3]].concat()
}

#[test]
fn captures_share_points_and_each_gets_what_it_asked_for() {
    let mut all = Capturing::default();
    let mut one =
        all.begin(filter(&["t1", "up0"], &[Point::FromPort, Point::UplinkOut], 4), |_| Ok(0)).unwrap();
    let mut two = all.begin(filter(&["t1"], &[Point::FromPort, Point::Dropped], 8), |_| Ok(7)).unwrap();
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
    let mut slow = all.begin(filter(&["t1"], &[Point::FromPort], 64), |_| Ok(0)).unwrap();
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
    let running: Vec<Captures> =
        (0..CAPTURES).map(|_| all.begin(Filter::default(), |_| Ok(0)).unwrap()).collect();
    assert!(all.begin(Filter::default(), |_| Ok(0)).is_err());
    drop(running);
    assert!(all.forget_ended() && all.begin(Filter::default(), |_| Ok(0)).is_ok());
}
