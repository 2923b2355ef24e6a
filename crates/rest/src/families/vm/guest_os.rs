//! Guest operating systems: `debian12_64Guest` of the vSphere API is `DEBIAN_12_64` here.

use std::collections::HashMap;
use std::sync::LazyLock;

/// Those whose names differ by more than their spelling.
const OTHERWISE: [(&str, &str); 6] = [
    ("windows2019srv_64Guest", "WINDOWS_SERVER_2019"),
    ("windows2019srvNext_64Guest", "WINDOWS_SERVER_2021"),
    ("windows2022srvNext_64Guest", "WINDOWS_SERVER_2025"),
    ("solaris10Guest", "SOLARIS_10"),
    ("otherGuest", "OTHER"),
    ("otherGuest64", "OTHER_64"),
];

/// A name without what differs in spelling.
fn plain(name: &str) -> String {
    name.replace("Guest", "").replace('_', "").to_lowercase()
}

struct Names {
    here: HashMap<String, &'static str>,
    there: HashMap<String, &'static str>,
}

fn names() -> &'static Names {
    static NAMES: LazyLock<Names> = LazyLock::new(|| {
        let here = vapi::schema().enums.iter().find(|row| row.name == "vcenter.vm.guest_OS");
        let there = vim::schema().find_enum("VirtualMachineGuestOsIdentifier");
        let there = there.map(|id| vim::schema().enumeration(id).values.as_slice()).unwrap_or_default();
        Names {
            here: here.into_iter().flat_map(|row| &row.values).map(|name| (plain(name), *name)).collect(),
            there: there.iter().map(|name| (plain(name), *name)).collect(),
        }
    });
    &NAMES
}

/// The guest's operating system as the automation API names it; `OTHER` if it does not.
pub(super) fn shown(guest: &str) -> &'static str {
    let otherwise = OTHERWISE.iter().find(|(there, _)| *there == guest).map(|(_, here)| *here);
    otherwise.or_else(|| names().here.get(&plain(guest)).copied()).unwrap_or("OTHER")
}

/// The same as the vSphere API names it.
pub(super) fn id(name: &str) -> &'static str {
    let otherwise = OTHERWISE.iter().find(|(_, here)| *here == name).map(|(there, _)| *there);
    otherwise.or_else(|| names().there.get(&plain(name)).copied()).unwrap_or("otherGuest")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guest_has_its_name_in_both_apis() {
        for (there, here) in [
            ("debian12_64Guest", "DEBIAN_12_64"),
            ("rhel9_64Guest", "RHEL_9_64"),
            ("otherLinux64Guest", "OTHER_LINUX_64"),
            ("other3xLinux64Guest", "OTHER_3X_LINUX_64"),
            ("windows9_64Guest", "WINDOWS_9_64"),
            ("windows2019srv_64Guest", "WINDOWS_SERVER_2019"),
            ("otherGuest64", "OTHER_64"),
            ("dosGuest", "DOS"),
            ("freebsd12_64Guest", "FREEBSD_12_64"),
        ] {
            assert_eq!(shown(there), here);
            assert_eq!(id(here), there);
        }
        assert_eq!((shown("unknown"), id("UNKNOWN")), ("OTHER", "otherGuest"));
    }
}
