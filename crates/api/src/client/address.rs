//! The address of a server.

use super::CallError;

/// Host, port, and whether the server speaks TLS there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    pub host: String,
    pub port: u16,
    pub tls: bool,
}

impl Address {
    /// Reads `host`, `host:port`, `[::1]:8443`, `https://host/sdk`, `http://host:8989`.
    ///
    /// # Errors
    /// [`CallError::Usage`].
    pub fn parse(text: &str) -> Result<Self, CallError> {
        let wrong = || {
            CallError::Usage(format!(
                "{text:?} is not the address of a server; write host, host:port or a URL"
            ))
        };
        let (tls, rest) = match text.split_once("://") {
            Some(("https", rest)) => (true, rest),
            Some(("http", rest)) => (false, rest),
            Some(_) => return Err(wrong()),
            None => (true, text),
        };
        let authority = rest.split(['/', '?']).next().unwrap_or_default();
        let (host, port) = if let Some(rest) = authority.strip_prefix('[') {
            let (host, rest) = rest.split_once(']').ok_or_else(wrong)?;
            (host, rest.strip_prefix(':').or(if rest.is_empty() { None } else { Some("x") }))
        } else if authority.matches(':').count() > 1 {
            (authority, None)
        } else {
            authority.split_once(':').map_or((authority, None), |(host, port)| (host, Some(port)))
        };
        let port = match port {
            Some(port) => port.parse().map_err(|_| wrong())?,
            None => {
                if tls {
                    443
                } else {
                    80
                }
            }
        };
        if host.is_empty() || !host.chars().all(|c| c.is_ascii_alphanumeric() || "-._:%".contains(c)) {
            return Err(wrong());
        }
        Ok(Self { host: host.to_owned(), port, tls })
    }

    /// As URLs and the `Host` header have it.
    pub fn authority(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_people_write_them() {
        for (text, host, port, tls) in [
            ("esx1", "esx1", 443, true),
            ("esx1:8443", "esx1", 8443, true),
            ("https://esx1/sdk", "esx1", 443, true),
            ("http://127.0.0.1:8989", "127.0.0.1", 8989, false),
            ("[::1]:9443", "::1", 9443, true),
            ("::1", "::1", 443, true),
        ] {
            assert_eq!(Address::parse(text).unwrap(), Address { host: host.into(), port, tls }, "{text}");
        }
        for text in ["", "ftp://x", "a b", "x:70000", "[::1", "x:", "user@host"] {
            assert!(Address::parse(text).is_err(), "{text}");
        }
    }
}
