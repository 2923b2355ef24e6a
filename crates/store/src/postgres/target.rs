//! The name of a database, as `postgres://user@host:5432/name?sslmode=verify-full&sslrootcert=/path`, and how to reach it.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use tokio_postgres::config::{Host, SslMode};

use crate::{Error, Result};

/// Certificates of the authorities that Debian trusts.
const SYSTEM_ROOTS: &str = "/etc/ssl/certs/ca-certificates.crt";

/// Where a PostgreSQL database is and how to log in. It is shown without the password.
#[derive(Clone)]
pub struct Target {
    pub(super) config: tokio_postgres::Config,
    pub(super) encryption: Encryption,
    password_in_name: bool,
}

/// How the connection is protected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Encryption {
    /// It is not.
    None,
    /// Encrypted, to whoever answers.
    Any,
    /// Encrypted, to the server whose certificate one of these authorities gave to the name that was asked for.
    Verified { roots: PathBuf },
}

impl Target {
    /// Reads the name of a database. `sslmode` is `disable`, `require` (any certificate) or `verify-full`, which is the default
    /// unless the server is on this computer; `sslrootcert` is a file of authorities instead of the system's.
    ///
    /// # Errors
    /// [`Error::Target`], which never repeats the name, since that may have a password.
    pub fn parse(name: &str) -> Result<Self> {
        let (base, query) = name.split_once('?').unwrap_or((name, ""));
        if !base.starts_with("postgres://") && !base.starts_with("postgresql://") {
            return Err(Error::Target("it begins with postgres://".into()));
        }
        let (mut mode, mut roots, mut others) = (None, None, Vec::new());
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            match pair.split_once('=') {
                Some(("sslmode", value)) => mode = Some(decode(value)?),
                Some(("sslrootcert", value)) => roots = Some(PathBuf::from(decode(value)?)),
                _ => others.push(pair),
            }
        }
        let plain = if others.is_empty() { base.to_owned() } else { format!("{base}?{}", others.join("&")) };
        let config = tokio_postgres::Config::from_str(&plain).map_err(|error| {
            let reason = std::error::Error::source(&error).map_or(error.to_string(), ToString::to_string);
            Error::Target(reason)
        })?;
        if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
            return Err(Error::Target("it has no host".into()));
        }
        let encryption = match mode.as_deref() {
            Some("disable") => Encryption::None,
            Some("require") => Encryption::Any,
            Some("verify-full") => Encryption::verified(roots),
            None if roots.is_none() && is_local(&config) => Encryption::None,
            None => Encryption::verified(roots),
            Some(other) => {
                return Err(Error::Target(format!(
                    "sslmode={other:?} is not disable, require or verify-full: the others fall back to less than they say"
                )));
            }
        };
        let password_in_name = config.get_password().is_some();
        let mut target = Self { config, encryption, password_in_name };
        target.set_up();
        Ok(target)
    }

    /// The same database with this password.
    #[must_use]
    pub fn with_password(mut self, password: &str) -> Self {
        self.config.password(password);
        self
    }

    /// Whether the name had a password, which other users of the computer can then see in the list of processes.
    pub fn password_in_name(&self) -> bool {
        self.password_in_name
    }

    /// Whether the connection is encrypted without a check of the server's certificate.
    pub fn is_unverified(&self) -> bool {
        self.encryption == Encryption::Any
    }

    fn set_up(&mut self) {
        self.config.ssl_mode(if self.encryption == Encryption::None {
            SslMode::Disable
        } else {
            SslMode::Require
        });
        if self.config.get_application_name().is_none() {
            self.config.application_name("esfera");
        }
        if self.config.get_connect_timeout().is_none() {
            self.config.connect_timeout(crate::ANSWER_LIMIT / 2);
        }
        self.config.keepalives_idle(std::time::Duration::from_secs(10));
        self.config.keepalives_interval(std::time::Duration::from_secs(5));
        self.config.keepalives_retries(3);
    }
}

impl Encryption {
    fn verified(roots: Option<PathBuf>) -> Self {
        Self::Verified { roots: roots.unwrap_or_else(|| Path::new(SYSTEM_ROOTS).to_owned()) }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "postgres://")?;
        if let Some(user) = self.config.get_user() {
            write!(f, "{user}@")?;
        }
        let hosts = self.config.get_hosts();
        let addresses = self.config.get_hostaddrs();
        let ports = self.config.get_ports();
        for n in 0..hosts.len().max(addresses.len()) {
            let comma = if n == 0 { "" } else { "," };
            match (hosts.get(n), addresses.get(n)) {
                (Some(Host::Tcp(name)), _) => write!(f, "{comma}{name}")?,
                (Some(Host::Unix(path)), _) => write!(f, "{comma}{}", path.display())?,
                (None, Some(address)) => write!(f, "{comma}{address}")?,
                (None, None) => {}
            }
            if let Some(port) = ports.get(n).or(ports.first()) {
                write!(f, ":{port}")?;
            }
        }
        write!(f, "/{}", self.config.get_dbname().or(self.config.get_user()).unwrap_or_default())
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// Whether every server of the name is on this computer.
fn is_local(config: &tokio_postgres::Config) -> bool {
    let addresses = config.get_hostaddrs();
    if !addresses.is_empty() {
        return addresses.iter().all(std::net::IpAddr::is_loopback);
    }
    config.get_hosts().iter().all(|host| match host {
        Host::Unix(_) => true,
        Host::Tcp(name) => {
            name == "localhost" || name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
        }
    })
}

/// The text behind percent signs.
fn decode(text: &str) -> Result<String> {
    let wrong = || Error::Target(format!("{text:?} has a percent sign without two digits"));
    let (mut bytes, mut rest) = (Vec::new(), text.as_bytes());
    while let [first, after @ ..] = rest {
        rest = after;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let digits = after.get(..2).and_then(|digits| std::str::from_utf8(digits).ok()).ok_or_else(wrong)?;
        bytes.push(u8::from_str_radix(digits, 16).map_err(|_| wrong())?);
        rest = &after[2..];
    }
    String::from_utf8(bytes).map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(name: &str) -> Target {
        Target::parse(name).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    #[test]
    fn a_server_elsewhere_is_verified_unless_the_name_says_otherwise() {
        let system = || Encryption::verified(None);
        let cases = [
            ("postgres://u@db.example/center", system()),
            ("postgres://u@192.0.2.1/center?sslmode=verify-full", system()),
            ("postgres://u@localhost,db.example/center", system()),
            ("postgres://u@db.example/center?sslmode=require", Encryption::Any),
            ("postgres://u@db.example/center?sslmode=disable", Encryption::None),
            ("postgres://u@localhost/center", Encryption::None),
            ("postgres://u@127.0.0.1/center", Encryption::None),
            ("postgres://u@[::1]/center", Encryption::None),
            ("postgresql://u@%2Frun%2Fpostgresql/center", Encryption::None),
            ("postgres://u@localhost/center?sslmode=verify-full", system()),
            (
                "postgres://u@localhost/center?sslrootcert=/etc/a%20b.pem",
                Encryption::Verified { roots: "/etc/a b.pem".into() },
            ),
        ];
        for (name, expected) in cases {
            assert_eq!(read(name).encryption, expected, "{name}");
        }
    }

    #[test]
    fn a_password_is_shown_nowhere() {
        let named = read("postgres://u:secret@db.example:5433/center?sslmode=require");
        assert!(named.password_in_name());
        let given = read("postgres://u@db.example:5433/center").with_password("secret");
        assert!(!given.password_in_name());
        for target in [named, given] {
            assert_eq!(target.to_string(), "postgres://u@db.example:5433/center");
            assert!(!format!("{target:?}").contains("secret"));
        }
        for wrong in [
            "postgres://u:secret@db.example:port/center",
            "http://u:secret@db",
            "postgres://u:secret@db?sslmode=prefer",
        ] {
            let error = Target::parse(wrong).expect_err(wrong).to_string();
            assert!(!error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn names_that_say_nothing_clear_are_refused() {
        for wrong in [
            "",
            "center.db",
            "postgres:///center",
            "postgres://u@db?sslmode=allow",
            "postgres://u@db?sslrootcert=%z",
            "postgres://u@db?colour=red",
        ] {
            assert!(matches!(Target::parse(wrong), Err(Error::Target(_))), "{wrong}");
        }
    }
}
