//! The earlier state of interfaces that became uplinks, kept beside their links and as durably, so that a restarted
//! daemon can restore it. A mark is a directory, since a BPF file system holds no files but programs, maps and links.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::Path;

use super::Kernel;

/// The MTU of an uplink, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LentMtu {
    /// The MTU to restore.
    pub before: u32,
    /// The MTU that the switch gives it. A different present MTU was set by an administrator and stays.
    pub given: u32,
    /// The MTU that the switch gave it before, until the interface has taken the new one; afterwards the same as
    /// `given`.
    pub former: u32,
}

impl Kernel {
    /// Keeps whether IPv6 was off on an interface before it became an uplink.
    pub fn note_silent(&self, index: u32, silent: bool) {
        let mark = self.links.join(silent_name(index));
        noted(&mark, if silent { fs::create_dir(&mark) } else { fs::remove_dir(&mark) });
    }

    /// The value that [`Self::note_silent`] kept.
    pub fn was_silent(&self, index: u32) -> bool {
        self.links.join(silent_name(index)).exists()
    }

    /// Keeps the MTU of an uplink, replacing an earlier mark.
    pub fn note_mtu(&self, index: u32, mtu: LentMtu) {
        let mark = self.links.join(mtu_name(index, mtu));
        match self.mtu_marks(index).first() {
            Some((known, _)) if *known == mtu => {}
            // In one step, so that a mark always exists.
            Some((_, old)) => noted(&mark, fs::rename(self.links.join(old), &mark)),
            None => noted(&mark, fs::create_dir(&mark)),
        }
    }

    /// The value that [`Self::note_mtu`] kept.
    pub fn lent_mtu(&self, index: u32) -> Option<LentMtu> {
        self.mtu_marks(index).first().map(|(mtu, _)| *mtu)
    }

    /// Forgets the MTU of an interface.
    pub fn forget_mtu(&self, index: u32) {
        for (_, name) in self.mtu_marks(index) {
            let mark = self.links.join(name);
            noted(&mark, fs::remove_dir(&mark));
        }
    }

    fn mtu_marks(&self, index: u32) -> Vec<(LentMtu, String)> {
        let entries = fs::read_dir(&self.links).into_iter().flatten().flatten();
        let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
        names.filter_map(|name| Some((parse_mtu(index, &name)?, name))).collect()
    }
}

fn noted(mark: &Path, done: io::Result<()>) {
    match done.map_err(|error| error.kind()) {
        Ok(()) | Err(ErrorKind::NotFound | ErrorKind::AlreadyExists) => {}
        Err(error) => {
            tracing::warn!(mark = %mark.display(), %error, "cannot keep the earlier state of an uplink")
        }
    }
}

fn silent_name(index: u32) -> String {
    format!("{index}-silent")
}

/// `<ifindex>-mtu-<before>-<given>-<former>`.
fn mtu_name(index: u32, mtu: LentMtu) -> String {
    format!("{index}-mtu-{}-{}-{}", mtu.before, mtu.given, mtu.former)
}

/// The uplink whose MTU a mark keeps; `None` if it is another kind of mark.
pub(super) fn marked_uplink(name: &str) -> Option<u32> {
    name.split_once("-mtu-")?.0.parse().ok()
}

fn parse_mtu(index: u32, name: &str) -> Option<LentMtu> {
    let (_, numbers) = name.split_once("-mtu-")?;
    let numbers: Vec<u32> = numbers.split('-').map_while(|number| number.parse().ok()).collect();
    let &[before, given, former] = numbers.as_slice() else { return None };
    (marked_uplink(name) == Some(index)).then_some(LentMtu { before, given, former })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_says_whose_mtu_it_keeps() {
        let mtu = LentMtu { before: 1500, given: 9000, former: 4000 };
        assert_eq!(mtu_name(7, mtu), "7-mtu-1500-9000-4000");
        assert_eq!(parse_mtu(7, "7-mtu-1500-9000-4000"), Some(mtu));
        for other in [
            "17-mtu-1500-9000-4000",
            "7-silent",
            "7-from_uplink",
            "7-mtu-1500-9000",
            "7-mtu-1500-9000-4000-1",
            "7-mtu-1500-9000-x",
        ] {
            assert_eq!(parse_mtu(7, other), None, "{other}");
        }
    }
}
