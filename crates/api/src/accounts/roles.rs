//! Roles: those of the system, which always exist, and samples for a new center.

use std::collections::BTreeSet;

use super::names::Realm;
use crate::all_privileges;

pub const ADMIN: i32 = -1;
pub const READ_ONLY: i32 = -2;
pub const VIEW: i32 = -3;
pub const ANONYMOUS: i32 = -4;
pub const NO_ACCESS: i32 = -5;
pub const NO_CRYPTO_ADMIN: i32 = -6;

/// A role, in the form that decisions use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Role {
    pub id: i32,
    pub name: String,
    pub label: String,
    pub privileges: BTreeSet<String>,
}

impl Role {
    pub(super) fn is_system(&self) -> bool {
        self.id < 0
    }

    pub(super) fn has(&self, privilege: &str) -> bool {
        self.id == ADMIN || self.privileges.contains(privilege)
    }
}

/// The roles that always exist.
pub(super) fn system() -> Vec<Role> {
    let all = || all_privileges().iter().map(|id| (*id).to_owned());
    let system = |id, name: &str, label: &str, privileges: BTreeSet<String>| Role {
        id,
        name: name.into(),
        label: label.into(),
        privileges,
    };
    let some = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    vec![
        system(ADMIN, "Admin", "Administrator", all().collect()),
        system(READ_ONLY, "ReadOnly", "Read-only", some(&["System.Anonymous", "System.View", "System.Read"])),
        system(VIEW, "View", "View", some(&["System.Anonymous", "System.View"])),
        system(ANONYMOUS, "Anonymous", "Anonymous", some(&["System.Anonymous"])),
        system(NO_ACCESS, "NoAccess", "No access", BTreeSet::new()),
        system(
            NO_CRYPTO_ADMIN,
            "NoCryptoAdmin",
            "No cryptography administrator",
            all().filter(|id| !id.starts_with("Cryptographer.")).collect(),
        ),
    ]
}

/// Sample roles of a new center: names and privileges, where `*` stands for any ending.
pub(super) fn samples(realm: &Realm) -> Vec<(&'static str, BTreeSet<String>)> {
    if matches!(realm, Realm::Host) {
        return Vec::new();
    }
    let patterns: [(&str, &[&str]); 6] = [
        (
            "VirtualMachinePowerUser",
            &[
                "VirtualMachine.Interact.*",
                "VirtualMachine.Config.*",
                "VirtualMachine.State.*",
                "Datastore.Browse",
            ],
        ),
        ("VirtualMachineUser", &["VirtualMachine.Interact.*"]),
        ("ResourcePoolAdministrator", &["Resource.*", "VirtualMachine.*", "Permissions.*"]),
        (
            "VMwareConsolidatedBackupUser",
            &["VirtualMachine.Provisioning.*", "VirtualMachine.State.*", "Datastore.Browse"],
        ),
        ("DatastoreConsumer", &["Datastore.AllocateSpace"]),
        ("NetworkConsumer", &["Network.Assign"]),
    ];
    let fits = |id: &str, pattern: &str| match pattern.strip_suffix('*') {
        Some(start) => id.starts_with(start),
        None => id == pattern,
    };
    let expand = |patterns: &[&str]| {
        let basic = ["System.Anonymous", "System.View", "System.Read"];
        let chosen = all_privileges()
            .iter()
            .filter(|id| basic.contains(id) || patterns.iter().any(|pattern| fits(id, pattern)));
        chosen.map(|id| (*id).to_owned()).collect()
    };
    patterns.iter().map(|(name, patterns)| (*name, expand(patterns))).collect()
}
