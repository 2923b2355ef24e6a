//! How uplinks were before they were ones, kept beside their links and as durably: a daemon that starts again puts it back, too. A
//! mark is a directory, since a BPF file system has no other files than programs, maps and links.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::Path;

use super::Kernel;

/// The MTU of an uplink, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LentMtu {
    /// What it is to have again.
    pub before: u32,
    /// What the switch gives it. Whoever has set another one since wants it so.
    pub given: u32,
    /// What it gave it before, for as long as it is not known whether the interface has taken the other one; else the same.
    pub former: u32,
}

impl Kernel {
    /// Keeps whether the host's own IPv6 was off an interface before it became an uplink.
    pub fn note_silent(&self, index: u32, silent: bool) {
        let mark = self.links.join(silent_name(index));
        noted(&mark, if silent { fs::create_dir(&mark) } else { fs::remove_dir(&mark) });
    }

    /// What [`Self::note_silent`] kept.
    pub fn was_silent(&self, index: u32) -> bool {
        self.links.join(silent_name(index)).exists()
    }

    /// Keeps the MTU of an uplink, in the place of what was kept.
    pub fn note_mtu(&self, index: u32, mtu: LentMtu) {
        let mark = self.links.join(mtu_name(index, mtu));
        match self.mtu_marks(index).first() {
            Some((known, _)) if *known == mtu => {}
            // In one step, so that there is never none.
            Some((_, old)) => noted(&mark, fs::rename(self.links.join(old), &mark)),
            None => noted(&mark, fs::create_dir(&mark)),
        }
    }

    /// What [`Self::note_mtu`] kept.
    pub fn lent_mtu(&self, index: u32) -> Option<LentMtu> {
        self.mtu_marks(index).first().map(|(mtu, _)| *mtu)
    }

    /// Keeps nothing of the MTU of an interface.
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
        Err(error) => tracing::warn!(mark = %mark.display(), %error, "cannot keep how an uplink was before"),
    }
}

fn silent_name(index: u32) -> String {
    format!("{index}-silent")
}

/// `<ifindex>-mtu-<before>-<given>-<former>`.
fn mtu_name(index: u32, mtu: LentMtu) -> String {
    format!("{index}-mtu-{}-{}-{}", mtu.before, mtu.given, mtu.former)
}

/// The uplink whose MTU a mark keeps, as all have it; none if it is no mark of that.
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
