//! The options that say when a scheduled task runs, as one of vSphere's schedulers.

use clap::{Args, ValueEnum};
use vim::{DateTime, EnumOf, Object, vim};

use crate::client::failure::{Failure, Reason};

#[derive(Args, Default)]
pub struct When {
    /// Once, at this time: 2026-12-24T18:00:00Z, or now
    #[arg(long, value_name = "TIME", group = "when")]
    once: Option<String>,
    /// This many minutes after each start of the center
    #[arg(long, value_name = "MINUTES", group = "when")]
    startup: Option<i32>,
    /// Again and again
    #[arg(long, value_enum, group = "when", required_unless_present_any = ["once", "startup"])]
    every: Option<Unit>,
    /// Only every so many hours, days, weeks or months
    #[arg(long, value_name = "N", default_value_t = 1, requires = "every")]
    interval: i32,
    /// The time of the day (UTC) as HH:MM; of an hour, the minute as :MM
    #[arg(long, value_name = "HH:MM", requires = "every")]
    at: Option<String>,
    /// The days of a week: mon,thu; or of a month: 1 to 31, or first-mon, second-tue, …, last-fri
    #[arg(long, value_name = "DAYS", requires = "every")]
    on: Option<String>,
    /// Not before this time
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    /// Not after this time
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Unit {
    Hour,
    Day,
    Week,
    Month,
}

const DAYS: [(&str, &str); 7] = [
    ("sun", "sunday"),
    ("mon", "monday"),
    ("tue", "tuesday"),
    ("wed", "wednesday"),
    ("thu", "thursday"),
    ("fri", "friday"),
    ("sat", "saturday"),
];

impl When {
    /// # Errors
    /// [`Reason::Usage`] for options that do not fit together.
    pub fn scheduler(&self) -> Result<Object, Failure> {
        let mut scheduler = self.kind()?;
        scheduler.set(vim::field!(TaskScheduler.activeTime), time("--from", self.from.as_deref())?);
        scheduler.set(vim::field!(TaskScheduler.expireTime), time("--until", self.until.as_deref())?);
        Ok(scheduler)
    }

    fn kind(&self) -> Result<Object, Failure> {
        if let Some(once) = &self.once {
            let at = if once == "now" { None } else { time("--once", Some(once))? };
            return Ok(vim!(OnceTaskScheduler { runAt: at }).into());
        }
        if let Some(minutes) = self.startup {
            return Ok(vim!(AfterStartupTaskScheduler { minute: minutes }).into());
        }
        let interval = self.interval;
        let (hour, minute) = self.clock()?;
        match (self.every, self.on.as_deref()) {
            (Some(Unit::Hour), None) => {
                Ok(vim!(HourlyTaskScheduler { interval: interval, minute: minute }).into())
            }
            (Some(Unit::Day), None) => {
                Ok(vim!(DailyTaskScheduler { interval: interval, hour: hour, minute: minute }).into())
            }
            (Some(Unit::Week), Some(days)) => weekly(interval, hour, minute, days),
            (Some(Unit::Month), Some(day)) => monthly(interval, hour, minute, day),
            (Some(Unit::Hour | Unit::Day), Some(_)) => {
                Err(usage("--on goes with --every week or --every month"))
            }
            (Some(_), None) => Err(usage("a weekly or monthly schedule needs --on with its days")),
            (None, _) => Err(usage("the time is missing; give --once, --startup or --every")),
        }
    }

    /// The hour and the minute.
    fn clock(&self) -> Result<(i32, i32), Failure> {
        let Some(at) = self.at.as_deref() else { return Ok((0, 0)) };
        let wrong = || usage(&format!("{at:?} is not a time such as 18:30, or :30 for every hour"));
        let (hour, minute) = at.split_once(':').ok_or_else(wrong)?;
        let is_hourly = self.every == Some(Unit::Hour);
        let number = |text: &str| text.parse::<i32>().ok().filter(|_| text.len() <= 2);
        let hour = if is_hourly && hour.is_empty() { Some(0) } else { number(hour).filter(|_| !is_hourly) };
        Ok((hour.ok_or_else(wrong)?, number(minute).ok_or_else(wrong)?))
    }
}

fn weekly(interval: i32, hour: i32, minute: i32, days: &str) -> Result<Object, Failure> {
    let mut runs = [false; 7];
    for day in days.split(',') {
        runs[day_number(day).ok_or_else(|| usage(&format!("{day:?} is not a day such as mon")))?] = true;
    }
    let [sunday, monday, tuesday, wednesday, thursday, friday, saturday] = runs;
    Ok(vim!(WeeklyTaskScheduler {
        interval: interval,
        hour: hour,
        minute: minute,
        sunday: sunday,
        monday: monday,
        tuesday: tuesday,
        wednesday: wednesday,
        thursday: thursday,
        friday: friday,
        saturday: saturday,
    })
    .into())
}

fn monthly(interval: i32, hour: i32, minute: i32, day: &str) -> Result<Object, Failure> {
    if let Ok(day) = day.parse::<i32>() {
        let by_day =
            vim!(MonthlyByDayTaskScheduler { interval: interval, hour: hour, minute: minute, day: day });
        return Ok(by_day.into());
    }
    let wrong = || usage(&format!("{day:?} is neither a day from 1 to 31 nor one such as last-fri"));
    let (week, weekday) = day.split_once('-').ok_or_else(wrong)?;
    let week = EnumOf::parse(week).ok_or_else(wrong)?;
    let weekday = DAYS[day_number(weekday).ok_or_else(wrong)?].1;
    Ok(vim!(MonthlyByWeekdayTaskScheduler {
        interval: interval,
        hour: hour,
        minute: minute,
        offset: week,
        weekday: EnumOf::parse(weekday).ok_or_else(wrong)?,
    })
    .into())
}

fn day_number(day: &str) -> Option<usize> {
    DAYS.iter().position(|(short, long)| day.eq_ignore_ascii_case(short) || day.eq_ignore_ascii_case(long))
}

fn time(option: &str, text: Option<&str>) -> Result<Option<DateTime>, Failure> {
    let Some(text) = text else { return Ok(None) };
    let wrong = || usage(&format!("{option}: {text:?} is not a time such as 2026-12-24T18:00:00Z"));
    DateTime::parse(text).map(Some).ok_or_else(wrong)
}

fn usage(message: &str) -> Failure {
    Failure::new(Reason::Usage, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn every(unit: Unit, at: Option<&str>, on: Option<&str>) -> When {
        let text = |text: Option<&str>| text.map(str::to_owned);
        When { every: Some(unit), interval: 1, at: text(at), on: text(on), ..When::default() }
    }

    #[test]
    fn options_become_a_scheduler_or_are_refused() {
        let cases = [
            (every(Unit::Hour, Some(":30"), None), Some("HourlyTaskScheduler")),
            (every(Unit::Hour, None, None), Some("HourlyTaskScheduler")),
            (every(Unit::Day, Some("18:30"), None), Some("DailyTaskScheduler")),
            (every(Unit::Week, Some("06:00"), Some("mon,Friday")), Some("WeeklyTaskScheduler")),
            (every(Unit::Month, None, Some("31")), Some("MonthlyByDayTaskScheduler")),
            (every(Unit::Month, None, Some("last-fri")), Some("MonthlyByWeekdayTaskScheduler")),
            (When { once: Some("now".into()), ..When::default() }, Some("OnceTaskScheduler")),
            (When { startup: Some(5), ..When::default() }, Some("AfterStartupTaskScheduler")),
            (every(Unit::Hour, Some("18:30"), None), None),
            (every(Unit::Day, Some("soon"), None), None),
            (every(Unit::Day, None, Some("mon")), None),
            (every(Unit::Week, None, None), None),
            (every(Unit::Week, None, Some("mon,x")), None),
            (every(Unit::Month, None, Some("fifth-mon")), None),
            (When { once: Some("tomorrow".into()), ..When::default() }, None),
            (When::default(), None),
        ];
        for (at, (when, expected)) in cases.into_iter().enumerate() {
            let made = when.scheduler().ok();
            assert_eq!(made.as_ref().map(|made| made.type_name()), expected, "case {at}");
        }
    }
}
