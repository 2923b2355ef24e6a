//! Roles: those of the system, which always exist, and samples for a new center.

use std::collections::BTreeSet;

use super::names::Realm;
use super::records::StoredRole;
use crate::all_privileges;

pub const ADMIN: i32 = -1;
pub const READ_ONLY: i32 = -2;
pub const VIEW: i32 = -3;
pub const ANONYMOUS: i32 = -4;
pub const NO_ACCESS: i32 = -5;
pub const NO_CRYPTO_ADMIN: i32 = -6;
pub const TRUSTED_ADMIN: i32 = -7;
pub const NO_TRUSTED_ADMIN: i32 = -8;

/// A role, in the form that decisions use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Role {
    pub id: i32,
    pub name: String,
    /// For people; the description that the automation API sets.
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

impl From<StoredRole> for Role {
    fn from(stored: StoredRole) -> Self {
        let StoredRole { id, name, label, privileges } = stored;
        let label = if label.is_empty() { name.clone() } else { label };
        Self { id, name, label, privileges }
    }
}

/// Every role lets its users see the objects that they work on.
pub(super) const BASIC: [&str; 3] = ["System.Anonymous", "System.View", "System.Read"];

/// Whether a privilege belongs to trusted infrastructure, which administrators without trust do not touch.
fn is_trusted(id: &str) -> bool {
    id.starts_with("TrustedAdmin.") || id.starts_with("Host.Tpm.")
}

/// The roles that always exist.
pub(super) fn system() -> Vec<Role> {
    let those = |fits: &dyn Fn(&str) -> bool| -> BTreeSet<String> {
        all_privileges().iter().filter(|id| fits(id)).map(|id| (*id).to_owned()).collect()
    };
    let system = |id, name: &str, label: &str, privileges: BTreeSet<String>| Role {
        id,
        name: name.into(),
        label: label.into(),
        privileges,
    };
    let some = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    vec![
        system(ADMIN, "Admin", "Administrator", those(&|_| true)),
        system(READ_ONLY, "ReadOnly", "Read-only", some(&BASIC)),
        system(VIEW, "View", "View", some(&["System.Anonymous", "System.View"])),
        system(ANONYMOUS, "Anonymous", "Anonymous", some(&["System.Anonymous"])),
        system(NO_ACCESS, "NoAccess", "No access", BTreeSet::new()),
        system(
            NO_CRYPTO_ADMIN,
            "NoCryptoAdmin",
            "No cryptography administrator",
            those(&|id| !id.starts_with("Cryptographer.")),
        ),
        system(
            TRUSTED_ADMIN,
            "TrustedAdmin",
            "Trusted Infrastructure administrator",
            those(&|id| BASIC.contains(&id) || is_trusted(id)),
        ),
        system(
            NO_TRUSTED_ADMIN,
            "NoTrustedAdmin",
            "No Trusted Infrastructure administrator",
            those(&|id| !is_trusted(id)),
        ),
    ]
}

/// A sample role: a name, a label, and patterns of its privileges, in which `*` stands for any ending.
type Sample = (&'static str, &'static str, &'static [&'static str]);

const SAMPLES: [Sample; 9] = [
    (
        "VirtualMachinePowerUser",
        "Virtual machine power user (sample)",
        &[
            "Datastore.Browse",
            "Global.CancelTask",
            "ScheduledTask.*",
            "VirtualMachine.Config.Add*",
            "VirtualMachine.Config.AdvancedConfig",
            "VirtualMachine.Config.Annotation",
            "VirtualMachine.Config.CPUCount",
            "VirtualMachine.Config.DiskLease",
            "VirtualMachine.Config.EditDevice",
            "VirtualMachine.Config.Memory",
            "VirtualMachine.Config.QueryUnownedFiles",
            "VirtualMachine.Config.Re*",
            "VirtualMachine.Config.Settings",
            "VirtualMachine.Config.UpgradeVirtualHardware",
            "VirtualMachine.Interact.AnswerQuestion",
            "VirtualMachine.Interact.ConsoleInteract",
            "VirtualMachine.Interact.DeviceConnection",
            "VirtualMachine.Interact.Power*",
            "VirtualMachine.Interact.Reset",
            "VirtualMachine.Interact.Set*",
            "VirtualMachine.Interact.Suspend*",
            "VirtualMachine.Interact.ToolsInstall",
            "VirtualMachine.State.*",
        ],
    ),
    (
        "VirtualMachineUser",
        "Virtual machine user (sample)",
        &[
            "Global.CancelTask",
            "ScheduledTask.*",
            "VirtualMachine.Interact.AnswerQuestion",
            "VirtualMachine.Interact.ConsoleInteract",
            "VirtualMachine.Interact.DeviceConnection",
            "VirtualMachine.Interact.Power*",
            "VirtualMachine.Interact.Reset",
            "VirtualMachine.Interact.Set*",
            "VirtualMachine.Interact.Suspend*",
            "VirtualMachine.Interact.ToolsInstall",
        ],
    ),
    (
        "ResourcePoolAdministrator",
        "Resource pool administrator (sample)",
        &[
            "Alarm.Create",
            "Alarm.Delete",
            "Alarm.Edit",
            "Authorization.ModifyPermissions",
            "Datastore.Browse",
            "Folder.*",
            "Global.CancelTask",
            "Global.LogEvent",
            "Global.SetCustomField",
            "Resource.*",
            "ScheduledTask.*",
            "VirtualMachine.Config.*",
            "VirtualMachine.Interact.*",
            "VirtualMachine.Inventory.*",
            "VirtualMachine.Provisioning.*",
            "VirtualMachine.State.*",
        ],
    ),
    (
        "VMwareConsolidatedBackupUser",
        "VMware Consolidated Backup user (sample)",
        &[
            "VirtualMachine.Config.DiskLease",
            "VirtualMachine.Provisioning.DiskRandomRead",
            "VirtualMachine.Provisioning.GetVmFiles",
            "VirtualMachine.State.CreateSnapshot",
            "VirtualMachine.State.RemoveSnapshot",
        ],
    ),
    ("DatastoreConsumer", "Datastore consumer (sample)", &["Datastore.AllocateSpace"]),
    ("NetworkConsumer", "Network administrator (sample)", &["Network.Assign"]),
    ("InventoryService.Tagging.TaggingAdmin", "Tagging Admin", &["InventoryService.Tagging.*"]),
    ("com.vmware.Content.Admin", "Content library administrator (sample)", &["ContentLibrary.*"]),
    (
        "com.vmware.Content.Registry.Admin",
        "Content library registry administrator (sample)",
        &["ContentLibrary.Manage*"],
    ),
];

/// The sample roles of a new center: names, labels and privileges. They are ordinary roles from then on.
pub(super) fn samples(realm: &Realm) -> Vec<(&'static str, &'static str, BTreeSet<String>)> {
    if matches!(realm, Realm::Host) {
        return Vec::new();
    }
    let expand = |patterns: &[&str]| {
        let chosen = all_privileges()
            .iter()
            .filter(|id| BASIC.contains(id) || patterns.iter().any(|pattern| fits(id, pattern)));
        chosen.map(|id| (*id).to_owned()).collect()
    };
    SAMPLES.iter().map(|(name, label, patterns)| (*name, *label, expand(patterns))).collect()
}

fn fits(id: &str, pattern: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(start) => id.starts_with(start),
        None => id == pattern,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pattern_of_a_sample_fits_a_privilege() {
        for (name, _, patterns) in SAMPLES {
            for pattern in patterns {
                assert!(all_privileges().iter().any(|id| fits(id, pattern)), "{name}: {pattern}");
            }
        }
    }

    #[test]
    fn the_roles_of_the_system_have_their_ids_and_nobody_but_the_administrator_has_all() {
        let roles = system();
        let ids: Vec<i32> = roles.iter().map(|role| role.id).collect();
        assert_eq!(ids, [-1, -2, -3, -4, -5, -6, -7, -8]);
        for role in &roles[1..] {
            assert!(role.privileges.len() < all_privileges().len(), "{}", role.name);
        }
        let none = |role: &Role, group: &str| !role.privileges.iter().any(|id| id.starts_with(group));
        assert!(none(&roles[5], "Cryptographer.") && none(&roles[7], "TrustedAdmin."));
    }
}
