//! The host's clock, time zone and time servers: those of Linux, or in memory on a simulated host.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use parking_lot::Mutex;
use rustix::time::{ClockId, Timespec, clock_settime};
use vim::{DateTime, Fault, fault};
use vm::faults::not_supported;

/// The settings of Linux, which only the host of this machine may change.
const ETC: &str = "/etc";
/// The time zones of the system.
const ZONES: &str = "/usr/share/zoneinfo";
/// The file that systemd-timesyncd keeps while it keeps the clock.
const SYNCHRONIZED: &str = "/run/systemd/timesync/synchronized";
/// The processes of Linux, each with its name in `comm`.
const PROCESSES: &str = "/proc";
/// The processes of services that keep the clock for as long as they run.
const KEEPERS: [&str; 2] = ["chronyd", "ntpd"];
/// The time zone of a host that was given none.
pub(super) const UTC: &str = "UTC";

/// The clock of a host.
pub(crate) enum Clock {
    Linux(Linux),
    /// That of a simulated host.
    Memory(Mutex<Memory>),
}

/// The clock of the machine that this process runs on.
pub(crate) struct Linux {
    /// Directory of the settings. Unless it is `/etc`, the machine's clock belongs to another host and is not set.
    etc: PathBuf,
}

/// The clock of a simulated host.
#[derive(Default)]
pub(crate) struct Memory {
    zone: Option<String>,
    servers: Vec<String>,
    /// How far the clock was set ahead of the clock of the process.
    ahead_us: i64,
}

/// A time zone of the system.
pub(super) struct Zone {
    pub(super) key: String,
    pub(super) description: String,
    /// Seconds east of Greenwich at this moment.
    pub(super) offset_s: i32,
}

impl Clock {
    /// The clock whose settings are in this directory: `/etc`, but for tests and labs.
    pub(crate) fn linux(etc: PathBuf) -> Self {
        Self::Linux(Linux { etc })
    }

    pub(crate) fn simulated() -> Self {
        Self::Memory(Mutex::default())
    }

    pub(super) fn now(&self) -> DateTime {
        match self {
            Self::Linux(_) => DateTime::now(),
            Self::Memory(memory) => {
                DateTime::from_micros(DateTime::now().as_micros().saturating_add(memory.lock().ahead_us))
            }
        }
    }

    /// Sets the clock.
    ///
    /// # Errors
    /// `HostConfigFault` if a time service keeps it, or Linux refuses; `NotSupported` if it is another host's.
    pub(super) fn set(&self, time: DateTime) -> Result<(), Fault> {
        match self {
            Self::Linux(linux) => linux.set(time),
            Self::Memory(memory) => {
                memory.lock().ahead_us = time.as_micros().saturating_sub(DateTime::now().as_micros());
                Ok(())
            }
        }
    }

    /// The key of the time zone.
    pub(super) fn zone(&self) -> String {
        match self {
            Self::Linux(linux) => linux.zone(),
            Self::Memory(memory) => memory.lock().zone.clone().unwrap_or_else(|| UTC.into()),
        }
    }

    /// Changes the time zone, which must be one of [`zones`].
    ///
    /// # Errors
    /// `HostConfigFault` if the settings cannot be written.
    pub(super) fn set_zone(&self, key: &str) -> Result<(), Fault> {
        match self {
            Self::Linux(linux) => linux.set_zone(key).map_err(|error| linux.refused("localtime", &error)),
            Self::Memory(memory) => {
                memory.lock().zone = Some(key.into());
                Ok(())
            }
        }
    }

    /// The time servers; `None` if no time service is known.
    pub(super) fn servers(&self) -> Option<Vec<String>> {
        match self {
            Self::Linux(linux) => linux.servers(),
            Self::Memory(memory) => Some(memory.lock().servers.clone()),
        }
    }

    /// Replaces the time servers.
    ///
    /// # Errors
    /// `NotSupported` if the host's time service cannot be told; `HostConfigFault` if its settings cannot be written.
    pub(super) fn set_servers(&self, servers: &[String]) -> Result<(), Fault> {
        match self {
            Self::Linux(linux) => linux.set_servers(servers),
            Self::Memory(memory) => {
                memory.lock().servers = servers.to_vec();
                Ok(())
            }
        }
    }
}

impl Linux {
    fn is_own(&self) -> bool {
        self.etc == Path::new(ETC)
    }

    fn refused(&self, file: &str, error: &dyn std::fmt::Display) -> Fault {
        fault!(HostConfigFault {}, "{} cannot be written: {error}", self.etc.join(file).display())
    }

    fn set(&self, time: DateTime) -> Result<(), Fault> {
        if !self.is_own() {
            return Err(not_supported(
                "The clock belongs to the machine, which other hosts share; set it there",
            ));
        }
        let timesyncd = Path::new(SYNCHRONIZED).exists().then_some("systemd-timesyncd");
        if let Some(keeper) = timesyncd.or_else(|| keeper(Path::new(PROCESSES))) {
            return Err(fault!(
                HostConfigFault {},
                "{keeper} keeps the clock of this host; stop that service to set the clock by hand"
            ));
        }
        let micros = time.as_micros();
        let time =
            Timespec { tv_sec: micros.div_euclid(1_000_000), tv_nsec: micros.rem_euclid(1_000_000) * 1000 };
        clock_settime(ClockId::Realtime, time)
            .map_err(|error| fault!(HostConfigFault {}, "The clock of this host cannot be set: {error}"))
    }

    fn zone(&self) -> String {
        let target = fs::read_link(self.etc.join("localtime")).unwrap_or_default();
        let key = target.to_str().and_then(|target| target.split_once("zoneinfo/")).map(|(_, key)| key);
        match key {
            None | Some("Etc/UTC" | "Etc/UCT" | "UCT") => UTC.into(),
            Some(key) => key.into(),
        }
    }

    fn set_zone(&self, key: &str) -> io::Result<()> {
        let (link, new) = (self.etc.join("localtime"), self.etc.join(".localtime.new"));
        match fs::remove_file(&new) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        fs::create_dir_all(&self.etc)?;
        std::os::unix::fs::symlink(Path::new(ZONES).join(key), &new)?;
        fs::rename(&new, &link)?;
        // Debian's tools read the name here.
        match self.etc.join("timezone") {
            name if name.exists() => fs::write(name, format!("{key}\n")),
            _ => Ok(()),
        }
    }

    fn timesyncd(&self) -> PathBuf {
        self.etc.join("systemd/timesyncd.conf")
    }

    /// The directory of files that add to `timesyncd.conf`, and the one that is written here.
    fn additions(&self) -> (PathBuf, PathBuf) {
        let directory = self.etc.join("systemd/timesyncd.conf.d");
        let own = directory.join("zz-esfera.conf");
        (directory, own)
    }

    fn servers(&self) -> Option<Vec<String>> {
        if let Some(chrony) = self.chrony() {
            let text = fs::read_to_string(chrony).unwrap_or_default();
            let server = |line: &str| {
                let mut words = line.split_whitespace();
                words.next().filter(|word| matches!(*word, "server" | "pool"))?;
                words.next().map(str::to_owned)
            };
            return Some(text.lines().filter_map(server).collect());
        }
        let main = fs::read_to_string(self.timesyncd()).ok()?;
        let mut added: Vec<PathBuf> = fs::read_dir(self.additions().0)
            .map(|entries| entries.flatten().map(|entry| entry.path()).collect())
            .unwrap_or_default();
        added.retain(|path| path.extension().is_some_and(|ending| ending == "conf"));
        added.sort();
        let texts = added.iter().filter_map(|path| fs::read_to_string(path).ok());
        let mut servers = Vec::new();
        for text in std::iter::once(main).chain(texts) {
            for value in text.lines().filter_map(|line| line.trim().strip_prefix("NTP=")) {
                // systemd: an empty value resets the list.
                if value.trim().is_empty() {
                    servers.clear();
                }
                servers.extend(value.split_whitespace().map(str::to_owned));
            }
        }
        Some(servers)
    }

    fn chrony(&self) -> Option<PathBuf> {
        ["chrony/chrony.conf", "chrony.conf"]
            .map(|file| self.etc.join(file))
            .into_iter()
            .find(|file| file.exists())
    }

    fn set_servers(&self, servers: &[String]) -> Result<(), Fault> {
        if let Some(chrony) = self.chrony() {
            let chrony = chrony.display();
            return Err(not_supported(&format!(
                "chrony keeps the clock of this host: name its servers in {chrony}"
            )));
        }
        if !self.timesyncd().exists() {
            return Err(not_supported(
                "The host has no time service that could use NTP servers: install systemd-timesyncd",
            ));
        }
        let (directory, own) = self.additions();
        let refused = |error: io::Error| self.refused("systemd/timesyncd.conf.d/zz-esfera.conf", &error);
        fs::create_dir_all(&directory).map_err(refused)?;
        let new = own.with_extension("new");
        fs::write(&new, format!("[Time]\nNTP=\nNTP={}\n", servers.join(" "))).map_err(refused)?;
        // The time service runs as a user of its own.
        fs::set_permissions(&directory, Permissions::from_mode(0o755)).map_err(refused)?;
        fs::set_permissions(&new, Permissions::from_mode(0o644)).map_err(refused)?;
        fs::rename(&new, &own).map_err(refused)?;
        if self.is_own() {
            let done = Command::new("systemctl").args(["try-restart", "systemd-timesyncd"]).status();
            if !done.as_ref().is_ok_and(|status| status.success()) {
                return Err(fault!(
                    HostConfigFault {},
                    "The NTP servers are written, but systemd-timesyncd could not be restarted to use them"
                ));
            }
        }
        Ok(())
    }
}

/// The service of [`KEEPERS`] that runs, by the directory of all processes.
fn keeper(processes: &Path) -> Option<&'static str> {
    let entries = fs::read_dir(processes).into_iter().flatten().flatten();
    let mut names = entries.filter_map(|entry| fs::read_to_string(entry.path().join("comm")).ok());
    names.find_map(|name| KEEPERS.into_iter().find(|keeper| *keeper == name.trim()))
}

/// The time zone of this key, if the system has it.
pub(super) fn zone(key: &str) -> Option<Zone> {
    let plain = key.split('/').all(|part| !part.is_empty() && !part.starts_with('.'));
    let content = Some(key).filter(|_| plain).and_then(|key| fs::read(Path::new(ZONES).join(key)).ok());
    let offset_s = match content.and_then(|content| jiff::tz::TimeZone::tzif(key, &content).ok()) {
        Some(zone) => zone.to_offset(jiff::Timestamp::now()).seconds(),
        None if key == UTC => 0,
        None => return None,
    };
    Some(Zone { key: key.into(), description: key.into(), offset_s })
}

/// All time zones of the system: UTC and those of `zone.tab`, by their keys.
pub(super) fn zones() -> Vec<Zone> {
    let table = fs::read_to_string(Path::new(ZONES).join("zone.tab")).unwrap_or_default();
    let mut zones: Vec<Zone> = zone(UTC).into_iter().collect();
    for line in table.lines().filter(|line| !line.starts_with('#')) {
        let mut columns = line.split('\t').skip(2);
        let Some(mut found) = columns.next().and_then(zone) else { continue };
        if let Some(comment) = columns.next() {
            found.description = format!("{} ({comment})", found.key);
        }
        zones.push(found);
    }
    zones.sort_by(|one, other| one.key.cmp(&other.key));
    zones
}

#[cfg(test)]
mod tests {
    use super::*;
    use vim::data_id;

    fn with(files: &[(&str, &str)]) -> (tempfile::TempDir, Clock) {
        let etc = tempfile::tempdir().unwrap();
        for (name, content) in files {
            let path = etc.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        let clock = Clock::linux(etc.path().to_owned());
        (etc, clock)
    }

    #[test]
    fn the_time_zone_is_a_link_and_debians_name_of_it() {
        let (etc, clock) = with(&[("timezone", "Etc/UTC\n")]);
        assert_eq!(clock.zone(), UTC);
        for key in ["Asia/Tokyo", "Europe/Berlin"] {
            clock.set_zone(key).unwrap();
            assert_eq!(clock.zone(), key);
            let link = fs::read_link(etc.path().join("localtime")).unwrap();
            assert_eq!(link, Path::new(ZONES).join(key));
            assert_eq!(fs::read_to_string(etc.path().join("timezone")).unwrap(), format!("{key}\n"));
        }
    }

    #[test]
    fn only_time_zones_of_the_system_are_known() {
        assert_eq!(zone(UTC).map(|zone| zone.offset_s), Some(0));
        for key in ["", "Mars/Olympus", "../../../etc/localtime", "/etc/localtime", "Asia/", "zone.tab"] {
            assert!(zone(key).is_none(), "{key}");
        }
    }

    #[test]
    fn servers_are_told_to_timesyncd_in_a_file_that_comes_last() {
        let (_etc, clock) = with(&[
            ("systemd/timesyncd.conf", "[Time]\n#NTP=\nNTP=one two\n"),
            ("systemd/timesyncd.conf.d/more.conf", "[Time]\nNTP=three\n"),
        ]);
        assert_eq!(clock.servers().unwrap(), ["one", "two", "three"]);
        let servers = ["0.pool.ntp.org".to_owned(), "192.0.2.1".to_owned()];
        for servers in [&servers[..], &servers[..1], &[]] {
            clock.set_servers(servers).unwrap();
            assert_eq!(clock.servers().unwrap(), servers);
        }
    }

    #[test]
    fn servers_that_no_service_would_use_are_refused() {
        let chrony =
            [("chrony/chrony.conf", "pool 2.debian.pool.ntp.org iburst\nserver 192.0.2.7\nrtcsync\n")];
        let (_etc, clock) = with(&chrony);
        assert_eq!(clock.servers().unwrap(), ["2.debian.pool.ntp.org", "192.0.2.7"]);
        assert!(clock.set_servers(&[]).unwrap_err().is_a(data_id!(NotSupported)));
        let (_etc, clock) = with(&[]);
        assert_eq!(clock.servers(), None);
        assert!(clock.set_servers(&["192.0.2.1".into()]).unwrap_err().is_a(data_id!(NotSupported)));
    }

    #[test]
    fn a_time_service_that_runs_keeps_the_clock() {
        for (running, keeps) in [
            (&["sshd", "chronyd"][..], Some("chronyd")),
            (&["ntpd"], Some("ntpd")),
            (&["ntpdate", "cron"], None),
            (&[], None),
        ] {
            let processes = tempfile::tempdir().unwrap();
            for (number, name) in running.iter().enumerate() {
                let process = processes.path().join(number.to_string());
                fs::create_dir(&process).unwrap();
                fs::write(process.join("comm"), format!("{name}\n")).unwrap();
            }
            fs::write(processes.path().join("uptime"), "1 1\n").unwrap();
            assert_eq!(keeper(processes.path()), keeps, "{running:?}");
        }
    }

    #[test]
    fn a_host_that_does_not_own_its_machine_does_not_set_its_clock() {
        let (_etc, clock) = with(&[]);
        assert!(clock.set(DateTime::from_micros(0)).unwrap_err().is_a(data_id!(NotSupported)));
    }
}
