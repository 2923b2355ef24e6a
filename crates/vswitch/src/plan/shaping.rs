//! From rates to the data plane's currency, time, and to the queues that delay early frames.

use std::collections::BTreeMap;

use crate::declare::Shaping;
use crate::layout::{COST_SHIFT, Shaper, WAY_FROM, WAY_TO, WayKey};
use crate::limits::{MAX_RATE, MIN_RATE, QUEUE_BYTES, QUEUE_TIME};

/// A queue of one port in one direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Queue {
    /// In bytes per second, like the peak.
    pub average: u64,
    /// In bytes.
    pub burst: u64,
    pub peak: u64,
    /// Longest length, in bytes.
    pub most: u64,
}

/// The queues of all shaped ports.
pub type Queues = BTreeMap<WayKey, Queue>;

/// The place of a bucket and of its queue.
pub fn place(key: WayKey) -> u32 {
    debug_assert!([WAY_FROM, WAY_TO].contains(&key.way), "there are two ways");
    2 * key.number + key.way
}

/// Average and peak in bits per second, as they are applied.
fn rates(shaping: &Shaping) -> (u64, u64) {
    let average = shaping.average.clamp(MIN_RATE, MAX_RATE);
    (average, shaping.peak.clamp(average, MAX_RATE))
}

/// How long the queue of a direction may become, in nanoseconds.
fn wait_ns(rate: u64) -> u64 {
    let time = u64::try_from(QUEUE_TIME.as_nanos()).expect("is short");
    duration(rate, QUEUE_BYTES).max(time)
}

/// The entry that decides whether a frame exceeds its burst, and whether the queue takes it.
pub(super) fn shaper(shaping: &Shaping, ifindex: u32, queue: u32) -> Shaper {
    let (average, peak) = rates(shaping);
    Shaper {
        average_cost: cost(average),
        average_ahead_ns: duration(average, shaping.burst) + wait_ns(average),
        peak_cost: cost(peak),
        peak_ahead_ns: wait_ns(peak),
        queue,
        ifindex,
    }
}

/// The queue of a direction. It is longer than it should ever become, since the data plane counts the drops.
pub(super) fn queue(shaping: &Shaping) -> Queue {
    let (average, peak) = rates(shaping);
    let wait = u128::from(wait_ns(peak).max(wait_ns(average)));
    let most = u128::from(peak / 8) * wait / 1_000_000_000;
    let most = u64::try_from(most).unwrap_or(u64::MAX).saturating_mul(2).saturating_add(QUEUE_BYTES);
    Queue { average: average / 8, burst: shaping.burst, peak: peak / 8, most }
}

/// The time of one byte at a rate, in nanoseconds times 2 to the power of `COST_SHIFT`.
fn cost(rate: u64) -> u64 {
    (8_000_000_000 << COST_SHIFT) / rate
}

/// The time of this many bytes at a rate, in nanoseconds.
fn duration(rate: u64, bytes: u64) -> u64 {
    let longest = u128::from(u64::MAX / 4);
    let exact = (u128::from(bytes) * u128::from(cost(rate))) >> COST_SHIFT;
    u64::try_from(exact.min(longest)).expect("has been bounded")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_become_times() {
        let shaping = |average, peak, burst| Shaping { enabled: true, average, peak, burst };
        for (name, declared, average, burst_ms, peak) in [
            ("a byte each millisecond", shaping(8_000, 8_000, 1_000), 1_000_000, 1_000, 1_000_000),
            ("100 Mbit/s, a burst of 1 s", shaping(100_000_000, 200_000_000, 12_500_000), 80, 1_000, 40),
            ("a peak below the average", shaping(100_000_000, 1_000, 12_500_000), 80, 1_000, 80),
            ("no rate at all", shaping(0, 0, 0), 8_000_000, 0, 8_000_000),
        ] {
            let shaper = shaper(&declared, 5, 9);
            assert_eq!(
                (shaper.average_cost >> COST_SHIFT, shaper.peak_cost >> COST_SHIFT),
                (average, peak),
                "{name}"
            );
            let (rate, _) = rates(&declared);
            assert_eq!(shaper.average_ahead_ns - wait_ns(rate), burst_ms * 1_000_000, "{name}");
            assert_eq!((shaper.ifindex, shaper.queue), (5, 9));
        }
        let extreme = shaper(&shaping(u64::MAX, u64::MAX, u64::MAX), 1, 0);
        assert!(extreme.average_cost > 1_000, "fine enough at the highest rate");
        let slow = shaper(&shaping(0, 0, u64::MAX), 1, 0);
        assert!(slow.average_ahead_ns < u64::MAX / 2, "a clock with this added does not overflow");
    }

    #[test]
    fn a_queue_is_as_long_as_a_wait_and_takes_whole_segments() {
        let queue = |average, peak| queue(&Shaping { enabled: true, average, peak, burst: 1 << 20 });
        let fast = queue(1_000_000_000, 2_000_000_000);
        assert_eq!((fast.average, fast.peak, fast.burst), (125_000_000, 250_000_000, 1 << 20));
        assert!(fast.most > 250_000_000 / 20 && fast.most < 250_000_000, "{fast:?}");
        let slow = queue(64_000, 64_000);
        assert!(slow.most >= 2 * QUEUE_BYTES && slow.most < 8 * QUEUE_BYTES, "{slow:?}");
    }
}
