//! The times at which a scheduled task runs: a function of its `TaskScheduler`, without a clock. All times are UTC, as in vSphere.

use time::{Date, Month, OffsetDateTime};
use vim::{DataId, DateTime, Fault, Object, data_id, fault, field};

const SECOND_US: i64 = 1_000_000;
const HOUR: i64 = 3_600;
const DAY: i64 = 24 * HOUR;
const WEEK: i64 = 7 * DAY;
/// 1970 began on a Thursday; weeks begin on Sunday.
const FIRST_SUNDAY: i64 = -4 * DAY;
/// The largest `interval`.
const MAX_INTERVAL: i32 = 999;
/// The longest delay after the center's start, in minutes: a year.
const MAX_DELAY: i32 = 366 * 24 * 60;

/// A `TaskScheduler`, checked.
#[derive(Clone, Debug)]
pub(super) struct Timing {
    active: Option<DateTime>,
    expire: Option<DateTime>,
    rule: Rule,
}

#[derive(Clone, Debug)]
enum Rule {
    /// At the time when the task was submitted, if none is given.
    Once(Option<DateTime>),
    AfterStartup {
        minutes: i64,
    },
    Every {
        interval: i64,
        unit: Unit,
    },
}

/// The unit that an interval counts, and where within it a task runs, in seconds from its begin.
#[derive(Clone, Debug)]
enum Unit {
    Hours(i64),
    Days(i64),
    /// On these days, Sunday first.
    Weeks([bool; 7], i64),
    Months(DayOfMonth, i64),
}

#[derive(Clone, Copy, Debug)]
enum DayOfMonth {
    /// The last day in a month that is shorter.
    Number(u8),
    /// The week of the month from 0 (none: the last one) and the day of the week, Sunday as 0.
    Weekday(Option<u8>, u8),
}

/// The times that a [`Timing`] counts from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Since {
    /// When the specification was submitted: its active time, if it names none.
    pub submitted: DateTime,
    /// When the center was started.
    pub started: DateTime,
}

impl Timing {
    /// # Errors
    /// `InvalidArgument` that names the field.
    pub(super) fn parse(scheduler: &Object) -> Result<Self, Fault> {
        let active = scheduler.get(field!(TaskScheduler.activeTime));
        let expire = scheduler.get(field!(TaskScheduler.expireTime));
        if let (Some(active), Some(expire)) = (active, expire)
            && expire <= active
        {
            return Err(invalid("expireTime", "The schedule expires before it takes effect"));
        }
        Ok(Self { active, expire, rule: rule(scheduler)? })
    }

    /// The first time later than `after` at which the task is to run; none if there is none, or none is known before the center's next
    /// start.
    pub(super) fn next(&self, since: Since, after: DateTime) -> Option<DateTime> {
        let active = self.active.unwrap_or(since.submitted);
        let earliest = active.max(DateTime::from_micros(after.as_micros().saturating_add(1)));
        let at = match &self.rule {
            Rule::Once(at) => Some(at.unwrap_or(active)).filter(|at| *at >= earliest),
            Rule::AfterStartup { minutes } => {
                let at = since.started.as_micros() + minutes * 60 * SECOND_US;
                Some(DateTime::from_micros(at)).filter(|at| *at >= earliest)
            }
            Rule::Every { interval, unit } => {
                unit.next(*interval, seconds(active), seconds(earliest)).map(date)
            }
        };
        at.filter(|at| self.expire.is_none_or(|expire| *at <= expire))
    }

    /// Whether the only run was to be before `now`.
    pub(super) fn is_past(&self, now: DateTime) -> bool {
        matches!(self.rule, Rule::Once(Some(at)) if at < now) || self.expire.is_some_and(|end| end < now)
    }
}

/// Whole seconds, rounded up: a run is not earlier than it may be.
fn seconds(at: DateTime) -> i64 {
    -(-at.as_micros()).div_euclid(SECOND_US)
}

fn date(seconds: i64) -> DateTime {
    DateTime::from_micros(seconds.saturating_mul(SECOND_US))
}

impl Unit {
    /// The first time from `earliest` on. Intervals count from the unit of the first run after `active`.
    fn next(&self, interval: i64, active: i64, earliest: i64) -> Option<i64> {
        let first = self.index(self.within(self.index(active), active).or_else(|| {
            // The unit of the active time has passed its moment.
            let next = self.index(active) + 1;
            self.within(next, active)
        })?);
        let turn = (self.index(earliest) - first).div_euclid(interval).max(0);
        // The turn of the earliest time may have passed; the one after it has not.
        [turn, turn + 1].into_iter().find_map(|turn| self.within(first + turn * interval, earliest))
    }

    /// The number of the hour, day, week or month that contains this time.
    fn index(&self, at: i64) -> i64 {
        match self {
            Self::Hours(_) => at.div_euclid(HOUR),
            Self::Days(_) => at.div_euclid(DAY),
            Self::Weeks(..) => (at - FIRST_SUNDAY).div_euclid(WEEK),
            Self::Months(..) => month_of(at),
        }
    }

    /// The first time within the unit of this number that is not before `earliest`.
    fn within(&self, index: i64, earliest: i64) -> Option<i64> {
        let not_before = |at: i64| Some(at).filter(|at| *at >= earliest);
        match self {
            Self::Hours(offset) => not_before(index * HOUR + offset),
            Self::Days(offset) => not_before(index * DAY + offset),
            Self::Weeks(days, offset) => {
                let begin = FIRST_SUNDAY + index * WEEK;
                let on = days.iter().zip(0..).filter(|(runs, _)| **runs);
                on.map(|(_, day): (_, i64)| begin + day * DAY + offset).find(|at| *at >= earliest)
            }
            Self::Months(day, offset) => not_before(day.in_month(index)? * DAY + offset),
        }
    }
}

/// Months since year 0.
fn month_of(at: i64) -> i64 {
    let Ok(at) = OffsetDateTime::from_unix_timestamp(at) else { return i64::from(i32::MAX) };
    i64::from(at.year()) * 12 + i64::from(u8::from(at.month())) - 1
}

impl DayOfMonth {
    /// The day in the month of this number, in days since 1970; none beyond the calendar.
    fn in_month(self, month: i64) -> Option<i64> {
        let year = i32::try_from(month.div_euclid(12)).ok()?;
        let month = Month::try_from(u8::try_from(month.rem_euclid(12) + 1).ok()?).ok()?;
        let length = month.length(year);
        let first = Date::from_calendar_date(year, month, 1).ok()?;
        let day = match self {
            Self::Number(day) => day.min(length),
            Self::Weekday(week, weekday) => {
                let earliest = 1 + (7 + weekday - first.weekday().number_days_from_sunday()) % 7;
                let last = earliest + (length - earliest) / 7 * 7;
                week.map_or(last, |week| earliest + 7 * week)
            }
        };
        let at = Date::from_calendar_date(year, month, day).ok()?;
        Some(at.midnight().assume_utc().unix_timestamp() / DAY)
    }
}

fn rule(scheduler: &Object) -> Result<Rule, Fault> {
    let is = |ty: DataId| scheduler.is_a(ty);
    if is(data_id!(OnceTaskScheduler)) {
        return Ok(Rule::Once(scheduler.get(field!(OnceTaskScheduler.runAt))));
    }
    if is(data_id!(AfterStartupTaskScheduler)) {
        let minutes = scheduler.get(field!(AfterStartupTaskScheduler.minute)).unwrap_or_default();
        return Ok(Rule::AfterStartup { minutes: within("minute", minutes, 0, MAX_DELAY)? });
    }
    if !is(data_id!(HourlyTaskScheduler)) {
        let name = scheduler.type_name();
        return Err(invalid("", &format!("A {name} does not say when to run; use a type derived from it")));
    }
    let interval = scheduler.get(field!(RecurrentTaskScheduler.interval)).unwrap_or(1);
    let interval = within("interval", interval, 1, MAX_INTERVAL)?;
    let minute = scheduler.get(field!(HourlyTaskScheduler.minute)).unwrap_or_default();
    let minute = within("minute", minute, 0, 59)? * 60;
    if !is(data_id!(DailyTaskScheduler)) {
        return Ok(Rule::Every { interval, unit: Unit::Hours(minute) });
    }
    let hour = scheduler.get(field!(DailyTaskScheduler.hour)).unwrap_or_default();
    let offset = within("hour", hour, 0, 23)? * HOUR + minute;
    let unit = if is(data_id!(WeeklyTaskScheduler)) {
        let days = weekdays(scheduler);
        if days == [false; 7] {
            return Err(invalid("", "A weekly schedule needs a day of the week"));
        }
        Unit::Weeks(days, offset)
    } else if is(data_id!(MonthlyByDayTaskScheduler)) {
        let day = scheduler.get(field!(MonthlyByDayTaskScheduler.day)).unwrap_or_default();
        let day = u8::try_from(within("day", day, 1, 31)?).unwrap_or(1);
        Unit::Months(DayOfMonth::Number(day), offset)
    } else if is(data_id!(MonthlyByWeekdayTaskScheduler)) {
        let week = scheduler.get(field!(MonthlyByWeekdayTaskScheduler.offset)).map(|week| week.name());
        let day = scheduler.get(field!(MonthlyByWeekdayTaskScheduler.weekday)).map(|day| day.name());
        let (Some(week), Some(day)) = (week, day) else {
            return Err(invalid("weekday", "The week of the month or the day of the week is missing"));
        };
        Unit::Months(DayOfMonth::Weekday(week_number(week), day_number(day)), offset)
    } else if is(data_id!(MonthlyTaskScheduler)) {
        return Err(invalid("", "A monthly schedule is by day or by weekday"));
    } else {
        Unit::Days(offset)
    };
    Ok(Rule::Every { interval, unit })
}

fn weekdays(scheduler: &Object) -> [bool; 7] {
    [
        scheduler.get(field!(WeeklyTaskScheduler.sunday)),
        scheduler.get(field!(WeeklyTaskScheduler.monday)),
        scheduler.get(field!(WeeklyTaskScheduler.tuesday)),
        scheduler.get(field!(WeeklyTaskScheduler.wednesday)),
        scheduler.get(field!(WeeklyTaskScheduler.thursday)),
        scheduler.get(field!(WeeklyTaskScheduler.friday)),
        scheduler.get(field!(WeeklyTaskScheduler.saturday)),
    ]
    .map(Option::unwrap_or_default)
}

fn week_number(name: &str) -> Option<u8> {
    ["first", "second", "third", "fourth"]
        .iter()
        .zip(0..)
        .find(|(known, _)| **known == name)
        .map(|(_, at)| at)
}

fn day_number(name: &str) -> u8 {
    let days = ["sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"];
    days.iter().zip(0..).find(|(known, _)| **known == name).map_or(0, |(_, at)| at)
}

fn within(field: &str, value: i32, least: i32, most: i32) -> Result<i64, Fault> {
    if (least..=most).contains(&value) {
        return Ok(i64::from(value));
    }
    Err(invalid(field, &format!("{field} must be between {least} and {most}, not {value}")))
}

fn invalid(field: &str, message: &str) -> Fault {
    let dot = if field.is_empty() { "" } else { "." };
    fault!(InvalidArgument { invalidProperty: format!("spec.scheduler{dot}{field}") }, "{message}")
}

#[cfg(test)]
mod tests {
    use vim::vim;

    use super::*;

    fn at(text: &str) -> DateTime {
        DateTime::parse(text).expect("a time")
    }

    /// The times of the first runs, of a schedule that was submitted at `after`.
    fn runs(scheduler: impl Into<Object>, after: &str, count: usize) -> Vec<String> {
        let timing = Timing::parse(&scheduler.into()).expect("it is valid");
        let since = Since { submitted: at(after), started: at("2026-01-01T00:00:00Z") };
        let mut last = DateTime::from_micros(at(after).as_micros() - 1);
        let mut found = Vec::new();
        while let Some(next) = timing.next(since, last).filter(|_| found.len() < count) {
            assert!(next > last, "runs go forward");
            found.push(next.to_string().trim_end_matches(":00Z").to_owned());
            last = next;
        }
        found
    }

    #[test]
    fn a_task_runs_once_or_after_the_start() {
        let once = || vim!(OnceTaskScheduler { runAt: at("2026-03-01T10:00:00Z") });
        assert_eq!(runs(once(), "2026-02-01T00:00:00Z", 3), ["2026-03-01T10:00"]);
        assert!(runs(once(), "2026-03-01T10:00:01Z", 3).is_empty());
        assert_eq!(runs(vim!(OnceTaskScheduler {}), "2026-02-01T00:05:00Z", 3), ["2026-02-01T00:05"]);
        let late = vim!(OnceTaskScheduler {
            runAt: at("2026-03-01T10:00:00Z"),
            activeTime: at("2026-03-02T00:00:00Z")
        });
        assert!(runs(late, "2026-02-01T00:00:00Z", 3).is_empty());
        let started = || vim!(AfterStartupTaskScheduler { minute: 10 });
        assert_eq!(runs(started(), "2026-01-01T00:05:00Z", 3), ["2026-01-01T00:10"]);
        assert!(runs(started(), "2026-01-01T00:11:00Z", 3).is_empty(), "at the next start");
    }

    #[test]
    fn a_task_runs_every_few_hours_and_days() {
        let hourly = |interval| vim!(HourlyTaskScheduler { interval: interval, minute: 30 });
        assert_eq!(
            runs(hourly(1), "2026-02-28T22:15:00Z", 3),
            ["2026-02-28T22:30", "2026-02-28T23:30", "2026-03-01T00:30"]
        );
        assert_eq!(runs(hourly(1), "2026-02-28T22:30:00Z", 1), ["2026-02-28T22:30"]);
        assert_eq!(runs(hourly(1), "2026-02-28T22:30:00.5Z", 1), ["2026-02-28T23:30"]);
        assert_eq!(runs(hourly(5), "2026-02-28T22:45:00Z", 2), ["2026-02-28T23:30", "2026-03-01T04:30"]);
        let daily = |interval| vim!(DailyTaskScheduler { interval: interval, hour: 2, minute: 5 });
        // Clocks in Europe change on 2026-03-29; UTC knows no daylight saving.
        assert_eq!(
            runs(daily(1), "2026-03-28T01:00:00Z", 3),
            ["2026-03-28T02:05", "2026-03-29T02:05", "2026-03-30T02:05"]
        );
        assert_eq!(runs(daily(10), "2028-02-25T03:00:00Z", 2), ["2028-02-26T02:05", "2028-03-07T02:05"]);
    }

    #[test]
    fn a_task_runs_on_days_of_the_week() {
        let weekly = |interval| {
            vim!(WeeklyTaskScheduler {
                interval: interval,
                hour: 6,
                minute: 0,
                sunday: true,
                monday: false,
                tuesday: false,
                wednesday: true,
                thursday: false,
                friday: false,
                saturday: false,
            })
        };
        // 2026-12-01 is a Tuesday.
        assert_eq!(
            runs(weekly(1), "2026-12-01T00:00:00Z", 4),
            ["2026-12-02T06:00", "2026-12-06T06:00", "2026-12-09T06:00", "2026-12-13T06:00"]
        );
        assert_eq!(
            runs(weekly(2), "2026-12-01T00:00:00Z", 4),
            ["2026-12-02T06:00", "2026-12-13T06:00", "2026-12-16T06:00", "2026-12-27T06:00"]
        );
        assert_eq!(runs(weekly(3), "2026-12-03T00:00:00Z", 2), ["2026-12-06T06:00", "2026-12-09T06:00"]);
    }

    #[test]
    fn a_task_runs_on_days_of_the_month() {
        let by_day = |interval, day| {
            vim!(MonthlyByDayTaskScheduler { interval: interval, hour: 0, minute: 0, day: day })
        };
        assert_eq!(
            runs(by_day(1, 31), "2027-12-15T00:00:00Z", 4),
            ["2027-12-31T00:00", "2028-01-31T00:00", "2028-02-29T00:00", "2028-03-31T00:00"]
        );
        assert_eq!(runs(by_day(1, 29), "2027-02-01T00:00:00Z", 2), ["2027-02-28T00:00", "2027-03-29T00:00"]);
        assert_eq!(runs(by_day(3, 1), "2026-11-02T00:00:00Z", 2), ["2026-12-01T00:00", "2027-03-01T00:00"]);
        let by_weekday = |week: &str, day: &str| {
            vim!(MonthlyByWeekdayTaskScheduler {
                interval: 1,
                hour: 1,
                minute: 0,
                offset: vim::EnumOf::parse(week).expect("a week"),
                weekday: vim::EnumOf::parse(day).expect("a day"),
            })
        };
        let from = "2026-01-01T02:00:00Z";
        for (week, day, expected) in [
            ("first", "thursday", ["2026-02-05T01:00", "2026-03-05T01:00"]),
            ("second", "sunday", ["2026-01-11T01:00", "2026-02-08T01:00"]),
            ("fourth", "saturday", ["2026-01-24T01:00", "2026-02-28T01:00"]),
            ("last", "saturday", ["2026-01-31T01:00", "2026-02-28T01:00"]),
            ("last", "friday", ["2026-01-30T01:00", "2026-02-27T01:00"]),
        ] {
            assert_eq!(runs(by_weekday(week, day), from, 2), expected, "{week} {day}");
        }
    }

    #[test]
    fn a_schedule_begins_and_expires() {
        let daily = vim!(DailyTaskScheduler {
            interval: 2,
            hour: 12,
            minute: 0,
            activeTime: at("2026-06-01T13:00:00Z"),
            expireTime: at("2026-06-06T12:00:00Z"),
        });
        assert_eq!(
            runs(daily, "2026-01-01T00:00:00Z", 9),
            ["2026-06-02T12:00", "2026-06-04T12:00", "2026-06-06T12:00"]
        );
    }

    #[test]
    fn an_impossible_schedule_is_refused_by_its_field() {
        let weekly = vim!(WeeklyTaskScheduler { interval: 1, hour: 0, minute: 0 });
        let by_day =
            |day| Object::from(vim!(MonthlyByDayTaskScheduler { interval: 1, hour: 0, minute: 0, day: day }));
        let hourly =
            |interval, minute| Object::from(vim!(HourlyTaskScheduler { interval: interval, minute: minute }));
        let ended = vim!(OnceTaskScheduler {
            activeTime: at("2026-06-02T00:00:00Z"),
            expireTime: at("2026-06-01T00:00:00Z")
        });
        let cases: [(Object, &str); 9] = [
            (weekly.into(), "spec.scheduler"),
            (by_day(0), "spec.scheduler.day"),
            (by_day(32), "spec.scheduler.day"),
            (hourly(0, 0), "spec.scheduler.interval"),
            (hourly(1000, 0), "spec.scheduler.interval"),
            (hourly(1, 60), "spec.scheduler.minute"),
            (vim!(DailyTaskScheduler { interval: 1, hour: 24, minute: 0 }).into(), "spec.scheduler.hour"),
            (ended.into(), "spec.scheduler.expireTime"),
            (Object::new(data_id!(TaskScheduler)), "spec.scheduler"),
        ];
        for (scheduler, field) in cases {
            let fault = Timing::parse(&scheduler).expect_err(field);
            assert_eq!(fault.object().get(field!(InvalidArgument.invalidProperty)), Some(field), "{fault}");
        }
    }
}
