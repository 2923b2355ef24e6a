//! Names of guest systems: the API's (`debian12_64Guest`), those of `.vmx` (`debian12-64`), and those for people.

use std::sync::LazyLock;

use vim::schema;

/// All ids that the API knows.
static IDS: LazyLock<&'static [&'static str]> = LazyLock::new(|| {
    let id = schema().find_enum("VirtualMachineGuestOsIdentifier").expect("the enum is in the schema");
    &schema().enumeration(id).values
});

/// All ids that the API knows: those that a VM can be given.
pub fn all() -> &'static [&'static str] {
    &IDS
}

/// Whether the API knows this id.
pub fn is_known(id: &str) -> bool {
    all().contains(&id)
}

/// The id as `.vmx` spells it.
pub fn to_vmx(id: &str) -> String {
    let word = id.replace("Guest", "").to_ascii_lowercase().replace("server", "srv");
    match word.strip_suffix("64") {
        Some(rest) if !rest.is_empty() => format!("{}-64", rest.trim_end_matches(['_', '-'])),
        _ => word,
    }
}

/// The id that `.vmx` means; `otherGuest64` or `otherGuest` for an unknown word.
pub fn from_vmx(word: &str) -> String {
    let known = IDS.iter().find(|id| to_vmx(id).eq_ignore_ascii_case(word) || id.eq_ignore_ascii_case(word));
    match known {
        Some(id) => (*id).to_owned(),
        None if word.ends_with("-64") => "otherGuest64".into(),
        None => "otherGuest".into(),
    }
}

/// `linuxGuest`, `windowsGuest` and so on.
pub fn family(id: &str) -> &'static str {
    let starts = |words: &[&str]| words.iter().any(|word| id.starts_with(word));
    if id.starts_with("win") {
        "windowsGuest"
    } else if starts(&["darwin"]) {
        "darwinGuestFamily"
    } else if starts(&["solaris"]) {
        "solarisGuest"
    } else if starts(&["netware"]) {
        "netwareGuest"
    } else if id == "otherGuest"
        || id == "otherGuest64"
        || starts(&["freebsd", "os2", "eCom", "openServer", "unixWare", "vmkernel", "crx", "dosGuest"])
    {
        "otherGuestFamily"
    } else {
        "linuxGuest"
    }
}

/// The name for people.
pub fn full_name(id: &str) -> String {
    let bits = if id.contains("64") { "64-bit" } else { "32-bit" };
    let named = [
        ("otherGuest64", "Other"),
        ("otherGuest", "Other"),
        ("otherLinux64Guest", "Other Linux"),
        ("otherLinuxGuest", "Other Linux"),
        ("ubuntu64Guest", "Ubuntu Linux"),
        ("ubuntuGuest", "Ubuntu Linux"),
        ("windows9_64Guest", "Microsoft Windows 10"),
        ("windows11_64Guest", "Microsoft Windows 11"),
        ("windows9Server64Guest", "Microsoft Windows Server 2016"),
        ("windows2019srv_64Guest", "Microsoft Windows Server 2019"),
        ("windows2019srvNext_64Guest", "Microsoft Windows Server 2022"),
        ("vmwarePhoton64Guest", "VMware Photon OS"),
    ];
    if let Some((_, name)) = named.iter().find(|(known, _)| *known == id) {
        return format!("{name} ({bits})");
    }
    let families = [
        ("debian", "Debian GNU/Linux"),
        ("rhel", "Red Hat Enterprise Linux"),
        ("centos", "CentOS"),
        ("sles", "SUSE Linux Enterprise"),
        ("oracleLinux", "Oracle Linux"),
        ("almalinux", "AlmaLinux"),
        ("rockylinux", "Rocky Linux"),
        ("fedora", "Red Hat Fedora"),
        ("opensuse", "SUSE openSUSE"),
        ("freebsd", "FreeBSD"),
        ("amazonlinux", "Amazon Linux"),
        ("asianux", "Asianux"),
    ];
    for (prefix, name) in families {
        let Some(rest) = id.strip_prefix(prefix) else { continue };
        let rest = rest.replace("Guest", "").replace("_64", "");
        let version: String = rest.chars().take_while(char::is_ascii_digit).collect();
        let version = if version == "64" { "" } else { &version };
        let space = if version.is_empty() { "" } else { " " };
        return format!("{name}{space}{version} ({bits})");
    }
    for (prefix, kernel) in [("other3x", "3.x"), ("other4x", "4.x"), ("other5x", "5.x"), ("other6x", "6.x")] {
        if id.starts_with(prefix) {
            return format!("Other {kernel} or later Linux ({bits})");
        }
    }
    format!("{} ({bits})", id.replace("Guest", "").replace("_64", ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_id_of_the_api_comes_back_from_its_spelling_in_vmx() {
        let mut collided = Vec::new();
        for id in IDS.iter() {
            let back = from_vmx(&to_vmx(id));
            if back != *id {
                collided.push(((*id).to_owned(), back));
            }
        }
        assert_eq!(collided, []);
    }

    #[test]
    fn spellings_and_names_are_those_that_vsphere_uses() {
        for (id, word, name) in [
            ("debian12_64Guest", "debian12-64", "Debian GNU/Linux 12 (64-bit)"),
            ("ubuntu64Guest", "ubuntu-64", "Ubuntu Linux (64-bit)"),
            ("otherGuest64", "other-64", "Other (64-bit)"),
            ("otherLinux64Guest", "otherlinux-64", "Other Linux (64-bit)"),
            ("rhel9_64Guest", "rhel9-64", "Red Hat Enterprise Linux 9 (64-bit)"),
            ("windows9Server64Guest", "windows9srv-64", "Microsoft Windows Server 2016 (64-bit)"),
            ("other5xLinux64Guest", "other5xlinux-64", "Other 5.x or later Linux (64-bit)"),
            ("otherGuest", "other", "Other (32-bit)"),
        ] {
            assert_eq!((to_vmx(id), full_name(id)), (word.into(), name.into()));
        }
        assert_eq!(from_vmx("plan9-64"), "otherGuest64");
    }
}
