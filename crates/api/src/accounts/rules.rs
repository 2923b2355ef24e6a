//! The settings of accounts and sessions, which clients read and set through a daemon's OptionManager by ESXi's names.

use std::time::Duration;

use async_trait::async_trait;
use vim::{Fault, Object, Value, fault, ty, vim};

use super::lockout::Limit;
use super::quality::{self, Quality};
use super::records::{RULES, SETTINGS, StoredRules};
use super::{Accounts, Realm};
use crate::settings::OwnedSettings;

const QUALITY: &str = "Security.PasswordQualityControl";
const DAY_MS: i64 = 24 * 3600 * 1000;
/// A password of this age or more never ends: the setting's highest value.
const NEVER_DAYS: i64 = 99_999;

/// A setting that is a number.
struct Row {
    /// On a host, and on a center.
    keys: [&'static str; 2],
    label: &'static str,
    min: i64,
    max: i64,
    default: i64,
    place: fn(&mut StoredRules) -> &mut Option<i64>,
}

static ROWS: [Row; 6] = [
    Row {
        keys: ["Security.PasswordHistory"; 2],
        label: "Former passwords that a user may not choose again",
        min: 0,
        max: 24,
        default: 5,
        place: |rules| &mut rules.history,
    },
    Row {
        keys: ["Security.PasswordMaxDays"; 2],
        label: "Days after which a password has to be changed",
        min: 1,
        max: NEVER_DAYS,
        default: NEVER_DAYS,
        place: |rules| &mut rules.max_days,
    },
    Row {
        keys: ["Security.AccountLockFailures"; 2],
        label: "Wrong passwords that lock an account, other than an administrator's; 0 for none",
        min: 0,
        max: 100,
        default: 5,
        place: |rules| &mut rules.lock_failures,
    },
    Row {
        keys: ["Security.AccountUnlockTime"; 2],
        label: "Seconds for which an account is locked",
        min: 1,
        max: 86_400,
        default: 900,
        place: |rules| &mut rules.unlock_seconds,
    },
    Row {
        keys: ["Config.HostAgent.vmacore.soap.sessionTimeout", "config.vmacore.soap.sessionTimeout"],
        label: "Minutes after which a session that is not used ends",
        min: 1,
        max: 1_440,
        default: 30,
        place: |rules| &mut rules.idle_minutes,
    },
    Row {
        keys: ["Security.SessionMaxHours"; 2],
        label: "Hours after its beginning at which a session ends, used or not; 0 for none",
        min: 0,
        max: 8_760,
        default: 0,
        place: |rules| &mut rules.lifetime_hours,
    },
];

fn value(rules: &StoredRules, row: &Row) -> i64 {
    (row.place)(&mut rules.clone()).unwrap_or(row.default)
}

impl StoredRules {
    pub(super) fn quality(&self) -> Quality {
        let set = self.quality.as_deref().and_then(Quality::read);
        set.or_else(|| Quality::read(quality::DEFAULT)).expect("the default is well formed")
    }

    /// Former passwords that may not be chosen again.
    pub(super) fn remembered(&self) -> usize {
        usize::try_from(value(self, &ROWS[0])).unwrap_or_default()
    }

    /// The time at which a password that was set then ends; none if it never does.
    pub(super) fn password_ends(&self, set_ms: i64) -> Option<i64> {
        let days = value(self, &ROWS[1]);
        (days < NEVER_DAYS).then(|| set_ms.saturating_add(days.saturating_mul(DAY_MS)))
    }

    pub(super) fn lock(&self) -> Limit {
        Limit {
            failures: u32::try_from(value(self, &ROWS[2])).unwrap_or_default(),
            time: Duration::from_secs(u64::try_from(value(self, &ROWS[3])).unwrap_or_default()),
        }
    }

    /// How long a session may be idle, and how long it may last.
    pub(super) fn session_times(&self) -> (Duration, Option<Duration>) {
        let seconds = |row: &Row, unit: u64| u64::try_from(value(self, row)).unwrap_or_default() * unit;
        let lifetime = seconds(&ROWS[5], 3600);
        (Duration::from_secs(seconds(&ROWS[4], 60)), (lifetime > 0).then(|| Duration::from_secs(lifetime)))
    }
}

impl Accounts {
    fn key_of(&self, row: &Row) -> &'static str {
        row.keys[usize::from(self.realm != Realm::Host)]
    }

    /// The rules with these settings changed.
    fn with(&self, rules: &StoredRules, changes: &[(String, Value)]) -> Result<StoredRules, Fault> {
        let mut rules = rules.clone();
        for (key, value) in changes {
            let wrong =
                |why: &str| fault!(InvalidArgument { invalidProperty: "changedValue" }, "{key}: {why}");
            if key == QUALITY {
                let text = value.as_str().filter(|text| Quality::read(text).is_some());
                let syntax = "the value has the form retry=3 min=disabled,disabled,disabled,7,7 similar=deny passphrase=3";
                rules.quality = Some(text.ok_or_else(|| wrong(syntax))?.to_owned());
                continue;
            }
            let row = ROWS.iter().find(|row| self.key_of(row) == key);
            let row =
                row.ok_or_else(|| fault!(InvalidName { name: key }, "The setting {key:?} does not exist"))?;
            let number = match value {
                Value::Long(number) => Some(*number),
                Value::Int(number) => Some((*number).into()),
                _ => None,
            };
            let number = number.filter(|number| (row.min..=row.max).contains(number));
            let range = format!("the value is out of range ({}–{})", row.min, row.max);
            *(row.place)(&mut rules) = Some(number.ok_or_else(|| wrong(&range))?);
        }
        Ok(rules)
    }

    /// Makes the sessions' times those of the rules.
    pub(super) fn time_sessions(&self) {
        if let Some(times) = self.session_times.get() {
            let (idle, lifetime) = self.policy.load().rules.session_times();
            times.set(idle, lifetime);
        }
    }
}

#[async_trait]
impl OwnedSettings for Accounts {
    fn values(&self) -> Vec<(String, Value)> {
        let rules = &self.policy.load().rules;
        let numbers = ROWS.iter().map(|row| (self.key_of(row).to_owned(), Value::Long(value(rules, row))));
        let text = rules.quality.clone().unwrap_or_else(|| quality::DEFAULT.to_owned());
        numbers.chain([(QUALITY.to_owned(), Value::from(text))]).collect()
    }

    fn definitions(&self) -> Vec<ty!(OptionDef)> {
        let numbers = ROWS.iter().map(|row| {
            let option = vim!(LongOption {
                valueIsReadonly: false,
                min: row.min,
                max: row.max,
                defaultValue: row.default
            });
            vim!(OptionDef {
                key: self.key_of(row),
                label: row.label,
                summary: row.label,
                optionType: Object::from(option),
            })
        });
        let text = vim!(StringOption { valueIsReadonly: false, defaultValue: quality::DEFAULT });
        let summary = "Least length of a password by its classes of characters, as in pam_passwdqc";
        let text = vim!(OptionDef {
            key: QUALITY,
            label: summary,
            summary: summary,
            optionType: Object::from(text)
        });
        numbers.chain([text]).collect()
    }

    fn check(&self, changes: &[(String, Value)]) -> Result<(), Fault> {
        self.with(&self.policy.load().rules, changes).map(drop)
    }

    async fn set(&self, changes: &[(String, Value)]) -> Result<(), Fault> {
        self.check(changes)?;
        let changed = self.change(|policy, batch| {
            if let Ok(rules) = self.with(&policy.rules, changes) {
                SETTINGS.put(batch, RULES, &rules)?;
                policy.rules = rules;
            }
            Ok(())
        });
        changed.await?;
        self.time_sessions();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::IDLE_TIMEOUT;

    #[test]
    fn without_a_setting_the_defaults_hold() {
        let mut rules = StoredRules::default();
        assert_eq!(rules.session_times(), (IDLE_TIMEOUT, None));
        assert_eq!((rules.remembered(), rules.password_ends(0)), (5, None));
        rules.max_days = Some(2);
        rules.lifetime_hours = Some(1);
        assert_eq!(rules.password_ends(5), Some(2 * DAY_MS + 5));
        assert_eq!(rules.session_times().1, Some(Duration::from_secs(3600)));
    }
}
