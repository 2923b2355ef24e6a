//! The monotonic clock, by which the programs stamp what they report.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

pub(super) fn monotonic() -> Duration {
    let now = clock_gettime(ClockId::Monotonic);
    let part = |value: i64| u64::try_from(value).unwrap_or(0);
    Duration::from_secs(part(now.tv_sec)) + Duration::from_nanos(part(now.tv_nsec))
}
