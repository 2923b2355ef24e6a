//! Waits between repeated messages (RFC 8415 section 15).

use std::time::Duration;

/// The first wait (IRT) and the longest (MRT).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pace {
    pub first: Duration,
    pub most: Duration,
}

impl Pace {
    /// In seconds.
    pub(super) const fn new(first: u64, most: u64) -> Self {
        Self { first: Duration::from_secs(first), most: Duration::from_secs(most) }
    }

    /// The wait after this one, or the first: it doubles up to the longest, varied randomly by a tenth.
    pub(super) fn after(self, before: Duration, random: &mut Random) -> Duration {
        if before.is_zero() {
            return random.around(self.first, self.first);
        }
        let next = random.around(before * 2, before);
        if next > self.most { random.around(self.most, self.most) } else { next }
    }
}

/// Not for secrets: SplitMix64.
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn number(&mut self) -> u32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        u32::try_from((mixed ^ (mixed >> 31)) >> 32).expect("is 32 bits")
    }

    /// A random time up to this one, in steps of a thousandth.
    pub(super) fn up_to(&mut self, most: Duration) -> Duration {
        most / 1000 * (self.number() % 1001)
    }

    /// A time, varied randomly by a tenth of another one.
    fn around(&mut self, time: Duration, of: Duration) -> Duration {
        let less = of / 10;
        (time - less).saturating_add(self.up_to(less * 2))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest_with_a_tenth_of_chance() {
        let (pace, mut random, mut wait) = (Pace::new(10, 600), Random(3), Duration::ZERO);
        let mut before = Duration::ZERO;
        let mut seen = Vec::new();
        for _ in 0..200 {
            wait = pace.after(wait, &mut random);
            let (low, high) = match before.as_millis() {
                0 => (9_000, 11_000),
                before if before * 2 > 600_000 * 11 / 10 => (540_000, 660_000),
                before => (before * 19 / 10 - 1, (before * 21 / 10 + 1).min(660_000)),
            };
            assert!((low.min(540_000)..=high).contains(&wait.as_millis()), "{before:?} then {wait:?}");
            (before, wait) = (wait, wait);
            seen.push(wait.as_millis());
        }
        let late = &seen[20..];
        assert!(late.iter().min() < Some(&560_000) && late.iter().max() > Some(&640_000), "{late:?}");
    }
}
