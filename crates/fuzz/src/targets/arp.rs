//! A frame to the guard of a VMkernel adapter's address, or from an uplink; any station on a segment can send one.

use std::time::Duration;

use vswitch::limits::OBSERVED_BLOCKS;
use vswitch::observed::Observed;
use vswitch::vmkernel::Arp;

pub(crate) fn run(frames: &[u8]) {
    let mut observed = Observed::default();
    observed.know_uplinks(&[1].into());
    for frame in frames.chunks(42) {
        let Some(packet) = Arp::read(frame) else { continue };
        assert_eq!(Arp::read(&frame[..42]), Some(packet));
        observed.observe(Duration::ZERO, 1, None, &packet);
        let ranges = observed.ranges(Duration::ZERO, 1);
        assert!(ranges.len() <= OBSERVED_BLOCKS);
        assert!(ranges.is_sorted_by(|one, next| one.last < next.first));
        assert!(ranges.iter().all(|range| range.first <= range.last));
    }
}
