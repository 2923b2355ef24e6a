//! Points in time in the API's spelling.

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use time::format_description::well_known::Rfc3339;
use time::{OffsetDateTime, PrimitiveDateTime};

/// A point in time, in microseconds since 1970-01-01 UTC. Displays as RFC 3339 in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DateTime(i64);

/// Years 0001 to 9999, which RFC 3339 can write.
const RANGE_US: std::ops::RangeInclusive<i64> = -62_135_596_800_000_000..=253_402_300_799_999_999;

impl DateTime {
    pub fn now() -> Self {
        SystemTime::now().into()
    }

    /// A time that RFC 3339 cannot write becomes the nearest one that it can.
    pub fn from_micros(us: i64) -> Self {
        Self(us.clamp(*RANGE_US.start(), *RANGE_US.end()))
    }

    pub fn as_micros(self) -> i64 {
        self.0
    }

    /// Reads RFC 3339 or the same without an offset, which then means UTC; `None` for any other text.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let at = match OffsetDateTime::parse(text, &Rfc3339) {
            Ok(at) => at,
            Err(_) => {
                let at =
                    PrimitiveDateTime::parse(text, &time::format_description::well_known::Iso8601::DEFAULT);
                at.ok()?.assume_utc()
            }
        };
        i64::try_from(at.unix_timestamp_nanos() / 1000).ok().filter(|us| RANGE_US.contains(us)).map(Self)
    }
}

impl From<SystemTime> for DateTime {
    fn from(at: SystemTime) -> Self {
        let us = match at.duration_since(UNIX_EPOCH) {
            Ok(after) => i64::try_from(after.as_micros()).unwrap_or(i64::MAX),
            Err(before) => i64::try_from(before.duration().as_micros()).map_or(i64::MIN, |us| -us),
        };
        Self::from_micros(us)
    }
}

impl fmt::Display for DateTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = OffsetDateTime::from_unix_timestamp_nanos(i128::from(self.0) * 1000)
            .expect("the range is checked when it is made");
        write!(
            f,
            "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}",
            at.year(),
            u8::from(at.month()),
            at.day(),
            at.hour(),
            at.minute(),
            at.second()
        )?;
        if at.microsecond() != 0 {
            write!(f, ".{:06}", at.microsecond())?;
        }
        f.write_str("Z")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_time_agree() {
        for (text, canonical) in [
            ("2026-11-23T04:00:00.123456Z", "2026-11-23T04:00:00.123456Z"),
            ("2026-11-23T04:00:00+02:00", "2026-11-23T02:00:00Z"),
            ("2026-11-23T04:00:00", "2026-11-23T04:00:00Z"),
            (" 1969-12-31T23:59:59.5Z ", "1969-12-31T23:59:59.500000Z"),
        ] {
            assert_eq!(DateTime::parse(text).unwrap().to_string(), canonical);
        }
        assert_eq!(DateTime::parse("yesterday"), None);
        assert_eq!(DateTime::from_micros(i64::MAX).to_string(), "9999-12-31T23:59:59.999999Z");
    }
}
