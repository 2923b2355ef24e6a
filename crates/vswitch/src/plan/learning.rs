//! How many MACs each port may learn.

use std::collections::BTreeMap;

/// The limits of ports, by number, which together do not exceed the room: the smallest requests are met, and the others
/// share what is left.
pub(super) fn limits(asked: &BTreeMap<u32, u32>, room: usize) -> BTreeMap<u32, u32> {
    let mut by_size: Vec<(u32, u32)> = asked.iter().map(|(number, limit)| (*limit, *number)).collect();
    by_size.sort_unstable();
    let (mut room, mut ports) = (room, by_size.len());
    let mut limits = BTreeMap::new();
    for (limit, number) in by_size {
        let share = u32::try_from(room / ports).unwrap_or(u32::MAX);
        let limit = limit.min(share);
        limits.insert(number, limit);
        room -= usize::try_from(limit).expect("is no more than the room");
        ports -= 1;
    }
    limits
}

#[cfg(test)]
mod tests {
    #[test]
    fn limits_fit_into_the_room_and_small_ones_are_kept() {
        let limits = |asked: &[u32], room| -> Vec<u32> {
            super::limits(&(0..).zip(asked.iter().copied()).collect(), room).into_values().collect()
        };
        assert_eq!(limits(&[4096, 10, 4096], 10_000), [4096, 10, 4096]);
        assert_eq!(limits(&[4096, 10, 4096], 4010), [2000, 10, 2000]);
        assert_eq!(limits(&[4096, 4096, 10, 3], 20), [6, 6, 5, 3]);
        assert_eq!(limits(&[4096; 3], 2), [0, 1, 1]);
        assert_eq!(limits(&[], 2), []);
    }
}
