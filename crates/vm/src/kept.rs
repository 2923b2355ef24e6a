//! Settings that a VM only keeps. Each is a key of extra configuration, the one that ESX has for it, so clients that set the
//! key and clients that set the field see the same value. A setting that has its default has no key.

use crate::config::VmConfig;

const LATENCY: &str = "sched.cpu.latencySensitivity";
const CONSOLES: &str = "RemoteDisplay.maxConnections";
/// The words of the key [`LATENCY`], with their default.
const LATENCIES: [&str; 4] = ["low", "normal", "medium", "high"];
const NORMAL_LATENCY: &str = "normal";
/// Most consoles at once that a client may ask for.
const MOST_CONSOLES: i32 = 40;
/// As many consoles at once as there are.
const ALL_CONSOLES: i32 = -1;

/// A setting that is on or off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flag {
    /// `flags.enableLogging`
    Logging,
    /// `tools.syncTimeWithHostAllowed`
    TimeSync,
    /// `memoryReservationLockedToMax`
    MemoryLocked,
}

impl Flag {
    fn key(self) -> &'static str {
        match self {
            Self::Logging => "logging",
            Self::TimeSync => "time.synchronize.allow",
            Self::MemoryLocked => "sched.mem.pin",
        }
    }

    fn default(self) -> bool {
        self != Self::MemoryLocked
    }

    /// Whether it is on.
    pub(crate) fn of(self, config: &VmConfig) -> bool {
        match get(config, self.key()).map(str::to_ascii_lowercase).as_deref() {
            Some("true" | "t" | "yes" | "y" | "on" | "1") => true,
            Some("false" | "f" | "no" | "n" | "off" | "0") => false,
            _ => self.default(),
        }
    }

    /// Switches it.
    pub(crate) fn set(self, config: &mut VmConfig, on: bool) {
        let text = if on { "TRUE" } else { "FALSE" };
        set(config, self.key(), (on != self.default()).then_some(text));
    }
}

/// A power operation of `VirtualMachineDefaultPowerOpInfo`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PowerOp {
    Off,
    Suspend,
    Reset,
}

impl PowerOp {
    fn key(self) -> &'static str {
        match self {
            Self::Off => "powerType.powerOff",
            Self::Suspend => "powerType.suspend",
            Self::Reset => "powerType.reset",
        }
    }

    /// Whether it is soft or hard by default.
    pub(crate) fn default(self) -> &'static str {
        if self == Self::Suspend { "hard" } else { "soft" }
    }

    /// `soft`, `hard` or `preset`.
    pub(crate) fn of(self, config: &VmConfig) -> &'static str {
        match get(config, self.key()).map(str::to_ascii_lowercase).as_deref() {
            Some("soft") => "soft",
            Some("hard") => "hard",
            Some("default" | "preset") => "preset",
            _ => self.default(),
        }
    }

    /// Chooses `soft`, `hard` or `preset`; whether `word` is one of them.
    pub(crate) fn set(self, config: &mut VmConfig, word: &str) -> bool {
        let text = if word == "preset" { "default" } else { word };
        let known = ["soft", "hard", "default"].contains(&text);
        if known {
            set(config, self.key(), (word != self.default()).then_some(text));
        }
        known
    }
}

/// `latencySensitivity.level`
pub(crate) fn latency(config: &VmConfig) -> &'static str {
    let word = get(config, LATENCY);
    let known = LATENCIES.into_iter().find(|known| word.is_some_and(|word| known.eq_ignore_ascii_case(word)));
    known.unwrap_or(NORMAL_LATENCY)
}

/// Sets `latencySensitivity.level`; whether `word` is one that can be kept.
pub(crate) fn set_latency(config: &mut VmConfig, word: &str) -> bool {
    let known = LATENCIES.contains(&word);
    if known {
        set(config, LATENCY, (word != NORMAL_LATENCY).then_some(word));
    }
    known
}

/// `maxMksConnections`
pub(crate) fn consoles(config: &VmConfig) -> i32 {
    let number = get(config, CONSOLES).and_then(|text| text.trim().parse().ok());
    number.filter(|number| (ALL_CONSOLES..=MOST_CONSOLES).contains(number)).unwrap_or(ALL_CONSOLES)
}

/// Sets `maxMksConnections`; whether `number` is one that can be kept.
pub(crate) fn set_consoles(config: &mut VmConfig, number: i32) -> bool {
    let known = (ALL_CONSOLES..=MOST_CONSOLES).contains(&number);
    if known {
        let text = number.to_string();
        set(config, CONSOLES, (number != ALL_CONSOLES).then_some(&text));
    }
    known
}

fn get<'a>(config: &'a VmConfig, key: &str) -> Option<&'a str> {
    let mut entries = config.extra.iter();
    entries.find(|(known, _)| known.eq_ignore_ascii_case(key)).map(|(_, value)| value.as_str())
}

fn set(config: &mut VmConfig, key: &str, value: Option<&str>) {
    config.extra.retain(|known, _| !known.eq_ignore_ascii_case(key));
    if let Some(value) = value {
        config.extra.insert(key.to_owned(), value.to_owned());
    }
}
