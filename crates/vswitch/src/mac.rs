//! Ethernet addresses.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// An Ethernet (MAC) address.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Mac(pub [u8; 6]);

impl Mac {
    /// All ones: every station on the segment.
    pub const BROADCAST: Self = Self([0xff; 6]);
    /// Key of the list of promiscuous ports; no station has this MAC.
    pub(crate) const ZERO: Self = Self([0; 6]);
    /// Key of the list of ports that receive frames to unknown destinations.
    pub(crate) const NOBODY: Self = Self([0, 0, 0, 0, 0, 1]);

    /// Whether it names a group (multicast or broadcast), which no station may have.
    pub fn is_group(self) -> bool {
        self.0[0] & 1 != 0
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl fmt::Debug for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A text that does not name a MAC address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a MAC address; write six pairs of hexadecimal digits, such as 00:50:56:00:00:01")]
pub struct BadMac(String);

impl FromStr for Mac {
    type Err = BadMac;

    fn from_str(text: &str) -> Result<Self, BadMac> {
        let bad = || BadMac(text.chars().take(40).collect());
        let mut bytes = [0; 6];
        let mut pairs = text.split([':', '-']);
        for byte in &mut bytes {
            let pair = pairs.next().filter(|pair| is_hexadecimal(pair)).ok_or_else(bad)?;
            *byte = u8::from_str_radix(pair, 16).map_err(|_| bad())?;
        }
        if pairs.next().is_some() { Err(bad()) } else { Ok(Self(bytes)) }
    }
}

/// Two digits; `from_str_radix` alone would accept a sign.
fn is_hexadecimal(pair: &str) -> bool {
    pair.len() == 2 && pair.bytes().all(|byte| byte.is_ascii_hexdigit())
}

impl TryFrom<String> for Mac {
    type Error = BadMac;

    fn try_from(text: String) -> Result<Self, BadMac> {
        text.parse()
    }
}

impl From<Mac> for String {
    fn from(mac: Mac) -> Self {
        mac.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_can_be_read() {
        let mac = Mac([0, 0x50, 0x56, 0xab, 0xcd, 0xef]);
        assert_eq!(mac.to_string().parse(), Ok(mac));
        assert_eq!("00-50-56-AB-CD-EF".parse(), Ok(mac));
        for bad in [
            "",
            "00:50:56:ab:cd",
            "00:50:56:ab:cd:ef:00",
            "0:50:56:ab:cd:ef",
            "00:50:56:ab:cd:eg",
            "+0:00:00:00:00:00",
        ] {
            assert!(bad.parse::<Mac>().is_err(), "{bad}");
        }
    }
}
