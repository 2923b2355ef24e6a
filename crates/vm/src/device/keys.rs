//! The keys of a `.vmx` that devices have. Each kind names its own in [`super::kind::DeviceKind::KEYS`]; extra configuration
//! cannot set them.

use super::Slot;
use super::kind::TABLE;
use crate::text::numbered;

/// Keys of one kind of device: a prefix, a dot and one of the names, without regard to ASCII case.
pub(crate) struct Keys {
    pub(super) prefix: Prefix,
    pub(super) names: &'static [&'static str],
}

/// The part of a key before its first dot, in lower case.
pub(crate) enum Prefix {
    /// A device that a VM has once: `svga`.
    Word(&'static str),
    /// A word and a number below this one: `ethernet3`.
    Numbered(&'static str, u8),
    /// The place of a drive: `scsi0:1`.
    Slot,
}

impl Prefix {
    fn fits(&self, prefix: &str) -> bool {
        match self {
            Self::Word(word) => prefix == *word,
            Self::Numbered(word, count) => numbered(prefix, word, *count).is_some(),
            Self::Slot => prefix.parse::<Slot>().is_ok(),
        }
    }
}

/// Whether a key, in lower case, stands for a field of a device.
pub(crate) fn is_key(key: &str) -> bool {
    let Some((prefix, name)) = key.split_once('.') else { return false };
    let mut rows = TABLE.iter().flat_map(|row| row.keys);
    rows.any(|keys| {
        keys.names.iter().any(|known| known.eq_ignore_ascii_case(name)) && keys.prefix.fits(prefix)
    })
}
