//! How long events and tasks are kept: by age, which settings of the daemon say, and by number, which is fixed.
//!
//! The settings have vSphere's names. A daemon that does not show them keeps the defaults.

use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};

use vim::{DateTime, Fault, Value, fault};

const EVENT_AGE: &str = "event.maxAge";
const EVENT_AGE_ENABLED: &str = "event.maxAgeEnabled";
const TASK_AGE: &str = "task.maxAge";
const TASK_AGE_ENABLED: &str = "task.maxAgeEnabled";
/// Days that events and tasks are kept, unless a setting says otherwise.
pub const DEFAULT_DAYS: i32 = 30;
/// The largest setting: a hundred years.
const MAX_DAYS: i32 = 36_500;
const DAY_US: i64 = 24 * 60 * 60 * 1_000_000;

/// The present settings.
#[derive(Default)]
pub struct Retention {
    events: Age,
    tasks: Age,
}

struct Age {
    days: AtomicI32,
    enabled: AtomicBool,
}

impl Default for Age {
    fn default() -> Self {
        Self { days: AtomicI32::new(DEFAULT_DAYS), enabled: AtomicBool::new(true) }
    }
}

impl Age {
    fn before(&self, now: DateTime) -> Option<DateTime> {
        let days = i64::from(self.days.load(Ordering::Relaxed));
        let enabled = self.enabled.load(Ordering::Relaxed);
        enabled.then(|| DateTime::from_micros(now.as_micros().saturating_sub(days * DAY_US)))
    }
}

impl Retention {
    /// Events that are older than this are dropped; none: events are kept however old.
    pub(crate) fn events_before(&self, now: DateTime) -> Option<DateTime> {
        self.events.before(now)
    }

    /// The same for tasks, by their end.
    pub(crate) fn tasks_before(&self, now: DateTime) -> Option<DateTime> {
        self.tasks.before(now)
    }

    /// Takes the settings over, as far as they are of this module. Returns whether one has another value than before.
    pub(crate) fn apply(&self, settings: &[(String, Value)]) -> bool {
        let mut changed = false;
        for (key, value) in settings {
            changed |= match (key.as_str(), value) {
                (EVENT_AGE, Value::Int(days)) => self.events.days.swap(*days, Ordering::Relaxed) != *days,
                (TASK_AGE, Value::Int(days)) => self.tasks.days.swap(*days, Ordering::Relaxed) != *days,
                (EVENT_AGE_ENABLED, Value::Boolean(on)) => {
                    self.events.enabled.swap(*on, Ordering::Relaxed) != *on
                }
                (TASK_AGE_ENABLED, Value::Boolean(on)) => {
                    self.tasks.enabled.swap(*on, Ordering::Relaxed) != *on
                }
                _ => false,
            };
        }
        changed
    }
}

/// The settings with their defaults, for the daemon that shows them.
pub fn settings() -> Vec<(String, Value)> {
    [
        (EVENT_AGE, Value::Int(DEFAULT_DAYS)),
        (EVENT_AGE_ENABLED, Value::Boolean(true)),
        (TASK_AGE, Value::Int(DEFAULT_DAYS)),
        (TASK_AGE_ENABLED, Value::Boolean(true)),
    ]
    .map(|(key, value)| (key.to_owned(), value))
    .into()
}

/// Refuses an age that is not one.
///
/// # Errors
/// `InvalidArgument`.
pub(crate) fn check(key: &str, value: &Value) -> Result<(), Fault> {
    match (key, value) {
        (EVENT_AGE | TASK_AGE, Value::Int(days)) if !(1..=MAX_DAYS).contains(days) => Err(fault!(
            InvalidArgument { invalidProperty: "changedValue" },
            "{key} is a number of days between 1 and {MAX_DAYS}; {key}Enabled switches it off"
        )),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_say_what_is_too_old() {
        let retention = Retention::default();
        let now = DateTime::parse("2026-12-31T00:00:00Z").unwrap();
        let days = |days: &str| DateTime::parse(days);
        assert_eq!(retention.events_before(now), days("2026-12-01T00:00:00Z"));
        retention.apply(&[
            (EVENT_AGE.into(), Value::Int(1)),
            (TASK_AGE_ENABLED.into(), Value::Boolean(false)),
            ("other".into(), Value::Int(7)),
        ]);
        assert!(!retention.apply(&[(EVENT_AGE.into(), Value::Int(1))]), "it has this value already");
        assert_eq!(retention.events_before(now), days("2026-12-30T00:00:00Z"));
        assert_eq!(retention.tasks_before(now), None);
        assert!(check(EVENT_AGE, &Value::Int(0)).is_err() && check(TASK_AGE, &Value::Int(1)).is_ok());
    }
}
