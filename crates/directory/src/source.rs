//! The description of an identity source.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

const MAX_ENDPOINTS: usize = 8;
const MAX_TEXT_BYTES: usize = 1024;
const MAX_CERTIFICATES_BYTES: usize = 256 * 1024;
/// The port of LDAP, with or without StartTLS.
const PORT: u16 = 389;
/// The port of LDAP over TLS.
const TLS_PORT: u16 = 636;

/// An LDAP server, or several with the same contents, and where users and groups lie in it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// The domain behind the `@` of its users, for instance `example.org`.
    pub domain: String,
    /// The domain before the `\` of its users, for instance `EXAMPLE`.
    #[serde(default)]
    pub alias: Option<String>,
    /// How users and groups are named and connected there.
    pub schema: Schema,
    /// Servers, in the order in which they are tried.
    pub endpoints: Vec<Endpoint>,
    /// Certificates of the authorities that may vouch for the servers, PEM. TLS needs them.
    #[serde(default)]
    pub authorities: String,
    /// Distinguished name of the account that reads the directory (Active Directory takes `user@domain` too).
    pub account: String,
    /// The account's password.
    pub password: String,
    /// All users lie below this distinguished name.
    pub users: String,
    /// All groups lie below this distinguished name.
    pub groups: String,
}

/// The usual names of classes and attributes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Schema {
    /// Active Directory: `sAMAccountName`, nested groups resolved by the server.
    ActiveDirectory,
    /// `inetOrgPerson`, `posixAccount`, `groupOfNames`, `groupOfUniqueNames`, `posixGroup`: `uid` and `cn`.
    OpenLdap,
}

/// Where a server listens.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Endpoint {
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) security: Security,
}

/// The protection of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Security {
    /// `ldaps://`: TLS from the first byte.
    Tls,
    /// `ldap+starttls://`: TLS after a request in clear.
    StartTls,
    /// `ldap://`: passwords cross the network in clear.
    Clear,
}

impl Security {
    fn scheme(self) -> &'static str {
        match self {
            Self::Tls => "ldaps",
            Self::StartTls => "ldap+starttls",
            Self::Clear => "ldap",
        }
    }
}

impl Endpoint {
    /// Reads `ldaps://host[:port]`, `ldap+starttls://host[:port]` or `ldap://host[:port]`; an IPv6 address stands in brackets.
    ///
    /// # Errors
    /// [`Error::Source`].
    pub fn parse(text: &str) -> Result<Self> {
        let bad = |reason: &str| Error::Source { field: "endpoints", reason: format!("{text}: {reason}") };
        let (scheme, rest) = text.split_once("://").ok_or_else(|| bad("the form is ldaps://host:port"))?;
        let all = [Security::Tls, Security::StartTls, Security::Clear];
        let security = all.into_iter().find(|security| security.scheme().eq_ignore_ascii_case(scheme));
        let security = security.ok_or_else(|| bad("the scheme is ldaps, ldap+starttls or ldap"))?;
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (host, port) = match rest.strip_prefix('[') {
            Some(rest) => rest.split_once(']').ok_or_else(|| bad("a bracket is open"))?,
            None => rest.split_at(rest.find(':').unwrap_or(rest.len())),
        };
        let port = match port.strip_prefix(':') {
            Some(port) => port.parse().map_err(|_| bad("the port is not a number up to 65535"))?,
            None if port.is_empty() => {
                if security == Security::Tls {
                    TLS_PORT
                } else {
                    PORT
                }
            }
            None => return Err(bad("the port follows a colon")),
        };
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '%');
        if host.is_empty() || host.len() > 255 || !host.chars().all(allowed) || port == 0 {
            return Err(bad("this names no server"));
        }
        Ok(Self { host: host.to_owned(), port, security })
    }

    /// The protection of its connections.
    pub fn security(&self) -> Security {
        self.security
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port, security } = self;
        let (open, close) = if host.contains(':') { ("[", "]") } else { ("", "") };
        write!(f, "{}://{open}{host}{close}:{port}", security.scheme())
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl TryFrom<String> for Endpoint {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        Self::parse(&text)
    }
}

impl From<Endpoint> for String {
    fn from(endpoint: Endpoint) -> Self {
        endpoint.to_string()
    }
}

/// The password stays hidden.
impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source")
            .field("domain", &self.domain)
            .field("schema", &self.schema)
            .field("endpoints", &self.endpoints)
            .field("account", &self.account)
            .finish_non_exhaustive()
    }
}

impl Source {
    /// Whether a name in this domain is for this source.
    pub fn is_for(&self, domain: &str) -> bool {
        self.domain.eq_ignore_ascii_case(domain)
            || self.alias.as_ref().is_some_and(|alias| alias.eq_ignore_ascii_case(domain))
    }

    /// Checks each field by itself.
    ///
    /// # Errors
    /// [`Error::Source`] with the first bad field.
    pub fn check(&self) -> Result<()> {
        let bad = |field, reason: &str| Err(Error::Source { field, reason: reason.to_owned() });
        let name = |text: &str| {
            !text.is_empty()
                && text.len() <= 255
                && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_'))
        };
        if !name(&self.domain) {
            return bad("domain", "a domain consists of letters, digits, dots and hyphens");
        }
        if self.alias.as_ref().is_some_and(|alias| !name(alias)) {
            return bad("alias", "an alias consists of letters, digits, dots and hyphens");
        }
        if self.endpoints.is_empty() || self.endpoints.len() > MAX_ENDPOINTS {
            return bad("endpoints", "a source has 1 to 8 servers");
        }
        let texts = [
            ("account", &self.account),
            ("password", &self.password),
            ("users", &self.users),
            ("groups", &self.groups),
        ];
        for (field, text) in texts {
            // An empty password would be an anonymous login, which a server grants to everybody.
            if text.is_empty() || text.len() > MAX_TEXT_BYTES {
                return bad(field, "it must have 1 to 1024 bytes");
            }
        }
        if self.authorities.len() > MAX_CERTIFICATES_BYTES {
            return bad("authorities", "the certificates exceed 256 KiB");
        }
        if self.endpoints.iter().any(|endpoint| endpoint.security != Security::Clear) {
            crate::connect::roots(&self.authorities)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_read_as_it_is_written() {
        let cases = [
            ("ldaps://dc1.example.org", "ldaps://dc1.example.org:636"),
            ("LDAP://10.0.0.1/", "ldap://10.0.0.1:389"),
            ("ldap+starttls://dc1:3890", "ldap+starttls://dc1:3890"),
            ("ldaps://[fd00::1]:637", "ldaps://[fd00::1]:637"),
            ("ldaps://[fd00::1]", "ldaps://[fd00::1]:636"),
        ];
        for (text, shown) in cases {
            let endpoint = Endpoint::parse(text).expect(text);
            assert_eq!(endpoint.to_string(), shown);
            assert_eq!(Endpoint::parse(shown).expect(shown), endpoint);
        }
    }

    #[test]
    fn text_that_names_no_server_is_refused() {
        let bad = [
            "",
            "dc1",
            "http://dc1",
            "ldap://",
            "ldap://a b",
            "ldap://dc1:",
            "ldap://dc1:70000",
            "ldap://dc1:0",
        ];
        for text in bad.into_iter().chain(["ldap://[fd00::1", "ldap://[fd00::1]636", "ldap://dc1/dc=x"]) {
            assert!(matches!(Endpoint::parse(text), Err(Error::Source { field: "endpoints", .. })), "{text}");
        }
    }
}
